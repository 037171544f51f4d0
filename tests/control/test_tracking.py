"""Events reach log and store, in order, and can be found again; nobody who emits ever waits."""

from __future__ import annotations

import json
import os
import sqlite3
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from bridgehead.control import tracking
from bridgehead.control.log import PIPE_LINE_MAX
from bridgehead.control.trace import Search, search
from bridgehead.control.tracking import FILE_OCTETS_AT_ONCE, EventSink, SinkSettings, chunks, octets_at_once
from bridgehead.control.tracking_store import store_path
from bridgehead.core import queue_id
from bridgehead.core.tracking import Step, TrackingEvent
from tests.peers.child import wait_until

NOW = 1_790_000_000.0
QUEUE_IDS = [queue_id.write((int(NOW * 1000) << 21) + (number << 8)) for number in range(1, 9)]


def received(number: int = 0, sender: str = "alice@contoso.com", **fields: object) -> TrackingEvent:
    return TrackingEvent(
        ts=NOW + number,
        step=Step.RECEIVED,
        queue_id=QUEUE_IDS[number],
        sender=sender,
        message_id=f"<m{number}@contoso.com>",
        **fields,  # type: ignore[arg-type]  # fields of the event
    )


def delivered(number: int = 0, recipient: str = "bob@fabrikam.com") -> TrackingEvent:
    return TrackingEvent(
        ts=NOW + number + 0.5, step=Step.DELIVERED, queue_id=QUEUE_IDS[number], recipient=recipient, code=250
    )


@pytest.fixture
def output(tmp_path: Path) -> Path:
    return tmp_path / "stderr"


@pytest.fixture
def record(tmp_path: Path, output: Path) -> Callable[..., EventSink]:
    """Emits events through the sink of a worker, and closes it."""

    def record_events(*events: TrackingEvent, worker: int = 0, now: float = NOW) -> EventSink:
        descriptor = os.open(output, os.O_WRONLY | os.O_CREAT | os.O_APPEND)
        sink = EventSink(tmp_path, worker, SinkSettings(json=True, descriptor=descriptor, clock=lambda: now))
        for event in events:
            sink.emit(event)
        sink.close()
        os.close(descriptor)
        return sink

    return record_events


