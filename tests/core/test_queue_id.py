"""Queue ids order by arrival, are never given twice, and can be read back."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bridgehead.core import queue_id
from bridgehead.core.queue_id import QueueIds

NOW = 1_795_000_000.123


def test_queue_ids_of_one_moment_are_unique_and_grow() -> None:
    ids = QueueIds(3)
    given_out = [ids.next(NOW) for _ in range(10_000)]
    assert given_out == sorted(set(given_out))
    assert {one & 255 for one in given_out} == {3}


def test_queue_ids_never_go_back_with_the_clock_nor_after_a_restart() -> None:
    ids = QueueIds(0)
    first = ids.next(NOW)
    second = ids.next(NOW - 3600)
    assert second > first
    assert QueueIds(0, second).next(NOW - 7200) > second


def test_queue_ids_tell_when_their_message_arrived() -> None:
    assert queue_id.arrival_seconds(QueueIds(7).next(NOW)) == pytest.approx(NOW, abs=0.001)
    assert queue_id.earliest_at(NOW) <= QueueIds(0).next(NOW) < queue_id.earliest_at(NOW + 1)


@pytest.mark.parametrize("partition", [-1, 256])
def test_queue_ids_know_their_partitions(partition: int) -> None:
    with pytest.raises(ValueError, match=r"0\.\.255"):
        QueueIds(partition)


@given(st.integers(0, 2**63 - 1), st.integers(0, 2**63 - 1))
def test_written_ids_read_back_in_either_case_and_sort_like_their_numbers(left: int, right: int) -> None:
    written = queue_id.write(left)
    assert len(written) == 13
    assert queue_id.read(written) == queue_id.read(written.lower()) == left
    assert (written < queue_id.write(right)) == (left < right)


@given(st.text(max_size=20))
def test_reading_any_text_gives_an_id_or_none(text: str) -> None:
    found = queue_id.read(text)
    assert found is None or queue_id.write(found) == text.upper()


@pytest.mark.parametrize("text", ["", "38GCR5P9002G", "38GCR5P9002G00", "38GCR5P9002GU", "ZZZZZZZZZZZZZ"])
def test_what_is_no_id_is_none(text: str) -> None:
    assert queue_id.read(text) is None
