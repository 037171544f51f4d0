"""Why a recipient would be taken or not, and which connector would take it: the answer of `bridgehead explain`.

No decision is made here. `admit` and `route` are asked, and what they say is put beside the settings it came from.
How it looks on a terminal is the command line's business; the sentences that name the rules are here.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from enum import StrEnum
from types import MappingProxyType
from typing import Final

import msgspec

from bridgehead.core.address import Mailbox, PathFault, parse_forward_path
from bridgehead.core.client import STRANGER, Client, client_at
from bridgehead.core.error import ConfigurationError
from bridgehead.core.link_state import ALL_UP, LinkState
from bridgehead.core.organization import Connector, ListMode, Organization, Security, SmartHost
from bridgehead.core.policy import Admission, Admitted, Refused, admit, recipient_fault
from bridgehead.core.routing import (
    SMART_HOSTS,
    Decision,
    Here,
    MessageProperties,
    Route,
    Routed,
    Rule,
    Unreachable,
    Unroutable,
    here_at,
    route,
)


class Question(msgspec.Struct, frozen=True):
    """What is asked, in the words of the command line."""

    recipient: str
    sender: str = ""
    """Envelope sender; empty: the null reverse path."""
    client: str = ""
    """IP address; empty: a client on no list."""
    names: tuple[str, ...] = ()
    """Verified PTR names of the client."""
    user: str = ""
    """Authenticated account; empty: none."""
    size: int = 0
    priority: str = "normal"
    server: str = ""
    virtual_server: str = ""
    """Name or key; empty: the first one of the server."""
    down: tuple[str, ...] = ()
    """Connectors to be taken as down."""
    assume_up: bool = False
    """Take every other connector as up, whatever the link state says."""


class Verdict(StrEnum):
    """What would become of the recipient."""

    ROUTED = "routed"
    WOULD_WAIT = "would wait"
    REFUSED = "refused"


class Unvisited(StrEnum):
    """Why routing never looked at a connector."""

    NOT_COVERED = "not-covered"
    LESS_SPECIFIC = "less-specific"
    NOT_ASKED = "not-asked"


class NextHop(msgspec.Struct, frozen=True):
    """Where mail would be handed over, and how."""

    hosts: tuple[str, ...]
    """Smart hosts as written, `"MX of fabrikam.com"`, or `"lmtp:…"`."""
    tls: str = ""
    """Level, and what goes with it: `"verify (mail.isp.example)"`."""
    identity: str = ""
    """`"anonymous"`, or `"basic as USER"`."""


class RouteExplanation(msgspec.Struct, frozen=True):
    """One of the routes that tie."""

    connector: str
    """Empty: none; the virtual server delivers by itself."""
    bridgehead: str
    total_cost: int
    next_hop: NextHop


class ConnectorExplanation(msgspec.Struct, frozen=True):
    """One connector of the organization, and what became of it."""

    name: str
    is_kept: bool
    rule: str
    """Value of a `routing.Rule` or of `Unvisited`."""
    reason: str
    """The rule as a sentence."""
    pattern: str
    """The address space that was looked at; empty: none covers the domain."""
    cost: int
    next_hop: NextHop
    down_since: float = 0.0
    """Seconds since the epoch; 0: not down, or since when is not known."""


class AdmissionExplanation(msgspec.Struct, frozen=True):
    """What the virtual server would say to RCPT."""

    is_admitted: bool
    rule: str
    reason: str
    reply: str
    """The refusal; empty: none."""
    may_relay: tuple[str, ...]
    """Who may send to this recipient through this virtual server."""


class Explanation(msgspec.Struct, frozen=True):
    """The whole answer; plain values, ready for JSON."""

    recipient: str
    address: str
    """Where mail goes, source route removed; the organization's postmaster where that takes it."""
    domain: str
    """Normal form."""
    virtual_server: str
    client: str
    generation: str
    verdict: Verdict
    reason: str
    """The verdict as a sentence."""
    admission: AdmissionExplanation
    accepted_domain: str
    """`"contoso.com (authoritative)"`; empty: the domain is none of ours."""
    routes: tuple[RouteExplanation, ...]
    choice: str
    """`"1 of 2, evenly"`; empty: there is nothing to choose."""
    connectors: tuple[ConnectorExplanation, ...]


