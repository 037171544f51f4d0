"""What the kernel counts for a tree of processes: processor time, memory, wake-ups."""

from __future__ import annotations

import contextlib
import os
import threading
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Self

TICKS = os.sysconf("SC_CLK_TCK")
QUIET_SECONDS = 0.5
QUIET_SECONDS_MAX = 15.0
"""After the last message a relay may still delete and log; its processor time counts until it rests."""
SAMPLE_SECONDS = 0.1

ProcessIds = Callable[[], list[int]]


@dataclass(frozen=True, slots=True)
class ProcessorTime:
    """User and system seconds of a tree of processes, those that ended included."""

    user: float
    system: float

    @property
    def total(self) -> float:
        """Both."""
        return self.user + self.system


def processor_time(process_ids: Sequence[int]) -> ProcessorTime:
    """Sum over these processes and their children that were waited for."""
    user = system = 0
    for process_id in process_ids:
        with contextlib.suppress(OSError):
            fields = Path(f"/proc/{process_id}/stat").read_text().rpartition(")")[2].split()
            user += int(fields[11]) + int(fields[13])
            system += int(fields[12]) + int(fields[14])
    return ProcessorTime(user / TICKS, system / TICKS)


def rest(process_ids: ProcessIds) -> ProcessorTime:
    """Wait until the tree uses (nearly) no processor time, and return what it has used."""
    deadline = time.monotonic() + QUIET_SECONDS_MAX
    used = processor_time(process_ids())
    while time.monotonic() < deadline:
        time.sleep(QUIET_SECONDS)
        before, used = used, processor_time(process_ids())
        if used.total - before.total <= 0.02 * QUIET_SECONDS + 1 / TICKS:
            break
    return used


def memory(process_ids: Sequence[int]) -> int:
    """Octets of memory of all these processes together: the sum of PSS, so that a shared page counts once."""
    total = 0
    for process_id in process_ids:
        with contextlib.suppress(OSError):
            text = Path(f"/proc/{process_id}/smaps_rollup").read_text()
            total += int(text.partition("\nPss:")[2].split(maxsplit=1)[0]) * 1024
    return total


def wake_ups(process_ids: Sequence[int]) -> int:
    """How often all threads of these processes went to sleep of their own accord, since they began."""
    total = 0
    for process_id in process_ids:
        for status in Path(f"/proc/{process_id}/task").glob("*/status"):
            with contextlib.suppress(OSError):
                text = status.read_text()
                total += int(text.partition("\nvoluntary_ctxt_switches:")[2].split(maxsplit=1)[0])
    return total


class PeakMemory:
    """The highest `memory` while the `with` block runs, looked at ten times a second by a thread."""

    def __init__(self, process_ids: ProcessIds) -> None:
        """Not started yet."""
        self._process_ids = process_ids
        self._ended = threading.Event()
        self._thread = threading.Thread(target=self._watch)
        self.octets = 0

    def __enter__(self) -> Self:
        """Start to look."""
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Look a last time."""
        self._ended.set()
        self._thread.join()

    def _watch(self) -> None:
        while True:
            is_last = self._ended.wait(SAMPLE_SECONDS)
            self.octets = max(self.octets, memory(self._process_ids()))
            if is_last:
                return
