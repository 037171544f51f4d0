"""P14: the processor time of a message by part, from samples of the workers' main threads and threads' clocks."""

from __future__ import annotations

import contextlib
import json
import os
import signal
import time
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from benchmarks.bench import Bench, Profile
from benchmarks.measure import ROOT, CountingSink, send, warm_up
from benchmarks.processes import processor_time, rest
from benchmarks.relays import Relay
from benchmarks.report import BRIDGEHEAD, Row
from benchmarks.throughput import p1_load
from tests.peers.child import wait_until

SAMPLED = ROOT / "benchmarks" / "sampled"
MAIN = "MainThread"
THREADS = {"spool": "commit thread", "tracking": "log and tracking thread"}
PARTS = ("accept", "route", "queue", "deliver", "commit", "tracking", "event loop")
MODULES_NAMED = 12


@dataclass(frozen=True, slots=True)
class Reading:
    """What the workers have counted since they began."""

    counts: Counter[str]
    modules: Counter[str]
    threads: Counter[str]
    """Nanoseconds by kind of thread."""
    total: float
    """Seconds of processor time of all processes."""


@contextlib.contextmanager
def sampling(folder: Path) -> Iterator[None]:
    """Workers that are started meanwhile sample themselves."""
    before = dict(os.environ)
    os.environ |= {"BRIDGEHEAD_SAMPLES": str(folder), "PYTHONPATH": str(SAMPLED)}
    try:
        yield
    finally:
        os.environ.clear()
        os.environ.update(before)


def workers(relay: Relay) -> list[int]:
    """Process ids of the workers."""
    found = []
    for process_id in relay.process_ids():
        with contextlib.suppress(OSError):
            if b"bridgehead.process.worker_main" in Path(f"/proc/{process_id}/cmdline").read_bytes().split(b"\0"):
                found.append(process_id)
    return found


def read(relay: Relay, folder: Path) -> Reading:
    """Ask every worker, and add up."""
    total = rest(relay.process_ids).total
    counts, modules, threads = Counter[str](), Counter[str](), Counter[str]()
    for process_id in workers(relay):
        path = folder / f"{process_id}.json"
        path.unlink(missing_ok=True)
        os.kill(process_id, signal.SIGUSR2)
        wait_until(path.exists, "a worker writes its samples")
        written = json.loads(path.read_text())
        counts.update(written["counts"])
        modules.update(written["modules"])
        threads.update(written["threads"])
    return Reading(counts, modules, threads, max(total, processor_time(relay.process_ids()).total))


def microseconds(before: Reading, after: Reading, count: int) -> dict[str, float]:
    """By part, for one message: the main threads' time as the samples divide it, each other thread's by its clock."""
    per_message = 1e-3 / count
    samples = {part: after.counts[part] - before.counts[part] for part in after.counts}
    threads = {name: (after.threads[name] - before.threads[name]) * per_message for name in after.threads}
    main, all_samples = threads.get(MAIN, 0.0), max(1, sum(samples.values()))
    found = {part: main * samples.get(part, 0) / all_samples for part in PARTS}
    found |= {THREADS[name]: threads.get(name, 0.0) for name in THREADS}
    found["total"] = (after.total - before.total) * 1e6 / count
    found["rest"] = max(0.0, found["total"] - main - sum(threads.get(name, 0.0) for name in THREADS))
    return found


def run(bench: Bench) -> None:
    """P1 with samples taken; the rate of this run is no figure of P1."""
    load = p1_load(bench)
    sink = CountingSink()
    try:
        with bench.folder() as folder, sampling(folder), bench.relay(BRIDGEHEAD, bench.plan(), sink.port) as relay:
            warm_up(relay.port, load, sink)
            before = read(relay, folder)
            send(relay.port, load, sink)
            time.sleep(0.5)
            after = read(relay, folder)
    finally:
        sink.stop()
    for part, value in microseconds(before, after, load.count).items():
        bench.add("P14", part, BRIDGEHEAD, value)
    modules = after.modules - before.modules
    taken = max(1, after.counts.total() - before.counts.total())
    named = ", ".join(f"{name} {n / taken:.0%}" for name, n in modules.most_common(MODULES_NAMED))
    print(f"   {taken} samples of the main threads; modules: {named}", flush=True)


PROFILES = (
    Profile(
        "P14",
        "CPU a message by part, as P1",
        (
            *(Row("P14", part, f"CPU us/message: {part}") for part in PARTS),
            *(Row("P14", part, f"CPU us/message: {part}") for part in THREADS.values()),
            Row("P14", "rest", "CPU us/message: other threads and processes"),
            Row("P14", "total", "CPU us/message: all"),
        ),
        run,
    ),
)
