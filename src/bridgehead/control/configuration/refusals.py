"""What is refused although each value by itself is right: open relays, loops, settings that contradict one another.

Works on the values of `core.organization`; paths are those of the file, whose tables have the same order.
"""

from __future__ import annotations

from collections.abc import Hashable, Iterable
from ipaddress import ip_address

from bridgehead.control.configuration.issue import Path
from bridgehead.control.configuration.machine import Machine
from bridgehead.control.configuration.networks import PUBLIC_PREFIX_MIN, is_loopback, is_too_public, own_endpoints
from bridgehead.control.configuration.notation import in_brackets
from bridgehead.control.configuration.report import Report, quoted
from bridgehead.core.organization import (
    Authentication,
    Connector,
    Listener,
    ListMode,
    Node,
    Organization,
    Scope,
    SmartHost,
    SmartHostKind,
    TlsLevel,
    VirtualServer,
)
from bridgehead.core.pattern import is_whole_top_level


def refuse(organization: Organization, node: Node, machine: Machine, report: Report) -> None:
    """Reports every error that shows only when values are seen together."""
    _refuse_repetitions(organization, node, report)
    for number, virtual_server in enumerate(organization.virtual_servers):
        path = ("virtual_server", number)
        _refuse_open_relay(virtual_server, path, report)
        _refuse_clear_passwords(virtual_server, path, report)
        place = (*path, "delivery", "smart_hosts")
        for host in _loops(virtual_server.delivery.smart_hosts, virtual_server, organization, (node, machine)):
            report.error(place, f"smart host {host} is this server itself: mail would go in circles")
    for number, connector in enumerate(organization.connectors):
        path = ("connector", number)
        _refuse_open_connector(connector, path, report)
        _refuse_contradictions(connector, path, report)
        _refuse_bridgeheads(connector, path, organization, (node, report))
        _refuse_loops(connector, path, organization, (node, machine, report))


def _refuse_repetitions(organization: Organization, node: Node, report: Report) -> None:
    _refuse_twice(
        ((("server", number, "name"), server.name) for number, server in enumerate(organization.servers)),
        "another server has this name",
        report,
    )
    _refuse_twice(
        (
            (("virtual_server", number, "name"), server.key)
            for number, server in enumerate(organization.virtual_servers)
        ),
        "another virtual server of its server has this name",
        report,
    )
    _refuse_twice(
        ((("connector", number, "name"), connector.name) for number, connector in enumerate(organization.connectors)),
        "another connector has this name",
        report,
    )
    _refuse_twice(
        (
            (("accepted_domain", number, "domain"), domain.pattern)
            for number, domain in enumerate(organization.accepted_domains)
        ),
        "the domain is listed twice",
        report,
    )
    _refuse_twice(_endpoints(organization, node), "the address is listened on twice", report)


def _endpoints(organization: Organization, node: Node) -> Iterable[tuple[Path, Hashable]]:
    """Every listening address with its server; port 0 means any free one, and repeats nothing."""
    for number, virtual_server in enumerate(organization.virtual_servers):
        for index, listener in enumerate(virtual_server.listeners):
            if listener.port:
                written = f"{in_brackets(listener.address)}:{listener.port}"
                yield ("virtual_server", number, "listen", index), (virtual_server.server, written)
    for key, text in (("console", node.console), ("metrics", node.metrics)):
        if text and not text.endswith(":0"):
            yield ("node", key), (node.server, text)


def _refuse_twice(entries: Iterable[tuple[Path, Hashable]], text: str, report: Report) -> None:
    seen = set()
    for path, entry in entries:
        if entry in seen:
            report.error(path, text)
        seen.add(entry)


def _refuse_open_relay(virtual_server: VirtualServer, path: Path, report: Report) -> None:
    relay = virtual_server.relay
    exposed = _first_beyond_loopback(virtual_server.listeners)
    if relay.mode is ListMode.ALL_EXCEPT:
        if exposed is not None:
            text = f'relay mode "all-except" on {exposed.address} is an open relay: strangers on no list could relay'
            report.error((*path, "relay", "mode"), text, 'mode = "only-list" with the clients that may relay')
        return
    place = (*path, "relay", "clients")
    for network in relay.clients.networks:
        if is_too_public(network):
            size = PUBLIC_PREFIX_MIN[network.version]
            text = f"relay for {network} is an open relay: a public network larger than /{size}"
            report.error(place, text, "the networks of your own clients")
    for domain in relay.clients.domains:
        if is_whole_top_level(domain):
            text = f"relay for {domain} is an open relay: everyone with a name in that domain could relay"
            report.error(place, text, "the domains of your own clients")


