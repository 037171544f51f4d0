"""The event sink: takes tracking events from the event loop, writes them to the log and to the tracking store.

A thread collects for a fifth of a second, or a thousand events, then writes them in one transaction and as few
writes to standard error as keep lines whole. The store goes first. If nobody reads standard error, lines are dropped
after a moment, and counted; if the disk stands still, events are dropped once the buffer is full, and counted.
"""

from __future__ import annotations

import logging
import os
import select
import sqlite3
import stat
import threading
import time
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from bridgehead.control.log import PIPE_LINE_MAX, EventLines, is_json
from bridgehead.control.tracking_store import TrackingStore
from bridgehead.core.tracking import TrackingEvent

RETENTION_SECONDS: Final = 30 * 86_400.0
FLUSH_SECONDS: Final = 0.2
FLUSH_EVENTS: Final = 1_000
BUFFER_EVENTS_MAX: Final = 50_000
"""About 30 MB; ten seconds of a disk that stands still under full load."""
CLOSE_SECONDS: Final = 5.0
FILE_OCTETS_AT_ONCE: Final = 64 * 1024
_STDERR: Final = 2
_UNREAD_SECONDS: Final = 0.25
_PRUNE_SECONDS: Final = 60.0
_PRUNE_ROWS: Final = 500

log: Final = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class SinkStatistics:
    """What became of the events since the sink was opened."""

    written: int
    """Rows in the store."""
    dropped: int
    """Events that are in neither store nor log."""
    rows_dropped: int
    """Events that the store refused."""
    lines_dropped: int
    """Log lines that nobody read."""


@dataclass(frozen=True, slots=True)
class SinkSettings:
    """What seldom differs from the default."""

    json: bool | None = None
    """`None`: JSON where standard error is no terminal."""
    descriptor: int = _STDERR
    retention_seconds: float = RETENTION_SECONDS
    clock: Callable[[], float] = time.time


class EventSink:
    """One worker's sink. `emit`, `statistics` and `close` are for the event loop; the rest is the thread's."""

    def __init__(self, state_dir: Path, worker: int, settings: SinkSettings | None = None) -> None:
        """Open the worker's store and start the thread. Where it cannot be opened, that is tried again."""
        self._settings = settings or SinkSettings()
        self._store = TrackingStore(state_dir, worker)
        self._lines = EventLines(json=is_json(self._settings.json))
        self._buffer: deque[TrackingEvent] = deque()
        self._begun = threading.Event()
        """There is something to write, or the end has come."""
        self._hurry = threading.Event()
        """Do not wait until more has come."""
        self._is_closing = False
        self._written = self._dropped = self._rows_dropped = self._lines_dropped = 0
        self._prune_at = 0.0
        self._octets_at_once = octets_at_once(self._settings.descriptor)
        self._flush([])
        self._thread = threading.Thread(target=self._run, name=f"tracking w{worker}", daemon=True)
        self._thread.start()

    def emit(self, event: TrackingEvent) -> None:
        """Take an event; returns at once, never raises."""
        buffer = self._buffer
        buffer.append(event)
        count = len(buffer)
        if count == 1:
            self._begun.set()
        elif count >= FLUSH_EVENTS:
            if count > BUFFER_EVENTS_MAX:
                buffer.pop()
                self._dropped += 1
            self._hurry.set()

    def statistics(self) -> SinkStatistics:
        """Counts since the sink was opened."""
        return SinkStatistics(self._written, self._dropped, self._rows_dropped, self._lines_dropped)

    def close(self) -> None:
        """Write what is left; returns after `CLOSE_SECONDS` at most."""
        self._is_closing = True
        self._hurry.set()
        self._begun.set()
        self._thread.join(CLOSE_SECONDS)

    def _run(self) -> None:
        """The life of the thread."""
        while not self._is_closing or self._buffer:
            self._begun.wait()
            self._hurry.wait(FLUSH_SECONDS)
            self._hurry.clear()
            self._begun.clear()  # before the buffer is emptied: what comes meanwhile sets it again
            self._flush([self._buffer.popleft() for _ in range(len(self._buffer))])
            if self._buffer:
                self._begun.set()  # `emit` does so only for the first event of an empty buffer
        self._store.close()

    def _flush(self, events: list[TrackingEvent]) -> None:
        rows, lines = self._encoded(events)
        try:
            self._store.add(rows)
            self._written += len(rows)
            self._prune(2 * len(rows))
        except (sqlite3.Error, OSError) as error:
            self._rows_dropped += len(rows)
            log.error(  # noqa: TRY400  a stack trace tells nothing of a full disk
                "tracking events could not be stored", extra={"event": "tracking-failed", "reason": str(error)}
            )
        self._write_lines(lines)

    def _encoded(self, events: list[TrackingEvent]) -> tuple[list[tuple[float, str, bytes]], list[bytes]]:
        """Rows for the store and lines for the log."""
        encode = self._lines.encode
        rows: list[tuple[float, str, bytes]] = []
        lines: list[bytes] = []
        for event in events:
            try:
                row, line = encode(event)
            except ValueError:  # a lone surrogate, which UTF-8 cannot say, or a time that no calendar has
                self._dropped += 1
                continue
            rows.append((event.ts, event.queue_id, row))
            lines.append(line)
        return rows, lines

    def _prune(self, rows: int) -> None:
        """Remove what is too old, some rows at a time, so that a long pause is made up for in small steps."""
        now = self._settings.clock()
        if now < self._prune_at:
            return
        rows_max = max(rows, _PRUNE_ROWS)
        removed = self._store.prune(now - self._settings.retention_seconds, rows_max)
        self._prune_at = now if removed == rows_max else now + _PRUNE_SECONDS

    def _write_lines(self, lines: list[bytes]) -> None:
        """Whole lines together, no more than are never mixed up; lines that nobody reads are dropped."""
        written = 0
        for count, chunk in chunks(lines, self._octets_at_once):
            if not self._write(chunk):
                self._lines_dropped += len(lines) - written
                return
            written += count

    def _write(self, chunk: bytes) -> bool:
        descriptor = self._settings.descriptor
        poll = select.poll()
        poll.register(descriptor, select.POLLOUT)
        try:
            while chunk:
                if not poll.poll(_UNREAD_SECONDS * 1000):
                    return False
                chunk = chunk[os.write(descriptor, chunk) :]
        except OSError:
            return False  # the reader is gone
        return True


def octets_at_once(descriptor: int) -> int:
    """So many octets of several processes are not mixed up: writes to a file are atomic, to a pipe only small."""
    try:
        is_file = stat.S_ISREG(os.fstat(descriptor).st_mode)
    except OSError:
        return PIPE_LINE_MAX  # it was closed before we came: nothing can be written anyway
    return FILE_OCTETS_AT_ONCE if is_file else PIPE_LINE_MAX


def chunks(lines: Iterable[bytes], octets_max: int) -> Iterator[tuple[int, bytes]]:
    """Lines joined up to `octets_max`, and how many; a longer line stands alone."""
    joined: list[bytes] = []
    size = 0
    for line in lines:
        if joined and size + len(line) > octets_max:
            yield len(joined), b"".join(joined)
            joined, size = [], 0
        joined.append(line)
        size += len(line)
    if joined:
        yield len(joined), b"".join(joined)
