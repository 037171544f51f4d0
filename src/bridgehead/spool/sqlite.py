"""The spool: one SQLite file for each worker's partition, with group commit. Keeps `spool/contract.py`.

The event loop makes rows and hands them to the writer thread (`writer`); the thread commits, and tells the loop once
for each batch. Reading is done here, on the loop: a message of 4 KB in the page cache takes 15 microseconds, less
than to ask a thread. Large bodies are checked by a thread.
"""

from __future__ import annotations

import asyncio
import sqlite3
import zlib
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import assert_never

from bridgehead.core.envelope import MessageId
from bridgehead.core.error import MachineError
from bridgehead.spool.body_files import BodyFiles, PendingBody, checksum_of
from bridgehead.spool.contract import (
    Change,
    Done,
    Insert,
    Remove,
    SpoolLostError,
    SpoolStatistics,
    StoredEntry,
    StoredMessage,
    Update,
)
from bridgehead.spool.disk import Disk, is_damage, is_unreadable
from bridgehead.spool.partition import Partition
from bridgehead.spool.read_only import read_message
from bridgehead.spool.recovery import ScannedRow, read_parts, scan
from bridgehead.spool.schema import (
    Act,
    DamagedError,
    Entry,
    connect_reader,
    seal,
    stored_entry,
)
from bridgehead.spool.takeover import TakeoverMark
from bridgehead.spool.writer import Place, Results, Submission, Writer

_INSERT = Act.INSERT.value
_UPDATE = Act.UPDATE.value
_REMOVE = Act.REMOVE.value


