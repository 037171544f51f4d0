"""Which way a recipient of a message goes: the one routing function (Exchange: routing engine, KB 263249).

`route` is asked by delivery, at RCPT, by `explain` and by the configuration check; there is no second one. It returns
all routes that tie, and every connector it looked at with the rule that kept or dropped it. The order of rules:

1. accepted domains: an unknown recipient of an authoritative one is refused, `deliver` takes the known ones;
2. connectors that are disabled, out of scope, or refuse this message do not count at all;
3. the most specific address space that then is left decides, whatever it costs; mail never falls to a less specific
   one because the more specific one is down, or is reached only by way of another server;
4. those that are up, else all of them (the mail is held on that choice); then the lowest cost; the rest ties.
"""

from __future__ import annotations

from collections.abc import Sequence
from enum import StrEnum
from typing import Final, TypeAlias
from zlib import crc32

import msgspec

from bridgehead.core.address import Addressed, recipient_key
from bridgehead.core.envelope import Envelope
from bridgehead.core.link_state import LinkState
from bridgehead.core.organization import (
    AcceptedDomain,
    Connector,
    DomainType,
    LocalDelivery,
    NoMatch,
    Organization,
    Scope,
)
from bridgehead.core.reply import Reply
from bridgehead.core.served_space import ServedSpace

SMART_HOSTS: Final = "smart-hosts"
"""Next hop of a route that hands mail to the smart hosts of its connector, or of its virtual server."""

UNKNOWN_RECIPIENT: Final = Reply(550, "5.1.1", "No such recipient here")
NO_ROUTE: Final = Reply(550, "5.4.4", "No route to this domain")
NOT_ALLOWED: Final = Reply(550, "5.7.1", "This message may not be sent to this domain")


class MessageProperties(msgspec.Struct, frozen=True, gc=False):
    """What of a message can decide its way."""

    sender: str
    """Reverse path; empty is the null reverse path."""
    size: int = 0
    """Octets as received; at RCPT what SIZE= said, else 0."""
    priority: str = "normal"


def properties_of(envelope: Envelope) -> MessageProperties:
    """The properties of an accepted message."""
    return MessageProperties(envelope.reverse_path, envelope.size, envelope.priority)


class Here(msgspec.Struct, frozen=True, gc=False):
    """Where the question is asked: the way depends on it."""

    server: str
    virtual_server: str
    """Key of the virtual server that received the message."""
    routing_group: str = ""


def here_at(organization: Organization, virtual_server: str) -> Here:
    """The place of a virtual server, by its key; `KeyError` where there is none."""
    server = organization.virtual_server(virtual_server).server
    group = next((found.routing_group for found in organization.servers if found.name == server), "")
    return Here(server, virtual_server, group)


class Rule(StrEnum):
    """What became of one connector, and why."""

    KEPT = "kept"
    DISABLED = "disabled"
    OUT_OF_SCOPE = "out-of-scope"
    SIZE = "size"
    SENDER_REJECTED = "sender-rejected"
    SENDER_NOT_ACCEPTED = "sender-not-accepted"
    REMOTE = "remote"
    """Its bridgeheads are all on other servers."""
    DOWN = "down"
    SUSPECT = "suspect"
    """Up, but its latest round failed at every host, and another one is up."""
    COSTLIER = "costlier"

    @property
    def is_restriction(self) -> bool:
        """Whether the connector refused this message, by a setting of its own."""
        return self in _RESTRICTIONS

    @property
    def tests_sender(self) -> bool:
        """Whether the envelope sender decided, which anyone can forge."""
        return self in _SENDER_TESTS


_SENDER_TESTS: Final = frozenset((Rule.SENDER_REJECTED, Rule.SENDER_NOT_ACCEPTED))
_RESTRICTIONS: Final = _SENDER_TESTS | {Rule.SIZE}


class Considered(msgspec.Struct, frozen=True, array_like=True, gc=False):
    """A connector whose address space covers the domain, and what became of it."""

    connector: str
    pattern: str
    cost: int
    rule: Rule


class Route(msgspec.Struct, frozen=True, array_like=True, gc=False):
    """A way out. Its first three fields are the identity of the queue that sends."""

    connector: str
    """Name, or empty where no connector takes the mail."""
    bridgehead: str
    """Key of the virtual server whose settings are used."""
    next_hop: str
    """A domain (by MX) or address literal, `SMART_HOSTS`, `"lmtp:…"`, `"maildir:…"`."""
    total_cost: int = 0

    @property
    def local(self) -> LocalDelivery | None:
        """Where the mail is put, if it goes no further."""
        kind, colon, target = self.next_hop.partition(":")
        return LocalDelivery(kind, target) if colon and not kind.startswith("[") else None


