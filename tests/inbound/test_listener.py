"""The end of a listener: sessions may finish, within limits."""

from __future__ import annotations

import asyncio
import socket

import pytest

from tests.inbound.receiving import dialogue, receiving
from tests.inbound.saying import ENVELOPE, MAIL


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
