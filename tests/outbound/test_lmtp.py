"""Delivery by LMTP to a real server, over TCP and over a socket file, and to servers that misbehave."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path

import pytest
from aiosmtpd.lmtp import LMTP
from aiosmtpd.smtp import SMTP, Session
from aiosmtpd.smtp import Envelope as PeerEnvelope

from bridgehead.core.envelope import Envelope, MessageId, Recipient
from bridgehead.core.organization import Delivery, LocalDelivery, Security, SmartHostOrder, VirtualServer
from bridgehead.core.outcome import Deferred, Delivered, Failed, Scope
from bridgehead.core.reply import Reply
from bridgehead.net.tls import ClientContexts
from bridgehead.outbound.connect import Wiring
from bridgehead.outbound.contract import Attempted, Channel, Destination, QueueKey, Transaction, Unavailable
from bridgehead.outbound.lmtp import LmtpDialer
from bridgehead.outbound.timeouts import Timeouts
from bridgehead.spool.contract import Body

ALICE, BOB, CAROL = (
    Recipient(n, f"{name}@c.example", "c.example") for n, name in enumerate(("alice", "bob", "carol"))
)
CONTENT = b"Subject: x\r\n\r\n.dot\r\ncaf\xe9\r\n"
BODY = Body(len(CONTENT), CONTENT)
TIMEOUTS = Timeouts(connect=2, greeting=2, command=2, end=2)


@dataclass
class Store:
    """A mail store: bob's mailbox is full, carol does not exist."""

    received: list[bytes] = field(default_factory=list)

    async def handle_RCPT(
        self, server: SMTP, session: Session, envelope: PeerEnvelope, address: str, options: list[str]
    ) -> str:
        if address.startswith("carol"):
            return "550 5.1.1 no such mailbox"
        envelope.rcpt_tos.append(address)
        return "250 2.1.5 ok"

    async def handle_DATA(self, server: SMTP, session: Session, envelope: PeerEnvelope) -> str:
        assert isinstance(envelope.original_content, bytes)
        self.received.append(envelope.original_content)
        return "\r\n".join(
            "452 4.2.2 mailbox is full" if address.startswith("bob") else "250 2.0.0 stored"
            for address in envelope.rcpt_tos
        )


def destination_to(target: str) -> Destination:
    server = VirtualServer("V", "B", (), "mail.contoso.com")
    local = LocalDelivery("lmtp", target)
    key = QueueKey("", "B/V", str(local))
    return Destination(key, server, None, (), SmartHostOrder.BALANCE, "", local, Security(), False, 20)


@asynccontextmanager
async def serving(factory: Callable[[], asyncio.BaseProtocol], socket: Path | None = None) -> AsyncIterator[str]:
    """A server on a free port of loopback, or on a socket file; its target."""
    loop = asyncio.get_running_loop()
    if socket is None:
        server = await loop.create_server(factory, "127.0.0.1", 0)
        target = f"127.0.0.1:{server.sockets[0].getsockname()[1]}"
    else:
        server = await loop.create_unix_server(factory, str(socket))
        target = str(socket)
    async with server:
        yield target


async def open_channel(target: str, closed: Callable[[], None] = lambda: None) -> Channel | Unavailable:
    return await LmtpDialer(Wiring(ClientContexts(), TIMEOUTS)).open(destination_to(target), closed)


async def attempt(channel: Channel, *recipients: Recipient) -> Attempted:
    envelope = Envelope("s@f.example", recipients, BODY.size, 0.0, "B/V", body_type="8BITMIME", has_eight_bit=True)
    result: asyncio.Future[Attempted] = asyncio.get_running_loop().create_future()
    channel.send(Transaction(MessageId(1), envelope, recipients, BODY), result.set_result)
    async with asyncio.timeout(5):
        return await result


