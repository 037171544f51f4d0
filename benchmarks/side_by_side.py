"""`benchmarks/run`: every target of the project in one table, Bridgehead and Postfix side by side.

What each figure means and how to read noise: docs/benchmarks.md.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import shutil
import subprocess
import sys
import time
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path

from benchmarks import backlog, footprint, latency, many_hosts, parts, route, throughput
from benchmarks.bench import Bench, Options, Profile
from benchmarks.measure import ROOT, VoidRunError, disk_sync_ms
from benchmarks.report import Line, line, missed, table

SEARCH_PATH = os.pathsep.join((os.environ.get("PATH", ""), "/usr/sbin", "/sbin"))
PACKAGES = {"smtp-source": "postfix", "smtp-sink": "postfix", "postfix": "postfix", "nsd": "nsd"}
"""Debian's packages of the programs that are needed."""
ALWAYS_NEEDED = ("smtp-source", "smtp-sink")


def profiles() -> list[Profile]:
    """All of them, in the order of their numbers."""
    modules = (throughput, footprint, latency, backlog, route, many_hosts, parts)
    found = [profile for module in modules for profile in module.PROFILES]
    return sorted(found, key=lambda profile: order(profile.number))


def order(number: str) -> tuple[int, str]:
    """`"P12"` after `"P4b"`."""
    digits = "".join(character for character in number if character.isdigit())
    return int(digits), number


def chosen(words: str, all_profiles: Sequence[Profile]) -> list[Profile]:
    """Those of `"P1,P4"`: P4 is P4a and P4b. `ValueError` names what there is not."""
    wanted = [word.strip().upper() for word in words.split(",") if word.strip()]
    found = [profile for profile in all_profiles if any(fits(profile.number.upper(), word) for word in wanted)]
    unknown = [word for word in wanted if not any(fits(p.number.upper(), word) for p in all_profiles)]
    if unknown:
        raise ValueError(
            f"no such profile: {', '.join(unknown)}; there are {', '.join(p.number for p in all_profiles)}"
        )
    return found


def fits(number: str, word: str) -> bool:
    """Whether `"P4A"` is meant by `"P4A"` or `"P4"`."""
    return number == word or number.rstrip("ABC") == word


def arguments(words: Sequence[str] | None) -> argparse.Namespace:
    """The command line."""
    parser = argparse.ArgumentParser(prog="benchmarks/run", description="Bridgehead and Postfix side by side.")
    parser.add_argument("--only", default="", metavar="P1,P3", help="these profiles alone")
    parser.add_argument("--rounds", type=int, default=3, help="the relays take turns in each (default 3)")
    parser.add_argument("--quick", action="store_true", help="small counts: shows that all runs, measures nothing")
    parser.add_argument("--json", type=Path, metavar="FILE", help="write every figure of every round there")
    parser.add_argument("--directory", type=Path, default=Path("/var/tmp"), help="whose disk is used (/var/tmp)")
    parser.add_argument("--backlog", type=int, default=100_000, help="waiting messages in P9 (default 100000)")
    parser.add_argument("--workers", type=int, default=0, help="Bridgehead's (default one per CPU core)")
    parser.add_argument("--no-postfix", action="store_true", help="Bridgehead alone; there are no ratios then")
    parser.add_argument("--also", nargs=2, action="append", default=[], metavar=("NAME", "COMMAND"))
    parser.add_argument("--list", action="store_true", help="print the profiles and end")
    return parser.parse_args(words)


def missing(wanted: Sequence[Profile], options: Options) -> list[str]:
    """What this machine lacks for the run, as sentences for the user."""
    needed = [*ALWAYS_NEEDED, *(["postfix"] if options.postfix else [])]
    needed += [program for profile in wanted for program in profile.needs]
    absent = sorted({program for program in needed if shutil.which(program, path=SEARCH_PATH) is None})
    lacks = [f"{program} is missing: apt-get install {PACKAGES[program]}" for program in absent]
    if options.postfix and os.geteuid() != 0:
        lacks.append("Postfix can be started by root alone: run as root, or with --no-postfix")
    return lacks


def machine() -> dict[str, str]:
    """Where and of what the figures are."""
    described = subprocess.run(
        ["git", "describe", "--always", "--dirty"], cwd=ROOT, capture_output=True, text=True, check=False
    )
    model = [text for text in Path("/proc/cpuinfo").read_text().splitlines() if text.startswith("model name")]
    return {
        "date": time.strftime("%Y-%m-%d %H:%M UTC", time.gmtime()),
        "commit": described.stdout.strip() or "unknown",
        "processor": f"{os.cpu_count()} x {model[0].partition(':')[2].strip() if model else platform.machine()}",
        "system": f"{platform.platform()}, Python {platform.python_version()}",
    }


def run_rounds(bench: Bench, wanted: Sequence[Profile], rounds: int) -> list[str]:
    """Measure; returns what failed, as sentences."""
    failures = []
    for number in range(1, rounds + 1):
        bench.round = number
        for profile in wanted:
            if number > profile.rounds_max:
                continue
            sync, load = disk_sync_ms(bench.options.directory), os.getloadavg()[0]
            print(f"-- round {number}, {profile.number}: {profile.title} (fdatasync {sync:.2f} ms, load {load:.2f})")
            try:
                profile.measure(bench)
            except (VoidRunError, AssertionError, OSError, subprocess.SubprocessError) as error:
                failures.append(f"round {number}, {profile.number}: {error}")
                print(f"   FAILED: {error}", flush=True)
    return failures


def print_result(lines: Sequence[Line], bench: Bench, failures: Sequence[str]) -> None:
    """The table, and in words what was missed."""
    print()
    for name, value in machine().items():
        print(f"{name}: {value}")
    if bench.options.quick:
        print("--quick: these figures show that everything runs; they are no measurement")
    print()
    print(table(lines, list(bench.options.also)))
    print()
    for found in missed(lines):
        print(f"{found.row.number}: {found.row.label}: target {found.row.target}, {found.verdict}")
    for failure in failures:
        print(f"failed: {failure}")


def to_json(lines: Sequence[Line], bench: Bench, failures: Sequence[str]) -> str:
    """Everything, for a program that compares runs."""
    found = {
        "machine": machine(),
        "quick": bench.options.quick,
        "samples": [asdict(sample) for sample in bench.samples],
        "lines": [{**asdict(one), "ratio": one.ratio, "verdict": one.verdict} for one in lines],
        "failures": list(failures),
    }
    return json.dumps(found, indent=1) + "\n"


def main(words: Sequence[str] | None = None) -> int:
    """Run and print; 1 when something is missing or failed, 0 also where targets are missed."""
    asked = arguments(words)
    options = Options(
        asked.quick, asked.directory, asked.workers, asked.backlog, not asked.no_postfix, dict(asked.also)
    )
    try:
        wanted = chosen(asked.only, profiles()) if asked.only else profiles()
    except ValueError as error:
        print(error, file=sys.stderr)
        return 64
    if asked.list:
        print("\n".join(f"{profile.number:5} {profile.title}" for profile in wanted))
        return 0
    if lacks := missing(wanted, options):
        print("\n".join(lacks), file=sys.stderr)
        return 1
    bench = Bench(options)
    failures = run_rounds(bench, wanted, asked.rounds)
    lines = [line(row, bench.samples) for profile in wanted for row in profile.rows]
    print_result(lines, bench, failures)
    if asked.json is not None:
        asked.json.write_text(to_json(lines, bench, failures))
    return 1 if failures else 0
