"""P1 to P5 and P7: how many messages a second come out at the other end."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from functools import partial

from benchmarks.bench import Bench, Profile
from benchmarks.measure import CountingSink, Load, Run, send
from benchmarks.relays import Plan
from benchmarks.report import BRIDGEHEAD, NOT_SLOWER, Row, Target, times_postfix

NewSink = Callable[[], CountingSink]


def p1_load(bench: Bench) -> Load:
    """What is meant by "P1" wherever another profile compares itself with it."""
    return Load(bench.amount(10_000, 300))


def keep(bench: Bench, number: str, run: Run) -> None:
    """The figures that every profile of this kind has."""
    bench.add(number, "delivered", run.relay, run.delivered_per_second)
    bench.add(number, "cpu", run.relay, run.cpu_us)
    bench.add(number, "missing", run.relay, run.missing)


def rows(number: str, what: str, target: Target) -> tuple[Row, ...]:
    """Their rows."""
    return (
        Row(number, "delivered", f"{what}: delivered/s", target),
        Row(number, "cpu", f"{what}: CPU us/message"),
        Row(number, "missing", f"{what}: lost messages", Target(0, at_most=True)),
    )


def plain(bench: Bench, *, number: str) -> None:
    """P1 and P3."""
    plan = replace(bench.plan(), volatile=number == "P3")
    for name in bench.turn:
        run = bench.pass_through(name, p1_load(bench), plan, CountingSink)
        keep(bench, number, run)
        if number == "P1":
            bench.add(number, "accepted", name, run.accepted_per_second)


def new_connections(bench: Bench) -> None:
    """P2."""
    load = replace(p1_load(bench), count=bench.amount(6_000, 300), reconnect=True)
    for name in bench.turn:
        keep(bench, "P2", bench.pass_through(name, load, bench.plan(), CountingSink))


def secured(bench: Bench, *, number: str, kept: bool) -> None:
    """P4: both sides with STARTTLS; also what sender and sink do with no relay between them."""
    load = Load(bench.amount(6_000, 200) if kept else bench.amount(2_000, 100), reconnect=not kept, tls=True)
    with bench.certificate() as folder:
        new_sink = partial(CountingSink, own=["--tls", str(folder)])
        bench.add(number, "limit", BRIDGEHEAD, sender_limit(load, new_sink))
        plan = replace(bench.plan(), tls=folder, keeps_connections=kept)
        for name in bench.the_two:
            keep(bench, number, bench.pass_through(name, load, plan, new_sink))


def sender_limit(load: Load, new_sink: NewSink) -> float:
    """Messages a second straight from the sender to the sink: no relay can show more."""
    sink = new_sink()
    try:
        return load.count / send(sink.port, load, sink).accepted
    finally:
        sink.stop()


def large(bench: Bench, *, number: str, size: int) -> None:
    """P5."""
    load = Load(bench.amount(200_000_000 // size, 40), sessions=20 if size > 500_000 else 50, size=size)
    for name in bench.the_two:
        keep(bench, number, bench.pass_through(name, load, bench.plan(), CountingSink))


def fan_out(bench: Bench, *, number: str, load: Load) -> None:
    """P7: recipients a second, and the transactions that it took."""
    for name in bench.the_two:
        run = bench.pass_through(name, load, Plan(workers=bench.options.workers), partial(CountingSink, own=[]))
        keep(bench, number, run)
        bench.add(number, "transactions", name, run.transactions / load.count)


def many_domains(bench: Bench) -> None:
    """P7a."""
    load = Load(bench.amount(60, 4), sessions=4, recipients=1000, domains=100, pipelining=True)
    fan_out(bench, number="P7a", load=load)


def one_domain(bench: Bench) -> None:
    """P7b."""
    fan_out(bench, number="P7b", load=Load(bench.amount(5_000, 200), recipients=10))


LIMIT = "sender and sink alone: messages/s"

PROFILES = (
    Profile(
        "P1",
        "relay, 4 KB, 50 sessions kept open, on disk before each 250, one smart host",
        (
            *rows("P1", "kept sessions", times_postfix(8, defect=6)),
            Row("P1", "accepted", "kept sessions: accepted/s"),
        ),
        partial(plain, number="P1"),
    ),
    Profile(
        "P2", "a new connection for each message", rows("P2", "new connections", times_postfix(4)), new_connections
    ),
    Profile("P3", "as P1, spools in memory", rows("P3", "tmpfs", times_postfix(4)), partial(plain, number="P3")),
    Profile(
        "P4a",
        "STARTTLS on both sides, connections kept",
        (*rows("P4a", "STARTTLS kept", times_postfix(4)), Row("P4a", "limit", LIMIT)),
        partial(secured, number="P4a", kept=True),
    ),
    Profile(
        "P4b",
        "STARTTLS on both sides, a new connection for each message on both sides",
        (*rows("P4b", "STARTTLS new", times_postfix(1.5)), Row("P4b", "limit", LIMIT)),
        partial(secured, number="P4b", kept=False),
    ),
    Profile("P5a", "100 KB", rows("P5a", "100 KB", times_postfix(2)), partial(large, number="P5a", size=100 * 1024)),
    Profile("P5b", "1 MB", rows("P5b", "1 MB", NOT_SLOWER), partial(large, number="P5b", size=1024 * 1024)),
    Profile(
        "P7a",
        "one message to 1,000 recipients in 100 domains",
        (
            *rows("P7a", "recipients, 1,000 in 100 domains", NOT_SLOWER),
            Row("P7a", "transactions", "transactions a message of 1,000", Target(10, at_most=True)),
        ),
        many_domains,
    ),
    Profile(
        "P7b",
        "10 recipients, all in one domain",
        (
            *rows("P7b", "recipients, 10 in one domain", NOT_SLOWER),
            Row("P7b", "transactions", "transactions a message of 10", Target(1, at_most=True)),
        ),
        one_domain,
    ),
)
