"""Content over real sockets: large bodies from their files, 8-bit ones, and peers that do not take them."""

from __future__ import annotations

import asyncio
import quopri
from pathlib import Path

import msgspec
import pytest

from bridgehead.core.organization import Security, TlsLevel
from bridgehead.core.outcome import Delivered, Failed, Scope
from bridgehead.outbound.contract import Transaction, Unavailable
from tests.net.certificates import AUTHORITY
from tests.outbound.attempts import attempt, deferred, from_file, greet, hears, opened
from tests.outbound.channel_contract import Owner, transaction
from tests.outbound.scripted_server import Manners, Peer, polite, serve
from tests.outbound.wire import HASTY, dialer, smart_host, to_smart_hosts


async def test_large_body_is_streamed_from_its_file(tmp_path: Path) -> None:
    content = b"Subject: large\r\n\r\n" + b"".join(b".%0500d\r\n" % number for number in range(6000))
    owner = Owner()
    async with serve() as server:
        channel = await opened(server, owner)
        channel.send(from_file(tmp_path / "body", content), owner.done)
        await owner.wait(attempts=1)
        assert isinstance(owner.attempts[0].outcomes[0], Delivered)
        assert server.messages == [content]
        channel.close()
        await owner.wait(ends=1)


async def test_large_body_is_streamed_inside_tls(tmp_path: Path) -> None:
    content = b"Subject: large\r\n\r\n" + (b"x" * 900 + b"\r\n") * 3000
    owner = Owner()
    async with serve(polite(Manners(tls=AUTHORITY.context("smart.test")))) as server:
        destination = to_smart_hosts(smart_host(server.port), security=Security(tls=TlsLevel.REQUIRE))
        channel = await dialer().open(destination, owner.closed)
        assert not isinstance(channel, Unavailable)
        channel.send(from_file(tmp_path / "body", content), owner.done)
        await owner.wait(attempts=1)
        outcome = owner.attempts[0].outcomes[0]
        assert isinstance(outcome, Delivered)
        assert outcome.tls.startswith("TLSv1.3")
        assert server.messages == [content]
        channel.close()
        await owner.wait(ends=1)


async def test_peer_that_stops_reading_is_given_up_and_memory_stays_bounded(tmp_path: Path) -> None:
    async def script(peer: Peer) -> None:
        await greet(peer, "PIPELINING")
        await hears(peer, 3)
        await peer.say("250 Ok", "250 Ok", "354 Go")
        await asyncio.sleep(2.0)

    what = from_file(tmp_path / "body", b"x" * 998 + b"\r\n")
    what = msgspec.structs.replace(what, body=msgspec.structs.replace(what.body, size=64 * 1024 * 1024))
    with (tmp_path / "body").open("r+b") as file:
        file.truncate(64 * 1024 * 1024)
    outcome = deferred(await attempt(script, what, HASTY))
    assert "in time" in outcome.reply.text


async def test_refusal_in_the_middle_of_a_large_body_counts(tmp_path: Path) -> None:
    async def script(peer: Peer) -> None:
        await greet(peer, "PIPELINING")
        await hears(peer, 3)
        await peer.say("250 Ok", "250 Ok", "354 Go")
        await peer.reader.read(1000)
        await peer.say("552 5.3.4 Too large")
        await peer.wait_gone()

    attempted = await attempt(script, from_file(tmp_path / "body", b"x" * 998 + b"\r\n" * 10_000_000))
    assert isinstance(attempted.outcomes[0], Failed)
    assert not attempted.is_reusable


@pytest.mark.parametrize("name", ["missing", "shorter than its message"])
async def test_unreadable_body_is_never_sent_as_if_whole(tmp_path: Path, name: str) -> None:
    what = from_file(tmp_path / "body", b"half\r\n", size=1000)
    if name == "missing":
        (tmp_path / "body").unlink()
    owner = Owner()
    async with serve() as server:
        channel = await opened(server, owner)
        channel.send(what, owner.done)
        await owner.wait(attempts=1, ends=1)
        assert server.messages == []
    outcome = deferred(owner.attempts[0])
    assert outcome.scope is Scope.MESSAGE
    assert outcome.reply.enhanced == "4.3.0"


def eight_bit(content: bytes) -> Transaction:
    what = transaction(1, content)
    return msgspec.structs.replace(what, envelope=msgspec.structs.replace(what.envelope, has_eight_bit=True))


