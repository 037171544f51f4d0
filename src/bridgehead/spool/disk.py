"""The few calls that make things durable, behind one door, so that tests can fail or crash each of them.

Everything else of the spool reads. All methods may wait for the disk; none is called on the event loop but at start.
"""

from __future__ import annotations

import os
import sqlite3
from collections.abc import Sequence
from pathlib import Path
from typing import TypeAlias

Value: TypeAlias = int | str | bytes | None


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
