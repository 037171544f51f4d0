"""The seam between the queue (what is sent, when) and the wire (how one transaction with one host goes).

`Queue` asks a `Dialer` for a `Channel` to a `Destination` and gives it one `Transaction` at a time. The fakes of
the tests pass the same contract tests as the real SMTP, LMTP and maildir channels (`tests/outbound/contract.py`).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Protocol, TypeAlias

import msgspec

from bridgehead.core.envelope import Envelope, MessageId, Recipient
from bridgehead.core.organization import (
    Connector,
    LocalDelivery,
    Security,
    SmartHost,
    SmartHostOrder,
    VirtualServer,
)
from bridgehead.core.outcome import Outcome
from bridgehead.spool.contract import Body

TRANSACTION_RECIPIENTS_MAX = 100
"""Recipients of one transaction: what every server must take (RFC 5321 4.5.3.1.8)."""


class QueueKey(msgspec.Struct, frozen=True, gc=False):
    """Identity of a queue: recipients that share it share connections and transactions."""

    connector: str
    """Name, or empty where no connector takes the mail."""
    virtual_server: str
    """Key of the virtual server whose settings are used: the bridgehead, or the one that received."""
    next_hop: str
    """What is dialled: a domain (by MX), `"smart-hosts"`, `"lmtp:…"`, `"maildir:…"`."""


@dataclass(frozen=True, slots=True)
class Destination:
    """All that the wire must know to reach a queue's next hop. Made anew from the organization in force."""

    key: QueueKey
    virtual_server: VirtualServer
    connector: Connector | None
    smart_hosts: tuple[SmartHost, ...]
    """Tried in `order`; empty: by MX of `domain`, or `local`."""
    order: SmartHostOrder
    domain: str
    """Recipient domain or address literal for delivery by DNS; else empty."""
    local: LocalDelivery | None
    security: Security
    helo: bool
    messages_per_connection: int


class Transaction(msgspec.Struct, frozen=True, gc=False):
    """One message to some of its recipients over one connection."""

    message_id: MessageId
    envelope: Envelope
    recipients: tuple[Recipient, ...]
    """1 to `TRANSACTION_RECIPIENTS_MAX`."""
    body: Body


class Attempted(msgspec.Struct, frozen=True, gc=False):
    """What came of a transaction."""

    outcomes: Mapping[int, Outcome]
    """By ordinal; every recipient is here or in `remaining`, never in both."""
    remaining: tuple[Recipient, ...] = ()
    """Not tried: `452 4.5.3` after at least one accepted recipient, or RCPTMAX (RFC 9422): send at once again."""
    is_reusable: bool = True
    """Whether the channel takes another transaction; if not, the channel is closing."""


AttemptDone: TypeAlias = Callable[[Attempted], None]


class Channel(Protocol):
    """An open conversation with one host, past greeting, EHLO, TLS and AUTH. Carries one transaction at a time."""

    @property
    def host(self) -> str:
        """`"mx1.fabrikam.com[192.0.2.7]:25"`."""
        ...

    def send(self, transaction: Transaction, done: AttemptDone) -> None:
        """Begin; `done` is called exactly once on the event loop, always (a lost connection is an outcome too).

        `done` is not called before `send` has returned.
        """
        ...

    def close(self) -> None:
        """No more: QUIT if idle, else when the transaction in flight ends. Bounded in time."""
        ...

    def abort(self) -> None:
        """Drop the connection now; a transaction in flight is reported as deferred with scope HOST."""
        ...


@dataclass(frozen=True, slots=True)
class Unavailable:
    """No host of the destination could be used."""

    outcome: Outcome
    """For every recipient of the queue: `Deferred` (host or credential) or `Failed` (5.1.2, 5.1.10, 5.4.6...)."""
    attempts: tuple[str, ...]
    """What happened at each host, for log and `connector test`: `"[192.0.2.10]:25: connection refused"`."""


class Dialer(Protocol):
    """Opens channels."""

    async def open(self, destination: Destination, closed: Callable[[], None]) -> Channel | Unavailable:
        """Try the hosts in their order until one is ready; all waits inside are bounded.

        `closed` is called once when the channel has ended for whatever reason (also an idle one that the peer
        closed); a transaction in flight has had its `done` before. It is not called for `Unavailable`.
        """
        ...
