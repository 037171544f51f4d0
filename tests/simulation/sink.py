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
from bridgehead.smtp.event import Content, ContentEnd, DataBegin, Event, Hello, MailFrom, RcptTo
from bridgehead.smtp.offer import Offer
from bridgehead.smtp.server import ServerConnection
from tests.simulation.network import End

NO_SUCH_USER: Final = Reply(550, "5.1.1", "no such user")
TOO_MANY: Final = Reply(452, "4.5.3", "too many recipients")
LATER: Final = Reply(451, "4.7.1", "greylisted, come back")
NEVER: Final = Reply(554, "5.7.1", "refused for ever")
CLOSING: Final = Reply(421, "4.3.2", "shutting down")
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


@dataclass(eq=False)
class Sink:
    """One host."""

    name: str
    random: Random
    taken: Callable[[End, list[str], bytes], None]
    """Told when the host took a message for these recipients, before its answer goes out."""
    recipients_max: int = 100
    mood: Mood = WELL

    def door(self) -> SinkSession:
        """A new connection."""
        return SinkSession(self)


class SinkSession(asyncio.Protocol):
    """One connection to a sink."""

    def __init__(self, sink: Sink) -> None:
        self._sink = sink
        self._engine = ServerConnection(Offer(f"{sink.name}.example"))
        self._transport: End | None = None
        self._recipients: list[str] = []
        self._content = bytearray()

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
        self._engine.receive_data(data)
        self._go_on()

    def eof_received(self) -> bool:
        """The client is gone."""
        return False

    def connection_lost(self, exc: Exception | None) -> None:
        """The connection is over."""
        self._transport = None

    def _go_on(self) -> None:
        while self._transport is not None and (event := self._engine.next_event()) is not None:
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
            case _:
                pass

    def _answer(self, event: Event) -> None:
        mood = self._sink.mood
        if isinstance(event, MailFrom):
            self._recipients = []
            self._content.clear()
        refusal = self._refusal(event, mood)
        if refusal is not None:
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
