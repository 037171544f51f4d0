"""Who takes over which partition: one worker at a time, and the same until it is done."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bridgehead.spool.disk import Disk
from bridgehead.spool.takeover import TakeoverMark, marks, orphans

CASES: list[tuple[str, set[int], dict[int, int], int, dict[int, list[int]]]] = [
    ("every partition has its worker", {0, 1, 2}, {}, 3, {}),
    ("what has none goes round", {0, 1, 2, 3, 4}, {}, 2, {0: [2, 4], 1: [3]}),
    ("a move goes on where it was, though others would be in turn", {0, 1, 3}, {3: 0}, 2, {0: [3]}),
    ("a move goes on though the partition has a worker again", {0, 1, 2}, {2: 0}, 3, {0: [2]}),
    ("all had moved but the mark", {0}, {2: 0}, 1, {0: [2]}),
    ("what it moved into has no worker", {0, 1, 2, 5}, {5: 2}, 2, {0: [2, 5]}),
    ("what it moved into moves itself", {0, 1, 3}, {1: 0, 3: 1}, 2, {0: [1, 3]}),
    ("whose turn it is moves itself, and comes back for it", {0, 1, 3}, {1: 0}, 2, {0: [1]}),
]


@pytest.mark.parametrize(
    ("existing", "moving", "workers", "expected"), [case[1:] for case in CASES], ids=[case[0] for case in CASES]
)
def test_partitions_without_a_worker_are_taken_over(
    existing: set[int], moving: dict[int, int], workers: int, expected: dict[int, list[int]]
) -> None:
    taken = {own: orphans(own, existing, moving, workers) for own in range(workers)}
    assert {own: numbers for own, numbers in taken.items() if numbers} == expected


@given(st.sets(st.integers(0, 40)), st.dictionaries(st.integers(1, 40), st.integers(0, 40)), st.integers(1, 8))
def test_each_partition_has_exactly_one_worker(existing: set[int], moves: dict[int, int], workers: int) -> None:
    moving = {number: into for number, into in moves.items() if into < number}
    taken: list[int] = []
    while left := {*existing, *moving} - set(range(workers)) | moving.keys():
        at_once = [number for own in range(workers) for number in orphans(own, existing, moving, workers)]
        assert len(set(at_once)) == len(at_once)
        assert set(at_once) <= left
        assert at_once, "each of them has its turn"
        taken += at_once
        existing, moving = existing - set(at_once), {one: moving[one] for one in moving.keys() - set(at_once)}
    assert len(set(taken)) == len(taken)


@given(st.sets(st.integers(0, 40)), st.dictionaries(st.integers(1, 40), st.integers(0, 40)), st.integers(1, 8))
def test_whose_a_partition_is_does_not_change_while_others_are_taken_over(
    existing: set[int], moves: dict[int, int], workers: int
) -> None:
    moving = {number: into for number, into in moves.items() if into < number}
    at_first = {own: set(orphans(own, existing, moving, workers)) for own in range(workers)}
    for own, numbers in at_first.items():
        for number in sorted(numbers):
            left = {one: own if into == number else into for one, into in moving.items() if one != number}
            now = {other: set(orphans(other, existing - {number}, left, workers)) for other in range(workers)}
            for other in at_first.keys() - {own}:
                assert at_first[other] <= now[other]
            assert numbers - {number} <= now[own]


def test_a_mark_is_read_as_it_was_written(tmp_path: Path) -> None:
    spool = tmp_path / "spool"
    spool.mkdir()
    mark = TakeoverMark(spool / "p12.db")
    assert mark.read() is None
    for into in (11, 0, 7):
        mark.write(into, Disk())
        assert mark.read() == into
        assert marks(tmp_path) == {12: into}
    mark.clear(Disk())
    assert mark.read() is None
    assert marks(tmp_path) == {}


@pytest.mark.parametrize("content", [b"", b"0", b"00\xff", b"012\n", b"-01\n", b"garbage"])
def test_a_mark_that_is_none_means_that_nothing_moved(tmp_path: Path, content: bytes) -> None:
    spool = tmp_path / "spool"
    spool.mkdir()
    (spool / "p12.into").write_bytes(content)
    (spool / "px.into").touch()
    assert marks(tmp_path) == ({12: 0} if content == b"0" else {})


def test_where_the_disk_does_not_say_nobody_may_have_the_partition(tmp_path: Path) -> None:
    (tmp_path / "p12.into").mkdir()
    with pytest.raises(IsADirectoryError):
        TakeoverMark(tmp_path / "p12.db").read()
