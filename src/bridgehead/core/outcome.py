"""What one attempt came to, for one recipient. Values, not exceptions: a deferral is no error of the program."""

from __future__ import annotations

from collections.abc import Iterable
from enum import StrEnum
from typing import TypeAlias

import msgspec

from bridgehead.core.reply import Reply


class Scope(StrEnum):
    """Whose the trouble is, which decides who backs off."""

    HOST = "host"
    """Connect, greeting, EHLO, STARTTLS, TLS, 421, DNS: the queue of this next hop backs off."""
    MESSAGE = "message"
    """4yz to MAIL, RCPT, DATA or the final dot: only these recipients back off."""
    CREDENTIAL = "credential"
    """530, 535, 538: held until an operator mends it."""


class Delivered(msgspec.Struct, frozen=True):
    """The next hop took responsibility (or the mailbox has it on disk)."""

    reply: Reply
    host: str
    """`"mx1.fabrikam.com[192.0.2.7]:25"`."""
    tls: str = ""
    """`"TLSv1.3 TLS_AES_256_GCM_SHA384 verified"`; empty: in the clear."""
    relays_dsn: bool = False
    """The peer offers DSN (RFC 3461): success reports are its duty, else a relayed DSN is ours."""
    is_final: bool = False
    """The mailbox has it (LMTP, maildir): a success report says "delivered", not "relayed"."""


class Deferred(msgspec.Struct, frozen=True):
    """Not now; the recipient waits."""

    reply: Reply
    scope: Scope
    host: str = ""
    is_connect_failure: bool = False
    """Every host failed in connect, greeting or TLS handshake: counts towards the connector being down."""
    is_unconfirmed: bool = False
    """The whole message went out and no final reply came: the peer may have it, and gets it again."""


class Failed(msgspec.Struct, frozen=True):
    """Never; becomes a DSN."""

    reply: Reply
    host: str = ""


Outcome: TypeAlias = Delivered | Deferred | Failed


def are_deliveries(outcomes: Iterable[Outcome]) -> bool:
    """Whether nothing went wrong, as nearly always."""
    for outcome in outcomes:  # noqa: SIM110  # asked for each message: a quarter of the time of all()
        if not isinstance(outcome, Delivered):
            return False
    return True
