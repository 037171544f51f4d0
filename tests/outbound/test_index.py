"""Where every waiting recipient is: one queue for a message, or one for each of its parts, and never two."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bridgehead.core.envelope import MessageId
from bridgehead.core.recipient_state import Hold, RecipientState, Standing
from bridgehead.outbound import index as module
from bridgehead.outbound.entry import Entry, Part
from bridgehead.outbound.index import Index
from bridgehead.outbound.queue import Queue
from bridgehead.spool.contract import BODY_IN_ROW_MAX, Body, StoredMessage
from tests.outbound.back_room import attempt, message, still_queue

ONE = MessageId(1)
DONE = RecipientState(Standing.DELIVERED)


def split(index: Index, *groups: tuple[Queue, tuple[int, ...]]) -> list[Part]:
    """Put a new message that goes several ways."""
    entries = index.put(ONE, None, groups)
    assert all(isinstance(entry, Part) for entry in entries)
    return [entry for entry in entries if isinstance(entry, Part)]


# Places


def test_a_message_that_goes_one_way_is_its_own_entry() -> None:
    index, queue = Index(), still_queue()
    assert index.put(ONE, None, [(queue, (0, 1))]) == [ONE]
    assert index.entries_of(ONE) == [(ONE, queue)]
    assert index.queue_of(ONE) is queue


def test_a_message_that_goes_two_ways_is_two_parts() -> None:
    index, a, b = Index(), still_queue("a.example"), still_queue("b.example")
    first, second = split(index, (a, (0, 2)), (b, (1,)))
    assert (first.ordinals, second.ordinals) == ((0, 2), (1,))
    assert index.entries_of(ONE) == [(first, a), (second, b)]
    assert (index.queue_of(first), index.queue_of(second)) == (a, b)
    assert index.queue_of(ONE) is None


def test_what_is_not_here_is_nowhere() -> None:
    index = Index()
    assert index.entries_of(ONE) == []
    assert index.queue_of(ONE) is None
    assert index.queue_of(Part(ONE, (0,))) is None


def test_a_message_that_was_split_after_an_attempt_is_in_parts_from_then_on() -> None:
    index, a, b = Index(), still_queue("a.example"), still_queue("b.example")
    index.put(ONE, None, [(a, (0, 1, 2))])
    parts = index.put(ONE, ONE, [(a, (0,)), (b, (2,))])
    assert index.entries_of(ONE) == list(zip(parts, (a, b), strict=True))


def test_the_last_part_that_goes_one_way_is_a_whole_message_again() -> None:
    index, a, b = Index(), still_queue("a.example"), still_queue("b.example")
    first, second = split(index, (a, (0,)), (b, (1,)))
    index.remove(first)
    assert index.put(ONE, second, [(a, (1,))]) == [ONE]
    assert index.entries_of(ONE) == [(ONE, a)]


def test_a_part_is_replaced_and_the_others_stay() -> None:
    index, a, b = Index(), still_queue("a.example"), still_queue("b.example")
    first, second = split(index, (a, (0, 1)), (b, (2,)))
    third, fourth = index.put(ONE, first, [(a, (0,)), (b, (1,))])
    assert index.queue_of(first) is None
    assert index.entries_of(ONE) == [(second, b), (third, a), (fourth, b)]


def test_a_message_leaves_with_its_last_part() -> None:
    index, a, b = Index(), still_queue("a.example"), still_queue("b.example")
    first, second = split(index, (a, (0,)), (b, (1,)))
    index.remove(first)
    assert ONE in index.messages
    index.remove(second)
    assert ONE not in index.messages


def test_messages_are_in_order_of_arrival() -> None:
    index, queue = Index(), still_queue()
    for number in (1, 2, 3):
        index.put(MessageId(number), None, [(queue, (0,))])
    index.put(MessageId(2), MessageId(2), [(queue, (0,)), (still_queue("b.example"), (1,))])
    assert list(index.messages) == [1, 2, 3]


# Parts that meet again


def test_parts_that_are_ready_in_one_queue_go_together() -> None:
    index, a, b = Index(), still_queue("a.example"), still_queue("b.example")
    mine, ready, later, elsewhere = split(index, (a, (0,)), (a, (1, 2)), (a, (3,)), (b, (4,)))
    for part in (ready, elsewhere):
        part.is_ready = True
        (a if part is ready else b).waiting.add_ready(part)
    a.waiting.add_later(later, 10.0)
    assert index.absorb(mine, a) == (1, 2)
    assert index.queue_of(ready) is None
    assert a.waiting.pop_ready() is None
    assert index.queue_of(later) is a


@pytest.mark.parametrize("place", ["active", "held"])
def test_parts_that_somebody_holds_are_left_alone(place: str) -> None:
    index, queue = Index(), still_queue()
    mine, other = split(index, (queue, (0,)), (queue, (1,)))
    other.is_ready = True
    if place == "active":
        queue.active.add(other)
    else:
        queue.waiting.held[other] = Hold.FROZEN
    assert index.absorb(mine, queue) == ()
    assert index.queue_of(other) is queue


def test_a_whole_message_has_nothing_to_join() -> None:
    index, queue = Index(), still_queue()
    index.put(ONE, None, [(queue, (0,))])
    assert index.absorb(ONE, queue) == ()


# The last recipient


def test_the_only_recipient_is_the_last() -> None:
    index = Index()
    index.put(ONE, None, [(still_queue(), (0,))])
    assert index.settles_message(attempt(message(1)), 1)
    assert not index.settles_message(attempt(message(1)), 0)


def test_the_last_of_a_whole_message_is_found_by_the_states() -> None:
    index = Index()
    index.put(ONE, None, [(still_queue(), (0, 1))])
    found = attempt(message(1, "a@x.example", "b@x.example"))
    found.states[0] = DONE
    assert not index.settles_message(found, 1)
    found.states[1] = DONE
    assert index.settles_message(found, 1)


@given(st.permutations(range(4)))
def test_the_last_of_a_message_in_parts_is_the_last_whatever_the_order(order: list[int]) -> None:
    """Each attempt knows only its own part: the count is the message's."""
    index = Index()
    parts = split(index, *[(still_queue(f"{n}.example"), (n,)) for n in range(4)])
    stored = message(1, *[f"u@{n}.example" for n in range(4)])
    seen = []
    for number in order:
        found = attempt(stored, parts[number])
        found.states[number] = DONE
        seen.append(index.settles_message(found, 1))
    assert seen == [False, False, False, True]


