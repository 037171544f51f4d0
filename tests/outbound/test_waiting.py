"""The entries of a queue: order, and taking out of the middle."""

from __future__ import annotations

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from bridgehead.core.envelope import MessageId
from bridgehead.core.recipient_state import Hold
from bridgehead.outbound.entry import Entry, Part, message_of
from bridgehead.outbound.waiting import COPIES_MAX, Waiting


def ids(*numbers: int) -> list[MessageId]:
    """Message ids."""
    return [MessageId(number) for number in numbers]


def test_entries_come_out_in_the_order_they_went_in() -> None:
    waiting = Waiting()
    for entry in ids(1, 2, 3):
        waiting.add_ready(entry)
    assert [waiting.pop_ready() for _ in range(4)] == [1, 2, 3, None]


def test_what_was_taken_out_and_not_sent_is_first_again() -> None:
    waiting = Waiting()
    for entry in ids(1, 2):
        waiting.add_ready(entry)
    first = waiting.pop_ready()
    assert first is not None
    waiting.return_ready(first)
    assert waiting.pop_ready() == 1


def test_later_entries_become_ready_in_order_of_their_time() -> None:
    waiting = Waiting()
    waiting.add_later(MessageId(1), 30.0)
    waiting.add_later(MessageId(2), 10.0)
    waiting.make_ready(20.0)
    assert (waiting.pop_ready(), waiting.pop_ready(), waiting.next_due()) == (2, None, 30.0)


def test_parts_and_whole_messages_that_are_due_together_keep_the_order_of_arrival() -> None:
    waiting = Waiting()
    late, early = Part(MessageId(7), (0,)), Part(MessageId(5), (1,))
    for entry in (late, MessageId(6), early):
        waiting.add_later(entry, 10.0)
    waiting.make_ready(10.0)
    assert [waiting.pop_ready() for _ in range(3)] == [early, 6, late]


def test_a_credential_hold_is_not_routed_anew_but_a_lost_route_is() -> None:
    waiting = Waiting()
    waiting.held.update({MessageId(1): Hold.CREDENTIAL, MessageId(2): Hold.FROZEN, MessageId(3): Hold.CONFIGURATION})
    waiting.must_be_examined()
    assert list(waiting.unexamined) == [3]


class AgainstPlainLists(RuleBasedStateMachine):
    """`Waiting` beside four plain lists: what is where must agree, whatever is done in whatever order."""

    def __init__(self) -> None:
        super().__init__()
        self.waiting = Waiting()
        self.ready: list[Entry] = []
        self.later: dict[Entry, float] = {}
        self.unexamined: list[Entry] = []
        self.out: list[Entry] = [*ids(*range(1, 6))]

    def _out(self, number: int) -> MessageId:
        entry = self.out.pop(number % len(self.out))
        assert not isinstance(entry, Part)
        return entry

    @precondition(lambda self: self.out)
    @rule(number=st.integers(0, 9))
    def add_ready(self, number: int) -> None:
        entry = self._out(number)
        self.waiting.add_ready(entry)
        self.ready.append(entry)

    @precondition(lambda self: self.out)
    @rule(number=st.integers(0, 9), due=st.integers(1, 9))
    def add_later(self, number: int, due: int) -> None:
        entry = self._out(number)
        self.waiting.add_later(entry, float(due))
        self.later[entry] = float(due)

    @rule()
    def pop_ready(self) -> None:
        entry = self.waiting.pop_ready()
        assert entry == (self.ready.pop(0) if self.ready else None)
        self.out += [entry] if entry is not None else []

    @rule()
    def pop_unexamined(self) -> None:
        entry = self.waiting.pop_unexamined()
        assert entry == (self.unexamined.pop(0) if self.unexamined else None)
        self.out += [entry] if entry is not None else []

    @rule(number=st.integers(0, 9))
    def take(self, number: int) -> None:
        here = [*self.ready, *self.later, *self.unexamined]
        if here:
            entry = here[number % len(here)]
            self.waiting.take(entry)
            self.ready = [one for one in self.ready if one != entry]
            self.unexamined = [one for one in self.unexamined if one != entry]
            self.later.pop(entry, None)
            self.out.append(entry)

    @rule(now=st.integers(0, 9))
    def make_ready(self, now: int) -> None:
        self.waiting.make_ready(now)
        due = sorted((when, entry) for entry, when in self.later.items() if when <= now)
        self.ready += [entry for _, entry in due]
        self.later = {entry: when for entry, when in self.later.items() if when > now}

    @rule(chosen=st.sets(st.integers(1, 5)))
    def hasten(self, chosen: set[int]) -> None:
        self.waiting.hasten({MessageId(one) for one in chosen})
        self.ready += sorted(entry for entry in self.later if entry in chosen)
        self.later = {entry: when for entry, when in self.later.items() if entry not in chosen}

    @rule()
    def must_be_examined(self) -> None:
        self.waiting.must_be_examined()
        self.unexamined += [*self.ready, *(entry for _, entry in sorted((w, e) for e, w in self.later.items()))]
        self.ready, self.later = [], {}

    @invariant()
    def counts_agree(self) -> None:
        assert len(self.waiting) == len(self.ready) + len(self.later) + len(self.unexamined)
        assert self.waiting.ready_count >= len(self.ready)
        assert len(self.waiting) or not self.waiting.ready_count


