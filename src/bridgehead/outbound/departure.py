"""What becomes of the mail that waits for a connector which a changed file disables or removes, and that in words.

`check` says it before the change, the log of a reload at the change. Routes are asked of the one routing function,
with the new organization.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from enum import StrEnum
from typing import Final

import msgspec

from bridgehead.core.organization import Organization
from bridgehead.core.routing import SMART_HOSTS, Held, Routed, Unreachable
from bridgehead.outbound.router import Router
from bridgehead.outbound.waiting_for import DOMAINS_MAX, Sample, WaitingFor

DEPARTURES_MAX: Final = 50
"""Connectors told of, those with the most mail first; one more sentence says how many are left out."""
DOMAINS_SHOWN: Final = 5


class Kind(StrEnum):
    """Where mail goes."""

    CONNECTOR = "connector"
    LOCAL = "local"
    """Its accepted domain delivers it."""
    DNS = "dns"
    """No connector takes it: to the MX hosts of its domain."""
    SMART_HOSTS = "smart-hosts"
    """No connector takes it: to the smart hosts of the virtual server."""
    HELD = "held"
    """Nothing serves it, and `no_match` says to hold such mail."""
    UNROUTABLE = "unroutable"
    """Nothing serves it. It was accepted, so that it is held all the same, as unreachable."""


class NewWay(msgspec.Struct, frozen=True):
    """Where the mail to some domains goes."""

    kind: Kind
    connectors: tuple[str, ...]
    """Those that tie; empty but for `Kind.CONNECTOR`."""
    is_frozen: bool
    """It is frozen: this way is less specific than the one before, or has a weaker TLS level."""
    domains: tuple[str, ...]


class Departure(msgspec.Struct, frozen=True):
    """A connector that leaves routing."""

    connector: str
    change: str
    """`removed` or `disabled`."""
    messages: int
    """That wait for it."""
    held: int
    """Of these: held already, which they stay."""
    ways: tuple[NewWay, ...]
    is_whole: bool
    """The ways are those of every message; else of a sample."""


def leaving(connectors: Iterable[tuple[str, bool]], new: Organization) -> list[str]:
    """The connectors, given by name and whether they are enabled, that are in use and will not be."""
    enabled = {one.name for one in new.connectors if one.enabled}
    return [name for name, is_enabled in connectors if is_enabled and name not in enabled]


def departures(names: Iterable[str], found: Iterable[WaitingFor], router: Router) -> tuple[Departure, ...]:
    """What becomes of what waits for connectors that the router's organization does not use; the most mail first."""
    waiting = {one.connector: one for one in found}
    made = [_departure(waiting.get(name, WaitingFor(name)), router) for name in names]
    return tuple(sorted(made, key=lambda one: -one.messages))


def _departure(waiting: WaitingFor, router: Router) -> Departure:
    by_way: dict[NewWay, list[str]] = {}
    for sample in waiting.samples:
        by_way.setdefault(_way(sample, waiting.connector, router), []).append(sample.recipient.domain)
    ways = tuple(msgspec.structs.replace(way, domains=tuple(sorted(domains))) for way, domains in by_way.items())
    change = "removed" if router.organization.connector(waiting.connector) is None else "disabled"
    return Departure(waiting.connector, change, waiting.messages, waiting.held, ways, waiting.is_whole)


def _way(sample: Sample, connector: str, router: Router) -> NewWay:
    """The way of one recipient, its domain left out."""
    message = (sample.message_id, sample.envelope)
    way = router.way(*message, sample.recipient)
    result = way.decision.result
    if not isinstance(result, Routed | Unreachable):
        return NewWay(Kind.HELD if isinstance(result, Held) else Kind.UNROUTABLE, (), False, ())
    if sample.strength is None:
        is_weaker = router.is_weaker_than_before(connector, message, sample.recipient)
    else:
        now = router.strength(message, sample.recipient)
        is_weaker = any(new < old for new, old in zip(now, sample.strength, strict=True))
    first = result.routes[0]
    if first.connector:
        names = tuple(dict.fromkeys(route.connector for route in result.routes))
        return NewWay(Kind.CONNECTOR, names, is_weaker, ())
    if first.local is not None:
        return NewWay(Kind.LOCAL, (), is_weaker, ())
    return NewWay(Kind.SMART_HOSTS if first.next_hop == SMART_HOSTS else Kind.DNS, (), is_weaker, ())


# In words


def sentences(made: tuple[Departure, ...]) -> Iterator[tuple[str, tuple[str, ...]]]:
    """For each connector: how much waits for it, and where that goes, one text for each way."""
    for one in made[:DEPARTURES_MAX]:
        yield heading(one), tuple(_details(one))
    if len(made) > DEPARTURES_MAX:
        rest = made[DEPARTURES_MAX:]
        yield f"{len(rest):,} more connectors leave: {_messages(sum(one.messages for one in rest))} for them", ()


def heading(departure: Departure) -> str:
    """`'connector "ISP" is removed: 1,234 messages wait for it'`."""
    return f'connector "{departure.connector}" is {departure.change}: {_messages(departure.messages)} for it'


def _messages(number: int) -> str:
    if number == 1:
        return "1 message waits"
    return f"{number:,} messages wait" if number else "no mail waits"


def _details(departure: Departure) -> Iterator[str]:
    for way in departure.ways:
        yield f"{_domains(way.domains)}: {way_in_words(way)}"
    if departure.held:
        verbs = ("is", "stays") if departure.held == 1 else ("are", "stay")
        yield f"{departure.held:,} of them {verbs[0]} held already, and {verbs[1]} so until released"
    if not departure.is_whole:
        yield f"these routes are of a sample, a message for each of at most {DOMAINS_MAX} domains; there may be more"


def way_in_words(way: NewWay) -> str:
    """`'by "Backup"'`, and whether it is frozen."""
    words = _WORDS.get(way.kind) or "by " + " or ".join(f'"{name}"' for name in way.connectors)
    return f"{words}, {_FROZEN}" if way.is_frozen else words


def _domains(domains: tuple[str, ...]) -> str:
    shown = ", ".join(domains[:DOMAINS_SHOWN])
    more = len(domains) - DOMAINS_SHOWN
    return f"{shown} and {more:,} more domains" if more > 0 else shown


_FROZEN: Final = (
    "frozen until `queue release` or `queue reroute`: that way is less specific or has a weaker TLS level"
)
_WORDS: Final = {
    Kind.LOCAL: "delivered by its accepted domain",
    Kind.DNS: "to its MX hosts, by no connector",
    Kind.SMART_HOSTS: "to the smart hosts of the virtual server, by no connector",
    Kind.HELD: "held: nothing serves it",
    Kind.UNROUTABLE: "unroutable, so held as unreachable until something serves it",
}
