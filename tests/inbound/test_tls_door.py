"""Listeners with TLS from the first octet: handshakes that are never finished take nothing away from others."""

from __future__ import annotations

import asyncio
import smtplib
import socket
import ssl
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest

from bridgehead.inbound import handshakes, tls_door
from tests.inbound.receiving import receiving

HALF_A_HANDSHAKE = b"\x16\x03\x01\x02\x00\x01"


@asynccontextmanager
async def half_handshakes(port: int, count: int) -> AsyncIterator[list[asyncio.StreamReader]]:
    """So many clients that begin a handshake and say no more."""
    opened = [await asyncio.open_connection("127.0.0.1", port) for _ in range(count)]
    try:
        for _, writer in opened:
            writer.write(HALF_A_HANDSHAKE)
        yield [reader for reader, _ in opened]
    finally:
        for _, writer in opened:
            writer.transport.abort()


async def ended(reader: asyncio.StreamReader, seconds: float = 10.0) -> bool:
    """Whether the server hangs up within `seconds`."""
    try:
        async with asyncio.timeout(seconds):
            return await reader.read() == b""
    except TimeoutError:
        return False
    except ConnectionResetError:
        return True


async def only_the_last_ended(readers: list[asyncio.StreamReader]) -> bool:
    """Whether the server hung up on the last one, and within a moment after that on none of the others."""
    is_last_ended = await ended(readers[-1])
    async with asyncio.TaskGroup() as tasks:
        others = [tasks.create_task(ended(reader, 0.1)) for reader in readers[:-1]]
    return is_last_ended and not any(other.result() for other in others)


def greeted(port: int, client_tls: ssl.SSLContext) -> bool:
    with smtplib.SMTP_SSL("127.0.0.1", port, timeout=10, context=client_tls) as client:
        return client.noop()[0] == 250


async def soon_greeted(port: int, client_tls: ssl.SSLContext) -> bool:
    async with asyncio.timeout(10):
        while True:
            try:
                return await asyncio.to_thread(greeted, port, client_tls)
            except (ConnectionResetError, ssl.SSLEOFError):
                await asyncio.sleep(0.01)


async def test_handshakes_of_one_client_are_bounded(
    server_tls: ssl.SSLContext, client_tls: ssl.SSLContext, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(handshakes, "HANDSHAKES_PER_CLIENT_MAX", 3)
    async with receiving(tls=server_tls, implicit_tls=True) as found:
        async with half_handshakes(found.port, 4) as readers:
            assert await only_the_last_ended(readers)
        # Those who hung up count no more, once the server has seen it.
        assert await soon_greeted(found.port, client_tls)


async def test_handshakes_of_all_clients_leave_room_for_sessions(server_tls: ssl.SSLContext) -> None:
    async with (
        receiving(tls=server_tls, implicit_tls=True, sessions_max=2) as found,
        half_handshakes(found.port, 3) as readers,
    ):
        assert await only_the_last_ended(readers)


async def test_a_handshake_that_is_not_finished_is_given_up(
    server_tls: ssl.SSLContext, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(tls_door, "HANDSHAKE_SECONDS", 0.05)
    async with receiving(tls=server_tls, implicit_tls=True) as found, half_handshakes(found.port, 1) as (reader,):
        assert await ended(reader)


async def test_a_handshake_that_fails_is_forgotten(
    server_tls: ssl.SSLContext, client_tls: ssl.SSLContext, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(handshakes, "HANDSHAKES_PER_CLIENT_MAX", 1)
    async with receiving(tls=server_tls, implicit_tls=True) as found:
        for _ in range(3):
            reader, writer = await asyncio.open_connection("127.0.0.1", found.port)
            writer.write(b"EHLO client.example\r\n")
            assert not (await reader.read()).startswith(b"220")
            writer.close()
        assert await asyncio.to_thread(greeted, found.port, client_tls)


async def test_a_listener_without_a_certificate_in_force_hangs_up() -> None:
    async with receiving(implicit_tls=True) as found, half_handshakes(found.port, 1) as (reader,):
        assert await ended(reader)


async def test_a_closed_door_accepts_nothing_and_drops_unfinished_handshakes(server_tls: ssl.SSLContext) -> None:
    async with receiving(tls=server_tls, implicit_tls=True) as found, half_handshakes(found.port, 1) as (reader,):
        assert not await ended(reader)
        found.server.stop_listening()
        assert await ended(reader)
        with pytest.raises(OSError, match="refused"), socket.socket() as late:
            late.connect(("127.0.0.1", found.port))
