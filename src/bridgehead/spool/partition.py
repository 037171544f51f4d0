"""One partition on disk: its files, who owns it, and opening it even if it is damaged.

state_dir/spool/p0.db       messages and the states of recipients (`schema`)
state_dir/spool/p0.bodies/  bodies too large for a row (`body_files`)
state_dir/spool/p0.lock     locked while a process owns the partition
state_dir/spool/p0.ids      the highest queue id that may have been given (`id_mark`)
state_dir/spool/p3.into     into which partition it moves, where its worker is gone (`takeover`)
state_dir/spool/p0.suspect  exists when damage was met in use: the next start salvages
state_dir/damaged/          what was set aside (`quarantine`)
"""

from __future__ import annotations

import fcntl
import os
import re
import sqlite3
from contextlib import suppress
from pathlib import Path
from typing import Final

from bridgehead.core.error import MachineError
from bridgehead.spool.disk import Disk, is_damage, is_unreadable
from bridgehead.spool.quarantine import Quarantine
from bridgehead.spool.recovery import open_or_salvage, salvage
from bridgehead.spool.schema import DamagedError, open_entry

_WITHOUT_ROOM: Final = frozenset({sqlite3.SQLITE_FULL, sqlite3.SQLITE_IOERR_SHMSIZE})
"""The second one is the file that maps the log, which SQLite makes anew at each start: "disk I/O error"."""
_NAME: Final = re.compile(r"p([0-9]{1,3})\.db")


class Partition:
    """A partition that this process owns until `release`; a lock of the kernel, so it ends with the process."""

    def __init__(self, state_dir: Path, number: int) -> None:
        """Lock it, creating its folders. `MachineError` if another process owns it or the folder is not ours."""
        self.number = number
        self.path = partition_path(state_dir, number)
        self.bodies = self.path.with_suffix(".bodies")
        self.quarantine = Quarantine(state_dir / "damaged")
        try:
            self.path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
            self.bodies.mkdir(mode=0o700, exist_ok=True)
            _sync_names(self.path.parent)
            self._lock = os.open(self.path.with_suffix(".lock"), os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        except OSError as error:
            raise MachineError(f"cannot use {self.path.parent}: {error.strerror}") from error
        try:
            fcntl.flock(self._lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as error:
            self.release()
            raise MachineError(f"{self.path} is in use by another process") from error

    def connect(self) -> sqlite3.Connection:
        """The connection that writes; a damaged database is salvaged first. `MachineError` if the disk refuses."""
        try:
            connection = open_or_salvage(self.path, self.quarantine)
            if self.quarantine.count:
                self.keep_unnamed_bodies(connection)
            if self._suspect.exists():
                connection = self.salvage(connection, "damage was met while it was in use")
            connection = self._settled(connection)
            Disk().sync_folder(self.path.parent)  # the log's name: SQLite syncs it, but is silent where that fails
        except (sqlite3.Error, OSError) as error:
            raise MachineError(_advice(self.path, error)) from error
        return connection

    def _settled(self, connection: sqlite3.Connection) -> sqlite3.Connection:
        try:
            _settle(connection)
        except sqlite3.DatabaseError as error:
            if not is_damage(error):
                raise
            return self.salvage(connection, str(error))
        return connection

    def salvage(self, connection: sqlite3.Connection, reason: str) -> sqlite3.Connection:
        """Replace a damaged database, open as `connection`, by what can be read of it."""
        connection.close()
        fresh = salvage(self.path, self.quarantine, reason)
        self._suspect.unlink(missing_ok=True)
        self.keep_unnamed_bodies(fresh)
        return fresh

    def keep_unnamed_bodies(self, connection: sqlite3.Connection) -> None:
        """Set aside the files of bodies that no entry names, where entries were damaged: one of them may have.

        Copies, as the next `recover` takes such files for what a crash left, and away.
        """
        named = {_file_of(entry) for (entry,) in connection.execute("SELECT entry FROM message")}
        unnamed = sorted(path for path in self.bodies.iterdir() if path.name not in named)
        if unnamed:
            self.quarantine.add_files(self.path.stem, "bodies that no readable message names", unnamed)

    def mark_suspect(self) -> None:
        """Damage was met: have the next start salvage the partition, where the disk takes even that."""
        with suppress(OSError):
            self._suspect.touch()

    def release(self) -> None:
        """Let go of the partition."""
        os.close(self._lock)

    @property
    def _suspect(self) -> Path:
        return self.path.with_suffix(".suspect")


def _file_of(sealed: object) -> str:
    try:
        return open_entry(sealed).file
    except DamagedError:
        return ""


def _settle(connection: sqlite3.Connection) -> None:
    """Make durable what the log holds, and begin it anew.

    The process before this one may have ended between a write and its sync, or after a sync that failed: what is read
    back then is in memory, but perhaps not on the disk, and commits that follow it in the log would not be either.
    """
    try:
        connection.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchone()
    except sqlite3.OperationalError as error:
        if error.sqlite_errorcode != sqlite3.SQLITE_FULL:  # on a full disk outcomes still find room in the log
            raise


def _advice(path: Path, error: sqlite3.Error | OSError) -> str:
    """What keeps a partition from being opened, and what to do: it is told in `status`."""
    if is_unreadable(error):
        return (
            f"the disk gives nothing of {path} (input/output error), its mail waits: look at dmesg, mend the disk,"
            f" or stop the server and move {path.parent.parent} to another one"
        )
    if getattr(error, "sqlite_errorcode", 0) in _WITHOUT_ROOM:
        return f"the disk has no room for {path} to be opened, its mail waits: make room, it is tried again by itself"
    return f"cannot open {path}: {error}"


def _sync_names(folder: Path) -> None:
    """Make durable that there is this folder: a name that is lost takes all that is durable below with it."""
    disk = Disk()
    disk.sync_folder(folder)
    disk.sync_folder(folder.parent)
    for above in folder.absolute().parent.parents:
        with suppress(PermissionError):  # where we may not even look, we did not make the folder
            disk.sync_folder(above)


def partition_path(state_dir: Path, number: int) -> Path:
    """Where a partition's database is: `state_dir/spool/p0.db`."""
    return state_dir / "spool" / f"p{number}.db"


def partitions(state_dir: Path) -> list[int]:
    """Numbers of the partitions that exist, in order."""
    folder = state_dir / "spool"
    if not folder.is_dir():
        return []
    return sorted(int(match[1]) for path in folder.iterdir() if (match := _NAME.fullmatch(path.name)))