async def test_eight_bit_content_is_converted_for_a_server_without_8bitmime() -> None:
    content = "Subject: x\r\nMIME-Version: 1.0\r\nContent-Type: text/plain; charset=utf-8\r\n\r\né\r\n".encode()
    owner = Owner()
    async with serve(polite(Manners(extensions=("SIZE",)))) as server:
        channel = await opened(server, owner)
        channel.send(eight_bit(content), owner.done)
        await owner.wait(attempts=1)
        assert isinstance(owner.attempts[0].outcomes[0], Delivered)
        [message] = server.messages
        assert message.isascii()
        assert f"SIZE={len(message)}" in server.heard[1], "the size is that of what is sent"
        channel.abort()
        await owner.wait(ends=1)


async def test_eight_bit_content_that_cannot_be_converted_fails() -> None:
    owner = Owner()
    async with serve(polite(Manners(extensions=("HELP",)))) as server:
        channel = await opened(server, owner)
        channel.send(eight_bit("Subject: é\r\n\r\nx\r\n".encode()), owner.done)
        assert not owner.attempts
        await owner.wait(attempts=1)
        outcome = owner.attempts[0].outcomes[0]
        assert isinstance(outcome, Failed)
        assert outcome.reply.enhanced == "5.6.3"
        assert owner.attempts[0].is_reusable
        channel.send(transaction(1), owner.done)
        await owner.wait(attempts=2)
        assert isinstance(owner.attempts[1].outcomes[0], Delivered)
        channel.close()
        await owner.wait(ends=1)


async def test_eight_bit_content_goes_out_as_it_is_where_it_may() -> None:
    content = "Subject: x\r\n\r\né\r\n".encode()
    owner = Owner()
    async with serve() as server:
        channel = await opened(server, owner)
        channel.send(eight_bit(content), owner.done)
        await owner.wait(attempts=1)
        assert server.messages == [content]
        assert server.heard[1].endswith("BODY=8BITMIME")
        channel.abort()
        await owner.wait(ends=1)


LARGE_EIGHT_BIT = b"MIME-Version: 1.0\r\nContent-Type: text/plain\r\n\r\n" + b".caf\xe9 au lait\r\n" * 200_000


def eight_bit_file(path: Path) -> Transaction:
    what = from_file(path, LARGE_EIGHT_BIT)
    return msgspec.structs.replace(what, envelope=msgspec.structs.replace(what.envelope, has_eight_bit=True))


async def test_other_work_goes_on_while_a_large_message_is_converted(tmp_path: Path) -> None:
    loop = asyncio.get_running_loop()
    turns = 0

    def turn() -> None:
        nonlocal turns
        turns += 1
        loop.call_soon(turn)

    owner = Owner()
    async with serve(polite(Manners(extensions=("PIPELINING",)))) as server:
        channel = await opened(server, owner)
        channel.send(eight_bit_file(tmp_path / "body"), owner.done)
        loop.call_soon(turn)
        while not server.heard[1:]:  # noqa: ASYNC110 - EHLO, then MAIL, which comes behind the conversion
            await asyncio.sleep(0)
        assert turns > 20
        await owner.wait(attempts=1)
        assert isinstance(owner.attempts[0].outcomes[0], Delivered)
        channel.abort()
        await owner.wait(ends=1)
    (message,) = server.messages
    assert message.isascii()
    assert quopri.decodestring(message.partition(b"\r\n\r\n")[2]) == LARGE_EIGHT_BIT.partition(b"\r\n\r\n")[2]


async def test_connection_lost_during_a_conversion_is_the_host_s_trouble(tmp_path: Path) -> None:
    async def script(peer: Peer) -> None:
        await greet(peer, "PIPELINING")

    outcome = deferred(await attempt(script, eight_bit_file(tmp_path / "body")))
    assert (outcome.scope, outcome.reply.enhanced) == (Scope.HOST, "4.4.2")


async def test_channel_dropped_during_a_conversion_settles_its_transaction(tmp_path: Path) -> None:
    owner = Owner()
    async with serve(polite(Manners(extensions=("PIPELINING",)))) as server:
        channel = await opened(server, owner)
        channel.send(eight_bit_file(tmp_path / "body"), owner.done)
        await asyncio.sleep(0)
        channel.abort()
        await owner.wait(attempts=1, ends=1)
    assert deferred(owner.attempts[0]).scope is Scope.HOST
    assert server.messages == []
