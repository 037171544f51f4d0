"""What the client half of SMTP tells its driver, and the lines of a trace."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from enum import StrEnum
from typing import TypeAlias

from bridgehead.core.envelope import Recipient
from bridgehead.core.outcome import Outcome
from bridgehead.core.reply import Reply


class Phase(StrEnum):
    """A part of the conversation before the first message."""

    GREETING = "greeting"
    HELLO = "EHLO"
    STARTTLS = "STARTTLS"
    AUTHENTICATION = "AUTH"


class TraceKind(StrEnum):
    """What a line of a trace is."""

    DIAL = "dial"
    CONNECTED = "connected"
    TLS = "tls"
    SENT = "sent"
    RECEIVED = "received"


Trace: TypeAlias = Callable[[TraceKind, str], None]
"""Sees each step of a conversation as a line of text, secrets left out."""


@dataclass(frozen=True, slots=True)
class Greeted:
    """The server answered EHLO or HELO; see `ClientConnection.extensions`. Messages may be sent."""


@dataclass(frozen=True, slots=True)
class TlsAgreed:
    """The server waits for the TLS handshake; call `tls_established` after it."""


@dataclass(frozen=True, slots=True)
class Authenticated:
    """The server knows who we are."""


@dataclass(frozen=True, slots=True)
class Refused:
    """The server does not let us go on; whether to do so without is the driver's decision."""

    phase: Phase
    reply: Reply


@dataclass(frozen=True, slots=True)
class ContentWanted:
    """The server waits for the content: `send_content`, or `send_block` as often as needed and `end_content`."""


@dataclass(frozen=True, slots=True)
class TransactionEnded:
    """Every recipient of `begin` is in `outcomes` by ordinal or in `remaining`."""

    outcomes: dict[int, Outcome]
    remaining: tuple[Recipient, ...]


@dataclass(frozen=True, slots=True)
class Closed:
    """The server ends the connection: 421 while nothing was asked, or its answer to QUIT."""

    reply: Reply


@dataclass(frozen=True, slots=True)
class Answered:
    """The server answered a command of `ClientConnection.rehearse`."""

    reply: Reply


Event: TypeAlias = (
    Greeted | TlsAgreed | Authenticated | Refused | ContentWanted | TransactionEnded | Answered | Closed
)
