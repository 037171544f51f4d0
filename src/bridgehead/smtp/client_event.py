"""What the client half of SMTP tells its driver, and the lines of a trace."""

from __future__ import annotations

from collections.abc import Callable
from enum import StrEnum
from typing import TypeAlias

import msgspec

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


class Greeted(msgspec.Struct, frozen=True, gc=False):
    """The server answered EHLO or HELO; see `ClientConnection.extensions`. Messages may be sent."""


class TlsAgreed(msgspec.Struct, frozen=True, gc=False):
    """The server waits for the TLS handshake; call `tls_established` after it."""


class Authenticated(msgspec.Struct, frozen=True, gc=False):
    """The server knows who we are."""


class Refused(msgspec.Struct, frozen=True, gc=False):
    """The server does not let us go on; whether to do so without is the driver's decision."""

    phase: Phase
    reply: Reply


class ContentWanted(msgspec.Struct, frozen=True, gc=False):
    """The server waits for the content: `send_content`, or `send_block` as often as needed and `end_content`."""


class TransactionEnded(msgspec.Struct, frozen=True, gc=False):
    """Every recipient of `begin` is in `outcomes` by ordinal or in `remaining`."""

    outcomes: dict[int, Outcome]
    remaining: tuple[Recipient, ...]


class Closed(msgspec.Struct, frozen=True, gc=False):
    """The server ends the connection: 421 while nothing was asked, or its answer to QUIT."""

    reply: Reply


class Answered(msgspec.Struct, frozen=True, gc=False):
    """The server answered a command of `ClientConnection.rehearse`."""

    reply: Reply


Event: TypeAlias = (
    Greeted | TlsAgreed | Authenticated | Refused | ContentWanted | TransactionEnded | Answered | Closed
)
