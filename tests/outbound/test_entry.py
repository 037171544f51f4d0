"""What waits: whole messages and parts in one order of arrival, told apart by identity."""

from __future__ import annotations

import heapq

from hypothesis import given
from hypothesis import strategies as st

from bridgehead.core.envelope import MessageId
from bridgehead.core.recipient_state import FRESH, RecipientState, Standing
from bridgehead.outbound.entry import Entry, Part, message_of, waiting_ordinals
from tests.outbound.back_room import attempt, message


def test_an_entry_leads_to_its_message() -> None:
    assert message_of(MessageId(7)) == 7
    assert message_of(Part(MessageId(7), (0, 2))) == 7


def test_parts_that_look_the_same_are_two() -> None:
    """Two parts of a message may wait in one queue: a set or a dictionary must hold both."""
    one, other = Part(MessageId(7), (0,)), Part(MessageId(7), (0,))
    assert one != other
    assert len({one, other}) == 2


ENTRIES = st.integers(1, 9).flatmap(
    lambda number: st.sampled_from([MessageId(number), Part(MessageId(number), (0,))])
)


@given(st.lists(ENTRIES, max_size=20))
def test_messages_and_parts_sort_by_arrival_together(entries: list[Entry]) -> None:
    assert [message_of(one) for one in sorted(entries)] == sorted(message_of(one) for one in entries)
    heap: list[tuple[float, Entry]] = []
    for entry in entries:
        heapq.heappush(heap, (0.0, entry))
    assert [message_of(heapq.heappop(heap)[1]) for _ in entries] == sorted(message_of(one) for one in entries)


def test_a_whole_message_stands_for_all_and_a_part_for_its_own() -> None:
    recipients = message(1, "a@x.example", "b@x.example", "c@x.example").envelope.recipients
    assert list(waiting_ordinals(MessageId(1), recipients)) == [0, 1, 2]
    assert list(waiting_ordinals(Part(MessageId(1), (2, 0)), recipients)) == [2, 0]


def test_an_attempt_knows_the_stored_state_and_takes_others_as_fresh() -> None:
    failed = RecipientState(Standing.FAILED)
    found = attempt(message(1, "a@x.example", "b@x.example", states={1: failed}))
    assert (found.state(0), found.state(1)) == (FRESH, failed)


def test_what_an_attempt_learns_does_not_change_the_message_it_read() -> None:
    stored = message(1, "a@x.example", states={0: FRESH})
    attempt(stored).states[0] = RecipientState(Standing.DELIVERED)
    assert stored.states == {0: FRESH}


def test_an_attempt_begins_with_all_its_recipients_and_nothing_under_way() -> None:
    found = attempt(message(1, "a@x.example", "b@x.example"))
    assert [one.ordinal for one in found.rest] == [0, 1]
    assert (found.outstanding, found.is_second_chance) == (0, False)