_RULES: Final[Mapping[str, str]] = {
    Rule.KEPT: "Takes it.",
    Rule.DISABLED: "It is disabled.",
    Rule.OUT_OF_SCOPE: "Only servers of its own routing group may use it.",
    Rule.SIZE: "It takes only smaller messages.",
    Rule.SENDER_REJECTED: "It rejects this sender.",
    Rule.SENDER_NOT_ACCEPTED: "It accepts only other senders.",
    Rule.REMOTE: "Its bridgeheads are all on other servers.",
    Rule.DOWN: "It is down.",
    Rule.SUSPECT: "Its last attempt failed at every host, and another connector is up.",
    Rule.COSTLIER: "Another connector costs less.",
    Unvisited.NOT_COVERED: "None of its address spaces covers the domain.",
    Unvisited.LESS_SPECIFIC: "A more specific address space decides.",
    Unvisited.NOT_ASKED: "The accepted domain decides before connectors do.",
}
_ADMISSIONS: Final = {
    Admission.POSTMASTER: "Mail to postmaster is always taken.",
    Admission.ACCEPTED_DOMAIN: "The domain is an accepted domain.",
    Admission.CONNECTOR: "The connector that takes it allows messages to be relayed to its domains.",
    Admission.AUTHENTICATED: "The client is authenticated, and whoever authenticates may relay.",
    Admission.LIST: "The relay list lets the client relay.",
    Admission.NOT_ALLOWED: "The domain is none of ours, and the client may not relay.",
    Admission.SUSPICIOUS: "The address asks another host to relay, and the client may not relay.",
    Admission.UNROUTABLE: "The recipient does not exist, or nothing takes mail for it.",
}
_MALFORMED: Final = "This is no address."


def rule_in_words(rule: str) -> str:
    """The sentence for a `Rule` or `Unvisited`; the word itself where a later version wrote it."""
    return _RULES.get(rule, rule)


def explain(question: Question, organization: Organization, link_state: LinkState) -> Explanation:
    """Answer a question; `ConfigurationError` where it names a server, connector or client that does not exist."""
    here = _place(question, organization)
    client = _client(question)
    links = _links(question, organization, link_state)
    mailbox = parse_forward_path(question.recipient.encode("utf-8", "surrogateescape"), smtputf8=True)
    if isinstance(mailbox, PathFault):
        return _malformed(question, here, client, organization, mailbox)
    message = MessageProperties(question.sender, question.size, question.priority)
    admission = admit(mailbox, client, message, here, organization)
    target = admission if isinstance(admission, Admitted) else mailbox
    decision = route(target, message, here, organization, links)
    verdict, reason = _verdict(admission, decision)
    reason = _with_disabled(reason, decision)
    accepted = organization.accepted_domain_index.best(target.domain)
    routes = decision.result.routes if isinstance(decision.result, (Routed, Unreachable)) else ()
    return Explanation(
        recipient=question.recipient,
        address=target.address,
        domain=target.domain,
        virtual_server=here.virtual_server,
        client=client.text,
        generation=organization.generation,
        verdict=verdict,
        reason=reason,
        admission=_admission(admission, _who_may_relay(mailbox, decision, message, here, organization)),
        accepted_domain=f"{accepted.pattern} ({accepted.type})" if accepted else "",
        routes=tuple(_route(found, organization) for found in routes),
        choice=f"1 of {len(routes)}, evenly" if len(routes) > 1 else "",
        connectors=_connectors(target.domain, decision, organization, links),
    )


def _place(question: Question, organization: Organization) -> Here:
    """The virtual server that is meant: by key, by name, or the first."""
    for virtual_server in organization.virtual_servers:
        is_server = question.server in {"", virtual_server.server}
        if is_server and question.virtual_server in {"", virtual_server.name, virtual_server.key}:
            return here_at(organization, virtual_server.key)
    known = ", ".join(f'"{virtual_server.key}"' for virtual_server in organization.virtual_servers)
    wanted = "/".join(part for part in (question.server, question.virtual_server) if part)
    raise ConfigurationError(f'there is no virtual server "{wanted}"; there is {known or "none"}')


def _client(question: Question) -> Client:
    if not question.client:
        return replace(STRANGER, user=question.user)
    try:
        return client_at(question.client, question.user, question.names)
    except ValueError as error:
        raise ConfigurationError(f'"{question.client}" is no IP address') from error


def _links(question: Question, organization: Organization, link_state: LinkState) -> LinkState:
    for name in question.down:
        if organization.connector(name) is None:
            raise ConfigurationError(f'there is no connector "{name}"')
    assumed = ALL_UP if question.assume_up else link_state
    return replace(assumed, down=MappingProxyType({**dict.fromkeys(question.down, 0.0), **assumed.down}))


def _malformed(
    question: Question, here: Here, client: Client, organization: Organization, fault: PathFault
) -> Explanation:
    reply = str(recipient_fault(fault))
    return Explanation(
        recipient=question.recipient,
        address="",
        domain="",
        virtual_server=here.virtual_server,
        client=client.text,
        generation=organization.generation,
        verdict=Verdict.REFUSED,
        reason=_MALFORMED,
        admission=AdmissionExplanation(False, fault, _MALFORMED, reply, ()),
        accepted_domain="",
        routes=(),
        choice="",
        connectors=(),
    )


