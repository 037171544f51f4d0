"""P9: a next hop that is down while messages come in by the hundred thousand, a restart meanwhile, and its return."""

from __future__ import annotations

import subprocess
import time

from benchmarks.bench import Bench, Profile
from benchmarks.measure import CountingSink, Load, Run, VoidRunError, measure
from benchmarks.processes import memory, rest
from benchmarks.relays import BridgeheadRelay
from benchmarks.report import BRIDGEHEAD, Row, Target
from benchmarks.throughput import p1_load

START_SECONDS_MAX = 120.0
STALL_SECONDS = 60.0
POLL_SECONDS = 0.02


def accept(port: int, load: Load) -> float:
    """Messages a second that the relay takes while none can leave it."""
    began = time.perf_counter()
    done = subprocess.run(load.command(port), check=False)
    if done.returncode != 0:
        raise VoidRunError("the sender failed while the next hop was down")
    return load.count / (time.perf_counter() - began)


def restart(relay: BridgeheadRelay) -> float:
    """End it and start it; seconds from the start of the program until every worker is ready."""
    relay.stop()
    began = time.perf_counter()
    relay.start(START_SECONDS_MAX)
    return time.perf_counter() - began


def drain(port: int, count: int) -> float:
    """The host is back: messages a second from the first to the last that arrives."""
    sink = CountingSink(port)
    first = moment = 0.0
    newest, waited_since = 0, time.perf_counter()
    try:
        while newest < count:
            time.sleep(POLL_SECONDS)
            now = time.perf_counter()
            if (seen := sink.messages()) != newest:
                first = first or now
                newest, moment = seen, now
            if now - (moment or waited_since) > STALL_SECONDS:
                raise VoidRunError(f"{newest} of {count} waiting messages arrived, then none for {STALL_SECONDS:g} s")
    finally:
        sink.stop()
    return count / (moment - first)


def keep(bench: Bench, reference: Run, accepted: float, drained: float) -> None:
    """Rates, and what they are of P1 in the same server."""
    bench.add("P9", "accepting", BRIDGEHEAD, accepted / reference.accepted_per_second * 100)
    bench.add("P9", "draining", BRIDGEHEAD, drained / reference.delivered_per_second * 100)
    print(f"   {BRIDGEHEAD}: {accepted:,.0f} accepted/s, {drained:,.0f} drained/s", flush=True)


def run(bench: Bench) -> None:
    """P1, then the host goes down, the backlog comes through the SMTP door, a restart, and the host's return."""
    load = p1_load(bench)
    backlog = bench.amount(bench.options.backlog, 1_000)
    sink = CountingSink()
    try:
        with bench.relay(BRIDGEHEAD, bench.plan(), sink.port) as relay:
            assert isinstance(relay, BridgeheadRelay)
            rest(relay.process_ids)
            idle = memory(relay.process_ids())
            reference = measure(BRIDGEHEAD, relay.port, relay.process_ids, sink, load)
            sink.stop()
            rest(relay.process_ids)
            before = memory(relay.process_ids())
            accept(relay.port, Load(backlog - load.count))
            accepted = accept(relay.port, load)
            rest(relay.process_ids)
            bench.add("P9", "filled", BRIDGEHEAD, (memory(relay.process_ids()) - before) / backlog)
            bench.add("P9", "start", BRIDGEHEAD, restart(relay))
            rest(relay.process_ids)
            bench.add("P9", "restarted", BRIDGEHEAD, (memory(relay.process_ids()) - idle) / backlog)
            drained = drain(sink.port, backlog)
    finally:
        sink.stop()
    bench.add("P9", "backlog", BRIDGEHEAD, backlog)
    keep(bench, reference, accepted, drained)


PROFILES = (
    Profile(
        "P9",
        "a backlog while the next hop is down",
        (
            Row("P9", "backlog", "messages in the backlog"),
            Row("P9", "filled", "memory a waiting message, as filled: octets", Target(600, at_most=True)),
            Row("P9", "restarted", "memory a waiting message, after a restart: octets", Target(600, at_most=True)),
            Row("P9", "start", "start to ready: s", Target(15, at_most=True)),
            Row("P9", "accepting", "accepting meanwhile: % of P1", Target(70)),
            Row("P9", "draining", "draining once the host is back: % of P1", Target(70)),
        ),
        run,
        rounds_max=1,
    ),
)
