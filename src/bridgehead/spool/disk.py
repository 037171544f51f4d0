"""The few calls that make things durable, behind one door, so that tests can fail or crash each of them.

Everything else of the spool reads. All methods may wait for the disk; none is called on the event loop but at start.

A disk that answers a read with an error is read around, in pieces of a page: `copy_readable`.
"""

from __future__ import annotations

import errno
import os
import sqlite3
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path
from typing import Final, TypeAlias

Value: TypeAlias = int | str | bytes | None

_READ_ERRORS: Final = frozenset(
    {sqlite3.SQLITE_IOERR_READ, sqlite3.SQLITE_IOERR_SHORT_READ, sqlite3.SQLITE_IOERR_CORRUPTFS}
)
_READ_AT_ONCE: Final = 1024 * 1024
_PIECE: Final = 4096
"""The least that is read, or given up: a page of the database, and of the system's cache."""
_SAMPLES: Final = 16
"""Places, spread over a file, none of which can be read where a disk is gone."""


def is_damage(error: sqlite3.Error) -> bool:
    """Whether something is not as it was written, or the disk does not give it.

    Else the disk is full, a right is missing, or a lock is held: that passes, and nothing is to be set aside for it.
    """
    return not isinstance(error, sqlite3.OperationalError) or is_unreadable(error)


def is_unreadable(error: Exception) -> bool:
    """Whether the disk answered a read with an error."""
    if isinstance(error, OSError):
        return error.errno == errno.EIO
    return getattr(error, "sqlite_errorcode", 0) in _READ_ERRORS


class Faults:
    """What the disk refused to write. Mutable; used on the event loop of the spool it belongs to."""

    def __init__(self) -> None:
        self.count = 0
        """Writes refused since the spool was opened."""
        self.present = ""
        """Why nothing could be written the last time, `"disk I/O error"`; empty: that write was taken."""

    def failed(self, error: Exception) -> None:
        """A write was refused; a submission that contradicts what is there is its maker's fault, not the disk's."""
        if isinstance(error, sqlite3.IntegrityError):
            return
        self.count += 1
        reason = error.strerror if isinstance(error, OSError) else str(error)
        self.present = reason or type(error).__name__

    def worked(self) -> None:
        """A write was taken."""
        self.present = ""


class Disk:
    """The real disk."""

    def write(self, connection: sqlite3.Connection, statement: str, values: Sequence[Value] = ()) -> None:
        """Run one statement; where no transaction is open it is durable on return (`synchronous=FULL`)."""
        connection.execute(statement, values)

    def sync_file(self, path: Path) -> None:
        """Wait until the content of a file is on the disk."""
        descriptor = os.open(path, os.O_RDONLY)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)

    def write_line(self, path: Path, line: str) -> None:
        """Replace a file of one short line by one as long, durably: less than a sector, so it is all or nothing."""
        descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_CLOEXEC, 0o600)
        try:
            os.write(descriptor, f"{line}\n".encode())
            os.fsync(descriptor)
        finally:
            os.close(descriptor)
        self.sync_folder(path.parent)  # its name may be there, and not durable, since a process that was killed

    def sync_folder(self, path: Path) -> None:
        """Wait until the names in a folder are on the disk."""
        self.sync_file(path)

    def link(self, source: Path, target: Path) -> None:
        """Give a file a second name; it may have it already."""
        try:
            os.link(source, target)
        except FileExistsError:
            return

    def unlink(self, path: Path) -> None:
        """Remove a file; it may be gone already."""
        path.unlink(missing_ok=True)


def gives_anything(path: Path) -> bool:
    """Whether the disk gives some of a file: a few places tell, else one that is gone is asked a million times."""
    descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    try:
        size = os.fstat(descriptor).st_size
        return any(_read(descriptor, size * part // _SAMPLES) is not None for part in range(_SAMPLES))
    finally:
        os.close(descriptor)


def copy_readable(source: Path, target: Path) -> int:
    """Copy what of a file the disk gives; pieces that it answers with an error are zeros, and their octets returned.

    Each such piece takes as long as the disk tries.
    """
    missing = position = 0
    descriptor = os.open(source, os.O_RDONLY | os.O_CLOEXEC)
    try:
        size = os.fstat(descriptor).st_size
        with target.open("wb") as file:
            while position < size:
                piece = _read(descriptor, position)
                if piece is None:
                    step = min(_PIECE - position % _PIECE, size - position)
                    missing += step
                    file.seek(step, os.SEEK_CUR)
                else:
                    step = file.write(piece) or size  # no octet: the file was cut meanwhile
                position += step
            file.truncate(size)
    finally:
        os.close(descriptor)
    return missing


def _read(descriptor: int, position: int) -> bytes | None:
    """Some octets from `position` on, as many as can be had at once; `None` where the disk refuses even one piece."""
    for count in (_READ_AT_ONCE, _PIECE - position % _PIECE):
        with suppress(OSError):
            return os.pread(descriptor, count, position)
    return None
