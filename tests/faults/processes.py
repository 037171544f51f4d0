"""What the processes of a server use, and how they are killed: read from /proc, done by process id."""

from __future__ import annotations

import os
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from tests.peers.bridgehead import Bridgehead

IS_LONG: Final = os.environ.get("BRIDGEHEAD_FAULTS", "") == "long"
"""Whether the faults run in their long form: hours of a machine instead of two minutes of a commit."""
SEED: Final = int(os.environ.get("BRIDGEHEAD_FAULTS_SEED", "20261124"))
"""Of everything drawn at random; fixed, so that a failure comes again."""


@dataclass(frozen=True, slots=True)
class Usage:
    """Of all processes of a server together."""

    memory: int
    """Octets, pages shared by n processes counted as one n-th each."""
    descriptors: int


def usage(server: Bridgehead) -> Usage:
    """What all processes use now; one that ends meanwhile counts as nothing."""
    memory = descriptors = 0
    for process_id in server.running.process_ids():
        place = Path("/proc", str(process_id))
        try:
            lines = (place / "smaps_rollup").read_text().splitlines()
            descriptors += len(list((place / "fd").iterdir()))
        except OSError:
            continue
        memory += next(int(line.split()[1]) * 1024 for line in lines if line.startswith("Pss:"))
    return Usage(memory, descriptors)


def worker_ids(server: Bridgehead) -> list[int]:
    """Process ids of the workers."""
    return [
        process_id
        for process_id in server.running.process_ids()
        if b"bridgehead.process.worker_main" in _command(process_id)
    ]


def _command(process_id: int) -> bytes:
    try:
        return Path(f"/proc/{process_id}/cmdline").read_bytes()
    except OSError:
        return b""


class MemoryGroup:
    """A control group whose processes together get no more pages: beyond, the kernel kills one of them.

    What they have already does not count; what they read and write of files does, and can be reclaimed.
    """

    def __init__(self, folder: Path, kills: str) -> None:
        self._folder = folder
        self._kills = kills

    @classmethod
    def made(cls, name: str, octets: int) -> MemoryGroup | None:
        """Make one by control groups of either version; `None` where this machine does not let us."""
        for root, limit, kills in _MEMORY_CONTROLLERS:
            folder = root / name
            with suppress(OSError):
                folder.mkdir()
                if (folder / limit).exists():
                    (folder / limit).write_text(str(octets))
                    return cls(folder, kills)
                folder.rmdir()
        return None

    def add(self, process_id: int) -> None:
        """Have a process, with all its threads, belong to it."""
        (self._folder / "cgroup.procs").write_text(str(process_id))

    @property
    def kills(self) -> int:
        """How many of its processes the kernel ended for want of memory."""
        lines = (self._folder / self._kills).read_text().splitlines()
        return next(int(line.split()[1]) for line in lines if line.startswith("oom_kill "))

    def remove(self) -> bool:
        """Take it away, where its processes have ended; whether it is gone."""
        with suppress(OSError):
            self._folder.rmdir()
        return not self._folder.exists()


_MEMORY_CONTROLLERS: Final = (
    (Path("/sys/fs/cgroup"), "memory.max", "memory.events"),
    (Path("/sys/fs/cgroup/memory"), "memory.limit_in_bytes", "memory.oom_control"),
)
