"""P6, P11 and P13: memory of all processes together, sessions that say nothing, a server that has nothing to do."""

from __future__ import annotations

import contextlib
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import replace
from functools import partial

from benchmarks.bench import Bench, Profile
from benchmarks.measure import ROOT, CountingSink, Load, VoidRunError, measure, send
from benchmarks.processes import PeakMemory, memory, rest, wake_ups
from benchmarks.report import BRIDGEHEAD, Row, Target
from benchmarks.throughput import p1_load

MEGABYTE = 1024 * 1024
WORKERS = 2
IDLE_SECONDS = 20.0


def large_messages(bench: Bench, *, number: str, size: int) -> None:
    """P6: the peak while 20 sessions send messages of this size at once."""
    sessions = bench.amount(20, 4)
    load = Load(sessions * bench.amount(4 if size < 20 * MEGABYTE else 2, 1), sessions=sessions, size=size)
    for name in bench.the_two:
        sink = CountingSink()
        try:
            with bench.relay(name, bench.plan(), sink.port) as relay, PeakMemory(relay.process_ids) as peak:
                passage = send(relay.port, load, sink)
        finally:
            sink.stop()
        bench.add(number, "peak", name, peak.octets / MEGABYTE)
        bench.add(number, "rate", name, passage.arrived * size / passage.delivered / MEGABYTE)


@contextlib.contextmanager
def idle_sessions(port: int, count: int) -> Iterator[None]:
    """So many sessions, greeted and then silent."""
    command = [sys.executable, "-m", "benchmarks.sender", "--hold", "--port", str(port), "--sessions", str(count)]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, cwd=ROOT) as holder:
        assert holder.stdin is not None
        assert holder.stdout is not None
        if (said := holder.stdout.readline().strip()) != b"held":
            holder.stdin.close()
            raise VoidRunError(f"{count} idle sessions: {said.decode()}")
        yield
        holder.communicate()


def with_idle_sessions(bench: Bench) -> None:
    """P11: P1 without and with sessions that are held open, in one server."""
    count = bench.amount(5_000, 200)
    sink = CountingSink()
    try:
        with bench.relay(BRIDGEHEAD, bench.plan(), sink.port) as relay:
            rest(relay.process_ids)
            before = memory(relay.process_ids())
            with idle_sessions(relay.port, count):
                rest(relay.process_ids)
                held = memory(relay.process_ids()) - before
            alone = measure(BRIDGEHEAD, relay.port, relay.process_ids, sink, p1_load(bench))
            with idle_sessions(relay.port, count):
                beside = measure(BRIDGEHEAD, relay.port, relay.process_ids, sink, p1_load(bench))
    finally:
        sink.stop()
    part = beside.delivered_per_second / alone.delivered_per_second
    bench.add("P11", "part", BRIDGEHEAD, part * 100)
    bench.add("P11", "memory", BRIDGEHEAD, held / count / 1024)


def at_rest(bench: Bench) -> None:
    """P13: two workers and the console, as it ships; Postfix as it is beside it."""
    for name in bench.the_two:
        sink = CountingSink()
        try:
            plan = replace(bench.plan(), workers=WORKERS, console=True)
            with bench.relay(name, plan, sink.port) as relay:
                rest(relay.process_ids)
                time.sleep(bench.amount(5, 0))
                began, before = time.monotonic(), wake_ups(relay.process_ids())
                time.sleep(bench.amount(int(IDLE_SECONDS), 3))
                rate = (wake_ups(relay.process_ids()) - before) / (time.monotonic() - began)
                bench.add("P13", "memory", name, memory(relay.process_ids()) / MEGABYTE)
                bench.add("P13", "wake-ups", name, rate)
        finally:
            sink.stop()


def peak_rows(number: str, size: str) -> tuple[Row, ...]:
    """Rows of P6."""
    return (
        Row(number, "peak", f"{size} messages, 20 sessions: peak MB", Target(250, at_most=True)),
        Row(number, "rate", f"{size} messages, 20 sessions: MB/s"),
    )


PROFILES = (
    Profile(
        "P6a",
        "peak memory, 10 MB messages, 20 sessions",
        peak_rows("P6a", "10 MB"),
        partial(large_messages, number="P6a", size=10 * MEGABYTE),
        rounds_max=2,
    ),
    Profile(
        "P6b",
        "peak memory, 50 MB messages, 20 sessions",
        peak_rows("P6b", "50 MB"),
        partial(large_messages, number="P6b", size=50 * MEGABYTE),
        rounds_max=1,
    ),
    Profile(
        "P11",
        "5,000 idle sessions beside P1",
        (
            Row("P11", "part", "P1 beside 5,000 idle sessions: % of P1", Target(80)),
            Row("P11", "memory", "an idle session: KB", Target(100, at_most=True)),
        ),
        with_idle_sessions,
    ),
    Profile(
        "P13",
        "a server that has nothing to do, two workers and the console",
        (
            Row("P13", "memory", "idle: MB of all processes", Target(150, at_most=True)),
            Row("P13", "wake-ups", "idle: wake-ups/s", Target(20, at_most=True)),
        ),
        at_rest,
        rounds_max=2,
    ),
)
