"""What works and is probably not meant: each warning says what will happen to mail.

Works on the values of `core.organization`; paths are those of the file, whose tables have the same order.
"""

from __future__ import annotations

from collections.abc import Iterator

from bridgehead.control.configuration.issue import Path
from bridgehead.control.configuration.networks import is_gateway_like
from bridgehead.control.configuration.notation import SMTP_PORT
from bridgehead.control.configuration.report import Report, quoted
from bridgehead.core.organization import (
    AcceptedDomain,
    Authentication,
    Connector,
    Node,
    Organization,
    TlsLevel,
    VirtualServer,
)
from bridgehead.core.pattern import ANY, is_whole_top_level, is_wider


def warn(organization: Organization, node: Node, report: Report) -> None:
    """Reports everything that deserves a look."""
    enabled = [(number, connector) for number, connector in enumerate(organization.connectors) if connector.enabled]
    _warn_of_postmaster(organization, report)
    for number, virtual_server in enumerate(organization.virtual_servers):
        path = ("virtual_server", number)
        _warn_of_port(virtual_server, path, organization, report)
        _warn_of_gateways(virtual_server, path, report)
        _warn_of_tls_on_port_25(virtual_server, path, report)
        if virtual_server.server == node.server:
            _warn_of_mechanisms(virtual_server, path, report)
    for number, domain in enumerate(organization.accepted_domains):
        _warn_of_domain(domain, ("accepted_domain", number), organization, report)
    for number, connector in enabled:
        path = ("connector", number)
        _warn_of_weak_tls(connector, path, report)
        _warn_of_leaks(connector, path, organization, report)
    _warn_of_equals(enabled, report)
    if organization.connectors and not any(ANY in _patterns(connector) for _, connector in enabled):
        fate = f'no_match = "{organization.no_match}"'
        text = f'no enabled connector has the address space "*": {fate} decides about mail to all other domains'
        report.warning(("connector",), text)


def _warn_of_postmaster(organization: Organization, report: Report) -> None:
    if organization.accepted_domains and not report.has(("organization", "postmaster")):
        text = f"postmaster is not set: its mail goes to {organization.postmaster}"
        report.warning(("organization", "postmaster"), text)


def _warn_of_port(virtual_server: VirtualServer, path: Path, organization: Organization, report: Report) -> None:
    connector = next((c for c in organization.connectors if virtual_server.key in c.bridgeheads), None)
    if connector is not None and all(listener.port != SMTP_PORT for listener in virtual_server.listeners):
        text = (
            f"bridgehead of connector {quoted(connector.name)}, and does not listen on port 25, which its peers dial"
        )
        report.warning((*path, "listen"), text)


def _warn_of_gateways(virtual_server: VirtualServer, path: Path, report: Report) -> None:
    for network in virtual_server.relay.clients.networks:
        if is_gateway_like(network):
            text = (
                f"relay for {network} looks like a NAT or container gateway: whoever comes through it, "
                "strangers too, could relay"
            )
            report.warning((*path, "relay", "clients"), text)


def _warn_of_tls_on_port_25(virtual_server: VirtualServer, path: Path, report: Report) -> None:
    has_port_25 = any(listener.port == SMTP_PORT for listener in virtual_server.listeners)
    if virtual_server.tls is not None and virtual_server.tls.required and has_port_25:
        text = "tls.required on port 25: servers of the Internet that do not speak TLS cannot deliver here"
        report.warning((*path, "tls", "required"), text)


def _warn_of_mechanisms(virtual_server: VirtualServer, path: Path, report: Report) -> None:
    authentication = virtual_server.authentication
    if authentication is None:
        return
    is_encrypted = virtual_server.tls is not None
    if not is_encrypted and not authentication.without_tls:
        report.warning(
            (*path, "authentication"),
            "nobody can authenticate: AUTH is offered under TLS only, and the virtual server has no tls",
        )
    for mechanism in authentication.mechanisms:
        if not authentication.users:
            text = f"no account can use {mechanism}: {authentication.users_file} has none"
            report.warning((*path, "authentication", "mechanisms"), text)


def _warn_of_domain(domain: AcceptedDomain, path: Path, organization: Organization, report: Report) -> None:
    if is_whole_top_level(domain.pattern):
        report.warning((*path, "domain"), "a whole top-level domain: mail for all of it is taken from anyone")
    is_served = any(pattern != ANY for pattern, _ in _covering(domain.pattern, organization))
    if domain.deliver is None and not is_served:
        text = 'its mail has no place of its own: neither deliver nor a connector narrower than "*" takes it'
        report.warning((*path, "domain"), text, depends_on=(*path, "deliver"))


def _warn_of_weak_tls(connector: Connector, path: Path, report: Report) -> None:
    security = connector.security
    if security.authentication is not Authentication.ANONYMOUS and security.tls is not TlsLevel.VERIFY:
        text = (
            f'the password goes to a peer that is not verified (tls is "{security.tls}"); '
            'tls = "verify" makes sure who gets it'
        )
        report.warning((*path, "security", "tls"), text)


def _warn_of_leaks(connector: Connector, path: Path, organization: Organization, report: Report) -> None:
    """A restriction lets refused mail fall to a less specific connector, where no equal one takes it first."""
    if connector.restrictions.is_open:
        return
    for pattern in _patterns(connector):
        others = [(found, other) for found, other in _covering(pattern, organization) if other is not connector]
        if any(found == pattern and other.restrictions.is_open for found, other in others):
            continue
        wider = next(((found, other) for found, other in others if is_wider(found, pattern)), None)
        if wider is not None:
            text = f'mail to "{pattern}" that its restrictions refuse leaks to connector '
            report.warning((*path, "restrictions"), f'{text}{quoted(wider[1].name)} ("{wider[0]}")')
            return


def _covering(pattern: str, organization: Organization) -> list[tuple[str, Connector]]:
    """The patterns of enabled connectors that cover a domain, or the top of a wildcard; most specific first."""
    levels = organization.served_spaces.levels(pattern.removeprefix("*."))
    return [(found, space.connector) for found, level in levels for space in level if space.connector.enabled]


def _warn_of_equals(enabled: list[tuple[int, Connector]], report: Report) -> None:
    seen: dict[tuple[str, int], tuple[int, str]] = {}
    for number, connector in enabled:
        for index, space in enumerate(connector.address_spaces):
            first = seen.setdefault((space.pattern, space.cost), (number, connector.name))
            if first[0] != number:
                text = (
                    f'address space "{space.pattern}" has cost {space.cost} on connector {quoted(first[1])} too: '
                    "mail is spread evenly over both"
                )
                report.warning(("connector", number, "address_spaces", index), text)


def _patterns(connector: Connector) -> Iterator[str]:
    return (space.pattern for space in connector.address_spaces)