def test_a_store_that_cannot_be_opened_stops_nothing_and_is_opened_later(
    tmp_path: Path, output: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """As on a disk without room for SQLite's own files."""
    store = store_path(tmp_path, 0)
    store.mkdir(parents=True)
    with output.open("wb") as file:
        sink = EventSink(tmp_path, 0, SinkSettings(json=True, descriptor=file.fileno(), clock=lambda: NOW))
        sink.emit(received())
        wait_until(lambda: sink.statistics().rows_dropped == 1, "an event that could not be stored")
        store.rmdir()
        sink.emit(received(1))
        sink.close()
    assert output.read_bytes().count(b"\n") == 2
    assert (sink.statistics().written, sink.statistics().dropped) == (1, 0)
    assert [story.queue_id for story in search(tmp_path, Search())] == QUEUE_IDS[1:2]
    assert caplog.messages[0] == "tracking events could not be stored"


def test_each_event_becomes_a_line_and_a_row_in_order(
    tmp_path: Path, output: Path, record: Callable[..., EventSink]
) -> None:
    sink = record(received(), delivered(), received(1))
    lines = [json.loads(line) for line in output.read_text().splitlines()]
    assert [line["event"] for line in lines] == ["received", "delivered", "received"]
    assert lines[0] == {
        "ts": "2026-09-21T14:13:20.000Z",
        "level": "info",
        "event": "received",
        "queue_id": QUEUE_IDS[0],
        "message_id": "<m0@contoso.com>",
        "sender": "alice@contoso.com",
    }
    assert [list(story.events) for story in search(tmp_path, Search())] == [lines[:2], lines[2:]]
    assert sink.statistics() == tracking.SinkStatistics(3, 0, 0, 0)


def test_more_events_than_a_batch_all_arrive(tmp_path: Path, record: Callable[..., EventSink]) -> None:
    record(*[received(0, text) for text in map(str, range(5_000))])
    (story,) = search(tmp_path, Search())
    assert [event["sender"] for event in story.events] == [str(number) for number in range(5_000)]


def test_an_event_that_utf8_cannot_say_is_dropped_alone(tmp_path: Path, record: Callable[..., EventSink]) -> None:
    sink = record(received(0), received(1, "\udcff@contoso.com"), received(2))
    assert sink.statistics().dropped == 1
    assert [story.queue_id for story in search(tmp_path, Search())] == [QUEUE_IDS[0], QUEUE_IDS[2]]


def test_lines_that_nobody_reads_are_dropped_and_the_store_has_them_all(tmp_path: Path) -> None:
    reader, writer = os.pipe()
    sink = EventSink(tmp_path, 0, SinkSettings(json=True, descriptor=writer, clock=lambda: NOW))
    for number in range(2_000):
        sink.emit(received(0, f"{number}@contoso.com"))
    sink.close()
    statistics = sink.statistics()
    assert statistics.written == 2_000
    assert 0 < statistics.lines_dropped < 2_000
    os.close(writer)
    with os.fdopen(reader, "rb") as pipe:
        assert len(pipe.readlines()) == 2_000 - statistics.lines_dropped


def test_a_reader_that_is_gone_stops_nothing(tmp_path: Path) -> None:
    reader, writer = os.pipe()
    os.close(reader)
    sink = EventSink(tmp_path, 0, SinkSettings(json=True, descriptor=writer, clock=lambda: NOW))
    sink.emit(received())
    sink.close()
    os.close(writer)
    assert sink.statistics().written == 1


def test_rows_that_the_disk_refuses_are_counted_and_logged_all_the_same(tmp_path: Path, output: Path) -> None:
    descriptor = os.open(output, os.O_WRONLY | os.O_CREAT)
    sink = EventSink(tmp_path, 0, SinkSettings(json=True, descriptor=descriptor, clock=lambda: NOW))
    with sqlite3.connect(store_path(tmp_path, 0)) as other:
        other.execute("DROP TABLE event")
    other.close()
    sink.emit(received())
    sink.close()
    os.close(descriptor)
    assert sink.statistics().rows_dropped == 1
    assert len(output.read_text().splitlines()) == 1


def test_beyond_its_bound_the_buffer_drops_what_comes_last(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tracking, "BUFFER_EVENTS_MAX", 1_500)
    reader, writer = os.pipe()
    sink = EventSink(tmp_path, 0, SinkSettings(json=True, descriptor=writer, clock=lambda: NOW))
    event = received()
    until = time.monotonic() + 20
    while not sink.statistics().dropped and time.monotonic() < until:
        sink.emit(event)
    sink.close()
    os.close(reader)
    os.close(writer)
    assert sink.statistics().dropped > 0


@pytest.mark.parametrize(
    ("lines", "counts"),
    [
        ([], []),
        ([b"a\n"], [1]),
        ([b"x" * 2000 + b"\n"] * 5, [2, 2, 1]),
        ([b"x" * PIPE_LINE_MAX + b"\n", b"a\n", b"b\n"], [1, 2]),
    ],
)
def test_lines_are_written_together_but_never_cut(lines: list[bytes], counts: list[int]) -> None:
    found = list(chunks(lines, PIPE_LINE_MAX))
    assert [count for count, _ in found] == counts
    assert b"".join(chunk for _, chunk in found) == b"".join(lines)
    assert all(len(chunk) <= PIPE_LINE_MAX or count == 1 for count, chunk in found)


def test_more_is_written_at_once_to_a_file_than_to_a_pipe(tmp_path: Path) -> None:
    reading, writing = os.pipe()
    with (tmp_path / "log").open("wb") as file, os.fdopen(reading), os.fdopen(writing):
        assert octets_at_once(file.fileno()) == FILE_OCTETS_AT_ONCE
        assert octets_at_once(writing) == PIPE_LINE_MAX
    assert octets_at_once(-1) == PIPE_LINE_MAX


def test_the_sink_prunes_by_age(tmp_path: Path, record: Callable[..., EventSink]) -> None:
    record(received(0), received(1))
    record(received(2), now=NOW + tracking.RETENTION_SECONDS + 1)
    assert [story.queue_id for story in search(tmp_path, Search())] == QUEUE_IDS[1:3]
