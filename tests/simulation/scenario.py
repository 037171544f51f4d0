"""What a seed stands for: an organization, hosts around it, mail, and what goes wrong when.

Two servers, sometimes one; connectors that tie, connectors that back each other up, one that relays to the other
server, one by MX; a domain whose host never fails, to see that nothing else delays its mail.
"""

from __future__ import annotations

import ipaddress
from collections.abc import Sequence
from dataclasses import dataclass, replace
from random import Random
from typing import Final

from bridgehead.core.envelope import Notify, Recipient
from bridgehead.core.organization import (
    AcceptedDomain,
    AddressSpace,
    ClientList,
    ConnectionControl,
    Connector,
    ConnectorLimits,
    Delivery,
    DomainType,
    LocalDelivery,
    MessageLimits,
    NoMatch,
    Organization,
    RelayRestrictions,
    Security,
    Server,
    SmartHost,
    SmartHostKind,
    SmartHostOrder,
    TlsLevel,
    VirtualServer,
)
from tests.simulation.sender import Mail

FIRST: Final = "BRIDGE01"
SECOND: Final = "BRIDGE02"
SERVERS: Final = {FIRST: "10.0.1.1", SECOND: "10.0.1.2"}
BOTH: Final = (FIRST, SECOND)
SINKS: Final = {
    "isp-a": "10.0.2.1",
    "isp-b": "10.0.2.2",
    "partner-1": "10.0.2.3",
    "partner-2": "10.0.2.4",
    "backup": "10.0.2.5",
    "edge": "10.0.2.6",
    "mx1.wingtip.example": "10.0.2.7",
    "mx2.wingtip.example": "10.0.2.8",
    "home": "10.0.2.9",
    "steady": "10.0.2.10",
    "store": "10.0.2.11",
}
DOMAINS: Final = (
    "fabrikam.example",
    "fabrikam.example",
    "tailspin.example",
    "wingtip.example",
    "northwind.example",
    "proseware.example",
    "contoso.example",
    "litware.example",
    "litware.example",
    "steady.example",
    "steady.example",
)
STORES: Final = frozenset(("store",))
"""Those that speak LMTP."""
SECURE: Final = frozenset(("isp-b", "partner-1", "partner-2", "mx1.wingtip.example"))
"""Those that offer STARTTLS when all is well."""
CLIENTS: Final = ClientList((ipaddress.ip_network("10.0.0.0/8"),))


@dataclass(frozen=True)
class Plan:
    """The choices of a seed."""

    organization: Organization
    workers: dict[str, int]
    mails: tuple[tuple[float, str, Mail], ...]
    """When, to which server, what."""
    seconds: float
    """How long things go wrong."""


def plan(random: Random) -> Plan:
    """Draw one."""
    seconds = random.choice((25.0, 50.0, 100.0))
    workers = {FIRST: random.choice((1, 1, 2)), SECOND: 1}
    mails = tuple(_mail(random, number, seconds) for number in range(1, random.choice((2, 2, 5, 5, 9, 9, 30)) + 1))
    return Plan(_organization(random), workers, mails, seconds)


def _delivery(random: Random) -> Delivery:
    return Delivery(
        glitch_retries=random.choice((1, 2, 3)),
        glitch_retry_seconds=random.choice((1.0, 3.0)),
        retry_seconds=random.choice(((5.0, 10.0, 20.0), (8.0,), (4.0, 15.0))),
        delay_notice_seconds=random.choice((15.0, 30.0, 90.0, 600.0)),
        expire_seconds=random.choice((60.0, 150.0, 1000.0, 5000.0)),
        connection_timeout_seconds=random.choice((6.0, 15.0)),
    )


