"""Bodies: small ones in memory until they go into their row, large ones in a file as they arrive.

A file is named by us, never by the peer, and keeps its name for life. It counts from the moment when a durable row
names it; one that no row names is what a crash left of an unfinished message, and `remove_orphans` takes it away.
"""

from __future__ import annotations

import os
import time
import zlib
from collections.abc import Container
from pathlib import Path
from typing import Final

from bridgehead.spool.contract import BODY_IN_ROW_MAX, Body
from bridgehead.spool.disk import Disk, Faults

_SUFFIX: Final = ".body"
_READ_AT_ONCE: Final = 256 * 1024


class BodyFiles:
    """The folder of one partition's large bodies. Owned by the partition's spool."""

    def __init__(self, folder: Path, disk: Disk) -> None:
        self.folder = folder
        self.faults = Faults()
        """What the disk refused, here and where bodies are submitted."""
        self._disk = disk
        self._prefix = f"{folder.stem}-{time.time_ns():x}"
        self._count = 0
        self._checksums: dict[str, int] = {}
        """Of files that are complete but not yet submitted, by name."""

    def new_body(self) -> PendingBody:
        """Begin to receive a body."""
        return PendingBody(self)

    def new_path(self) -> Path:
        """A path that was never used: unique over partitions and restarts."""
        self._count += 1
        return self.folder / f"{self._prefix}-{self._count:x}{_SUFFIX}"

    def complete(self, path: Path, checksum: int) -> None:
        """A file has all of its octets."""
        self._checksums[path.name] = checksum

    def take(self, path: Path) -> int:
        """The checksum of a complete file that is about to be submitted; `ValueError` for a file of others."""
        checksum = self._checksums.pop(path.name, None)
        if checksum is None or path.parent != self.folder:
            raise ValueError(f"{path} is no body of this spool, or was submitted before")
        return checksum

    def discard(self, path: Path) -> None:
        """Remove a file unless it was submitted already."""
        if self._checksums.pop(path.name, None) is not None:
            self._disk.unlink(path)

    def names(self) -> list[str]:
        """The files that are there now."""
        return [path.name for path in self.folder.iterdir() if path.suffix == _SUFFIX]

    def remove_orphans(self, names: list[str], owned: Container[str]) -> None:
        """Remove those of `names` that no row owns."""
        for name in names:
            if name not in owned:
                self._disk.unlink(self.folder / name)


class PendingBody:
    """A `BodyWriter`: moves from memory to a file when it outgrows a row."""

    def __init__(self, files: BodyFiles) -> None:
        self._files = files
        self._size = 0
        self._pieces: list[bytes] = []
        """What is in memory: all, or what was written before the file was begun."""
        self._path: Path | None = None
        self._descriptor = -1
        self._checksum = 0

    @property
    def size(self) -> int:
        """Octets written so far."""
        return self._size

    @property
    def head(self) -> bytes:
        """The first octets, at least `min(size, BODY_IN_ROW_MAX)` of them."""
        if len(self._pieces) > 1:
            self._pieces = [b"".join(self._pieces)]
        return self._pieces[0] if self._pieces else b""

    def write(self, data: bytes) -> None:
        """Append; `OSError` if the disk refuses."""
        self._size += len(data)
        if self._path is None:
            self._pieces.append(data)
            if self._size <= BODY_IN_ROW_MAX:
                return
        try:
            if self._path is None:
                self._begin_file()
            else:
                self._append(data)
        except OSError as error:
            self._files.faults.failed(error)
            raise

    def finish(self) -> Body:
        """No more comes; not yet durable."""
        if self._path is None:
            return Body(self._size, self.head)
        self._close()
        self._files.complete(self._path, self._checksum)
        return Body(self._size, None, self._path)

    def discard(self) -> None:
        """Forget what was written, unless it was submitted."""
        if self._descriptor >= 0:
            self._close()
            self._files.complete(self._path or Path(), self._checksum)
        if self._path is not None:
            self._files.discard(self._path)
        self._pieces.clear()

    def _begin_file(self) -> None:
        self._path = self._files.new_path()
        self._descriptor = os.open(self._path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
        self._append(self.head)

    def _append(self, data: bytes) -> None:
        self._checksum = zlib.crc32(data, self._checksum)
        rest = memoryview(data)
        while rest:
            rest = rest[os.write(self._descriptor, rest) :]

    def _close(self) -> None:
        os.close(self._descriptor)
        self._descriptor = -1


def checksum_of(path: Path) -> int:
    """CRC-32 of a file. Reads all of it: not for the event loop."""
    checksum = 0
    with path.open("rb") as file:
        while piece := file.read(_READ_AT_ONCE):
            checksum = zlib.crc32(piece, checksum)
    return checksum
