"""Taking over the partition of a worker that is gone, when the number of workers shrank.

First the mark that the partition moves, and into which (`takeover`). Then, for each batch of messages: a second name
for the body files in the own folder, fsync of that folder, the rows inserted durably into the own partition, then
deleted from the other one, then the first names of the files. Ids are unique, so what is there already is left alone:
after a crash at any point the act is simply done again, by the same worker, and nothing is lost or doubled.
"""

from __future__ import annotations

import logging
import sqlite3
from pathlib import Path
from typing import Final

from bridgehead.spool.disk import Disk, is_damage
from bridgehead.spool.partition import Partition, partition_path, partitions
from bridgehead.spool.schema import DamagedError, open_entry
from bridgehead.spool.takeover import TakeoverMark, marks, orphans

log: Final = logging.getLogger(__name__)

_BATCH: Final = 200
_ADOPTED: Final = {"event": "adopted"}


def adopt(state_dir: Path, own: int, workers: int, disk: Disk | None = None) -> dict[int, int]:
    """Move all messages of the partitions that are `own`'s to take over, where so many workers run.

    Returns how many messages each such partition had; it is gone then. Call before `own` is opened as a spool.
    `MachineError` if one of them is in use or cannot be opened, `OSError` or `sqlite3.Error` where the disk refuses;
    what has moved by then has. Waits for the disk.
    """
    moved: dict[int, int] = {}
    target = Partition(state_dir, own)
    try:
        for orphan in orphans(own, partitions(state_dir), marks(state_dir), workers):
            source = Partition(state_dir, orphan)
            try:
                # A worker of a server that was killed may be at this still, and find what is another's by now.
                if TakeoverMark(source.path).read() in {None, own}:
                    moved[orphan] = _Adoption(state_dir, target, source, disk or Disk()).run()
                    log.info("adopted %d messages of partition %d", moved[orphan], orphan, extra=_ADOPTED)
            finally:
                source.release()
    finally:
        target.release()
    return moved


class _Adoption:
    """One adoption while it runs."""

    def __init__(self, state_dir: Path, target: Partition, source: Partition, disk: Disk) -> None:
        self._state_dir, self._target, self._source, self._disk = state_dir, target, source, disk
        self._mark = TakeoverMark(source.path)
        self._moved = 0
        self._has_damage = False
        """An entry could not be read, so its body's file may be among those that seem to belong to nobody."""

    def run(self) -> int:
        into = self._target.connect()
        try:
            from_ = self._source.connect()
            try:
                self._mark.write(self._target.number, self._disk)
                self._move_all(into, from_)
            except sqlite3.DatabaseError as error:
                if not is_damage(error):
                    raise
                from_ = self._source.salvage(from_, str(error))
                self._move_again(into, from_)
            finally:
                from_.close()
        finally:
            into.close()
        self._remove_source()
        self._redirect()
        self._mark.clear(self._disk)
        return self._moved

    def _move_again(self, into: sqlite3.Connection, from_: sqlite3.Connection) -> None:
        """From a source that is whole: what is damaged still is the target, which the next start salvages."""
        try:
            self._move_all(into, from_)
        except sqlite3.DatabaseError as error:
            if is_damage(error):
                self._target.mark_suspect()
            raise

    def _move_all(self, into: sqlite3.Connection, from_: sqlite3.Connection) -> None:
        into.execute("ATTACH ? AS orphan", (str(self._source.path),))
        try:
            while rows := from_.execute("SELECT id, entry FROM message ORDER BY id LIMIT ?", (_BATCH,)).fetchall():
                files = [file for _, entry in rows if (file := self._file_of(entry))]
                self._link(files)
                bounds = (rows[0][0], rows[-1][0])
                self._insert(into, bounds)
                self._delete(from_, bounds)
                for file in files:
                    self._disk.unlink(self._source.bodies / file)
                self._moved += len(rows)
        finally:
            if into.in_transaction:
                into.execute("ROLLBACK")
            into.execute("DETACH orphan")

    def _file_of(self, sealed: bytes) -> str:
        try:
            return open_entry(sealed).file
        except DamagedError:
            self._has_damage = True  # it moves as it is: the next `recover` sets it aside
            return ""

    def _link(self, files: list[str]) -> None:
        for file in files:
            source = self._source.bodies / file
            if source.exists():  # a missing file is set aside with its message when that is loaded
                self._disk.link(source, self._target.bodies / file)
        if files:
            self._disk.sync_folder(self._target.bodies)

    def _insert(self, into: sqlite3.Connection, bounds: tuple[int, int]) -> None:
        into.execute("BEGIN IMMEDIATE")
        into.execute(
            "INSERT OR IGNORE INTO main.message SELECT * FROM orphan.message WHERE id BETWEEN ? AND ?", bounds
        )
        into.execute(
            "INSERT OR IGNORE INTO main.recipient_state"
            " SELECT * FROM orphan.recipient_state WHERE message BETWEEN ? AND ?",
            bounds,
        )
        self._disk.write(into, "COMMIT")

    def _delete(self, from_: sqlite3.Connection, bounds: tuple[int, int]) -> None:
        from_.execute("BEGIN IMMEDIATE")
        from_.execute("DELETE FROM message WHERE id BETWEEN ? AND ?", bounds)
        from_.execute("DELETE FROM recipient_state WHERE message BETWEEN ? AND ?", bounds)
        self._disk.write(from_, "COMMIT")

    def _redirect(self) -> None:
        """What moves into the source goes on into the target: there it is, as far as it had moved.

        Before the source may be used again, as somebody else would then go on with it.
        """
        for number, into in marks(self._state_dir).items():
            if into == self._source.number:
                TakeoverMark(partition_path(self._state_dir, number)).write(self._target.number, self._disk)

    def _remove_source(self) -> None:
        """Everything has moved. The lock's file stays, as locks are taken on it."""
        source = self._source
        left = sorted(source.bodies.iterdir())
        if left and self._has_damage:
            source.quarantine.add_files(source.path.stem, "bodies that no readable message names", left)
        for path in left:
            self._disk.unlink(path)
        source.bodies.rmdir()
        for suffix in ("-wal", "-shm", ""):
            self._disk.unlink(source.path.with_name(source.path.name + suffix))
