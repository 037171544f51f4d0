"""What the processes of a server use, and how they are killed: read from /proc, done by process id."""

from __future__ import annotations

import os
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
