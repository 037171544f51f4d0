"""Handshakes: how many may be under way, how long, and how few lines the log has of those that fail."""

from __future__ import annotations

import asyncio
import logging
import ssl
from collections.abc import Iterator
from contextlib import AsyncExitStack

import pytest

from bridgehead.inbound import handshakes as module
from bridgehead.inbound import session
from bridgehead.inbound.handshakes import Handshakes
from tests.inbound.receiving import KEY, Dialogue, dialogue, receiving
from tests.inbound.saying import until

HALF_A_HANDSHAKE = b"\x16\x03\x01\x02\x00\x01"


@pytest.fixture
def handshakes() -> Iterator[Handshakes]:
    made = Handshakes()
    yield made
    made.close()


@pytest.fixture
def log(caplog: pytest.LogCaptureFixture) -> pytest.LogCaptureFixture:
    caplog.set_level(logging.INFO, "bridgehead.inbound")
    return caplog


def reasons(log: pytest.LogCaptureFixture) -> list[str]:
    return [record.__dict__["reason"] for record in log.records]


# Those under way


def test_there_is_room_for_so_many_of_one_client_and_so_many_in_all(
    handshakes: Handshakes, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "HANDSHAKES_PER_CLIENT_MAX", 2)
    monkeypatch.setattr(module, "HANDSHAKES_MAX", 3)
    begun = [handshakes.begin(client) for client in ("192.0.2.1", "192.0.2.1", "192.0.2.1", "192.0.2.2", "192.0.2.3")]
    assert begun == [True, True, False, True, False]
    assert len(handshakes) == 3
    handshakes.end("192.0.2.1")
    assert handshakes.begin("192.0.2.3")


def test_an_ipv6_network_counts_as_one_client(handshakes: Handshakes, monkeypatch: pytest.MonkeyPatch) -> None:
    """Whoever has one address of a /64 has all of them."""
    monkeypatch.setattr(module, "HANDSHAKES_PER_CLIENT_MAX", 2)
    begun = [handshakes.begin(client) for client in ("2001:db8::1", "2001:db8::2", "2001:db8::3", "2001:db8:0:1::1")]
    assert begun == [True, True, False, True]
    handshakes.end("2001:db8::2")
    assert handshakes.begin("2001:db8::3")


def test_who_is_refused_or_gone_is_not_remembered(handshakes: Handshakes, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "HANDSHAKES_MAX", 0)
    for number in range(100):
        assert not handshakes.begin(f"192.0.2.{number}")
    monkeypatch.setattr(module, "HANDSHAKES_MAX", 1)
    assert handshakes.begin("192.0.2.1")
    handshakes.end("192.0.2.1")
    assert (len(handshakes), handshakes._under_way) == (0, {})


async def half_a_handshake(client: Dialogue) -> None:
    assert (await client.say(b"STARTTLS"))[:3] == "220"
    await client.send(HALF_A_HANDSHAKE)


