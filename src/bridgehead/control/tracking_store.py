"""The tracking store: one SQLite file for each worker, `state_dir/tracking/w0.db`.

One table of events in order of time; the id holds the time, so that neither a search since an instant nor pruning
needs an index of its own. What is searched for is found by reading: 200,000 events take about a quarter of a second.

`synchronous=NORMAL`: the last moments before a power cut may be missing here (never in the spool); what is there is
whole.
"""

from __future__ import annotations

import sqlite3
import time
from collections.abc import Sequence
from functools import cache
from pathlib import Path
from typing import Final

_SCHEMA: Final = """
    PRAGMA journal_mode = WAL;
    PRAGMA synchronous = NORMAL;
    PRAGMA secure_delete = OFF;
    PRAGMA wal_autocheckpoint = 2000;
    CREATE TABLE IF NOT EXISTS event (id INTEGER PRIMARY KEY, queue_id TEXT NOT NULL, event BLOB NOT NULL);
    CREATE INDEX IF NOT EXISTS event_by_queue_id ON event (queue_id);
"""
_ROWS_A_STATEMENT: Final = (256, 64, 16, 4, 1)
_SEQUENCE_BITS: Final = 20
"""Of an id: a million events within a millisecond, more than there can be."""


class TrackingStore:
    """One worker's file. Used by one thread."""

    def __init__(self, state_dir: Path, worker: int) -> None:
        """Opened, or created, when it is first used, and again each time until that succeeds."""
        self._path = store_path(state_dir, worker)
        self._connection: sqlite3.Connection | None = None
        self._last_id = 0

    def add(self, rows: Sequence[tuple[float, str, bytes]]) -> None:
        """Write events (time, queue id, JSON) in one transaction.

        `sqlite3.Error` or `OSError` if they could not be written; a damaged store is renamed and a new one begun.
        """
        connection = self._opened()
        connection.execute("BEGIN")
        try:
            start = 0
            for size in _ROWS_A_STATEMENT:
                while len(rows) - start >= size:
                    connection.execute(_insert(size), self._values(rows[start : start + size]))
                    start += size
            connection.execute("COMMIT")
        except BaseException:
            if connection.in_transaction:
                connection.execute("ROLLBACK")
            raise

    def prune(self, before: float, rows_max: int) -> int:
        """Remove at most `rows_max` of the events older than `before`; returns how many."""
        return (
            self._opened()
            .execute(
                "DELETE FROM event WHERE id IN (SELECT id FROM event WHERE id < ? ORDER BY id LIMIT ?)",
                (earliest_id(before), rows_max),
            )
            .rowcount
        )

    def close(self) -> None:
        """Let go of the file."""
        if self._connection is not None:
            self._connection.close()

    def _opened(self) -> sqlite3.Connection:
        if self._connection is None:
            self._path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
            self._connection, self._last_id = self._open()
        return self._connection

    def _values(self, rows: Sequence[tuple[float, str, bytes]]) -> list[int | str | bytes]:
        values: list[int | str | bytes] = []
        for seconds, queue_id, event in rows:
            self._last_id = max(self._last_id + 1, earliest_id(seconds))
            values += (self._last_id, queue_id, event)
        return values

    def _open(self) -> tuple[sqlite3.Connection, int]:
        try:
            return _connect(self._path)
        except sqlite3.OperationalError:
            raise
        except sqlite3.DatabaseError:
            for suffix in ("-wal", "-shm"):
                self._path.with_name(self._path.name + suffix).unlink(missing_ok=True)
            self._path.rename(self._path.with_name(f"{self._path.stem}-{time.time_ns():x}.damaged"))
            return _connect(self._path)


def store_path(state_dir: Path, worker: int) -> Path:
    """Where a worker's events are: `state_dir/tracking/w0.db`."""
    return state_dir / "tracking" / f"w{worker}.db"


def earliest_id(seconds: float) -> int:
    """The smallest id of an event at `seconds` since the epoch."""
    return int(seconds * 1000) << _SEQUENCE_BITS


@cache
def _insert(rows: int) -> str:
    return "INSERT INTO event VALUES " + ",".join(["(?,?,?)"] * rows)


def _connect(path: Path) -> tuple[sqlite3.Connection, int]:
    """A connection, and the highest id that was given."""
    connection = sqlite3.connect(path, isolation_level=None, check_same_thread=False)
    try:
        connection.executescript(_SCHEMA)
        (last_id,) = connection.execute("SELECT coalesce(max(id), 0) FROM event").fetchone()
    except BaseException:
        connection.close()
        raise
    return connection, last_id
