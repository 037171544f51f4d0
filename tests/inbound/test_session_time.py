"""No client may hold a session for ever."""

from __future__ import annotations

import asyncio

import pytest

from bridgehead.core.organization import (
    ConnectionControl,
)
from bridgehead.inbound import session
from tests.inbound.receiving import dialogue, organization, receiving
from tests.inbound.saying import ENVELOPE, MAIL, changed


async def test_a_client_that_says_nothing_is_timed_out() -> None:
    control = ConnectionControl(timeout_seconds=0.5)
    configuration = organization(virtual_server=changed(connection=control))
    async with receiving(configuration) as found, dialogue(found.port) as client:
        assert (await client.rest()).startswith(b"421 4.4.2 ")


async def test_a_command_that_dribbles_is_timed_out_as_a_whole() -> None:
    """Each octet comes in time; the command does not."""
    control = ConnectionControl(timeout_seconds=0.5)
    configuration = organization(virtual_server=changed(connection=control))
    async with receiving(configuration) as found, dialogue(found.port) as client:

        async def dribble() -> None:
            for _ in range(100):
                await client.send(b"x")
                await asyncio.sleep(0.02)

        async with asyncio.TaskGroup() as tasks:
            dribbling = tasks.create_task(dribble())
            assert (await client.rest()).startswith(b"421 4.4.2 ")
            dribbling.cancel()


async def test_content_that_dribbles_is_timed_out() -> None:
    control = ConnectionControl(timeout_seconds=0.5)
    configuration = organization(virtual_server=changed(connection=control))
    async with receiving(configuration) as found, dialogue(found.port) as client:
        await client.send(ENVELOPE + b"\r\n")
        for _ in range(3):
            await client.reply()

        async def dribble() -> None:
            for _ in range(100):
                await client.send(b"x\r\n")
                await asyncio.sleep(0.02)

        async with asyncio.TaskGroup() as tasks:
            dribbling = tasks.create_task(dribble())
            assert (await client.rest()).startswith(b"421 4.4.2 ")
            dribbling.cancel()
        assert found.messages == []


async def test_faults_beyond_a_number_are_slowed_down(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(session, "TARPIT_AFTER", 2)
    monkeypatch.setattr(session, "TARPIT_SECONDS", 0.05)
    async with receiving() as found, dialogue(found.port) as client:
        loop = asyncio.get_running_loop()
        begin = loop.time()
        await client.send(b"X\r\n" * 5 + b"NOOP\r\n")
        for _ in range(6):
            await client.reply()
        assert loop.time() - begin >= 0.14


async def test_a_client_that_does_not_read_is_not_read_either() -> None:
    """It pours commands in and reads nothing: replies and input stay bounded, and when it reads all are there."""
    async with receiving() as found, dialogue(found.port) as client:
        flood = b"".join(b"RCPT TO:<%d@contoso.com>\r\n" % number for number in range(15_000))
        await client.say(MAIL)
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(client.send(flood + b"RSET\r\n"))
            await asyncio.sleep(0.05)
            counted = 0
            while not (await client.reply()).startswith("250 2.0.0"):
                counted += 1
        assert counted == 15_000
