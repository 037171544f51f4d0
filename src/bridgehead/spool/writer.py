"""The thread that makes submissions durable: the commit in flight collects the next batch (group commit).

The order for each batch: fsync of the new body files and of their folder, one statement with all changes (which is
one transaction), the word to the event loop, then the files of removed messages. A batch that fails is tried again
one submission at a time, so that one bad submission does not fail its neighbours.

No `done(None)` ever follows a failed fsync. A body is not synced twice, and the connection stays open: it knows which
frames of its log failed, leaves them out, and writes the next ones over them. A new connection would read the log
as it seems to be, and build on frames that never reached the disk. One gap remains: if the process ends right after a
failed commit, the submission may be found whole although `done` reported an error; that is a duplicate, as the
client was told to come back. So the files of such a submission stay until a later commit holds.

A defect of ours, or damage in the database, ends the thread, never silently: it is logged, every submission that
still waits gets a `SpoolLostError`, and so does the owner, whose process has to end.
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
from dataclasses import dataclass
from pathlib import Path
from typing import Final, TypeAlias, TypeVar

import msgspec

from bridgehead.spool.contract import COMMIT_BUCKETS_SECONDS, Change, Done, SpoolLostError
from bridgehead.spool.disk import Disk, Value, is_unreadable
from bridgehead.spool.schema import COLUMNS, STATEMENT_ROWS_MAX, blanks_for, change_statement

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
_DAMAGED: Final = frozenset({sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB})
_FREE_PAGES_KEPT: Final = 4096
"""Pages of 4 KB left for new mail when a backlog has drained; the rest goes back to the file system."""
_VACUUM_PAGES: Final = 1024
"""Given back in one step: some milliseconds."""


class Submission(msgspec.Struct):
    """What one `submit` became. Filled by the event loop, then read by the thread."""

    changes: Sequence[Change]
    done: Done | None
    values: list[Value] = []
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
    suspect: Callable[[], None]
    """Called by the thread where it meets damage: the next start is to salvage the partition."""
    lost: Callable[[SpoolLostError], None]
    """Called on the loop, once, when the thread ended before its time and every submission had its error."""


class Writer:
    """One partition's writer thread. `put` and `stop` are called on the event loop; the rest is the thread's."""

    def __init__(self, place: Place, connection: sqlite3.Connection) -> None:
        self._place = place
        self._connection = connection
        self._waiting: queue.SimpleQueue[Submission | None] = queue.SimpleQueue()
        self._thread = threading.Thread(target=self._run, name=f"spool {place.path.stem}", daemon=True)
        self._stopped: asyncio.Future[None] = place.loop.create_future()
        self._stopping = False
        self._lost: SpoolLostError | None = None
        """Why nothing becomes durable any more. The event loop's."""
        self._batch: list[Submission] = []
        """What the thread took and has not answered for."""
        self._doubtful_files: list[Path] = []
        """Of submissions that failed, and may hold again if the process ends before the next commit."""
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
            log.critical("the writer of a spool has to end", exc_info=True, extra={"event": "spool-lost"})
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
        """Make a batch durable: bodies in files first, then all rows."""
        if not any(submission.new_files for submission in batch):
            return self._commit_rows(batch)
        errors = self._sync_bodies(batch)
        rows = iter(self._commit_rows([one for one, error in zip(batch, errors, strict=True) if error is None]))
        return [next(rows) if error is None else (one, error) for one, error in zip(batch, errors, strict=True)]

    def _sync_bodies(self, batch: list[Submission]) -> list[Exception | None]:
        """Wait until the bodies are on the disk, and say whose are not.

        A sync that failed is final: the next one may succeed although what the first left behind is never written.
        """
        disk = self._place.disk
        errors: list[Exception | None] = []
        for submission in batch:
            try:
                for path in submission.new_files:
                    disk.sync_file(path)
            except Exception as error:  # noqa: BLE001  whatever it was, this body does not hold, and the thread must live
                errors.append(error)
            else:
                errors.append(None)
        good = [submission for submission, error in zip(batch, errors, strict=True) if error is None]
        try:
            for folder in {path.parent for submission in good for path in submission.new_files}:
                disk.sync_folder(folder)
        except Exception as failure:  # noqa: BLE001  as above
            return [error or (failure if one.new_files else None) for one, error in zip(batch, errors, strict=True)]
        return errors

    def _commit_rows(self, batch: list[Submission]) -> Results:
        """Write rows in one transaction; if that fails as a whole, each submission by itself."""
        if not batch:
            return []
        try:
            self._write(batch)
        except Exception as error:  # noqa: BLE001  whatever it was, this batch does not hold, and the thread must live
            self._end_if_damaged(error)
            if len(batch) == 1:
                return [(batch[0], error)]
            return [result for submission in batch for result in self._commit_rows([submission])]
        self.commits += 1
        return [(submission, None) for submission in batch]

    def _write(self, batch: list[Submission]) -> None:
        values = [value for submission in batch for value in submission.values]
        if values:
            _apply(self._connection, self._place.disk, values)
        rows = len(values) // COLUMNS
        self._unsettled_bytes += rows * _ROW_BYTES + sum(submission.size for submission in batch)
        self._is_restless = True

    def _end_if_damaged(self, error: Exception) -> None:
        """Where the database itself is damaged nothing more can be written: have the next start salvage it.

        Where the disk does not give some of it, the rest can be written still; the next start reads around that.
        """
        if is_unreadable(error):
            self._place.suspect()
        if getattr(error, "sqlite_errorcode", 0) in _DAMAGED:
            self._place.suspect()
            raise error

    def _remove_files(self, results: Results) -> None:
        """Files of messages that are gone, and of those that could not be accepted."""
        gone: list[Path] = []
        for submission, error in results:
            if error is None:
                gone += submission.old_files
                if submission.values:
                    gone += self._doubtful_files
                    self._doubtful_files = []
            elif getattr(error, "sqlite_errorcode", 0) & 0xFF == sqlite3.SQLITE_IOERR:
                self._doubtful_files += submission.new_files
            else:
                gone += submission.new_files
        for path in gone:
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
        try:
            connection.execute("PRAGMA wal_checkpoint(PASSIVE)").fetchone()
            (free,) = connection.execute("PRAGMA freelist_count").fetchone()
            if free > _FREE_PAGES_KEPT + _VACUUM_PAGES:
                connection.executescript(f"PRAGMA incremental_vacuum({_VACUUM_PAGES})")
                self._is_restless = True
        except sqlite3.Error as error:
            self._end_if_damaged(error)  # else the disk refuses for now; the log keeps what was committed

    def _close(self) -> None:
        with contextlib.suppress(sqlite3.Error):  # what was committed is in the log; the next start reads it there
            self._connection.close()

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
