"""Events are kept in order of time, pruned by age, and damage does not stop the server."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from bridgehead.control.trace import Search, search
from bridgehead.control.tracking import EventSink
from bridgehead.control.tracking_store import TrackingStore, store_path
from tests.control.test_tracking import NOW, QUEUE_IDS, output, received, record

__all__ = ["output", "record"]


def test_pruning_removes_what_is_too_old_in_steps(tmp_path: Path) -> None:
    store = TrackingStore(tmp_path, 0)
    store.add([(NOW + number, "Q", b"{}") for number in range(100)])
    assert store.prune(NOW + 60, 40) == 40
    assert store.prune(NOW + 60, 40) == 20
    assert store.prune(NOW + 60, 40) == 0
    store.close()


def test_a_clock_that_jumps_back_loses_nothing(tmp_path: Path, record: Callable[..., EventSink]) -> None:
    record(received(3))
    record(received(0), received(0))
    assert [story.queue_id for story in search(tmp_path, Search())] == [QUEUE_IDS[3], QUEUE_IDS[0]]


def test_a_damaged_store_is_put_away_and_a_new_one_begun(tmp_path: Path, record: Callable[..., EventSink]) -> None:
    path = store_path(tmp_path, 0)
    path.parent.mkdir()
    path.write_bytes(b"no database" * 1000)
    record(received())
    assert len(list(search(tmp_path, Search()))) == 1
    assert [kept.read_bytes() for kept in path.parent.glob("*.damaged")] == [b"no database" * 1000]
