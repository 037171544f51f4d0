"""P10: what `route()` costs with 10, 1,000 and 100,000 address spaces, and with 1,000 connectors."""

from __future__ import annotations

import time
from collections.abc import Sequence
from random import Random

from benchmarks.bench import Bench, Profile
from benchmarks.measure import CountingSink
from benchmarks.report import BRIDGEHEAD, Row, Target
from benchmarks.throughput import keep, p1_load
from bridgehead.core.address import Mailbox, parse_mailbox
from bridgehead.core.address_space import parse_address_space
from bridgehead.core.link_state import ALL_UP
from bridgehead.core.organization import Connector, Organization, Server, SmartHost, SmartHostKind, VirtualServer
from bridgehead.core.routing import MessageProperties, here_at, route

VIRTUAL_SERVER = "BRIDGE01/Default"
SIZES = (10, 1_000, 100_000)
CONNECTORS_MAX = 1_000
ASKED = 5_000
ROUNDS = 7


def organization(spaces: int) -> Organization:
    """So many address spaces, half of them with a wildcard, spread over at most 1,000 connectors."""
    count = min(spaces, CONNECTORS_MAX)
    patterns: list[list[str]] = [[] for _ in range(count)]
    for number in range(spaces):
        patterns[number % count].append(f"{'*.' if number % 2 else ''}d{number}.example;{1 + number % 100}")
    return Organization(
        "Contoso",
        (Server("BRIDGE01"),),
        (VirtualServer("Default", "BRIDGE01", (), "relay.test"),),
        tuple(
            Connector(
                f"Connector {number}",
                tuple(parse_address_space(pattern) for pattern in found),
                (VIRTUAL_SERVER,),
                "First Routing Group",
                smart_hosts=(SmartHost(f"192.0.2.{1 + number % 250}", SmartHostKind.ADDRESS),),
            )
            for number, found in enumerate(patterns)
        ),
    )


def recipients(spaces: int) -> Sequence[Mailbox]:
    """Addresses in domains drawn at random, always the same ones."""
    random = Random(1)
    found = []
    for number in (random.randrange(spaces) for _ in range(ASKED)):
        mailbox = parse_mailbox(f"user{number}@{'mail.' if number % 2 else ''}d{number}.example")
        assert mailbox is not None
        found.append(mailbox)
    return found


def best_seconds() -> list[float]:
    """The best of some rounds for all recipients, by size. The sizes take turns, which also empties the caches."""
    message = MessageProperties("sender@client.test", 4096)
    cases = [(organization(spaces), recipients(spaces)) for spaces in SIZES]
    best = [float("inf")] * len(cases)
    for _ in range(ROUNDS):
        for index, (asked_of, asked) in enumerate(cases):
            here = here_at(asked_of, VIRTUAL_SERVER)
            began = time.process_time()
            for recipient in asked:
                route(recipient, message, here, asked_of, ALL_UP)
            best[index] = min(best[index], time.process_time() - began)
    return best


def measure(bench: Bench) -> None:
    """All sizes, and the part of a message's processor time in P1, which is measured where it was not."""
    if bench.median("P1", "cpu") is None:
        keep(bench, "P1", bench.pass_through(BRIDGEHEAD, p1_load(bench), bench.plan(), CountingSink))
    found = [seconds / ASKED * 1e6 for seconds in best_seconds()]
    for spaces, value in zip(SIZES, found, strict=True):
        bench.add("P10", str(spaces), BRIDGEHEAD, value)
    bench.add("P10", "growth", BRIDGEHEAD, found[-1] / found[0])
    cpu = bench.median("P1", "cpu")
    assert cpu is not None
    bench.add("P10", "part", BRIDGEHEAD, found[-1] / cpu * 100)


PROFILES = (
    Profile(
        "P10",
        "route() with many address spaces and connectors",
        (
            *(Row("P10", str(spaces), f"route() with {spaces:,} address spaces: us") for spaces in SIZES),
            Row("P10", "growth", "100,000 spaces and 1,000 connectors / 10", Target(1.5, at_most=True)),
            Row("P10", "part", "of a message's CPU in P1: %", Target(5, at_most=True)),
        ),
        measure,
    ),
)
