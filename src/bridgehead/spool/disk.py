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
