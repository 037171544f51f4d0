"""A host of the demo's Internet: an SMTP server on one loopback address that answers as it is told to.

The protocol is the product's own server half, so a receiver is a driver of some lines: it asks its `Judge` about
each recipient, counts what it takes, and keeps nothing.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Final, TypeAlias, cast

from bridgehead.core.reply import Reply
from bridgehead.smtp.event import ContentEnd, DataBegin, Event, MailFrom, RcptTo
from bridgehead.smtp.offer import Offer
from bridgehead.smtp.server import ServerConnection

NO_SUCH_USER: Final = Reply(550, "5.1.1", "No such user here")
GREYLISTED: Final = Reply(451, "4.7.1", "Greylisted, try again in a moment")
NO_EHLO: Final = Reply(502, "5.5.1", "This server knows HELO only")
PAIRS_MAX: Final = 10_000
"""What a greylist remembers; the demo knows some hundred pairs."""

Judge: TypeAlias = Callable[[str, str], Reply | None]
"""From sender and recipient to a refusal, or `None` to take the recipient."""


def take_all(_sender: str, _recipient: str) -> Reply | None:
    """Take every recipient."""
    return None


def refuse_unknown(_sender: str, recipient: str) -> Reply | None:
    """Refuse recipients whose name begins with `gone`: people who left."""
    return NO_SUCH_USER if recipient.startswith("gone") else None


class Greylist:
    """A `Judge` that puts each new pair of sender and recipient off for a moment, and forgets it after a while."""

    def __init__(self, clock: Callable[[], float], *, wait_seconds: float, memory_seconds: float) -> None:
        self._clock = clock
        self._wait_seconds = wait_seconds
        self._memory_seconds = memory_seconds
        self._first_seen: dict[tuple[str, str], float] = {}

    def __call__(self, sender: str, recipient: str) -> Reply | None:
        """Take the recipient once its pair has waited long enough."""
        refusal = refuse_unknown(sender, recipient)
        if refusal is not None:
            return refusal
        now = self._clock()
        pair = (sender, recipient)
        since = self._first_seen.get(pair)
        if since is None or now - since > self._memory_seconds:
            if len(self._first_seen) >= PAIRS_MAX:
                self._first_seen.clear()
            self._first_seen[pair] = since = now
        return GREYLISTED if now - since < self._wait_seconds else None


class Receiver:
    """Listens on one address while it is open. Owned by one event loop."""

    def __init__(self, name: str, address: str, judge: Judge = take_all, *, knows_ehlo: bool = True) -> None:
        """`name` is what it calls itself."""
        self.name = name
        self.address = address
        self.judge = judge
        self.knows_ehlo = knows_ehlo
        self.taken = 0
        """Messages answered 250 after their content."""
        self.sessions: set[asyncio.Transport] = set()
        self.is_hanging = False
        self._server: asyncio.Server | None = None

    @property
    def port(self) -> int:
        """The port it listens on; only while it is open."""
        assert self._server is not None, "not open"
        port: int = self._server.sockets[0].getsockname()[1]
        return port

    async def open(self, port: int) -> None:
        """Listen, on any free port where `port` is 0; `OSError` where that cannot be."""
        loop = asyncio.get_running_loop()
        self.is_hanging = False
        self._server = await loop.create_server(lambda: _Session(self), self.address, port)

    def hang(self) -> None:
        """Say nothing more to anybody, and take no mail, until it is closed and opened again."""
        self.is_hanging = True

    def close(self) -> None:
        """Stop listening and cut every session, as a host does whose power went."""
        if self._server is not None:
            self._server.close()
            self._server = None
        for transport in tuple(self.sessions):
            transport.abort()


class _Session(asyncio.Protocol):
    """One connection to a receiver."""

    def __init__(self, receiver: Receiver) -> None:
        self._receiver = receiver
        self._engine = ServerConnection(Offer(receiver.name))
        self._sender = ""
        self._transport: asyncio.Transport

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        # A cast, because uvloop's transports are not derived from those of asyncio.
        self._transport = cast("asyncio.Transport", transport)
        self._receiver.sessions.add(self._transport)
        self._engine.greet()
        self._flush()

    def connection_lost(self, exc: Exception | None) -> None:
        self._receiver.sessions.discard(self._transport)

    def data_received(self, data: bytes) -> None:
        if self._receiver.is_hanging:
            return
        # EHLO is the only thing a client may say then, so it arrives alone.
        if not self._receiver.knows_ehlo and data[:4].upper() == b"EHLO":
            self._transport.write(NO_EHLO.encode())
            return
        self._engine.receive_data(data)
        while (event := self._engine.next_event()) is not None:
            self._take(event)
        self._flush()

    def _take(self, event: Event) -> None:
        match event:
            case MailFrom(reverse_path=sender):
                self._sender = sender
                self._engine.accept()
            case RcptTo(mailbox=mailbox):
                self._answer(self._receiver.judge(self._sender, mailbox.address))
            case ContentEnd(fault=fault):
                self._receiver.taken += fault is None
                self._answer(fault)
            case DataBegin():
                self._engine.accept()
            case _:
                pass  # content is thrown away; the rest the engine has answered, and it offers neither TLS nor AUTH

    def _answer(self, refusal: Reply | None) -> None:
        if refusal is None:
            self._engine.accept()
        else:
            self._engine.refuse(refusal)

    def _flush(self) -> None:
        if self._receiver.is_hanging:
            return
        self._transport.write(self._engine.data_to_send())
        if self._engine.is_closed:
            self._transport.close()
