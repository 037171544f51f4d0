"""One outgoing connection of a queue, from asking for a lease to the end of the connection."""

from __future__ import annotations

from math import inf
from typing import Final, Protocol

from bridgehead.core.outcome import Deferred, Scope
from bridgehead.core.reply import Reply
from bridgehead.outbound.contract import TRANSACTION_RECIPIENTS_MAX, Attempted, Channel, Transaction
from bridgehead.outbound.entry import Attempt

CLOSING: Final = Reply(421, "", "")
"""The one reply to a message that speaks of the connection (RFC 5321 3.8)."""


class LineOwner(Protocol):
    """The queue behind a line."""

    def transaction_done(self, line: Line, transaction: Transaction, attempted: Attempted) -> None:
        """A transaction ended; `line` is free again."""
        ...

    def line_closed(self, line: Line) -> None:
        """The connection is gone; called once."""
        ...


class Line:
    """A connection and what it carries. Mutable; changed by itself and by its queue."""

    __slots__ = (
        "_is_closing",
        "_owner",
        "attempt",
        "carried",
        "channel",
        "ends_at",
        "idle_since",
        "is_closed",
        "is_granted",
        "is_leaving",
        "ticket",
        "transaction",
    )

    def __init__(self, owner: LineOwner) -> None:
        self._owner = owner
        self.ticket = 0
        """Of the lease; 0 while there is none."""
        self.channel: Channel | None = None
        """`None` until the greeting."""
        self.attempt: Attempt | None = None
        """Under way; `None`: idle, or not open yet."""
        self.transaction: Transaction | None = None
        self.carried = 0
        """Transactions begun."""
        self.idle_since = 0.0
        self.is_leaving = False
        """Takes no further transaction: used up, asked to give its lease back, or draining."""
        self.is_granted = False
        """It has its lease."""
        self.ends_at = inf
        """Leaves when it has carried so many, or has nothing to carry: another worker waits for its lease."""
        self.is_closed = False
        self._is_closing = False

    def send(self, attempt: Attempt) -> None:
        """Begin a transaction with the next recipients of an attempt."""
        assert self.channel is not None
        rest = attempt.rest
        if len(rest) > TRANSACTION_RECIPIENTS_MAX:
            rest, attempt.rest = rest[:TRANSACTION_RECIPIENTS_MAX], rest[TRANSACTION_RECIPIENTS_MAX:]
        else:
            attempt.rest = ()
        message = attempt.message
        transaction = Transaction(message.message_id, message.envelope, rest, message.body)
        attempt.outstanding += 1
        self.attempt = attempt
        self.transaction = transaction
        self.carried += 1
        self.channel.send(transaction, self._done)

    def leave(self) -> None:
        """Take no further transaction and end the connection when the present one ends."""
        self.is_leaving = True
        if self.channel is not None and not self._is_closing:
            self._is_closing = True
            self.channel.close()

    def closed(self) -> None:
        """The wire says that the connection is gone."""
        if not self.is_closed:
            self.is_closed = True
            self._owner.line_closed(self)

    def _done(self, attempted: Attempted) -> None:
        transaction = self.transaction
        assert transaction is not None, "a transaction ends once"
        self.transaction = None
        self._owner.transaction_done(self, transaction, attempted)


def is_lost(attempted: Attempted) -> bool:
    """Whether the transaction came to nothing for the sake of the connection, not of the message."""
    for outcome in attempted.outcomes.values():
        if not isinstance(outcome, Deferred) or outcome.scope is not Scope.HOST:
            return False
    return bool(attempted.outcomes)


def closing_outcome(attempted: Attempted) -> Deferred | None:
    """The 421 of the peer, if that is how the transaction ended."""
    for outcome in attempted.outcomes.values():
        if isinstance(outcome, Deferred) and outcome.scope is Scope.HOST and outcome.reply.code == CLOSING.code:
            return outcome
    return None
