"""A wire without a network: what the queue's tests send mail over, and the simulated clock they live by."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import dataclass, field

from bridgehead.core.outcome import Deferred, Delivered, Failed, Outcome, Scope
from bridgehead.core.reply import Reply
from bridgehead.outbound.contract import AttemptDone, Attempted, Destination, Transaction, Unavailable

OK = Delivered(Reply(250, "2.0.0", "Ok"), "mx[192.0.2.1]:25")
REFUSED = Deferred(Reply(0, "4.4.1", "connection refused"), Scope.HOST, "mx[192.0.2.1]:25", is_connect_failure=True)
CLOSING = Deferred(Reply(421, "4.3.2", "shutting down"), Scope.HOST, "mx[192.0.2.1]:25")
LOST = Deferred(Reply(0, "4.4.2", "connection lost"), Scope.HOST, "mx[192.0.2.1]:25")
LATER = Deferred(Reply(451, "4.7.1", "greylisted"), Scope.MESSAGE, "mx[192.0.2.1]:25")
LOGIN = Deferred(Reply(535, "5.7.8", "authentication failed"), Scope.CREDENTIAL, "mx[192.0.2.1]:25")
NO_SUCH_USER = Failed(Reply(550, "5.1.1", "no such user"), "mx[192.0.2.1]:25")
NO_SUCH_DOMAIN = Failed(Reply(550, "5.1.2", "no such domain"))


class Clock:
    """Seconds since the epoch, as the test says."""

    def __init__(self, now: float = 1_790_000_000.0) -> None:
        self.now = now

    def __call__(self) -> float:
        return self.now


@dataclass
class FakeChannel:
    """A conversation whose answers come from its dialer."""

    dialer: FakeDialer
    destination: Destination
    closed: Callable[[], None]
    sent: list[Transaction] = field(default_factory=list)
    pending: tuple[Transaction, AttemptDone] | None = None
    is_ended: bool = False
    is_closing: bool = False

    @property
    def host(self) -> str:
        """As in `Channel`."""
        return "mx[192.0.2.1]:25"

    def send(self, transaction: Transaction, done: AttemptDone) -> None:
        """As in `Channel`; answered on the next turn of the event loop, or when the test says so."""
        assert not self.is_ended, "sent on a connection that has ended"
        assert not self.is_closing, "sent on a connection that is closing"
        assert self.pending is None, "one transaction at a time"
        assert 1 <= len(transaction.recipients) <= 100
        self.sent.append(transaction)
        self.dialer.transactions.append((self.destination, transaction))
        self.pending = (transaction, done)
        if not self.dialer.is_slow:
            asyncio.get_running_loop().call_soon(self.answer)

    def answer(self, attempted: Attempted | None = None) -> None:
        """End the transaction in flight."""
        if self.pending is None:
            return
        transaction, done = self.pending
        self.pending = None
        attempted = attempted or self.dialer.answer(self.destination, transaction)
        for ordinal, outcome in attempted.outcomes.items():
            self.dialer.record(transaction, ordinal, outcome)
        done(attempted)
        if not attempted.is_reusable or self.is_closing:
            self.end()

    def close(self) -> None:
        """As in `Channel`."""
        self.is_closing = True
        if self.pending is None:
            asyncio.get_running_loop().call_soon(self.end)

    def abort(self) -> None:
        """As in `Channel`."""
        if self.pending is not None:
            transaction, _ = self.pending
            self.answer(Attempted({one.ordinal: LOST for one in transaction.recipients}, is_reusable=False))
        self.end()

    def end(self) -> None:
        """The connection is gone."""
        if not self.is_ended:
            self.is_ended = True
            self.closed()


class FakeDialer:
    """Opens `FakeChannel`s. The test sets what hosts and messages are answered."""

    def __init__(self) -> None:
        self.hosts: dict[str, Outcome] = {}
        """What a connector (by name) or next hop says to a dial; left out: a good greeting."""
        self.recipients: dict[str, list[Outcome]] = {}
        """What comes of each next attempt for an address; the last one stays."""
        self.answer: Callable[[Destination, Transaction], Attempted] = self.answer_by_recipient
        self.is_slow = False
        """Transactions end when the test calls `FakeChannel.answer`."""
        self.is_silent = False
        """Hosts take connections and never greet."""
        self.late: dict[str, asyncio.Event] = {}
        """Next hops that are not ready before their event."""
        self.held: list[str] = []
        """The late ones that are being waited for."""
        self.dialled: list[Destination] = []
        self.channels: list[FakeChannel] = []
        self.transactions: list[tuple[Destination, Transaction]] = []
        self.delivered: list[tuple[int, int]] = []
        """Message id and ordinal of everything that a host took."""

    async def open(self, destination: Destination, closed: Callable[[], None]) -> FakeChannel | Unavailable:
        """As in `Dialer`."""
        await asyncio.sleep(0)
        self.dialled.append(destination)
        if self.is_silent:
            await asyncio.Event().wait()
        key = destination.key
        if key.next_hop in self.late:
            self.held.append(key.next_hop)
            try:
                await self.late[key.next_hop].wait()
            finally:
                self.held.remove(key.next_hop)
        outcome = self.hosts.get(key.connector) or self.hosts.get(key.next_hop)
        if outcome is not None:
            return Unavailable(outcome, (f"{key.next_hop}: {outcome.reply.text}",))
        channel = FakeChannel(self, destination, closed)
        self.channels.append(channel)
        return channel

    def answer_by_recipient(self, destination: Destination, transaction: Transaction) -> Attempted:
        """What `recipients` says, else that everything is delivered."""
        outcomes: dict[int, Outcome] = {}
        for recipient in transaction.recipients:
            script = self.recipients.get(recipient.address, [OK])
            outcomes[recipient.ordinal] = script[0] if len(script) == 1 else script.pop(0)
        lost = any(isinstance(one, Deferred) and one.scope is Scope.HOST for one in outcomes.values())
        return Attempted(outcomes, is_reusable=not lost)

    def record(self, transaction: Transaction, ordinal: int, outcome: Outcome) -> None:
        """Remember what was delivered."""
        if isinstance(outcome, Delivered):
            self.delivered.append((transaction.message_id, ordinal))

    def ways(self) -> list[str]:
        """Connector or next hop of every transaction, in order."""
        return [destination.key.connector or destination.key.next_hop for destination, _ in self.transactions]