Routes: TypeAlias = tuple[Route, ...]
"""All that tie; `choose` takes one."""


class Routed(msgspec.Struct, frozen=True, tag="routed", gc=False):
    """Send it now."""

    routes: Routes


class Unreachable(msgspec.Struct, frozen=True, tag="unreachable", gc=False):
    """Connectors serve it, but all are down: it waits on this choice, and its attempts are the probes."""

    routes: Routes


class Held(msgspec.Struct, frozen=True, tag="held", gc=False):
    """Nothing serves it, and `no_match` says to wait for an operator."""


class Unroutable(msgspec.Struct, frozen=True, tag="unroutable", gc=False):
    """Nothing takes it. Refused at RCPT; mail that was accepted before is held (invariant 10)."""

    reply: Reply


Result: TypeAlias = Routed | Unreachable | Held | Unroutable


class Decision(msgspec.Struct, frozen=True, gc=False):
    """The answer, and what was looked at to find it, in that order."""

    result: Result
    considered: tuple[Considered, ...] = ()
    """Connectors that do not cover the domain, or less specifically than what decided, are not looked at."""


_encoder: Final = msgspec.json.Encoder()


def decision_json(decision: Decision) -> msgspec.Raw:
    """The decision as it is kept with a tracking event: `{"result":{…},"considered":[["ISP","*",1,"kept"]]}`."""
    return msgspec.Raw(_encoder.encode(decision))


def route(
    recipient: Addressed, message: MessageProperties, here: Here, organization: Organization, link_state: LinkState
) -> Decision:
    """Decide the way of one recipient of one message; pure."""
    domain = recipient.domain
    accepted = organization.accepted_domain_index.best(domain)
    if accepted is not None:
        settled = _by_accepted_domain(accepted, recipient, here)
        if settled is not None:
            return Decision(settled)
    considered: list[Considered] = []
    spaces = organization.served_spaces
    found = spaces.find(domain)
    while found is not None:
        pattern, level = found
        eligible = _eligible(pattern, level, message, here, considered)
        if eligible:
            tied = _narrow(pattern, eligible, here.server, link_state, considered)
            result = _by_connectors(tied, domain, here.server, link_state)
            return Decision(result, tuple(considered))
        found = spaces.find_wider(pattern)
    return Decision(_without_connector(accepted, domain, here, organization, considered), tuple(considered))


def holds_for_domain(decision: Decision, domain: str, organization: Organization) -> bool:
    """Whether every message from the same place to the same domain gets this decision, whatever its sender, its size
    and its recipient are, as long as links and organization stay."""
    accepted = organization.accepted_domain_index.best(domain)
    if accepted is not None and accepted.recipients is not None:
        return False
    connectors = [organization.connector(record.connector) for record in decision.considered]
    return all(connector is not None and connector.restrictions.is_open for connector in connectors)


def choose(routes: Routes, message_id: int) -> Route:
    """Break the tie: the same for all recipients of a message, even over messages; a route that goes away moves only
    the messages that had chosen it."""
    if len(routes) == 1:
        return routes[0]
    return max(
        routes, key=lambda tied: _mix(message_id ^ crc32(f"{tied.connector}/{tied.bridgehead}".encode()) << 31)
    )


def is_known(accepted: AcceptedDomain, recipient: Addressed) -> bool:
    """Whether an accepted domain lists the recipient; without a list everyone exists."""
    listed = accepted.recipients
    if listed is None or f"@{recipient.domain}" in listed:
        return True
    return recipient_key(recipient.address, recipient.domain) in listed


def _by_accepted_domain(accepted: AcceptedDomain, recipient: Addressed, here: Here) -> Result | None:
    """Rule 1; `None`: connectors decide, or MX."""
    if accepted.type is DomainType.EXTERNAL_RELAY:
        return None
    if not is_known(accepted, recipient):
        if accepted.type is DomainType.INTERNAL_RELAY:
            return None
        if recipient_key(recipient.address, "") != "postmaster@":  # RFC 5321 4.5.1: always exists
            return Unroutable(UNKNOWN_RECIPIENT)
    if accepted.deliver is None:
        return None
    return Routed((Route("", here.virtual_server, str(accepted.deliver)),))


def _eligible(
    pattern: str,
    level: Sequence[ServedSpace],
    message: MessageProperties,
    here: Here,
    considered: list[Considered],
) -> list[ServedSpace]:
    """Rule 2 for the address spaces of one pattern."""
    eligible = []
    for space in level:
        rule = None if space.is_open else _drops(space.connector, message, here)
        if rule is None:
            eligible.append(space)
        elif not any(record.connector == space.name for record in considered):
            considered.append(Considered(space.name, pattern, space.cost, rule))
    return eligible