class CountsTidying(Waiting):
    """How often the lines were gone through whole."""

    def __init__(self) -> None:
        super().__init__()
        self.times = 0

    def tidy(self) -> None:
        self.times += 1
        super().tidy()


def test_taking_out_and_bringing_back_each_of_many_goes_through_the_line_a_few_times_only() -> None:
    waiting, entries = CountsTidying(), ids(*range(20_000))
    for entry in entries:
        waiting.add_ready(entry)
    for entry in entries:
        waiting.take(entry)
        waiting.add_ready(entry)
    assert waiting.times <= 10
    assert [waiting.pop_ready() for _ in range(len(entries) + 1)] == [*entries, None]


def test_entries_that_were_taken_out_and_came_back_are_in_a_sample() -> None:
    waiting = Waiting()
    for entry in ids(1, 2, 3):
        waiting.add_ready(entry)
        waiting.take(entry)
        waiting.add_ready(entry)
    assert waiting.sample(10) == [1, 2, 3]


def test_an_entry_that_is_put_off_again_and_again_leaves_a_bounded_number_of_copies() -> None:
    waiting, entry = Waiting(), MessageId(1)
    for due in range(10 * COPIES_MAX):
        waiting.add_later(entry, float(due))
        waiting.take(entry)
    waiting.add_later(entry, 5.0)
    assert len(waiting._later) <= COPIES_MAX + 2
    assert (waiting.next_due(), len(waiting), list(waiting.later())) == (5.0, 1, [1])


AgainstPlainLists.TestCase.settings = settings(max_examples=50, stateful_step_count=30, deadline=None)
TestAgainstPlainLists = AgainstPlainLists.TestCase


def test_a_sample_lies_evenly_spread_over_what_is_not_held() -> None:
    waiting = Waiting()
    for number in range(100):
        waiting.add_ready(MessageId(number))
    for number in range(100, 150):
        waiting.add_later(MessageId(number), float(number))
    waiting.unexamined.extend(ids(*range(150, 200)))
    waiting.held[MessageId(500)] = Hold.FROZEN
    assert [entry // 50 for entry in map(message_of, waiting.sample(4))] == [0, 1, 2, 3]
    assert waiting.sample(1000) == list(range(200))
    assert waiting.sample(0) == []


def test_a_sample_does_not_fall_into_step_with_the_mail() -> None:
    waiting = Waiting()
    for number in range(150_000):
        waiting.add_ready(MessageId(number))
    assert {message_of(entry) % 70 for entry in waiting.sample(1000)} == set(range(70))


def test_a_sample_never_has_what_was_taken_out() -> None:
    waiting = Waiting()
    for number in range(10):
        waiting.add_ready(MessageId(number))
    waiting.take(MessageId(0))
    assert waiting.sample(10) == list(range(1, 10))
    assert Waiting().sample(5) == []