def _verdict(admission: Admitted | Refused, decision: Decision) -> tuple[Verdict, str]:
    if isinstance(admission, Refused):
        return Verdict.REFUSED, f"Refused at RCPT: {admission.reply}"
    match decision.result:
        case Routed():
            return Verdict.ROUTED, "Would be sent at once."
        case Unreachable():
            return Verdict.WOULD_WAIT, "Every connector that serves it is down; it waits for one of them."
        case Unroutable(reply):
            return (
                Verdict.WOULD_WAIT,
                f"Is taken, but nothing can deliver it; held until that is mended: {reply.text}",
            )
        case _:
            return Verdict.WOULD_WAIT, "No connector serves it, and such mail is held."


def _with_disabled(reason: str, decision: Decision) -> str:
    """The reason; where nothing takes it now, with the connectors that would, were they not disabled."""
    names = dict.fromkeys(one.connector for one in decision.considered if one.rule is Rule.DISABLED)
    if not names or isinstance(decision.result, Routed):
        return reason
    listed = ", ".join(f'"{name}"' for name in names)
    return f"{reason.removesuffix('.')}; disabled connectors would serve it: {listed}."


def _admission(admission: Admitted | Refused, may_relay: tuple[str, ...]) -> AdmissionExplanation:
    reply = str(admission.reply) if isinstance(admission, Refused) else ""
    return AdmissionExplanation(not reply, admission.rule, _ADMISSIONS[admission.rule], reply, may_relay)


def _who_may_relay(
    mailbox: Mailbox, decision: Decision, message: MessageProperties, here: Here, organization: Organization
) -> tuple[str, ...]:
    """Everyone, if a stranger may; else those whom the virtual server's settings name, if it can be sent at all."""
    if isinstance(admit(mailbox, STRANGER, message, here, organization), Admitted):
        return ("everyone",)
    if isinstance(decision.result, Unroutable):
        return ("nobody",)
    relay = organization.virtual_server(here.virtual_server).relay
    listed = ", ".join([*map(str, relay.clients.networks), *relay.clients.domains])
    who = ["authenticated clients"] if relay.authenticated else []
    if relay.mode is ListMode.ALL_EXCEPT:
        who.append(f"all clients except {listed}")
    elif listed:
        who.append(f"clients of {listed}")
    return tuple(who) or ("nobody",)


def _route(found: Route, organization: Organization) -> RouteExplanation:
    connector = organization.connector(found.connector) if found.connector else None
    if connector is not None:
        next_hop = _next_hop_of(connector, found.next_hop)
    elif found.local is not None:
        next_hop = NextHop((found.next_hop,))
    else:
        own = organization.virtual_server(found.bridgehead).delivery.smart_hosts
        next_hop = _next_hop(own if found.next_hop == SMART_HOSTS else (), Security(), found.next_hop)
    return RouteExplanation(found.connector, found.bridgehead, found.total_cost, next_hop)


def _connectors(
    domain: str, decision: Decision, organization: Organization, links: LinkState
) -> tuple[ConnectorExplanation, ...]:
    """Every connector, in the order of the configuration."""
    visited = {record.connector: record for record in decision.considered}
    covering: dict[str, tuple[str, int]] = {}
    for pattern, level in organization.served_spaces.levels(domain):
        for space in level:
            covering.setdefault(space.name, (pattern, space.cost))
    unvisited = Unvisited.LESS_SPECIFIC if visited else Unvisited.NOT_ASKED
    explanations = []
    for connector in organization.connectors:
        record, covered_by = visited.get(connector.name), covering.get(connector.name)
        rule = record.rule if record else unvisited if covered_by else Unvisited.NOT_COVERED
        by = (record.pattern, record.cost) if record else covered_by or ("", 0)
        since = links.down.get(connector.name, 0.0)
        explanations.append(_connector(connector, rule, by, domain, since))
    return tuple(explanations)


def _connector(
    connector: Connector, rule: Rule | Unvisited, by: tuple[str, int], domain: str, since: float
) -> ConnectorExplanation:
    """`by` is the pattern and the cost of its address space."""
    pattern, cost = by
    return ConnectorExplanation(
        name=connector.name,
        is_kept=rule is Rule.KEPT,
        rule=rule,
        reason=_RULES[rule],
        pattern=pattern,
        cost=cost,
        next_hop=_next_hop_of(connector, domain),
        down_since=since,
    )


def _next_hop_of(connector: Connector, domain: str) -> NextHop:
    return _next_hop(connector.smart_hosts, connector.security, domain)


def _next_hop(smart_hosts: tuple[SmartHost, ...], security: Security, domain: str) -> NextHop:
    tls = str(security.tls) + (f" ({security.tls_domain})" if security.tls_domain else "")
    if security.implicit_tls:
        tls += ", from the first byte"
    identity = str(security.authentication) + (f" as {security.username}" if security.username else "")
    by_dns = domain if domain.startswith("[") else f"MX of {domain}"
    return NextHop(tuple(map(str, smart_hosts)) or (by_dns,), tls, identity)