def _drops(connector: Connector, message: MessageProperties, here: Here) -> Rule | None:
    if not connector.enabled:
        return Rule.DISABLED
    if connector.scope is Scope.ROUTING_GROUP and connector.routing_group != here.routing_group:
        return Rule.OUT_OF_SCOPE
    restrictions = connector.restrictions
    if restrictions.size_less_than and message.size >= restrictions.size_less_than:
        return Rule.SIZE
    if restrictions.reject_from and restrictions.rejected.includes(message.sender):
        return Rule.SENDER_REJECTED
    if restrictions.accept_from and not restrictions.accepted.includes(message.sender):
        return Rule.SENDER_NOT_ACCEPTED
    return None


def _narrow(
    pattern: str, eligible: list[ServedSpace], server: str, link_state: LinkState, considered: list[Considered]
) -> list[ServedSpace]:
    """Rules 3 and 4 for the most specific pattern: those that tie, reachable from this server, as up as any, at the
    lowest cost. All are recorded."""
    local = [space for space in eligible if server in space.bridgeheads]
    if len(local) < len(eligible):
        remote = [(space, Rule.REMOTE) for space in eligible if server not in space.bridgeheads]
        _record(pattern, remote, considered)
    tied = local if len(local) < 2 else _cheapest(pattern, local, link_state, considered)
    for space in tied:
        considered.append(Considered(space.name, pattern, space.cost, Rule.KEPT))  # noqa: PERF401  # shorter so
    return tied


def _cheapest(
    pattern: str, local: list[ServedSpace], link_state: LinkState, considered: list[Considered]
) -> list[ServedSpace]:
    """Of several at hand those that are as up as any, and of these the ones at the lowest cost."""
    standings = [(space, _standing(space.name, link_state)) for space in local]
    best = min((standing for _, standing in standings), key=_STANDINGS.index)
    _record(pattern, [(space, standing) for space, standing in standings if standing is not best], considered)
    alive = [space for space, standing in standings if standing is best]
    cost = min(space.cost for space in alive)
    _record(pattern, [(space, Rule.COSTLIER) for space in alive if space.cost != cost], considered)
    return [space for space in alive if space.cost == cost]


def _record(pattern: str, dropped: list[tuple[ServedSpace, Rule]], considered: list[Considered]) -> None:
    considered.extend([Considered(space.name, pattern, space.cost, rule) for space, rule in dropped])


def _by_connectors(tied: list[ServedSpace], domain: str, server: str, link_state: LinkState) -> Result:
    """The way out by every connector that ties."""
    if not tied:
        return Unroutable(NO_ROUTE)
    routes = []
    for space in tied:
        next_hop = SMART_HOSTS if space.has_smart_hosts else domain
        for bridgehead in space.bridgeheads[server]:
            routes.append(Route(space.name, bridgehead, next_hop, space.cost))  # noqa: PERF401  # shorter so
    is_down = tied[0].name in link_state.down  # then all are, or they would not have been kept
    return Unreachable(tuple(routes)) if is_down else Routed(tuple(routes))


_STANDINGS: Final = (Rule.KEPT, Rule.SUSPECT, Rule.DOWN)


def _standing(connector: str, link_state: LinkState) -> Rule:
    if connector in link_state.down:
        return Rule.DOWN
    return Rule.SUSPECT if connector in link_state.suspect else Rule.KEPT


def _without_connector(
    accepted: AcceptedDomain | None,
    domain: str,
    here: Here,
    organization: Organization,
    considered: Sequence[Considered],
) -> Result:
    """No connector takes it: refused by their restrictions, or as `no_match` says."""
    if any(record.rule.is_restriction for record in considered):
        return Unroutable(NOT_ALLOWED)
    relays = accepted is not None and accepted.type is not DomainType.AUTHORITATIVE
    if organization.no_match is NoMatch.NATIVE_DNS or relays:
        own = organization.virtual_server(here.virtual_server).delivery.smart_hosts
        return Routed((Route("", here.virtual_server, SMART_HOSTS if own else domain),))
    return Held() if organization.no_match is NoMatch.HOLD else Unroutable(NO_ROUTE)


def _mix(number: int) -> int:
    """Spreads neighbouring numbers evenly over 64 bits (the finaliser of splitmix64)."""
    number &= 0xFFFFFFFFFFFFFFFF
    number = (number ^ number >> 30) * 0xBF58476D1CE4E5B9 & 0xFFFFFFFFFFFFFFFF
    number = (number ^ number >> 27) * 0x94D049BB133111EB & 0xFFFFFFFFFFFFFFFF
    return number ^ number >> 31
