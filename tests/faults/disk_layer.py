"""A program run on a disk that is recorded, and that fails when told to: see `disk_layer.c`.

The library is built with the machine's C compiler, so tests that need it are marked `peer`.
"""

from __future__ import annotations

import os
import struct
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from enum import IntEnum
from pathlib import Path
from typing import Final

from tests.peers.child import program

ROOT: Final = Path(__file__).parents[2]
SOURCE: Final = Path(__file__).with_name("disk_layer.c")
VICTIM_SECONDS: Final = 60
_ENTRY: Final = struct.Struct("=IIIIQQ")


class Kind(IntEnum):
    """What happened. The numbers are those of `disk_layer.c`."""

    CREATE = 1
    WRITE = 2
    TRUNCATE = 3
    SYNC = 4
    SYNC_FAILED = 5
    RENAME = 6
    UNLINK = 7
    LINK = 8
    MAKE_FOLDER = 9
    REMOVE_FOLDER = 10
    MARK = 11


@dataclass(frozen=True, slots=True)
class Entry:
    """One event of a record, in the order in which they happened."""

    kind: Kind
    inode: int = 0
    offset: int = 0
    """Of a write; of a truncation, the new size."""
    path: str = ""
    other: str = ""
    """The new name of a rename or a link."""
    content: bytes = b""
    """What was written; of a mark, its text."""


def build(folder: Path) -> Path:
    """Compile the layer into `folder`."""
    library = folder / "disk_layer.so"
    flags = ("-shared", "-fPIC", "-O2", "-Wall", "-Wextra", "-Werror")
    subprocess.run([program("cc"), *flags, "-o", str(library), str(SOURCE)], check=True)
    return library


def environment(library: Path, root: Path, *, record: Path | None = None, fail: Path | None = None) -> dict[str, str]:
    """The environment of a program below which the layer lies."""
    layer = {"LD_PRELOAD": str(library), "DISK_LAYER_ROOT": str(root)}
    if record is not None:
        layer["DISK_LAYER_LOG"] = str(record)
    if fail is not None:
        layer["DISK_LAYER_FAIL"] = str(fail)
    return {**os.environ, **layer}


def record(library: Path, root: Path, *words: str, fail: Path | None = None) -> list[Entry]:
    """Run a module of the tests, `words` behind `python -m`, and return what it did below `root`."""
    log = root.with_name(root.name + ".record")
    log.unlink(missing_ok=True)
    subprocess.run(
        [sys.executable, "-m", *words],
        env=environment(library, root, record=log, fail=fail),
        cwd=ROOT,
        check=True,
        timeout=VICTIM_SECONDS,
    )
    return list(read(log.read_bytes()))


def read(log: bytes) -> Iterator[Entry]:
    """The entries of a record."""
    position = 0
    while position < len(log):
        kind, path, other, content, inode, offset = _ENTRY.unpack_from(log, position)
        texts = []
        position += _ENTRY.size
        for length in (path, other, content):
            texts.append(log[position : position + length])
            position += length
        yield Entry(Kind(kind), inode, offset, os.fsdecode(texts[0]), os.fsdecode(texts[1]), texts[2])