def _refuse_clear_passwords(virtual_server: VirtualServer, path: Path, report: Report) -> None:
    authentication = virtual_server.authentication
    if authentication is None or not authentication.without_tls:
        return
    exposed = _first_beyond_loopback(listener for listener in virtual_server.listeners if not listener.implicit_tls)
    if exposed is not None:
        text = f"without_tls on {exposed.address} would let passwords cross the network in the clear"
        report.error((*path, "authentication", "without_tls"), text, "without_tls = false, with tls configured")


def _first_beyond_loopback(listeners: Iterable[Listener]) -> Listener | None:
    return next((listener for listener in listeners if not is_loopback(listener)), None)


def _refuse_open_connector(connector: Connector, path: Path, report: Report) -> None:
    for space in connector.address_spaces:
        if connector.allow_relay and is_whole_top_level(space.pattern):
            covered = "every domain" if space.pattern == "*" else "a whole top-level domain"
            text = (
                f'allow_relay with address space "{space.pattern}" is an open relay: anyone could relay to {covered}'
            )
            report.error((*path, "allow_relay"), text, "allow_relay = false, or the domains of a partner")
            return


def _refuse_contradictions(connector: Connector, path: Path, report: Report) -> None:
    security = connector.security
    if not connector.address_spaces:
        text = "the connector serves nothing: it has neither address space nor connected routing group"
        report.error((*path, "address_spaces"), text, 'address_spaces = ["SMTP:*;1"]')
    if connector.helo and security.authentication is not Authentication.ANONYMOUS:
        report.error((*path, "advanced", "helo"), "HELO cannot authenticate", "helo = false, or anonymous")
    if connector.helo and security.tls.strength > TlsLevel.OPPORTUNISTIC.strength:
        text = f'HELO has no STARTTLS, and tls is "{security.tls}"'
        report.error((*path, "advanced", "helo"), text, 'helo = false, or tls = "opportunistic"')
    if security.implicit_tls and security.tls is TlsLevel.NONE:
        report.error((*path, "security", "tls"), 'implicit_tls and tls = "none" contradict each other')
    if security.tls is TlsLevel.VERIFY and not security.tls_domain:
        for host in connector.smart_hosts:
            if host.kind is SmartHostKind.ADDRESS:
                text = f'tls = "verify" to {host} has no name to verify'
                report.error((*path, "security", "tls"), text, 'tls_domain = "NAME.IN.THE.CERTIFICATE"')
                break


def _refuse_bridgeheads(
    connector: Connector, path: Path, organization: Organization, context: tuple[Node, Report]
) -> None:
    node, report = context
    groups = {server.name: server.routing_group for server in organization.servers}
    servers = [organization.virtual_server(key).server for key in connector.bridgeheads]
    for number, (key, server) in enumerate(zip(connector.bridgeheads, servers, strict=True)):
        group = groups.get(server, connector.routing_group)
        if group != connector.routing_group:
            text = f"bridgehead {quoted(key)} is in routing group {quoted(group)}"
            expected = f"one of the connector's routing group, {quoted(connector.routing_group)}"
            report.error((*path, "bridgeheads", number), text, expected)
    is_in_scope = connector.scope is Scope.ORGANIZATION or groups.get(node.server) == connector.routing_group
    if servers and connector.enabled and is_in_scope and node.server not in servers:
        text = f"all bridgeheads are on other servers than {node.server}: handing mail to them is not available yet"
        report.error((*path, "bridgeheads"), text, f"a bridgehead on {node.server}")


def _refuse_loops(
    connector: Connector, path: Path, organization: Organization, context: tuple[Node, Machine, Report]
) -> None:
    node, machine, report = context
    for key in connector.bridgeheads:
        sender = organization.virtual_server(key)
        for host in _loops(connector.smart_hosts, sender, organization, (node, machine)):
            text = f"smart host {host} is {sender.server} itself: mail would go in circles"
            report.error((*path, "smart_hosts"), text, "another server, or another port")
            return


def _loops(
    hosts: Iterable[SmartHost], sender: VirtualServer, organization: Organization, place: tuple[Node, Machine]
) -> Iterable[SmartHost]:
    """The smart hosts that are the sender's own server: an own listening address and its port."""
    own = own_endpoints(sender.server, organization, *place)
    own_names = {server.fqdn for server in organization.virtual_servers if server.server == sender.server}
    own_ports = {port for _, port in own}
    for host in hosts:
        port = host.port or sender.outbound_port
        if host.kind is SmartHostKind.ADDRESS:
            address = ip_address(host.host)
            if address.version == 6:
                address = address.ipv4_mapped or address
            is_own = (address, port) in own or (address.is_unspecified and port in own_ports)
        elif host.host == "localhost":
            is_own = (ip_address("127.0.0.1"), port) in own or (ip_address("::1"), port) in own
        else:
            # A plain name may have MX records that lead elsewhere; only DNS knows, at delivery.
            is_own = host.kind is SmartHostKind.HOST and host.host in own_names and port in own_ports
        if is_own:
            yield host
