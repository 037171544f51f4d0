"""Bridgehead and Postfix side by side: the same client, the same smart host, the same disk, alternating rounds.

    python benchmarks/relay.py                    50 kept sessions, 4 KB, on disk before each 250, 3 rounds
    python benchmarks/relay.py --help             sessions, size, new connections, tmpfs, rounds, count...

It needs root (Postfix starts as root alone) and Debian's `postfix`, which brings smtp-source and smtp-sink too.
What the figures mean and how to read their noise: docs/benchmarks.md.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import shutil
import sys
from collections.abc import Mapping
from dataclasses import asdict
from functools import partial
from pathlib import Path
from statistics import median

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from benchmarks.measure import CountingSink, Load, Run, disk_sync_ms, measure
from benchmarks.relays import BridgeheadRelay, OtherRelay, Plan, PostfixRelay, StartRelay, Workplace

SEARCH_PATH = os.pathsep.join((os.environ.get("PATH", ""), "/usr/sbin", "/sbin"))
ROW = "{:<12} {:>5} {:>12} {:>12} {:>10} {:>8} {:>8} {:>8}"


def arguments(words: list[str] | None = None) -> argparse.Namespace:
    """What was asked for on the command line."""
    parser = argparse.ArgumentParser(description="Messages a second through Bridgehead and Postfix, side by side.")
    parser.add_argument("--rounds", type=int, default=3, help="rounds, each with every relay once (default 3)")
    parser.add_argument("--count", type=int, default=10_000, help="messages a round and relay (default 10000)")
    parser.add_argument("--sessions", type=int, default=50, help="client connections at once (default 50)")
    parser.add_argument("--size", type=int, default=4096, help="octets of a message's body (default 4096)")
    parser.add_argument("--reconnect", action="store_true", help="a new connection for each message")
    parser.add_argument("--workers", type=int, default=0, help="Bridgehead's workers (default one per CPU core)")
    parser.add_argument("--only", choices=("bridgehead", "postfix"), help="leave the other out")
    parser.add_argument("--also", nargs=2, action="append", default=[], metavar=("NAME", "COMMAND"))
    parser.add_argument("--tmpfs", action="store_true", help="state in /dev/shm: what is left when the disk is free")
    parser.add_argument("--directory", type=Path, default=Path("/var/tmp"), help="whose disk is measured (/var/tmp)")
    parser.add_argument("--json", type=Path, help="write all figures to this file too")
    return parser.parse_args(words)


def missing(options: argparse.Namespace) -> list[str]:
    """What this machine lacks for the run, as sentences for the user."""
    lacks = []
    if shutil.which("smtp-source", path=SEARCH_PATH) is None:
        lacks.append("smtp-source and smtp-sink are missing: apt-get install postfix")
    elif options.only != "bridgehead" and os.geteuid() != 0:
        lacks.append("Postfix can be started by root alone: run as root, or with --only bridgehead")
    return lacks


def relays(options: argparse.Namespace) -> dict[str, StartRelay]:
    """The relays of this run in their order within a round."""
    chosen: dict[str, StartRelay] = {"bridgehead": BridgeheadRelay, "postfix": PostfixRelay}
    if options.only:
        chosen = {options.only: chosen[options.only]}
    for name, command in options.also:
        chosen[name] = partial(OtherRelay, command=command)
    return chosen


def one_run(name: str, start: StartRelay, place: Path, load: Load, plan: Plan) -> Run:
    """A fresh relay with an empty queue, and a fresh sink."""
    workplace, sink = Workplace(place), CountingSink()
    try:
        relay = start(workplace.path / name, sink.port, plan)
        try:
            return measure(name, relay.port, relay.process_ids, sink, load)
        finally:
            relay.stop()
    finally:
        sink.stop()
        workplace.clean()


def print_run(label: str, run: Run) -> None:
    """One line of the table."""
    numbers = (run.delivered_per_second, run.accepted_per_second, run.cpu_us, run.user_us, run.system_us)
    print(ROW.format(run.relay, label, *(f"{number:,.0f}" for number in numbers), run.missing), flush=True)


def middle(runs: list[Run]) -> Run:
    """The medians of a relay's runs, each figure on its own."""
    return Run(
        relay=runs[0].relay,
        accepted_per_second=median(run.accepted_per_second for run in runs),
        delivered_per_second=median(run.delivered_per_second for run in runs),
        user_us=median(run.user_us for run in runs),
        system_us=median(run.system_us for run in runs),
        missing=sum(run.missing for run in runs),
    )


def print_ratios(medians: Mapping[str, Run]) -> None:
    """How many times Postfix's rate each other relay does, and with which part of its processor time."""
    postfix = medians.get("postfix")
    for name, run in medians.items():
        if postfix is not None and run is not postfix:
            rate = run.delivered_per_second / postfix.delivered_per_second
            accepting = run.accepted_per_second / postfix.accepted_per_second
            cpu = postfix.cpu_us / run.cpu_us
            print(
                f"{name} / postfix: {rate:.2f} x delivered, {accepting:.2f} x accepted, 1/{cpu:.2f} of the CPU time"
            )


def main(words: list[str] | None = None) -> int:
    """Run all rounds and print the table; 1 when something is missing or a message was lost."""
    options = arguments(words)
    if lacks := missing(options):
        print("\n".join(lacks), file=sys.stderr)
        return 1
    load = Load(options.count, options.sessions, options.size, options.reconnect)
    plan = Plan(options.sessions, options.tmpfs, workers=options.workers)
    place = Path("/dev/shm") if options.tmpfs else options.directory
    print(f"{load.count} messages of {load.size} octets, {load.sessions} sessions", end="")
    print(", new connection each" if load.reconnect else " kept open", f"on {place}, {os.cpu_count()} CPU cores")
    print(f"{platform.platform()}, Python {platform.python_version()}")
    print(ROW.format("relay", "round", "delivered/s", "accepted/s", "CPU us/msg", "user", "system", "missing"))
    runs: dict[str, list[Run]] = {}
    for number in range(1, options.rounds + 1):
        print(f"-- round {number}: fdatasync {disk_sync_ms(place):.2f} ms, load {os.getloadavg()[0]:.2f}")
        for name, start in relays(options).items():
            run = one_run(name, start, place, load, plan)
            runs.setdefault(name, []).append(run)
            print_run(str(number), run)
    medians = {name: middle(found) for name, found in runs.items()}
    print("-- medians")
    for run in medians.values():
        print_run("", run)
    print_ratios(medians)
    if options.json is not None:
        figures = {name: [asdict(run) for run in found] for name, found in runs.items()}
        options.json.write_text(json.dumps({"load": asdict(load), "runs": figures}, indent=1) + "\n")
    return 1 if any(run.missing > 0 for run in medians.values()) else 0


if __name__ == "__main__":
    raise SystemExit(main())