@pytest.mark.parametrize("is_socket", [False, True], ids=["TCP", "socket file"])
async def test_each_recipient_has_an_outcome_of_its_own(tmp_path: Path, is_socket: bool) -> None:
    store = Store()
    closed = asyncio.Event()
    socket = tmp_path / "lmtp.sock" if is_socket else None
    async with serving(lambda: LMTP(store, hostname="store", loop=asyncio.get_running_loop()), socket) as target:
        channel = await open_channel(target, closed.set)
        assert not isinstance(channel, Unavailable)
        assert channel.host == f"lmtp:{target}"
        for count in (1, 2):
            attempted = await attempt(channel, ALICE, BOB, CAROL)
            assert isinstance(alice := attempted.outcomes[0], Delivered)
            assert (alice.reply.text, alice.is_final, alice.host) == ("stored", True, channel.host)
            assert isinstance(bob := attempted.outcomes[1], Deferred)
            assert (bob.reply.enhanced, bob.scope) == ("4.2.2", Scope.MESSAGE)
            assert isinstance(attempted.outcomes[2], Failed)
            assert attempted.is_reusable
            assert store.received == [CONTENT] * count
        channel.close()
        async with asyncio.timeout(5):
            await closed.wait()


class Scripted(asyncio.Protocol):
    """A server that says its lines, one for each burst of octets from the client, then closes."""

    def __init__(self, *lines: bytes) -> None:
        self._lines = list(lines)

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        self._transport = transport
        self.data_received(b"")

    def data_received(self, data: bytes) -> None:
        if self._lines:
            self._transport.write(self._lines.pop(0))
        if not self._lines:
            self._transport.close()


@pytest.mark.parametrize(
    ("lines", "text"),
    [
        pytest.param([b"554 5.3.2 not today\r\n"], "not today", id="refuses the connection"),
        pytest.param([b"220 x\r\n", b"500 5.5.1 what\r\n"], "what", id="knows no LHLO"),
        pytest.param([b"nonsense\r\n"], "", id="talks nonsense"),
        pytest.param([b""], "", id="closes"),
    ],
)
async def test_server_that_cannot_be_talked_to_is_the_trouble_of_the_host(lines: list[bytes], text: str) -> None:
    async with serving(lambda: Scripted(*lines)) as target:
        unavailable = await open_channel(target)
    assert isinstance(unavailable, Unavailable)
    assert isinstance(outcome := unavailable.outcome, Deferred)
    assert (outcome.scope, outcome.host, outcome.is_connect_failure) == (Scope.HOST, f"lmtp:{target}", True)
    assert text in outcome.reply.text
    assert unavailable.attempts[0].startswith(f"lmtp:{target}: ")


@pytest.mark.parametrize("target", ["127.0.0.1:1", "/nowhere/lmtp.sock"])
async def test_server_that_is_not_there_is_the_trouble_of_the_host(target: str) -> None:
    unavailable = await open_channel(target)
    assert isinstance(unavailable, Unavailable)
    assert isinstance(unavailable.outcome, Deferred)
    assert unavailable.outcome.reply.enhanced == "4.4.1"


async def test_server_that_says_nothing_is_not_waited_for() -> None:
    steps: list[str] = []
    wiring = Wiring(ClientContexts(), Timeouts(greeting=0.01), lambda kind, text: steps.append(f"{kind} {text}"))
    async with serving(asyncio.Protocol) as target:
        unavailable = await LmtpDialer(wiring).open(destination_to(target), lambda: None)
    assert isinstance(unavailable, Unavailable)
    assert unavailable.outcome.reply == Reply(0, "4.4.1", "timed out")
    assert steps == [f"dial lmtp:{target}"]


async def test_no_step_is_waited_for_longer_than_connection_timeout() -> None:
    async with serving(asyncio.Protocol) as target:
        destination = destination_to(target)
        hasty = replace(destination.virtual_server, delivery=Delivery(connection_timeout_seconds=0.01))
        unavailable = await LmtpDialer(Wiring(ClientContexts())).open(
            replace(destination, virtual_server=hasty), lambda: None
        )
    assert isinstance(unavailable, Unavailable)
    assert unavailable.outcome.reply == Reply(0, "4.4.1", "timed out")


async def test_server_that_leaves_before_the_second_final_reply_has_the_first_recipient() -> None:
    lines = [
        b"220 x\r\n",
        b"250-x\r\n250-8BITMIME\r\n250 PIPELINING\r\n",
        b"250 a\r\n" * 3 + b"354 go\r\n",
        b"250 kept\r\n",
    ]
    async with serving(lambda: Scripted(*lines)) as target:
        channel = await open_channel(target)
        assert not isinstance(channel, Unavailable)
        attempted = await attempt(channel, ALICE, BOB)
    assert isinstance(attempted.outcomes[0], Delivered)
    assert isinstance(attempted.outcomes[1], Deferred)
    assert not attempted.is_reusable