# In memory


def fresh(number: int, octets: int = 10) -> StoredMessage:
    found = message(number)
    return StoredMessage(found.message_id, found.envelope, Body(octets, b"x" * octets))


def test_a_whole_message_is_in_memory_for_one_attempt() -> None:
    index = Index()
    index.put(ONE, None, [(still_queue(), (0,))])
    kept = fresh(1)
    index.keep(kept)
    assert index.take_fresh(ONE) is kept
    assert index.take_fresh(ONE) is None


def test_a_message_in_parts_is_in_memory_until_one_of_them_comes_back() -> None:
    index, a, b = Index(), still_queue("a.example"), still_queue("b.example")
    first, second = split(index, (a, (0,)), (b, (1,)))
    index.keep(fresh(1))
    assert index.take_fresh(first) is index.take_fresh(second) is not None
    index.put(ONE, first, [(b, (0,))])
    assert index.take_fresh(second) is None


def test_memory_for_bodies_is_bounded_and_room_comes_back(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "FRESH_OCTETS_MAX", 100)
    index = Index()
    for number, octets in ((1, 60), (2, 41), (3, 40)):
        index.keep(fresh(number, octets))
    assert [index.take_fresh(MessageId(number)) is not None for number in (1, 2)] == [True, False]
    index.keep(fresh(4, 60))
    assert index.take_fresh(MessageId(4)) is not None


def test_a_body_in_a_file_is_not_kept() -> None:
    """A report that was just made still has its content, however large it is."""
    index = Index()
    found = message(1)
    for body in (Body(10, None), Body(BODY_IN_ROW_MAX + 1, b"x" * (BODY_IN_ROW_MAX + 1))):
        index.keep(StoredMessage(found.message_id, found.envelope, body))
        assert index.take_fresh(ONE) is None
    index.keep(fresh(1, BODY_IN_ROW_MAX))
    assert index.take_fresh(ONE) is not None


def test_what_waits_in_a_queue_is_found_in_memory() -> None:
    index, a, b = Index(), still_queue("a.example"), still_queue("b.example")
    split(index, (a, (0,)), (b, (1,)))
    index.put(MessageId(2), None, [(b, (0,))])
    one, two = fresh(1), fresh(2)
    index.keep(one)
    index.keep(two)
    assert (index.fresh_in(a), index.fresh_in(b)) == ([one], [one, two])