class SqliteSpool:
    """One partition, owned by this process. Everything is called on the event loop it was opened on."""

    def __init__(
        self,
        state_dir: Path,
        partition: int,
        disk: Disk | None = None,
        lost: Callable[[SpoolLostError], None] = lambda _: None,
    ) -> None:
        """Open the partition, or create it.

        `MachineError` if another process owns it or takes it over, or the folder is not ours.

        `lost` is called once if nothing becomes durable any more, after the `done` of everything that waited.
        """
        self._disk = disk or Disk()
        self._lost = lost
        self._partition = Partition(state_dir, partition)
        self._bodies = BodyFiles(self._partition.bodies, self._disk)
        self._faults = self._bodies.faults
        self._connection: sqlite3.Connection | None = self._connect()
        """The owner's, until the writer thread takes it."""
        self._reader: sqlite3.Connection | None = None
        self._body_reader = ThreadPoolExecutor(1, f"bodies {self._partition.path.stem}")
        self._writer: Writer | None = None
        self._files: dict[MessageId, str] = {}
        """Names of the body files of messages that have one."""
        self._messages = 0
        self._is_recovering = False
        self._early: list[Submission] = []
        """Submitted while the partition was still being read: the connection is not the writer's before that ends."""
        self._is_closed = False

    def new_body(self) -> PendingBody:
        """Begin to receive a body."""
        return self._bodies.new_body()

    def submit(self, changes: Sequence[Change], done: Done | None = None) -> None:
        """Hand over changes that become durable together; returns at once."""
        if self._is_closed:
            raise RuntimeError("the spool is closed")
        submission = Submission(changes, done)
        for change in changes:
            match change:
                case Insert():
                    self._add_insert(submission, change)
                case Update():
                    for ordinal, state in change.states.items():
                        submission.values += (change.message_id, _UPDATE, ordinal, seal(state), None)
                case Remove():
                    submission.values += (change.message_id, _REMOVE, 0, None, None)
                    name = self._files.get(change.message_id)
                    if name is not None:
                        submission.old_files += (self._bodies.folder / name,)
                case _:
                    assert_never(change)
        if self._is_recovering:
            self._early.append(submission)
        else:
            self._started_writer().put(submission)

    async def load(self, message_id: MessageId) -> StoredMessage | None:
        """Read a message; `None` if it is not there. `sqlite3.OperationalError` if the disk cannot be read now."""
        try:
            found = self._read(message_id)
        except sqlite3.OperationalError as error:
            if is_unreadable(error):
                self._partition.mark_suspect()
            raise  # the disk does not give it now; nothing is known to be damaged
        except sqlite3.DatabaseError as error:
            # Not taken out: what the disk does not give now it may give to the salvage of the next start.
            self._partition.mark_suspect()
            self._keep(message_id, str(error))
            return None
        except DamagedError as error:
            self._keep(message_id, str(error))
            self.submit([Remove(message_id)])
            return None
        if found is None or found[0].body.path is None:
            return found and found[0]
        return await self._with_checked_file(*found)

    def recover(self) -> Iterator[StoredEntry]:
        """Every message of the partition in order of arrival."""
        if self._connection is None:
            raise RuntimeError("recover comes before the first submit")
        self._is_recovering = True
        files = self._bodies.names()
        damaged: list[tuple[int, str]] = []
        for message_id, blob, states in self._scan_and_salvage(self._connection):
            try:
                entry, file = stored_entry(message_id, blob, states)
            except DamagedError as error:
                damaged.append((message_id, str(error)))
                continue
            if file:
                self._files[entry.message_id] = file
            self._messages += 1
            yield entry
        self._set_aside_all(self._connection, damaged)
        self._bodies.remove_orphans(files, set(self._files.values()))
        self._is_recovering = False
        for submission in self._early:
            self._started_writer().put(submission)
        self._early.clear()

    def start(self) -> None:
        """Start the threads, after `recover` and on the event loop; else the first use does.

        A thread that finds no memory for its own beginning leaves whoever starts it waiting for ever (CPython's
        `Thread.start`): better at the start of a worker, which its supervisor waits for, than with mail in its hands.
        """
        self._started_writer()
        self._body_reader.submit(int)

    def statistics(self) -> SpoolStatistics:
        """Counts since the spool was opened."""
        writer, damaged = self._writer, self._partition.quarantine.count
        count, present = self._faults.count, self._faults.present
        if writer is None:
            return SpoolStatistics(self._messages, 0, 0.0, damaged, (), count, present)
        buckets = tuple(writer.commit_buckets)
        return SpoolStatistics(
            self._messages, writer.commits, writer.commit_seconds, damaged, buckets, count, present
        )

    async def close(self) -> None:
        """Wait until all that was submitted is durable, then let go of the partition."""
        if self._is_closed:
            return
        self._is_closed = True
        if self._writer is not None:
            await self._writer.stop()
        if self._connection is not None:
            self._connection.close()
        if self._reader is not None:
            self._reader.close()
        self._body_reader.shutdown(wait=False, cancel_futures=True)
        self._partition.release()

    def _add_insert(self, submission: Submission, change: Insert) -> None:
        body = change.body
        if body.content is not None:
            entry = Entry(change.envelope, body.size, zlib.crc32(body.content))
            submission.size += body.size
        elif body.path is not None:
            entry = Entry(change.envelope, body.size, self._bodies.take(body.path), body.path.name)
            submission.new_files += (body.path,)
            self._files.setdefault(change.message_id, body.path.name)
        else:
            raise ValueError("a body has neither content nor path")
        submission.values += (change.message_id, _INSERT, 0, seal(entry), body.content)

    def _started_writer(self) -> Writer:
        if self._writer is None:
            place = Place(
                self._partition.path,
                self._disk,
                asyncio.get_running_loop(),
                self._committed,
                self._partition.mark_suspect,
                self._lost,
            )
            assert self._connection is not None
            self._writer = Writer(place, self._connection)
            self._connection = None
            self._writer.start()
        return self._writer

    def _committed(self, results: Results) -> None:
        """On the event loop, after each batch: what became durable, in order of submission."""
        self._look_for_faults(results)
        for submission, error in results:
            if error is None:
                for change in submission.changes:
                    self._note(change)
            else:
                self._undo(submission)
            if submission.done is None:
                continue
            try:
                submission.done(error)
            except Exception as defect:  # noqa: BLE001  a defect of one caller must not silence the others
                context = {"message": "a spool submission's done raised", "exception": defect}
                asyncio.get_running_loop().call_exception_handler(context)

    def _look_for_faults(self, results: Results) -> None:
        errors = [error for _, error in results if error is not None]
        if not errors and any(submission.changes for submission, _ in results):
            self._faults.worked()
        for error in errors:
            self._faults.failed(error)

    def _note(self, change: Change) -> None:
        match change:
            case Insert():
                self._messages += 1
            case Remove():
                self._messages -= 1
                self._files.pop(change.message_id, None)
            case Update():
                pass
            case _:
                assert_never(change)

    def _undo(self, submission: Submission) -> None:
        """A submission failed: the files of its bodies are gone."""
        for change in submission.changes:
            if isinstance(change, Insert) and change.body.path is not None:
                name = self._files.get(change.message_id)
                if name == change.body.path.name:
                    del self._files[change.message_id]

    def _read(self, message_id: MessageId) -> tuple[StoredMessage, int] | None:
        if self._reader is None:
            self._reader = connect_reader(self._partition.path)
        return read_message(self._reader, message_id, self._bodies.folder)

    async def _with_checked_file(self, stored: StoredMessage, checksum: int) -> StoredMessage | None:
        """The message if its body's file is whole; reading all of it is left to a thread."""
        path = stored.body.path
        assert path is not None
        loop = asyncio.get_running_loop()
        try:
            is_whole = await loop.run_in_executor(self._body_reader, checksum_of, path) == checksum
        except FileNotFoundError:
            is_whole = False
        if is_whole:
            return stored
        if self._read(stored.message_id) is not None:  # else it was removed meanwhile
            self._keep(stored.message_id, "the body's file is missing or was changed", path)
            self.submit([Remove(stored.message_id)])
        return None

    def _keep(self, message_id: MessageId, reason: str, file: Path | None = None) -> None:
        """Set aside what is left of a damaged message."""
        reader = self._reader
        parts = read_parts(reader, message_id) if reader is not None else {}
        self._partition.quarantine.add(message_id, reason, parts, file)

    def _scan_and_salvage(self, connection: sqlite3.Connection) -> Iterator[ScannedRow]:
        """All rows; where the database turns out to be damaged, go on in the salvaged one."""
        last = -1
        try:
            for row in scan(connection):
                last = row[0]
                yield row
        except sqlite3.DatabaseError as error:
            if not is_damage(error):
                raise
            self._connection = self._partition.salvage(connection, str(error))
            yield from scan(self._connection, last)

    def _set_aside_all(self, connection: sqlite3.Connection, damaged: list[tuple[int, str]]) -> None:
        """Take damaged entries out; where not even that can be done, a salvage leaves them behind."""
        try:
            if damaged:
                self._partition.keep_unnamed_bodies(connection)
            for number, reason in damaged:
                self._partition.quarantine.add(number, reason, read_parts(connection, number))
                connection.execute("DELETE FROM message WHERE id = ?", (number,))
                connection.execute("DELETE FROM recipient_state WHERE message = ?", (number,))
        except sqlite3.DatabaseError as error:
            if not is_damage(error):
                raise
            self._connection = self._partition.salvage(connection, str(error))

    def _connect(self) -> sqlite3.Connection:
        try:
            into = TakeoverMark(self._partition.path).read()
            if into is not None:
                raise MachineError(f"{self._partition.path} moves into p{into}.db, and can be used when that is done")
            return self._partition.connect()
        except BaseException:
            self._partition.release()
            raise
