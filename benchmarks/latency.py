"""P8: how long a client waits for its 250 when messages come at a rate that the relay can well sustain."""

from __future__ import annotations

from benchmarks.bench import Bench, Profile
from benchmarks.measure import CountingSink, Load, send, warm_up
from benchmarks.report import NOT_MORE_THAN_POSTFIX, Row

RATE = 200.0


def measure(bench: Bench) -> None:
    """The time from the end of data to the 250, at a fixed rate, whatever the relay does meanwhile."""
    load = Load(bench.amount(4_000, 200), rate=RATE)
    for name in bench.turn:
        sink = CountingSink()
        try:
            with bench.relay(name, bench.plan(), sink.port) as relay:
                warm_up(relay.port, load, sink)
                sender = send(relay.port, load, sink).sender
        finally:
            sink.stop()
        for key in ("median", "p99"):
            bench.add("P8", key, name, sender[key] * 1000)
        bench.add("P8", "late", name, sender["late"] * 1000)


PROFILES = (
    Profile(
        "P8",
        "end of data to 250 at 200 messages/s offered",
        (
            Row("P8", "median", "data to 250, median ms", NOT_MORE_THAN_POSTFIX),
            Row("P8", "p99", "data to 250, 99th percentile ms", NOT_MORE_THAN_POSTFIX),
            Row("P8", "late", "the sender's own delay, longest ms"),
        ),
        measure,
    ),
)
