"""Listeners: which doors are open, and how they end: sessions may finish, within limits."""

from __future__ import annotations

import asyncio
import socket

import pytest

from bridgehead.core.organization import ClientList, RelayRestrictions
from bridgehead.inbound.listener import Door
from tests.inbound.receiving import KEY, dialogue, organization, receiving
from tests.inbound.saying import ENVELOPE, MAIL, changed, until


async def test_drain_ends_idle_sessions_and_waits_for_messages() -> None:
    async with receiving() as found, dialogue(found.port) as idle, dialogue(found.port) as busy:
        await busy.send(ENVELOPE + b"\r\n")
        for _ in range(3):
            await busy.reply()
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(found.server.drain(5))
            assert (await idle.rest()).startswith(b"421 4.3.2 ")
            await busy.send(b"x: y\r\n.\r\n")
            said = await busy.rest()
        assert said.startswith(b"250 2.0.0 Message queued as ")
        assert b"\r\n421 4.3.2 " in said
        with pytest.raises(ConnectionRefusedError):
            socket.create_connection(("127.0.0.1", found.port), timeout=1)


async def test_drain_has_an_end() -> None:
    async with receiving() as found, dialogue(found.port) as busy:
        await busy.say(MAIL)
        await found.server.drain(0.05)
        assert (await busy.rest()).startswith(b"421 4.3.2 ")


async def test_a_listener_that_left_the_configuration_accepts_nothing_and_its_sessions_go_on() -> None:
    async with receiving() as found, dialogue(found.port) as client:
        (door,) = found.server.doors
        found.server.forget(door)
        found.server.forget(door)
        assert found.server.doors == frozenset()
        with pytest.raises(ConnectionRefusedError):
            socket.create_connection(("127.0.0.1", found.port), timeout=1)
        assert (await client.say(MAIL))[:9] == "250 2.1.0"


async def test_doors_are_told_apart_and_closed_one_by_one() -> None:
    async with receiving() as found:
        (first,) = found.server.doors
        bound = socket.create_server(("127.0.0.1", 0))
        second = Door(KEY, "127.0.0.1", bound.getsockname()[1])
        await found.server.listen(second, bound)
        assert found.server.doors == {first, second}
        found.server.forget(first)
        assert found.server.doors == {second}
        async with dialogue(second.port):
            assert found.server.session_counts() == {KEY: 1}
        await until(lambda: not found.server.session_counts())


async def test_a_drained_server_without_sessions_is_done_at_once() -> None:
    async with receiving() as found, asyncio.timeout(1):
        await found.server.drain(60)
        assert found.server.doors == frozenset()


class SlowNames:
    """Answers when the test says so."""

    def __init__(self) -> None:
        self.asked = asyncio.Event()
        self.answer = asyncio.Event()

    async def verified_names(self, address: str) -> tuple[str, ...]:
        self.asked.set()
        await self.answer.wait()
        return ()


async def test_a_session_that_still_waits_for_its_names_ends_without_a_defect(
    caplog: pytest.LogCaptureFixture,
) -> None:
    names = SlowNames()
    relay = RelayRestrictions(clients=ClientList(domains=("*.trusted.example",)))
    configuration = organization(virtual_server=changed(relay=relay))
    async with receiving(configuration, names=names) as found, dialogue(found.port, greeted=False) as client:
        await names.asked.wait()
        await found.server.drain(5)
        names.answer.set()
        assert await client.rest() == b"421 4.3.2 Service is closing, try again later\r\n"
    assert caplog.records == []
