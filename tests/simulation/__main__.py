"""`python -m tests.simulation --seed N` tells the story of a seed; `--seconds S` runs many, on all cores."""

from __future__ import annotations

import argparse
import gc
import os
import sys
import time
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from itertools import count
from multiprocessing import get_context
from multiprocessing.connection import Connection, wait
from typing import Final

from tests.simulation.simulation import run

PROCESSES: Final = get_context("fork")
BATCH: Final = 50
"""Seeds of one process: some 100 MB."""


@dataclass
class Findings:
    """What came of some seeds."""

    seeds: int = 0
    counts: Counter[str] = field(default_factory=Counter)
    faults: Counter[str] = field(default_factory=Counter)
    """By kind."""
    broken: dict[int, str] = field(default_factory=dict)
    """Promise by seed."""

    def add(self, other: Findings) -> None:
        """Take those of other seeds too."""
        self.seeds += other.seeds
        self.counts += other.counts
        self.faults += other.faults
        self.broken |= other.broken

    def told(self, seconds: float) -> str:
        """In words."""
        lines = [f"{self.seeds} seeds in {seconds:.1f} s, {self.seeds / seconds * 60:.0f} a minute"]
        for name, number in (*self.counts.items(), ("faults", self.faults.total())):
            lines.append(f"{number:12,} {name}, {number / max(1, self.seeds):.1f} a seed")
        kinds = ", ".join(f"{name} {number:,}" for name, number in sorted(self.faults.items()))
        return "\n".join([*lines, f"{len(self.faults)} kinds of faults: {kinds}"])


def main() -> int:
    """1 if a seed broke a promise."""
    parser = argparse.ArgumentParser(prog="python -m tests.simulation", description=__doc__)
    parser.add_argument("--seed", type=int, help="run this one and print its story")
    parser.add_argument("--from", type=int, default=0, dest="first", help="the first seed (default 0)")
    parser.add_argument("--count", type=int, default=0, help="how many seeds; 0: as many as fit")
    parser.add_argument("--seconds", type=float, default=60.0, help="stop after so long (default 60)")
    parser.add_argument("--processes", type=int, default=len(os.sched_getaffinity(0)), help="default: one a core")
    parser.add_argument("--keep-going", action="store_true", help="do not stop at the first broken promise")
    arguments = parser.parse_args()
    if arguments.seed is not None:
        found = run(arguments.seed)
        print("\n".join(found.story))
        return int(bool(found.broken))
    return _many(arguments)


def _many(arguments: argparse.Namespace) -> int:
    began = time.perf_counter()
    findings, batches = Findings(), _batches(arguments.first, arguments.count)
    gc.collect()
    gc.freeze()
    gc.disable()
    under_way: dict[Connection, range] = {}
    while True:
        is_over = time.perf_counter() - began >= arguments.seconds
        is_over |= bool(findings.broken) and not arguments.keep_going
        while not is_over and len(under_way) < arguments.processes and (seeds := next(batches, None)):
            under_way[_begin(seeds)] = seeds
        if not under_way:
            break
        for ready in wait(list(under_way)):
            assert isinstance(ready, Connection)
            _hear(findings, ready, under_way.pop(ready))
    print(findings.told(time.perf_counter() - began))
    return int(bool(findings.broken))


def _hear(findings: Findings, ready: Connection, seeds: range) -> None:
    """Take what a process reports."""
    try:
        found: Findings = ready.recv()
    except EOFError:
        found = Findings(broken={seeds.start: f"the process of {seeds} ended before its seeds"})
    ready.close()
    findings.add(found)
    for seed, promise in found.broken.items():
        print(f"seed {seed}: {promise}", flush=True)


def _batches(first: int, seeds: int) -> Iterator[range]:
    end = first + seeds if seeds else sys.maxsize
    for start in count(first, BATCH):
        if start >= end:
            return
        yield range(start, min(start + BATCH, end))


def _begin(seeds: range) -> Connection:
    """Run them in a process of their own, which ends before there is anything to be collected."""
    receiver, sender = PROCESSES.Pipe(duplex=False)
    PROCESSES.Process(target=_run_some, args=(seeds, sender)).start()
    sender.close()
    return receiver


def _run_some(seeds: range, report: Connection) -> None:
    findings = Findings()
    for seed in seeds:
        found = run(seed)
        findings.add(Findings(1, found.counts, found.faults, {seed: found.broken} if found.broken else {}))
    report.send(findings)


if __name__ == "__main__":
    if os.environ.get("PYTHONHASHSEED") != "0":  # sets of names must have the same order each time
        os.execve(
            sys.executable,
            [sys.executable, "-m", "tests.simulation", *sys.argv[1:]],
            {**os.environ, "PYTHONHASHSEED": "0"},
        )
    sys.exit(main())