async def test_a_handshake_behind_starttls_has_a_time_limit_of_its_own(
    server_tls: ssl.SSLContext, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(session, "HANDSHAKE_SECONDS", 0.05)
    async with receiving(tls=server_tls) as found, dialogue(found.port) as client:
        await half_a_handshake(client)
        await client.rest()
        await until(lambda: not found.server.session_counts())


async def test_handshakes_behind_starttls_are_bounded_by_client(
    server_tls: ssl.SSLContext, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "HANDSHAKES_PER_CLIENT_MAX", 2)
    async with receiving(tls=server_tls) as found, AsyncExitStack() as stack:
        clients = [await stack.enter_async_context(dialogue(found.port)) for _ in range(3)]
        for client in clients:
            await half_a_handshake(client)
        await clients[2].rest()
        await until(lambda: found.server.session_counts() == {KEY: 2})


async def test_a_client_that_cuts_the_connection_within_the_handshake_is_forgotten_without_a_trace(
    server_tls: ssl.SSLContext, log: pytest.LogCaptureFixture
) -> None:
    async with receiving(tls=server_tls) as found:
        for _ in range(5):
            async with dialogue(found.port) as client:
                await half_a_handshake(client)
                await asyncio.sleep(0.01)  # so that the server has read it
                client.reset()
            await until(lambda: not found.server.session_counts())
    assert [record.getMessage() for record in log.records] == ["TLS handshake failed", "TLS handshakes failed"]


async def test_a_handshake_under_way_does_not_outlive_the_server(
    server_tls: ssl.SSLContext, log: pytest.LogCaptureFixture
) -> None:
    async with receiving(tls=server_tls) as found, dialogue(found.port) as client:
        await half_a_handshake(client)
        await asyncio.sleep(0.01)
        await found.server.drain(0.05)
        await client.rest()
        assert not found.server.session_counts()
    assert [record.levelname for record in log.records] == ["INFO"]


# The log


async def test_the_first_failure_is_told_at_once_with_client_and_reason(
    handshakes: Handshakes, log: pytest.LogCaptureFixture
) -> None:
    handshakes.failed(KEY, "192.0.2.1", ConnectionResetError("reset"))
    (record,) = log.records
    assert record.getMessage() == "TLS handshake failed"
    assert (record.__dict__["virtual_server"], record.__dict__["client"]) == (KEY, "192.0.2.1")
    assert reasons(log) == ["reset"]


async def test_a_flood_of_failures_is_one_line_a_minute(
    handshakes: Handshakes, log: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "SUMMARY_SECONDS", 0.02)
    for _ in range(1000):
        handshakes.failed(KEY, "192.0.2.1", ConnectionResetError("reset"))
    handshakes.failed(KEY, "192.0.2.2", TimeoutError("timed out"))
    await until(lambda: len(log.records) == 2)
    assert reasons(log)[1] == "1000 more; clients: 2, most of all 192.0.2.1; most of all: reset"
    # Behind a quiet minute the next one is a first one.
    await until(lambda: not handshakes._failures)
    handshakes.failed(KEY, "192.0.2.3", ConnectionResetError("again"))
    assert reasons(log)[2:] == ["again"]


async def test_each_virtual_server_has_lines_of_its_own(
    handshakes: Handshakes, log: pytest.LogCaptureFixture
) -> None:
    for key in ("A/1", "A/2", "A/1"):
        handshakes.failed(key, "192.0.2.1", ConnectionResetError("reset"))
    assert [record.__dict__["virtual_server"] for record in log.records] == ["A/1", "A/2"]


async def test_what_is_not_told_yet_is_told_at_the_end(handshakes: Handshakes, log: pytest.LogCaptureFixture) -> None:
    for _ in range(3):
        handshakes.failed(KEY, "192.0.2.1", ConnectionResetError("reset"))
    handshakes.close()
    assert reasons(log)[1:] == ["2 more; clients: 1, most of all 192.0.2.1; most of all: reset"]


async def test_what_a_summary_counts_is_bounded(handshakes: Handshakes, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "CLIENTS_MAX", 5)
    for number in range(100):
        handshakes.failed(KEY, f"192.0.2.{number}", ConnectionResetError(f"reset {number}"))
    failures = handshakes._failures[KEY]
    assert (failures.count, len(failures.clients), len(failures.reasons)) == (99, 5, 5)
    assert "clients: 5 or more," in module._words(failures)


async def test_many_clients_that_say_no_handshake_make_few_lines(
    server_tls: ssl.SSLContext, log: pytest.LogCaptureFixture
) -> None:
    async with receiving(tls=server_tls) as found:
        for _ in range(10):
            async with dialogue(found.port) as client:
                assert (await client.say(b"STARTTLS"))[:3] == "220"
                await client.send(b"this is no handshake\r\n" * 20)
                await client.rest()
    assert [record.getMessage() for record in log.records] == ["TLS handshake failed", "TLS handshakes failed"]
    assert reasons(log)[1].startswith("9 more; clients: 1, most of all 127.0.0.1;")
