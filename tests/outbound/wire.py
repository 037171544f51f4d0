"""Parts of the wire put together for tests."""

from __future__ import annotations

import time
from dataclasses import dataclass, replace
from random import Random

from bridgehead.core.organization import (
    Delivery,
    Security,
    SmartHost,
    SmartHostKind,
    SmartHostOrder,
    TlsLevel,
    VirtualServer,
)
from bridgehead.net.resolver import Resolvers
from bridgehead.net.tls import ClientContexts
from bridgehead.outbound.connect import Wiring
from bridgehead.outbound.contract import Destination, QueueKey
from bridgehead.outbound.dialer import SmtpDialer
from bridgehead.outbound.hosts import HostFinder, Ourselves
from bridgehead.outbound.timeouts import Timeouts
from bridgehead.smtp.client_event import Trace
from tests.outbound.scripted_server import ADDRESS

PATIENT = Timeouts()
HASTY = Timeouts(connect=1.0, handshake=0.5, greeting=0.5, command=0.5, block=0.5, end=0.5, goodbye=0.1, idle=0.5)
VIRTUAL_SERVER = VirtualServer("V", "S", (), "bridge.contoso.com")
NOBODY = Ourselves(frozenset(), frozenset())


@dataclass
class Wire:
    """A dialer and a destination."""

    dialer: SmtpDialer
    destination: Destination


def smart_host(port: int, host: str = ADDRESS) -> SmartHost:
    """`"[127.0.0.2]:port"`."""
    return SmartHost(host, SmartHostKind.ADDRESS, port)


def to_smart_hosts(*smart_hosts: SmartHost, security: Security | None = None, messages: int = 20) -> Destination:
    """In the order given."""
    return Destination(
        QueueKey("c", VIRTUAL_SERVER.key, "smart-hosts"),
        VIRTUAL_SERVER,
        None,
        smart_hosts,
        SmartHostOrder.FAILOVER,
        "",
        None,
        security or Security(tls=TlsLevel.NONE),
        False,
        messages,
    )


def to_domain(domain: str, dns_server: str, port: int, security: Security | None = None) -> Destination:
    """By MX."""
    virtual_server = replace(VIRTUAL_SERVER, outbound_port=port, delivery=Delivery(dns_servers=(dns_server,)))
    return replace(to_smart_hosts(security=security), virtual_server=virtual_server, domain=domain)


def dialer(timeouts: Timeouts = PATIENT, trace: Trace | None = None, ourselves: Ourselves = NOBODY) -> SmtpDialer:
    """A dialer with a fixed seed."""
    finder = HostFinder(Resolvers(time.monotonic), lambda: ourselves, Random(1))
    return SmtpDialer(finder, Wiring(ClientContexts(), timeouts, trace), time.monotonic)
