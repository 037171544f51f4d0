"""Hosts that take mail: the server engine of ours behind them, and a mood that says what they answer.

A recipient whose local part begins with `nobody` does not exist at any of them, whatever the mood.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from random import Random
from typing import Final, cast

from bridgehead.core.reply import Reply
from bridgehead.smtp.event import Content, ContentEnd, DataBegin, Event, Hello, MailFrom, RcptTo, StartTls
from bridgehead.smtp.offer import Offer
from bridgehead.smtp.server import ServerConnection
from tests.simulation.network import End, Handshake

NO_SUCH_USER: Final = Reply(550, "5.1.1", "no such user")
TOO_MANY: Final = Reply(452, "4.5.3", "too many recipients")
LATER: Final = Reply(451, "4.7.1", "greylisted, come back")
NEVER: Final = Reply(554, "5.7.1", "refused for ever")
CLOSING: Final = Reply(421, "4.3.2", "shutting down")
TAKEN: Final = Reply(250, "2.0.0", "taken")
NOT_KNOWN: Final = Reply(502, "5.5.1", "what?")
EXTENSIONS: Final = frozenset(("PIPELINING", "8BITMIME", "DSN", "SMTPUTF8", "CHUNKING", "SIZE"))
LOGIN: Final = Reply(530, "5.7.0", "authentication required")


@dataclass(frozen=True)
class Mood:
    """How likely an answer is, to each question."""

    later: float = 0.0
    never: float = 0.0
    closing: float = 0.0
    login: float = 0.0
    mute: float = 0.0
    """It stops answering."""
    forgetful: float = 0.0
    """The message is taken, and the answer is lost."""
    busy: float = 0.0
    """421 instead of a greeting."""
    seconds: float = 0.0
    """How long each answer takes."""


WELL: Final = Mood()
MOODS: Final[Mapping[str, Mood]] = {
    "well": WELL,
    "greylisting": Mood(later=0.4),
    "refusing": Mood(never=0.15, later=0.1),
    "restless": Mood(closing=0.2),
    "absent": Mood(mute=0.15),
    "forgetful": Mood(forgetful=0.6),
    "busy": Mood(busy=0.8),
    "slow": Mood(seconds=1.5),
    "suspicious": Mood(login=0.2),
    "mad": Mood(later=0.1, never=0.05, closing=0.1, mute=0.05, forgetful=0.2, busy=0.2, seconds=0.2),
}


@dataclass(frozen=True)
class LeanOffer(Offer):
    """An offer without some keywords, or with one that is not kept."""

    lacks: frozenset[str] = frozenset()
    promises_tls: bool = False

    def keywords(self) -> tuple[str, ...]:
        """As in `Offer`."""
        words = [word for word in Offer.keywords(self) if word.partition(" ")[0] not in self.lacks]
        return (*words, "STARTTLS") if self.promises_tls else tuple(words)


@dataclass(eq=False)
class Sink:
    """One host."""

    name: str
    random: Random
    taken: Callable[[End, list[str], bytes], None]
    """Told when the host took a message for these recipients, before its answer goes out."""
    broken: Callable[[str], None]
    """Told when a client does what this host does not offer."""
    recipients_max: int = 100
    mood: Mood = WELL
    lacks: frozenset[str] = frozenset()
    """Keywords that it does not offer."""
    is_old: bool = False
    """It knows HELO alone."""
    is_lmtp: bool = False
    tls: Handshake | None = None
    """What comes of a handshake; `None`: it offers none."""
    refuses_tls: bool = False
    """It offers STARTTLS and refuses it."""

    def door(self) -> SinkSession:
        """A new connection."""
        return SinkSession(self)


class SinkSession(asyncio.Protocol):
    """One connection to a sink."""

    def __init__(self, sink: Sink) -> None:
        self._sink = sink
        self._lacks = EXTENSIONS if sink.is_old else sink.lacks
        self._engine = ServerConnection(self._offer(starttls=sink.tls is not None and not sink.refuses_tls))
        self._first_line: bytearray | None = bytearray() if sink.is_old or sink.is_lmtp else None
        self._transport: End | None = None
        self._recipients: list[str] = []
        self._content = bytearray()
        self._is_chunked = False

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Greet, or be too busy."""
        self._transport = cast("End", transport)
        if self._happens(self._sink.mood.busy):
            self._engine.close(CLOSING)
        elif self._happens(self._sink.mood.mute):
            return
        else:
            self._engine.greet()
        self._flush()

    def data_received(self, data: bytes) -> None:
        """Take octets."""
        if self._first_line is not None:
            data = self._until_hello(data)
        if self._engine.is_asking:
            self._must_not_hurry()
        self._engine.receive_data(data)
        self._go_on()

    def secured(self) -> None:
        """The handshake is done."""
        self._engine.tls_started(self._offer(starttls=False))

    def _offer(self, *, starttls: bool) -> LeanOffer:
        promises = self._sink.refuses_tls and not starttls
        return LeanOffer(f"{self._sink.name}.example", starttls=starttls, lacks=self._lacks, promises_tls=promises)

    def _until_hello(self, data: bytes) -> bytes:
        """An old host does not know EHLO; LMTP says LHLO, and the engine knows it as EHLO."""
        line = self._first_line
        assert line is not None
        line += data
        if not line.endswith(b"\r\n"):
            return b""
        self._first_line = None
        if self._sink.is_lmtp:
            return bytes(line).replace(b"LHLO", b"EHLO", 1)
        if not line.startswith(b"EHLO"):
            return bytes(line)
        self._first_line = bytearray()
        if self._transport is not None:
            self._transport.write(NOT_KNOWN.encode())
        return b""

    def eof_received(self) -> bool:
        """The client is gone."""
        return False

    def connection_lost(self, exc: Exception | None) -> None:
        """The connection is over."""
        self._transport = None

    def _go_on(self) -> None:
        while self._transport is not None and (event := self._engine.next_event()) is not None:
            self._must_be_offered(event)
            if not self._engine.is_asking:
                self._note(event)
            elif self._happens(self._sink.mood.mute):
                return
            elif self._sink.mood.seconds:
                self._flush()
                asyncio.get_running_loop().call_later(self._sink.mood.seconds, self._answer_late, event)
                return
            else:
                self._answer(event)
        self._flush()

    def _answer_late(self, event: Event) -> None:
        if self._transport is not None and self._engine.is_asking:
            self._answer(event)
            self._go_on()

    def _note(self, event: Event) -> None:
        match event:
            case Content(data):
                self._content += data
            case Hello():
                self._recipients.clear()
            case StartTls() if self._transport is not None and self._sink.tls is not None:
                self._transport.shakes_hands = self._sink.tls
            case _:
                pass

    def _answer(self, event: Event) -> None:
        mood = self._sink.mood
        if isinstance(event, MailFrom):
            self._recipients = []
            self._content.clear()
        refusal = self._refusal(event, mood)
        if isinstance(event, ContentEnd) and self._sink.is_lmtp and event.fault is None:
            self._take_for_each(mood)
        elif refusal is not None:
            self._engine.refuse(refusal)
        elif isinstance(event, ContentEnd):
            self._take(mood)
        else:
            if isinstance(event, RcptTo):
                self._recipients.append(event.mailbox.address)
            self._engine.accept()

    def _refusal(self, event: Event, mood: Mood) -> Reply | None:
        if isinstance(event, RcptTo) and event.mailbox.address.startswith("nobody"):
            return NO_SUCH_USER
        if isinstance(event, RcptTo) and len(self._recipients) >= self._sink.recipients_max:
            return TOO_MANY
        if isinstance(event, ContentEnd) and event.fault is not None:
            return event.fault
        likely = [(mood.later, LATER), (mood.never, NEVER), (mood.closing, CLOSING)]
        if isinstance(event, (MailFrom, RcptTo)):
            likely.append((mood.login, LOGIN))
        elif not isinstance(event, (DataBegin, ContentEnd)):
            return None
        return next((reply for chance, reply in likely if self._happens(chance)), None)

    def _take(self, mood: Mood) -> None:
        assert self._transport is not None
        self._sink.taken(self._transport, list(self._recipients), bytes(self._content))
        if self._happens(mood.forgetful):
            self._transport.loses_next = True
        self._engine.accept()

    def _take_for_each(self, mood: Mood) -> None:
        """A reply for each recipient (RFC 2033 4.2)."""
        transport, likely = self._transport, ((mood.later, LATER), (mood.never, NEVER))
        assert transport is not None
        fates = [next((reply for chance, reply in likely if self._happens(chance)), TAKEN) for _ in self._recipients]
        taken = [address for address, fate in zip(self._recipients, fates, strict=True) if fate is TAKEN]
        if taken:
            self._sink.taken(transport, taken, bytes(self._content))
            transport.loses_next |= self._happens(mood.forgetful)
        self._flush()
        transport.write(b"".join(fate.encode() for fate in fates[:-1]))
        if fates[-1] is TAKEN:
            self._engine.accept(TAKEN)
        else:
            self._engine.refuse(fates[-1])

    def _must_not_hurry(self) -> None:
        """A client that was not offered PIPELINING waits for each answer; chunks follow their command at once."""
        if "PIPELINING" in self._lacks and not self._is_chunked:
            self._sink.broken(f"{self._sink.name} does not offer PIPELINING, and a client does not wait")

    def _must_be_offered(self, event: Event) -> None:
        """A client uses only what it was offered."""
        used: set[str] = set()
        match event:
            case MailFrom():
                used.update(("DSN",) if event.ret or event.envid else ())
                used.update(("8BITMIME",) if event.body_type != "7BIT" else ())
                used.update(("SMTPUTF8",) if event.smtputf8 else ())
                used.update(("SIZE",) if event.size else ())
            case RcptTo():
                used.update(("DSN",) if event.notify >= 0 or event.original else ())
            case DataBegin():
                self._is_chunked = event.is_chunked
                used.update(("CHUNKING",) if event.is_chunked else ())
            case ContentEnd():
                used.update(("8BITMIME",) if event.has_eight_bit else ())
            case _:
                return
        if self._engine.buffered and self._engine.is_asking:
            self._must_not_hurry()
        for keyword in sorted(used & self._lacks):
            self._sink.broken(f"{self._sink.name} does not offer {keyword}, and a client uses it")

    def _happens(self, chance: float) -> bool:
        return chance > 0 and self._sink.random.random() < chance

    def _flush(self) -> None:
        transport = self._transport
        if transport is None:
            return
        data = self._engine.data_to_send()
        if data:
            transport.write(data)
        if self._engine.is_closed:
            transport.close()
