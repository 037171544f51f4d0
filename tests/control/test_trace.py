"""Stories are found by any part of them, in the files of all workers."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from bridgehead.control.trace import Search, Story, search
from bridgehead.control.tracking import EventSink
from bridgehead.control.tracking_store import TrackingStore
from bridgehead.core.tracking import Step, TrackingEvent
from tests.control.test_tracking import NOW, QUEUE_IDS, delivered, output, received, record

__all__ = ["output", "record"]


def names(story: Story) -> list[object]:
    return [event["event"] for event in story.events]


@pytest.fixture
def history(tmp_path: Path, record: Callable[..., EventSink]) -> Path:
    record(received(0), delivered(0), received(2, "", recipient="100%_sure@fabrikam.com"))
    record(
        received(1, "Carol@Contoso.com"),
        delivered(1, "dave@fabrikam.com"),
        TrackingEvent(ts=NOW + 3, step=Step.REFUSED, sender="spam@example.net", recipient="x@y", code=550),
        TrackingEvent(ts=NOW + 4, step=Step.DSN, queue_id=QUEUE_IDS[1], sender="", reason=f"sent as {QUEUE_IDS[5]}"),
        received(4, '"quoted \\" name"@contoso.com'),
        worker=1,
    )
    return tmp_path


@pytest.mark.parametrize(
    ("wanted", "found"),
    [
        (Search(), [0, 2, None, 1, 4]),
        (Search(sender="alice@contoso.com"), [0]),
        (Search(sender="CAROL"), [1]),
        (Search(sender="<>"), [2, 1]),
        (Search(sender="contoso", recipient="dave@fabrikam.com"), [1]),
        (Search(sender="alice", recipient="dave"), []),
        (Search(recipient="%_"), [2]),
        (Search(recipient="fabrikam_com"), []),
        (Search(sender='"quoted \\" name"'), [4]),
        (Search(sender="spam"), [None]),
        (Search(message_id="<m1@contoso.com>"), [1]),
        (Search(message_id=QUEUE_IDS[1].lower()), [1]),
        (Search(message_id=QUEUE_IDS[7]), []),
        (Search(text="refused"), [None]),
        (Search(since=NOW + 2), [2, None, 1, 4]),
        (Search(limit=2), [1, 4]),
    ],
)  # fmt: skip
def test_search_finds_stories(history: Path, wanted: Search, found: list[int | None]) -> None:
    ids = [story.queue_id for story in search(history, wanted)]
    assert sorted(ids) == sorted(QUEUE_IDS[number] if number is not None else "" for number in found)


def test_a_story_has_all_events_of_the_message_and_names_its_dsns(history: Path) -> None:
    (story,) = search(history, Search(recipient="dave"))
    assert names(story) == ["received", "delivered", "dsn"]
    assert story.dsns == (QUEUE_IDS[5],)


def test_search_reads_beside_a_running_worker_and_without_any_store(tmp_path: Path) -> None:
    assert list(search(tmp_path, Search())) == []
    store = TrackingStore(tmp_path, 0)
    store.add([(NOW, QUEUE_IDS[0], b'{"event":"received"}')])
    assert len(list(search(tmp_path, Search()))) == 1
    store.close()