def test_what_waits_in_a_queue_is_found_wherever_it_went_since() -> None:
    index, a, b, c = Index(), still_queue("a.example"), still_queue("b.example"), still_queue("c.example")
    parts: list[Entry] = []
    for number in (1, 2, 3):
        index.keep(fresh(number))
        parts = index.put(MessageId(number), None, [(a, (0,)), (b, (1,)), (b, (2,))])
    assert [found.message_id for found in index.fresh_in(b)] == [1, 2, 3], "once, in order of arrival"
    index.remove(parts[0])
    assert [found.message_id for found in index.fresh_in(a)] == [1, 2]
    index.put(MessageId(3), parts[1], [(c, (1,))])
    assert [found.message_id for found in (*index.fresh_in(b), *index.fresh_in(c))] == [1, 2], "read back, if need be"
    index.drop_fresh(MessageId(1))
    index.take_fresh(MessageId(2))
    assert index.fresh_in(a) == index.fresh_in(b) == []
    assert (index._fresh, index._fresh_of, index._fresh_octets) == ({}, {}, 0), "nothing is left of them"


def test_what_waits_in_one_queue_is_found_without_a_look_at_all_others() -> None:
    index, a, b = Index(), still_queue("a.example"), still_queue("b.example")
    for number in range(1, 1000):
        index.put(MessageId(number), None, [(b if number == 500 else a, (0,))])
        index.keep(fresh(number))
    assert [found.message_id for found in index.fresh_in(b)] == [500]
    assert len(index._fresh_of[b]) == 1, "what is looked through"


def test_a_removed_or_dropped_message_frees_its_memory(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "FRESH_OCTETS_MAX", 100)
    index, queue = Index(), still_queue()
    for end in (index.remove, index.drop_fresh, lambda _: index.drop_all_fresh()):
        index.put(ONE, None, [(queue, (0,))])
        index.keep(fresh(1, 100))
        end(ONE)
        assert index.fresh_in(queue) == []
        index.keep(fresh(2, 100))
        assert index.take_fresh(MessageId(2)) is not None


# What is left of a message


def test_unsettled_recipients_are_counted_over_all_parts() -> None:
    index, a, b = Index(), still_queue("a.example"), still_queue("b.example")
    found = attempt(message(1, "a@a.example", "b@b.example", "c@b.example"))
    split(index, (a, (0,)), (b, (1, 2)))
    assert index.unsettled_count(found) == 3
    index.settles_message(found, 2)
    assert index.unsettled_count(found) == 1


def test_unsettled_recipients_of_a_message_that_goes_one_way_are_counted_by_their_states() -> None:
    index = Index()
    index.put(ONE, None, [(still_queue(), (0, 1))])
    assert index.unsettled_count(attempt(message(1, "a@a.example", "b@a.example", states={0: DONE}))) == 1


def test_recipients_have_company_where_others_may_be_under_way() -> None:
    index, queue = Index(), still_queue()
    found = attempt(message(1, "a@a.example", "b@a.example"))
    index.put(ONE, None, [(queue, (0, 1))])
    found.outstanding, found.rest = 1, ()
    assert not index.has_company(found)
    found.outstanding = 2
    assert index.has_company(found), "another transaction"
    found.outstanding, found.rest = 1, found.message.envelope.recipients
    assert index.has_company(found), "more to be sent"
    index, found.rest = Index(), ()
    split(index, (queue, (0,)), (still_queue("b.example"), (1,)))
    assert index.has_company(found), "another part"


# Altogether

STEPS = st.lists(st.tuples(st.integers(0, 9), st.lists(st.integers(0, 2), min_size=5, max_size=5)), max_size=12)


@given(st.lists(st.integers(0, 2), min_size=5, max_size=5), STEPS)
def test_every_recipient_is_in_one_place_however_often_entries_are_replaced(
    first: list[int], steps: list[tuple[int, list[int]]]
) -> None:
    queues = [still_queue(f"{number}.example") for number in range(3)]

    def grouped(ordinals: tuple[int, ...], ways: list[int]) -> list[tuple[Queue, tuple[int, ...]]]:
        groups: dict[int, tuple[int, ...]] = {}
        for ordinal in ordinals:
            groups[ways[ordinal]] = (*groups.get(ways[ordinal], ()), ordinal)
        return [(queues[way], members) for way, members in groups.items()]

    def members(entry: Entry) -> tuple[int, ...]:
        return entry.ordinals if isinstance(entry, Part) else everybody

    index, where, everybody = Index(), list(first), tuple(range(5))
    index.put(ONE, None, grouped(everybody, where))
    for choice, ways in steps:
        entries = index.entries_of(ONE)
        old, _ = entries[choice % len(entries)]
        for ordinal in members(old):
            where[ordinal] = ways[ordinal]
        index.put(ONE, old, grouped(members(old), where))
        found = [(ordinal, queue) for entry, queue in index.entries_of(ONE) for ordinal in members(entry)]
        assert sorted(ordinal for ordinal, _ in found) == list(everybody)
        assert all(queue is queues[where[ordinal]] for ordinal, queue in found)
        assert all(index.queue_of(entry) is queue for entry, queue in index.entries_of(ONE))
