"""`python -m tests.simulation --seed N` tells the story of a seed; `--seconds S` runs seeds for so long."""

from __future__ import annotations

import argparse
import os
import sys
import time
from collections import Counter

from tests.simulation.simulation import Run, run


def main() -> int:
    """1 if a seed broke a promise."""
    parser = argparse.ArgumentParser(prog="python -m tests.simulation", description=__doc__)
    parser.add_argument("--seed", type=int, help="run this one and print its story")
    parser.add_argument("--from", type=int, default=0, dest="first", help="the first seed (default 0)")
    parser.add_argument("--count", type=int, default=0, help="how many seeds; 0: as many as fit")
    parser.add_argument("--seconds", type=float, default=60.0, help="stop after so long (default 60)")
    parser.add_argument("--keep-going", action="store_true", help="do not stop at the first broken promise")
    arguments = parser.parse_args()
    if arguments.seed is not None:
        found = run(arguments.seed)
        print("\n".join(found.story))
        return int(bool(found.broken))
    return _many(arguments.first, arguments.count, arguments.seconds, keep_going=arguments.keep_going)


def _many(first: int, count: int, seconds: float, *, keep_going: bool) -> int:
    began = time.perf_counter()
    seed, totals, broken = first, Counter[str](), 0
    while time.perf_counter() - began < seconds and (not count or seed < first + count):
        found = run(seed)
        seed += 1
        _add(totals, found)
        if found.broken:
            broken += 1
            print(f"seed {found.seed}: {found.broken}", flush=True)
            if not keep_going:
                break
    elapsed = time.perf_counter() - began
    print(f"{seed - first} seeds in {elapsed:.1f} s ({(seed - first) / elapsed:.1f} a second), {dict(totals)}")
    return int(broken > 0)


def _add(totals: Counter[str], found: Run) -> None:
    totals["virtual seconds"] += round(found.seconds)
    totals["deliveries"] += found.deliveries
    totals["duplicates"] += found.duplicates
    totals["dsns"] += found.dsns
    totals["kills"] += found.kills


if __name__ == "__main__":
    if os.environ.get("PYTHONHASHSEED") != "0":  # sets of names must have the same order each time
        os.execve(
            sys.executable,
            [sys.executable, "-m", "tests.simulation", *sys.argv[1:]],
            {**os.environ, "PYTHONHASHSEED": "0"},
        )
    sys.exit(main())
