"""One timer, many deadlines."""

from __future__ import annotations

import asyncio

from bridgehead.inbound.deadline import Deadline


async def test_it_expires_once_at_the_latest_time_set() -> None:
    loop = asyncio.get_running_loop()
    begin = loop.time()
    expired: list[float] = []
    deadline = Deadline(loop, lambda: expired.append(loop.time() - begin))
    deadline.set(begin + 0.01)
    deadline.set(begin + 0.05)
    await asyncio.sleep(0.1)
    assert len(expired) == 1
    assert expired[0] >= 0.049


async def test_an_earlier_time_replaces_a_later_one() -> None:
    loop = asyncio.get_running_loop()
    expired = asyncio.Event()
    deadline = Deadline(loop, expired.set)
    deadline.set(loop.time() + 1000)
    deadline.set(loop.time())
    async with asyncio.timeout(1):
        await expired.wait()


async def test_cancelled_it_never_expires() -> None:
    loop = asyncio.get_running_loop()
    expired: list[int] = []
    deadline = Deadline(loop, lambda: expired.append(1))
    deadline.set(loop.time())
    deadline.cancel()
    await asyncio.sleep(0.01)
    assert expired == []
