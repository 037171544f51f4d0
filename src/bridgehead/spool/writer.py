"""The thread that makes submissions durable: the commit in flight collects the next batch (group commit).

The order for each batch: fsync of the new body files and of their folder, one statement with all changes (which is
one transaction), the word to the event loop, then the files of removed messages. A batch that fails is tried again
one submission at a time, so that one bad submission does not fail its neighbours.

No `done(None)` ever follows a failed fsync: SQLite leaves the failed frames out of its log and writes them anew, and
after any fault that is not the submission's own the connection is opened afresh. One gap remains: if power fails
right after a failed commit, the submission may be found whole although `done` reported an error; that is a duplicate,
as the client was told to come back.

A defect of ours ends the thread, never silently: it is logged, every submission that still waits gets a
`SpoolLostError`, and so does the owner, whose process has to end.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import queue
import sqlite3
import threading
import time
from bisect import bisect_left
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final, TypeAlias, TypeVar

from bridgehead.spool.contract import COMMIT_BUCKETS_SECONDS, Change, Done, SpoolLostError
from bridgehead.spool.disk import Disk, Value
from bridgehead.spool.schema import COLUMNS, STATEMENT_ROWS_MAX, blanks_for, change_statement, connect_owner

log: Final = logging.getLogger(__name__)

GATHER_SECONDS: Final = 0.001
"""How long a batch waits for more, where the one before held several: on a fast disk commits would else be so small
that handing them from thread to thread costs more than they do."""
CHECKPOINT_BYTES: Final = 8 * 1024 * 1024
"""Written between checkpoints, about. Measured: 2 MB costs a tenth more, 32 MB a tenth less, but then a checkpoint on
a slow disk, and a start after a crash, take four times as long."""
_BATCH_BYTES_MAX: Final = 8 * 1024 * 1024
_BATCH_VALUES_MAX: Final = STATEMENT_ROWS_MAX * COLUMNS
_ROW_BYTES: Final = 8 * 1024
"""What a row writes beside its body: the leaf, the list of free pages, the table of pointers. A rough mean."""
_IDLE_SECONDS: Final = 0.25
_FREE_PAGES_KEPT: Final = 4096
"""Pages of 4 KB left for new mail when a backlog has drained; the rest goes back to the file system."""
_VACUUM_PAGES: Final = 1024
"""Given back in one step: some milliseconds."""


@dataclass(slots=True)
class Submission:
    """What one `submit` became. Filled by the event loop, then read by the thread."""

    changes: Sequence[Change]
    done: Done | None
    values: list[Value] = field(default_factory=list)
    """Rows for the view `change`, one after the other."""
    size: int = 0
    """Octets of bodies in `values`."""
    new_files: tuple[Path, ...] = ()
    old_files: tuple[Path, ...] = ()


_T = TypeVar("_T")
Results: TypeAlias = Sequence[tuple[Submission, Exception | None]]


@dataclass(frozen=True, slots=True)
class Place:
    """Where a writer writes, and whom it tells."""

    path: Path
    disk: Disk
    loop: asyncio.AbstractEventLoop
    committed: Callable[[Results], None]
    """Called on the loop after each batch, in order of the batches."""
    lost: Callable[[SpoolLostError], None]
    """Called on the loop, once, when the thread ended by a defect and every submission had its error."""


class Writer:
    """One partition's writer thread. `put` and `stop` are called on the event loop; the rest is the thread's."""

    def __init__(self, place: Place, connection: sqlite3.Connection) -> None:
        self._place = place
        self._connection: sqlite3.Connection | None = connection
        self._waiting: queue.SimpleQueue[Submission | None] = queue.SimpleQueue()
        self._thread = threading.Thread(target=self._run, name=f"spool {place.path.stem}", daemon=True)
        self._stopped: asyncio.Future[None] = place.loop.create_future()
        self._stopping = False
        self._lost: SpoolLostError | None = None
        """Why nothing becomes durable any more. The event loop's."""
        self._batch: list[Submission] = []
        """What the thread took and has not answered for."""
        self._is_busy = False
        """Submissions come faster than one a commit: it pays to wait for more of them."""
        self._is_restless = False
        """There is something to tidy once no mail comes."""
        self._unsettled_bytes = 0
        """Written since the last checkpoint, about."""
        self.commits = 0
        self.commit_seconds = 0.0
        self.commit_buckets = [0] * (len(COMMIT_BUCKETS_SECONDS) + 1)

    def start(self) -> None:
        """Begin; the connection belongs to the thread from now on."""
        self._thread.start()

    def put(self, submission: Submission) -> None:
        """Make it durable with the next batch."""
        if self._lost is not None:
            self._place.loop.call_soon(self._place.committed, [(submission, self._lost)])
            return
        self._waiting.put(submission)

    async def stop(self) -> None:
        """Wait until everything is durable that was put, or the writer is lost; the connection is closed then."""
        self._waiting.put(None)
        await self._stopped
        self._thread.join()

    def _run(self) -> None:
        """The life of the thread, and its last word."""
        try:
            self._work()
        except Exception as defect:
            log.critical("the writer of a spool ended by a defect", exc_info=True, extra={"event": "spool-lost"})
            self._close()
            self._tell(self._answer_for_all, SpoolLostError(self._place.path, defect))
        else:
            self._close()
            self._tell(self._stopped.set_result, None)

    def _work(self) -> None:
        while not self._stopping:
            self._gather()
            batch = self._batch
            if batch:
                started = time.perf_counter()
                results = self._commit(batch)
                self._batch = []
                self._tell(self._place.committed, results)
                seconds = time.perf_counter() - started
                self.commit_seconds += seconds
                self.commit_buckets[bisect_left(COMMIT_BUCKETS_SECONDS, seconds)] += 1
                self._remove_files(results)
            if self._unsettled_bytes >= CHECKPOINT_BYTES or (self._is_restless and not batch):
                self._tidy()

    def _gather(self) -> None:
        """Fill the batch with all that waits, or what comes next; with nothing where nothing came, or at the end."""
        batch = self._batch
        values = size = 0
        try:
            submission = self._waiting.get(timeout=_IDLE_SECONDS if self._is_restless else None)
            if self._is_busy:
                time.sleep(GATHER_SECONDS)
            while submission is not None:
                batch.append(submission)
                values += len(submission.values)
                size += submission.size
                if values >= _BATCH_VALUES_MAX or size >= _BATCH_BYTES_MAX:
                    return
                submission = self._waiting.get_nowait()
        except queue.Empty:
            self._is_busy = len(batch) > 1
            return
        self._stopping = True

    def _commit(self, batch: list[Submission]) -> Results:
        """Make a batch durable; if it fails as a whole, each submission by itself."""
        try:
            self._write(batch)
        except Exception as error:  # noqa: BLE001  whatever it was, this batch does not hold, and the thread must live
            self._mend(error)
            if len(batch) == 1:
                return [(batch[0], error)]
            return [result for submission in batch for result in self._commit([submission])]
        self.commits += 1
        return [(submission, None) for submission in batch]

    def _write(self, batch: list[Submission]) -> None:
        place = self._place
        if self._connection is None:
            self._connection = connect_owner(place.path)
        new_files = [path for submission in batch for path in submission.new_files]
        for path in new_files:
            place.disk.sync_file(path)
        for folder in {path.parent for path in new_files}:
            place.disk.sync_folder(folder)
        values = [value for submission in batch for value in submission.values]
        if values:
            _apply(self._connection, place.disk, values)
        rows = len(values) // COLUMNS
        self._unsettled_bytes += rows * _ROW_BYTES + sum(submission.size for submission in batch)
        self._is_restless = True

    def _mend(self, error: Exception) -> None:
        """After a fault that is not the submission's own, begin again with a new connection."""
        if isinstance(error, sqlite3.IntegrityError):
            return
        self._close()
        try:
            self._connection = connect_owner(self._place.path)
        except (sqlite3.Error, OSError):
            self._connection = None  # the next batch tries again

    def _remove_files(self, results: Results) -> None:
        """Files of messages that are gone, and of those that could not be accepted."""
        for submission, error in results:
            for path in submission.old_files if error is None else submission.new_files:
                try:
                    self._place.disk.unlink(path)
                except OSError:
                    continue  # no row names it: the next start removes it

    def _tidy(self) -> None:
        """Move the log into the database, and give pages back that a drained backlog left.

        Done after the event loop was told, so that no client waits for it.
        """
        self._is_restless = False
        self._unsettled_bytes = 0
        connection = self._connection
        if connection is None:
            return
        try:
            connection.execute("PRAGMA wal_checkpoint(PASSIVE)").fetchone()
            (free,) = connection.execute("PRAGMA freelist_count").fetchone()
            if free > _FREE_PAGES_KEPT + _VACUUM_PAGES:
                connection.executescript(f"PRAGMA incremental_vacuum({_VACUUM_PAGES})")
                self._is_restless = True
        except sqlite3.Error as error:
            self._mend(error)

    def _close(self) -> None:
        if self._connection is not None:
            with contextlib.suppress(
                sqlite3.Error
            ):  # what was committed is in the log; the next start reads it there
                self._connection.close()
            self._connection = None

    def _answer_for_all(self, error: SpoolLostError) -> None:
        """On the event loop, when the thread has ended: nobody may wait for ever."""
        self._lost = error
        waiting = self._batch
        with contextlib.suppress(queue.Empty):
            while True:
                submission = self._waiting.get_nowait()
                if submission is not None:
                    waiting.append(submission)
        self._place.committed([(submission, error) for submission in waiting])
        self._stopped.set_result(None)
        self._place.lost(error)

    def _tell(self, callback: Callable[[_T], None], argument: _T) -> None:
        try:
            self._place.loop.call_soon_threadsafe(callback, argument)
        except RuntimeError:
            self._stopping = True  # the loop is closed: nobody is left to be promised anything


def _apply(connection: sqlite3.Connection, disk: Disk, values: list[Value]) -> None:
    """All rows in one transaction: one statement, or as many as it takes."""
    rows = len(values) // COLUMNS
    if rows <= STATEMENT_ROWS_MAX:
        blanks = blanks_for(rows)
        disk.write(connection, change_statement(rows + len(blanks) // COLUMNS), [*values, *blanks])
        return
    connection.execute("BEGIN IMMEDIATE")
    try:
        for start in range(0, len(values), STATEMENT_ROWS_MAX * COLUMNS):
            part = values[start : start + STATEMENT_ROWS_MAX * COLUMNS]
            blanks = blanks_for(len(part) // COLUMNS)
            connection.execute(change_statement((len(part) + len(blanks)) // COLUMNS), [*part, *blanks])
        disk.write(connection, "COMMIT")
    except BaseException:
        if connection.in_transaction:
            connection.execute("ROLLBACK")
        raise
