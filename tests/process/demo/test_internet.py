"""All receivers of the demo on one port, and the line that fails."""

from __future__ import annotations

import asyncio

import pytest

from bridgehead.process.demo import internet as module
from bridgehead.process.demo.internet import Internet


async def can_connect(address: str, port: int) -> bool:
    """Whether someone listens there."""
    try:
        _, writer = await asyncio.open_connection(address, port)
    except OSError:
        return False
    writer.close()
    return True


async def test_every_receiver_listens_on_its_own_address_and_all_on_one_port() -> None:
    async with Internet() as internet, asyncio.timeout(10):
        addresses = {receiver.address for receiver in internet.receivers}
        assert len(addresses) == len(internet.receivers) == 6
        assert {receiver.port for receiver in internet.receivers} == {internet.port}
        assert all([await can_connect(address, internet.port) for address in addresses])
    assert not await can_connect(internet.main_line.address, internet.port)


async def test_the_main_line_goes_away_and_comes_back_again_and_again(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("FIRST_OUTAGE_SECONDS", "HANG_SECONDS", "OUTAGE_SECONDS", "QUIET_SECONDS"):
        monkeypatch.setattr(module, name, 0.01)
    states: list[bool] = []
    async with Internet() as internet, asyncio.timeout(10), asyncio.TaskGroup() as tasks:
        outages = tasks.create_task(internet.have_outages())
        while states[-4:] != [True, False, True, False]:
            is_there = await can_connect(internet.main_line.address, internet.port)
            if not states or states[-1] is not is_there:
                states.append(is_there)
        outages.cancel()
        await internet.main_line.open(internet.port)
