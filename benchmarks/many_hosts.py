"""P12: thousands of domains by MX, one in ten of them dead or slow: the living ones must not wait for the dead.

The domains are served by NSD and point to loopback addresses. Of the dead, one third drops every SYN, one third
accepts connections and says nothing, one third takes three seconds for each reply (`benchmarks/sink.py`).
"""

from __future__ import annotations

import json
import subprocess
import time
from dataclasses import replace
from pathlib import Path

from benchmarks.bench import Bench, Profile
from benchmarks.measure import ROOT, CountingSink, Load, VoidRunError
from benchmarks.report import BRIDGEHEAD, Row, Target
from benchmarks.sender import percentile
from benchmarks.sink import BLACK_HOLES
from tests.peers.child import free_port
from tests.peers.name_server import NameServer

ZONE = "destination.test"
ONE_DEAD_IN = 10
RATE = 200.0
SLOW_SECONDS = 3.0
"""Until each reply."""
PATIENCE_SECONDS = 30.0


def is_dead(number: int) -> bool:
    """Whether a domain is among the dead, where there are any."""
    return number % ONE_DEAD_IN == ONE_DEAD_IN - 1


def is_slow(number: int) -> bool:
    """Whether a domain among the dead is not quite dead."""
    return is_dead(number) and number // ONE_DEAD_IN % 3 == 2


def address(number: int, *, dead: bool) -> str:
    """Where a domain's mail server is."""
    place = f"{number // 250}.{1 + number % 250}"
    if not dead or not is_dead(number):
        return f"127.1.{place}"
    if is_slow(number):
        return f"127.3.{place}"
    return f"127.2.{place}" if number // ONE_DEAD_IN % 3 else f"127.4.0.{1 + number % BLACK_HOLES}"


def is_taken(number: int, *, dead: bool) -> bool:
    """Whether a domain's mail server takes mail in the end."""
    return not dead or not is_dead(number) or is_slow(number)


def zone(domains: int, *, dead: bool) -> str:
    """Records for all domains: each has an MX of its own."""
    return "".join(
        f"d{number} IN MX 10 mx{number}\nmx{number} IN A {address(number, dead=dead)}\n" for number in range(domains)
    )


def delays(bench: Bench, load: Load, folder: Path, *, dead: bool) -> list[float]:
    """Seconds from the content at the client until the mail server had it, of messages to living domains, sorted."""
    names = NameServer(folder / "names", {ZONE: zone(load.domains, dead=dead)})
    try:
        names.wait_answering()
        port, kept = free_port(), folder / "delays.json"
        slow = 0.1 if bench.options.quick else SLOW_SECONDS
        sink = CountingSink(port, own=["--moods", "--slow", str(slow), "--delays", str(kept)])
        try:
            plan = replace(bench.plan(), name_server=names.port, mail_port=port)
            with bench.relay(BRIDGEHEAD, plan, sink.port) as relay:
                sent = subprocess.run(load.command(relay.port), check=False, stdout=subprocess.DEVNULL, cwd=ROOT)
                if sent.returncode != 0:
                    raise VoidRunError("the sender failed")
                wait_quiet(sink, sum(is_taken(number % load.domains, dead=dead) for number in range(load.count)))
        finally:
            sink.end()
        found: list[float] = json.loads(kept.read_text())
        return found
    finally:
        names.stop()


def wait_quiet(sink: CountingSink, count: int) -> None:
    """Until all have arrived, or none came for a while."""
    newest, moment = sink.messages(), time.monotonic()
    while newest < count and time.monotonic() - moment < PATIENCE_SECONDS:
        time.sleep(0.1)
        if (seen := sink.messages()) != newest:
            newest, moment = seen, time.monotonic()


def run(bench: Bench) -> None:
    """Without the dead, then with them; the order alternates."""
    domains = bench.amount(5_000, 100)
    load = Load(bench.amount(10_000, 300), rate=RATE, domains=domains)
    living = sum(not is_dead(number % domains) for number in range(load.count))
    found: dict[bool, float] = {}
    for dead in (False, True) if bench.round % 2 else (True, False):
        with bench.folder() as folder:
            measured = delays(bench, load, folder, dead=dead)
        found[dead] = percentile(measured, 0.99) * 1000
        if dead:
            bench.add("P12", "missing", BRIDGEHEAD, living - len(measured))
        print(
            f"   {'with' if dead else 'without'} the dead: median {percentile(measured, 0.5) * 1000:.1f} ms, ", end=""
        )
        print(f"99 % {found[dead]:.1f} ms, longest {percentile(measured, 1.0) * 1000:.1f} ms", flush=True)
    bench.add("P12", "without", BRIDGEHEAD, found[False])
    bench.add("P12", "with", BRIDGEHEAD, found[True])
    bench.add("P12", "growth", BRIDGEHEAD, found[True] / found[False])


PROFILES = (
    Profile(
        "P12",
        "5,000 domains by MX, one in ten dead or slow",
        (
            Row("P12", "without", "way of a message, no domain dead: 99th percentile ms"),
            Row("P12", "with", "way of a message to a living domain: 99th percentile ms"),
            Row("P12", "growth", "with / without the dead", Target(2, at_most=True)),
            Row("P12", "missing", "messages to living domains not delivered", Target(0, at_most=True)),
        ),
        run,
        needs=("nsd",),
        rounds_max=3,
    ),
)
