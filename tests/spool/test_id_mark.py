"""The mark of a partition outlives the process, and is no obstacle where it cannot be kept."""

from __future__ import annotations

from pathlib import Path

import pytest

from bridgehead.core.queue_id import RESERVED_SECONDS, QueueIds
from bridgehead.spool.id_mark import IdMark

NOW = 1_795_000_000.0
HOUR = 3600.0


def started(state: Path) -> QueueIds:
    """A worker's ids at its start, with an empty spool."""
    mark = IdMark(state / "p0.db")
    return QueueIds(0, mark.read(), mark.write)


def test_ids_are_unique_where_the_clock_is_set_back_and_the_server_is_killed(tmp_path: Path) -> None:
    given: list[int] = []
    for start in (NOW, NOW - HOUR, NOW - 2 * HOUR, NOW - HOUR):
        ids = started(tmp_path)
        given += [ids.next(start + second) for second in range(100)]
    assert len(set(given)) == len(given)
    assert given == sorted(given)


def test_a_clean_end_leaves_no_gap_of_ids(tmp_path: Path) -> None:
    ids = started(tmp_path)
    last = ids.next(NOW)
    IdMark(tmp_path / "p0.db").write(ids.latest)
    again = started(tmp_path).next(NOW + 0.002)
    assert last < again < QueueIds(0).next(NOW + 0.003)


def test_a_kill_costs_a_minute_of_ids_at_most(tmp_path: Path) -> None:
    started(tmp_path).next(NOW)
    assert started(tmp_path).next(NOW) <= QueueIds(0).next(NOW + RESERVED_SECONDS + 0.001)


@pytest.mark.parametrize("content", [b"", b"garbage", b"\xff\xfe", b"3CTQ8WM5ZK00"])
def test_a_mark_that_is_none_is_no_obstacle(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "p0.ids").write_bytes(content)
    assert IdMark(tmp_path / "p0.db").read() == 0
    assert started(tmp_path).next(NOW) == QueueIds(0).next(NOW)


def test_a_mark_that_cannot_be_written_is_told_and_no_obstacle(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    ids = started(tmp_path / "none")
    assert ids.next(NOW) < ids.next(NOW + 1)
    assert [record.levelname for record in caplog.records] == ["WARNING"]
