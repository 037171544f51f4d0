"""Organizations in few words, for the tests of routing, policy and explanation."""

from __future__ import annotations

from dataclasses import dataclass
from ipaddress import ip_network
from types import MappingProxyType

from bridgehead.core.address import Mailbox, PathFault, parse_forward_path, parse_mailbox
from bridgehead.core.address_space import parse_address_space
from bridgehead.core.client import Client, client_at
from bridgehead.core.link_state import ALL_UP, LinkState
from bridgehead.core.organization import (
    AcceptedDomain,
    ClientList,
    Connector,
    Delivery,
    NoMatch,
    Organization,
    RelayRestrictions,
    Restrictions,
    Scope,
    Server,
    SmartHost,
    SmartHostKind,
    VirtualServer,
)
from bridgehead.core.policy import Admission, Admitted, Refused, admit, recipient_fault
from bridgehead.core.routing import Decision, MessageProperties, Routed, Rule, Unreachable, here_at, route

VIRTUAL_SERVER = "BRIDGE01/Default"
SECOND = "BRIDGE01/Second"
OUTSIDE = client_at("198.51.100.7")
REMOTE = "BRIDGE02/Default"
SMART_HOST = SmartHost("192.0.2.10", SmartHostKind.ADDRESS)
UNRESTRICTED = Restrictions()
LOOPBACK = ClientList((ip_network("127.0.0.0/8"), ip_network("::1/128")))
LOOPBACK_ONLY = RelayRestrictions(clients=LOOPBACK)


@dataclass(frozen=True, slots=True)
class Way:
    """The settings of a connector that differ from case to case."""

    smart_hosts: tuple[SmartHost, ...] = (SMART_HOST,)
    bridgeheads: tuple[str, ...] = (VIRTUAL_SERVER,)
    restrictions: Restrictions = UNRESTRICTED
    scope: Scope = Scope.ORGANIZATION
    routing_group: str = "Tokyo"
    enabled: bool = True
    allow_relay: bool = False


def connector(name: str, *spaces: str, way: Way = Way()) -> Connector:
    """A connector for `"PATTERN;COST"`, to a smart host unless `way` says otherwise."""
    return Connector(
        name,
        tuple(parse_address_space(space) for space in spaces),
        way.bridgeheads,
        way.routing_group,
        smart_hosts=way.smart_hosts,
        enabled=way.enabled,
        scope=way.scope,
        allow_relay=way.allow_relay,
        restrictions=way.restrictions,
    )


def organization(
    *connectors: Connector,
    accepted: tuple[AcceptedDomain, ...] = (),
    no_match: NoMatch = NoMatch.NDR,
    relay: RelayRestrictions = LOOPBACK_ONLY,
    smart_hosts: tuple[SmartHost, ...] = (),
    postmaster: str = "postmaster@contoso.com",
) -> Organization:
    """Two servers in two routing groups; what is asked is asked at `VIRTUAL_SERVER`."""
    return Organization(
        "Contoso",
        (Server("BRIDGE01", routing_group="Tokyo"), Server("BRIDGE02", routing_group="Osaka")),
        (
            VirtualServer(
                "Default", "BRIDGE01", (), "mail.x", relay=relay, delivery=Delivery(smart_hosts=smart_hosts)
            ),
            VirtualServer("Second", "BRIDGE01", (), "second.x"),
            VirtualServer("Default", "BRIDGE02", (), "osaka.x"),
        ),
        connectors,
        accepted,
        postmaster=postmaster,
        no_match=no_match,
    )


def down(*names: str, suspect: tuple[str, ...] = ()) -> LinkState:
    """A link state in which these connectors are down since 1,000 s."""
    return LinkState(MappingProxyType(dict.fromkeys(names, 1000.0)), frozenset(suspect))


def mailbox(text: str) -> Mailbox:
    """An address that is one."""
    parsed = parse_mailbox(text)
    assert parsed is not None, text
    return parsed


def ask(
    contoso: Organization,
    path: bytes,
    client: Client = OUTSIDE,
    *,
    sender: str = "x@elsewhere.example",
    size: int = 0,
    at: str = VIRTUAL_SERVER,
) -> Admitted | Refused:
    """What RCPT TO:<path> comes to."""
    recipient = parse_forward_path(path, smtputf8=True)
    if isinstance(recipient, PathFault):
        return Refused(recipient_fault(recipient), Admission.NOT_ALLOWED)
    return admit(recipient, client, MessageProperties(sender, size), here_at(contoso, at), contoso)


def decide(
    contoso: Organization,
    recipient: str,
    *,
    sender: str = "app@contoso.com",
    size: int = 10_240,
    links: LinkState = ALL_UP,
    at: str = VIRTUAL_SERVER,
) -> Decision:
    here = here_at(contoso, at)
    return route(mailbox(recipient), MessageProperties(sender, size), here, contoso, links)


def names(decision: Decision) -> list[str]:
    assert isinstance(decision.result, (Routed, Unreachable)), decision
    return [found.connector for found in decision.result.routes]


def rules(decision: Decision) -> dict[str, Rule]:
    return {record.connector: record.rule for record in decision.considered}
