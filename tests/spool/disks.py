"""Disks that fail: at the n-th durable step, or by losing what was never synced when the power goes."""

from __future__ import annotations

import os
import sqlite3
from collections.abc import Sequence
from pathlib import Path

from bridgehead.spool.disk import Disk, Value


class PowerLossError(BaseException):
    """Raised at the step where the power goes: nothing in the program may catch it and go on."""


class CrashDisk(Disk):
    """Stops at step `crash_at` (counted from 1), before the step or after it, and then refuses everything.

    `lose_power` afterwards takes away what the operating system had not yet been made to write: files whose content
    was not synced are emptied, names in folders that were not synced are removed.
    """

    def __init__(self, crash_at: int, *, after: bool) -> None:
        self.crash_at = crash_at
        self.after = after
        self.steps = 0
        self.synced_files: set[tuple[int, int]] = set()
        self.synced_names: set[Path] = set()

    def write(self, connection: sqlite3.Connection, statement: str, values: Sequence[Value] = ()) -> None:
        self._before()
        super().write(connection, statement, values)
        self._after()

    def sync_file(self, path: Path) -> None:
        self._before()
        super().sync_file(path)
        self.synced_files.add(identity(path))
        self._after()

    def write_line(self, path: Path, line: str) -> None:
        self._before()
        super().write_line(path, line)
        self._after()

    def sync_folder(self, path: Path) -> None:
        self._before()
        Disk.sync_file(self, path)
        self.synced_names.update(path.iterdir())
        self._after()

    def link(self, source: Path, target: Path) -> None:
        self._before()
        super().link(source, target)
        self._after()

    def unlink(self, path: Path) -> None:
        self._before()
        super().unlink(path)
        self._after()

    def lose_power(self, folder: Path, keep: frozenset[Path] = frozenset()) -> None:
        """Take away what was not synced below `folder`, but for files that were durable before (`keep`)."""
        for path in folder.iterdir():
            if path in keep:
                continue
            if path not in self.synced_names:
                path.unlink()
            elif identity(path) not in self.synced_files:
                os.truncate(path, 0)

    def _before(self) -> None:
        self.steps += 1
        if self.steps > self.crash_at or (self.steps == self.crash_at and not self.after):
            raise PowerLossError

    def _after(self) -> None:
        if self.steps == self.crash_at:
            raise PowerLossError


class FailingDisk(Disk):
    """Fails the durable writes whose numbers (from 1) are in `failing`, then works again."""

    def __init__(self, failing: set[int], error: Exception) -> None:
        self.failing = failing
        self.error = error
        self.writes = 0

    def write(self, connection: sqlite3.Connection, statement: str, values: Sequence[Value] = ()) -> None:
        self.writes += 1
        if self.writes in self.failing:
            raise self.error
        super().write(connection, statement, values)

    def sync_file(self, path: Path) -> None:
        self.writes += 1
        if self.writes in self.failing:
            raise self.error
        super().sync_file(path)


def identity(path: Path) -> tuple[int, int]:
    """Device and inode: the same for all names of a file."""
    status = path.stat()
    return status.st_dev, status.st_ino
