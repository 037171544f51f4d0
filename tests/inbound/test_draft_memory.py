"""The memory that all arriving messages share: what is over the bound is refused, and everything comes back."""

from __future__ import annotations

import logging

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bridgehead.core.reply import Reply
from bridgehead.inbound.draft_memory import DraftMemory
from bridgehead.spool.contract import BODY_IN_ROW_MAX, Insert
from tests.inbound.drafting import HEADER, draft, finished, origin, recipient


@given(st.lists(st.integers(0, 60)), st.integers(0, 100))
def test_what_is_held_is_the_sum_of_what_was_granted_and_never_over_the_bound(
    wishes: list[int], maximum: int
) -> None:
    memory = DraftMemory(maximum)
    granted = [octets for octets in wishes if memory.take(octets)]
    assert memory.held == sum(granted) <= maximum
    for octets in granted:
        memory.give_back(octets)
    assert memory.held == 0


def test_a_smaller_wish_is_granted_where_a_larger_one_was_not() -> None:
    memory = DraftMemory(10)
    assert [memory.take(octets) for octets in (8, 3, 2, 1)] == [True, False, True, False]


def test_a_shortage_is_told_once_until_half_of_it_is_free_again(caplog: pytest.LogCaptureFixture) -> None:
    memory = DraftMemory(10)
    memory.take(10)
    with caplog.at_level(logging.WARNING):
        for _ in range(5):
            memory.take(1)
        memory.give_back(4)
        memory.take(5)
        assert len(caplog.records) == 1, "4 of 10 are free: it is the same shortage"
        memory.give_back(1)
        memory.take(6)
    assert [vars(record)["event"] for record in caplog.records] == ["draft-memory-full"] * 2


def test_content_counts_up_to_what_stays_in_memory_and_everything_is_given_back() -> None:
    found = draft()
    before = found.memory.held
    assert before > 0, "the recipient"
    for _ in range(10):
        found.write(b"x" * (BODY_IN_ROW_MAX // 2))
    assert BODY_IN_ROW_MAX <= found.memory.held - before < 2 * BODY_IN_ROW_MAX
    found.discard()
    found.discard()
    assert found.memory.held == 0


def test_a_message_is_counted_until_it_is_stored_and_not_after_it_was_refused() -> None:
    kept, refused = draft(), draft()
    assert isinstance(finished(kept, HEADER), Insert)
    assert kept.memory.held > len(HEADER)
    assert isinstance(finished(refused, HEADER, octets_left=0), Reply)
    assert refused.memory.held == 0


def test_a_message_without_room_is_counted_until_its_end_with_its_recipients() -> None:
    found = draft()
    found.write(HEADER)
    before = found.memory.held
    found.run_out()
    found.write(HEADER)
    assert found.memory.held == before
    assert isinstance(finished(found), Reply)
    assert found.memory.held == 0


def test_a_refused_recipient_counts_for_nothing() -> None:
    found = draft()
    before = found.memory.held
    assert found.admit(recipient("x@elsewhere.example")) is not None
    assert found.memory.held == before


def test_a_recipient_counts_with_its_texts() -> None:
    short, long = draft(origin(), "b@contoso.com"), draft(origin(), f"{'b' * 60}@contoso.com")
    assert long.memory.held - short.memory.held == 59