def _organization(random: Random) -> Organization:
    per_connection = random.choice((1, 2, 20))
    limits = ConnectorLimits(random.choice((1, 2, 5)), random.choice((0, 1, 3)), per_connection)
    order = random.choice(list(SmartHostOrder))

    levels = {"Partner": random.choice((TlsLevel.OPPORTUNISTIC, TlsLevel.REQUIRE, TlsLevel.NONE))}

    def connector(name: str, *spaces: str, hosts: Sequence[str] = (), at: Sequence[str] = (FIRST,)) -> Connector:
        patterns = [space.partition(";") for space in spaces]
        smart_hosts = tuple(SmartHost({**SERVERS, **SINKS}[host], SmartHostKind.ADDRESS) for host in hosts)
        return Connector(
            name,
            tuple(AddressSpace(pattern, int(cost or 1)) for pattern, _, cost in patterns),
            tuple(f"{server}/Default" for server in at),
            "First",
            smart_hosts=smart_hosts,
            smart_host_order=order,
            limits=limits,
            security=Security(tls=levels.get(name, TlsLevel.OPPORTUNISTIC)),
        )

    delivery = _delivery(random)
    sessions = random.choice((0, 0, 2))
    virtual_servers = tuple(
        VirtualServer(
            "Default",
            server,
            (),
            f"{server.lower()}.contoso.example",
            relay=RelayRestrictions(clients=CLIENTS),
            connection=ConnectionControl(limit=sessions and sessions * 3, timeout_seconds=30.0),
            messages=MessageLimits(messages_per_connection=per_connection),
            delivery=delivery,
        )
        for server in SERVERS
    )
    connectors = (
        connector("ISP A", "*", hosts=["isp-a"]),
        connector("ISP B", f"*;{random.choice((1, 1, 5))}", hosts=["isp-b"]),
        connector("Second to first", "*", hosts=[FIRST], at=[SECOND]),
        connector("Partner", "fabrikam.example", hosts=["partner-1", "partner-2"], at=BOTH),
        connector("Backup", "fabrikam.example;10", hosts=["backup"], at=BOTH),
        connector("To second", "*.tailspin.example", hosts=[SECOND]),
        connector("Edge", "*.tailspin.example", hosts=["edge"], at=[SECOND]),
        connector("Wingtip", "wingtip.example", at=BOTH),
        connector("Home", "contoso.example", hosts=["home"], at=BOTH),
        connector("Steady", "steady.example", hosts=["steady"], at=BOTH),
    )
    return Organization(
        "Contoso",
        tuple(Server(name, address, routing_group="First") for name, address in SERVERS.items()),
        virtual_servers,
        connectors,
        (
            AcceptedDomain("contoso.example", DomainType.EXTERNAL_RELAY),
            AcceptedDomain("litware.example", deliver=LocalDelivery("lmtp", f"{SINKS['store']}:24")),
        ),
        postmaster="postmaster@contoso.example",
        no_match=random.choice((NoMatch.NDR, NoMatch.HOLD)),
        generation="0",
    )


def _mail(random: Random, number: int, seconds: float) -> tuple[float, str, Mail]:
    count = random.choice((1, 1, 1, 2, 3, 8))
    domains = random.choice((DOMAINS, [random.choice(DOMAINS)]))
    recipients = []
    for ordinal in range(count):
        name = random.choice(("user",) * 9 + ("nobody",))
        domain = random.choice(domains)
        notify = random.choice((-1, -1, -1, 0, int(Notify.FAILURE), int(Notify.FAILURE | Notify.SUCCESS)))
        recipients.append(Recipient(ordinal, f"{name}{number}-{ordinal}@{domain}", domain, notify))
    sender = random.choice(("alice@contoso.example",) * 6 + ("nobody@contoso.example", "", "bob@proseware.example"))
    text = "x" * random.choice((10, 10, 10, 300, 70_000)) if random.random() < 0.5 else ".\r\n..\r\n.x"
    is_eight_bit = random.random() < 0.15
    if is_eight_bit:
        text = f"Gr\u00fc\u00dfe {text}"
    mime = "MIME-Version: 1.0\r\nContent-Type: text/plain; charset=utf-8\r\nContent-Transfer-Encoding: 8bit\r\n"
    content = f"Subject: mail {number}\r\nX-Mail: {number}\r\n{mime if is_eight_bit else ''}\r\n{text}\r\n".encode()
    mail = Mail(number, sender, tuple(recipients), content, random.random() < 0.1, random.random() < 0.08)
    when = random.random() * seconds * 0.8 if random.random() < 0.8 else 0.5
    return when, random.choice((FIRST, FIRST, FIRST, SECOND)), mail


def changed(organization: Organization, random: Random) -> Organization:
    """What an administrator may do to the connectors; never to those of mail that must not be delayed."""
    chosen = random.choice([one for one in organization.connectors if one.name not in {"Steady", "Home"}])
    match random.choice(("disable", "disable", "remove", "cost", "limits", "hosts", "tls")):
        case "disable":
            instead: tuple[Connector, ...] = (replace(chosen, enabled=False),)
        case "remove":
            instead = ()
        case "cost":
            spaces = tuple(replace(space, cost=random.choice((1, 5, 50))) for space in chosen.address_spaces)
            instead = (replace(chosen, address_spaces=spaces),)
        case "hosts":
            instead = (replace(chosen, smart_hosts=chosen.smart_hosts[::-1]),)
        case "tls":
            instead = (replace(chosen, security=Security(tls=random.choice((TlsLevel.NONE, TlsLevel.REQUIRE)))),)
        case _:
            instead = (replace(chosen, limits=replace(chosen.limits, messages_per_connection=random.choice((1, 3)))),)
    connectors = tuple(one for found in organization.connectors for one in (instead if found is chosen else (found,)))
    return replace(organization, connectors=connectors, generation=str(random.random()))
