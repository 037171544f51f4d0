"""The order of writes, proved by stopping at each of them: what was promised is there, whole, and nothing else."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from bridgehead.core.envelope import MessageId
from bridgehead.spool.contract import Remove, Update
from bridgehead.spool.sqlite import SqliteSpool
from tests.spool.contract import DELIVERED, RETRYING, content_of, insert, loaded
from tests.spool.disks import CrashDisk, PowerLossError
from tests.spool.places import LARGE, body_files, large_insert

STEPS_MAX = 40
"""More than the scenario has; the test checks that."""


@pytest.fixture
async def crashed() -> AsyncIterator[asyncio.Event]:
    """Set once the writer thread has stopped at its crash, and all it said before was heard."""
    loop, event = asyncio.get_running_loop(), asyncio.Event()
    previous = threading.excepthook

    def note(arguments: threading.ExceptHookArgs) -> None:
        if arguments.exc_type is not PowerLossError:
            previous(arguments)
        loop.call_soon_threadsafe(event.set)

    threading.excepthook = note
    yield event
    threading.excepthook = previous


class Scenario:
    """A life of several messages, one submission after the other, noting what was promised."""

    def __init__(self, spool: SqliteSpool) -> None:
        self.spool = spool
        self.promised: list[str] = []

    async def run(self) -> None:
        """All steps; stands still for ever at the one that crashes."""
        await self._step("insert 1 and 2", [insert(1), insert(2)])
        await self._step("insert large 3 and 4", [large_insert(self.spool, 3), large_insert(self.spool, 4)])
        await self._step("update 1, remove 3", [Update(MessageId(1), {0: RETRYING}), Remove(MessageId(3))])
        await self._step("deliver 1, remove 2, insert 5", [
            Update(MessageId(1), {0: DELIVERED}),
            Remove(MessageId(2)),
            large_insert(self.spool, 5),
        ])  # fmt: skip
        await self._step("remove all", [Remove(MessageId(number)) for number in (1, 4, 5)])

    async def _step(self, name: str, changes: list[object]) -> None:
        future: asyncio.Future[Exception | None] = asyncio.get_running_loop().create_future()
        self.spool.submit(changes, future.set_result)  # type: ignore[arg-type]  # a list of any changes
        assert await future is None
        self.promised.append(name)


STATES_AFTER: list[dict[int, dict[int, object]]] = [
    {},
    {1: {}, 2: {}},
    {1: {}, 2: {}, 3: {}, 4: {}},
    {1: {0: RETRYING}, 2: {}, 4: {}},
    {1: {0: DELIVERED}, 4: {}, 5: {}},
    {},
]
"""Messages and their states after so many submissions."""


@pytest.mark.parametrize("after", [False, True], ids=["before", "after"])
async def test_a_crash_at_any_step_keeps_every_promise(tmp_path: Path, crashed: asyncio.Event, after: bool) -> None:
    for crash_at in range(1, STEPS_MAX):
        state_dir = tmp_path / str(crash_at)
        disk = CrashDisk(crash_at, after=after)
        spool = SqliteSpool(state_dir, 0, disk)
        scenario = Scenario(spool)
        await run_until_crash(scenario, crashed)
        abandon(spool)
        disk.lose_power(state_dir / "spool" / "p0.bodies")
        await check(state_dir, len(scenario.promised))
        if disk.steps < crash_at:
            assert crash_at > 12, "the scenario passes through files, folders, rows and removals"
            return
    pytest.fail("the scenario has more steps than STEPS_MAX")


async def run_until_crash(scenario: Scenario, crashed: asyncio.Event) -> None:
    """To the crash, or to the end of the scenario."""
    crashed.clear()
    async with asyncio.TaskGroup() as tasks:
        run = tasks.create_task(scenario.run())
        run.add_done_callback(lambda _: crashed.set())
        async with asyncio.timeout(5):
            await crashed.wait()
        run.cancel()


def abandon(spool: SqliteSpool) -> None:
    """Let go of the files as the end of a process does, writing nothing more."""
    writer = spool._writer
    assert writer is not None
    writer._waiting.put(None)
    writer._thread.join()
    writer._close()
    spool._partition.release()


async def check(state_dir: Path, promised: int) -> None:
    """What is there is the state after `promised` submissions, or after one more: that one was whole on disk."""
    spool = SqliteSpool(state_dir, 0)
    found = {int(entry.message_id): dict(entry.states) for entry in spool.recover()}
    assert found in STATES_AFTER[promised : promised + 2]
    for number in found:
        expected = LARGE if number in {3, 4, 5} else insert(number).body.content
        assert content_of((await loaded(spool, number)).body) == expected
    assert spool.statistics().damaged == 0
    assert len(body_files(state_dir)) == len([number for number in found if number in {3, 4, 5}])
    await spool.close()
