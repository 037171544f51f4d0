"""What the spool asks of the file system it lives on: is there room, and does it outlive a power cut?"""

from __future__ import annotations

import os
from pathlib import Path
from typing import Final

_VOLATILE_TYPES: Final = frozenset({"tmpfs", "ramfs"})


def free_bytes(path: Path) -> int:
    """Octets that we may still write to the file system of `path`, or of its nearest parent that exists."""
    status = os.statvfs(_existing(path))
    return status.f_bavail * status.f_frsize


def is_volatile(path: Path) -> bool:
    """Whether a power cut empties the file system of `path` (tmpfs, ramfs). Where that cannot be told: no."""
    try:
        device = _existing(path).stat().st_dev
        mounts = Path("/proc/self/mountinfo").read_text(encoding="utf-8", errors="surrogateescape")
    except OSError:
        return False
    wanted = f"{os.major(device)}:{os.minor(device)}"
    return any(_type_of(line) in _VOLATILE_TYPES for line in mounts.splitlines() if line.split(" ")[2] == wanted)


def _type_of(line: str) -> str:
    """`36 35 98:0 /root /mnt rw,noatime master:1 - ext4 /dev/root rw` is of type ext4 (proc(5))."""
    return line.partition(" - ")[2].partition(" ")[0]


def _existing(path: Path) -> Path:
    path = path.absolute()
    while not path.exists() and path != path.parent:
        path = path.parent
    return path
