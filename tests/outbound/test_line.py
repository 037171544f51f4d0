"""One connection: how it carries recipients, when it ends, and whom it tells."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

import pytest

from bridgehead.core.outcome import Deferred, Outcome, Scope
from bridgehead.core.reply import Reply
from bridgehead.outbound.contract import TRANSACTION_RECIPIENTS_MAX, AttemptDone, Attempted, Transaction
from bridgehead.outbound.line import Line, closing_outcome, is_lost
from tests.outbound.back_room import attempt, message
from tests.outbound.fake_channel import CLOSING, LATER, LOGIN, LOST, NO_SUCH_USER, OK, REFUSED


@dataclass
class Wire:
    """A channel that keeps what it was asked for."""

    sent: list[Transaction] = field(default_factory=list)
    done: list[AttemptDone] = field(default_factory=list)
    closes: int = 0
    host: str = "mx[192.0.2.1]:25"

    def send(self, transaction: Transaction, done: AttemptDone) -> None:
        self.sent.append(transaction)
        self.done.append(done)

    def close(self) -> None:
        self.closes += 1

    def abort(self) -> None:
        self.closes += 100


@dataclass
class Owner:
    """The queue behind it."""

    ended: list[tuple[Transaction, Attempted]] = field(default_factory=list)
    closed: int = 0

    def transaction_done(self, line: Line, transaction: Transaction, attempted: Attempted) -> None:
        assert line.transaction is None, "the line is free when its queue hears of it"
        self.ended.append((transaction, attempted))

    def line_closed(self, line: Line) -> None:
        assert line.is_closed
        self.closed += 1


def open_line() -> tuple[Line, Wire, Owner]:
    owner, wire = Owner(), Wire()
    line = Line(owner)
    line.channel = wire
    return line, wire, owner


@pytest.mark.parametrize("count", [1, 99, 100, 101, 250])
def test_recipients_go_in_transactions_of_the_bound_and_the_rest_stays(count: int) -> None:
    """RFC 5321 4.5.3.1.8: a server takes 100 recipients at least."""
    assert TRANSACTION_RECIPIENTS_MAX == 100
    found = attempt(message(1, *[f"u{number}@x.example" for number in range(count)]))
    sizes, ordinals = list[int](), list[int]()
    while found.rest:
        line, wire, _ = open_line()
        line.send(found)
        sizes.append(len(wire.sent[0].recipients))
        ordinals += [one.ordinal for one in wire.sent[0].recipients]
    assert max(sizes) <= 100
    assert len(sizes) == found.outstanding == -(-count // 100)
    assert ordinals == list(range(count))


def test_a_transaction_carries_envelope_and_body_of_its_message() -> None:
    line, wire, _ = open_line()
    stored = message(7)
    line.send(attempt(stored))
    (sent,) = wire.sent
    assert (sent.message_id, sent.envelope, sent.body) == (7, stored.envelope, stored.body)
    assert line.transaction is sent


def test_the_queue_hears_the_outcome_of_each_transaction_once_the_line_is_free() -> None:
    line, wire, owner = open_line()
    for number in (1, 2):
        line.send(attempt(message(number)))
        wire.done[-1](Attempted({0: OK}))
    assert [transaction.message_id for transaction, _ in owner.ended] == [1, 2]
    assert line.carried == 2


def test_a_transaction_that_ends_twice_is_a_defect_of_the_wire() -> None:
    line, wire, _ = open_line()
    line.send(attempt(message(1)))
    wire.done[0](Attempted({0: OK}))
    with pytest.raises(AssertionError, match="ends once"):
        wire.done[0](Attempted({0: OK}))


def test_a_line_is_closed_once_however_often_it_is_asked_to_leave() -> None:
    line, wire, owner = open_line()
    line.leave()
    line.leave()
    assert (line.is_leaving, wire.closes, owner.closed) == (True, 1, 0)


def test_a_line_without_a_greeting_leaves_when_it_has_one() -> None:
    line, wire, _ = open_line()
    line.channel = None
    line.leave()
    assert line.is_leaving
    line.channel = wire
    line.leave()
    assert wire.closes == 1


def test_the_end_of_a_connection_is_told_once() -> None:
    line, _, owner = open_line()
    line.closed()
    line.closed()
    assert owner.closed == 1


# What an outcome says of the connection

WORDS: dict[str, tuple[Mapping[int, Outcome], bool, Deferred | None]] = {
    "delivered": ({0: OK}, False, None),
    "nobody was tried": ({}, False, None),
    "the connection was lost": ({0: LOST}, True, None),
    "lost for all": ({0: LOST, 1: LOST}, True, None),
    "the peer is closing": ({0: CLOSING}, True, CLOSING),
    "closing behind one that was taken": ({0: OK, 1: CLOSING}, False, CLOSING),
    "lost behind one that was refused": ({0: NO_SUCH_USER, 1: LOST}, False, None),
    "later, for the sake of the message": ({0: LATER}, False, None),
    "our credentials": ({0: LOGIN}, False, None),
    "no connection at all": ({0: REFUSED}, True, None),
    "421 that speaks of the message": ({0: Deferred(Reply(421, "4.7.0", "slow"), Scope.MESSAGE)}, False, None),
}


@pytest.mark.parametrize("name", WORDS)
def test_what_an_outcome_says_of_the_connection(name: str) -> None:
    outcomes, was_lost, closing = WORDS[name]
    assert is_lost(Attempted(outcomes)) is was_lost
    assert closing_outcome(Attempted(outcomes)) is closing
