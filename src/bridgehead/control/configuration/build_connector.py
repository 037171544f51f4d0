"""Turns `[[connector]]` into a `Connector`: see `build`."""

from __future__ import annotations

from typing import Final

from cryptography.x509 import load_pem_x509_certificates

from bridgehead.control.configuration import domains, notation
from bridgehead.control.configuration.connector_table import (
    ConnectorTable,
    RestrictionsTable,
    SecurityTable,
    SpaceEntry,
    SpaceTable,
)
from bridgehead.control.configuration.issue import Path
from bridgehead.control.configuration.names import Names
from bridgehead.control.configuration.report import Report, nearest, one_of, quoted
from bridgehead.control.configuration.sources import Sources
from bridgehead.core.organization import (
    AddressSpace,
    Authentication,
    Connector,
    ConnectorLimits,
    Restrictions,
    Scope,
    Security,
    SmartHostOrder,
    TlsLevel,
)

KIB: Final = 1024


def build_connector(table: ConnectorTable, path: Path, names: Names, sources: Sources, report: Report) -> Connector:
    """The connector that the table describes; its secrets are read only where one of its bridgeheads is here."""
    _check_route(table, path, report)
    bridgeheads = _bridgeheads(table, path, names, report)
    is_here = any(key.startswith(f"{names.here}/") for key in bridgeheads)
    security = _security(table.security, (*path, "security"), sources, report, is_here=is_here)
    return Connector(
        name=table.name,
        address_spaces=tuple(_address_space(entry) for entry in table.address_spaces),
        bridgeheads=bridgeheads,
        routing_group=_routing_group(table, path, names, report),
        smart_hosts=notation.smart_hosts(table.smart_hosts),
        smart_host_order=SmartHostOrder(table.smart_host_order),
        enabled=table.enabled,
        scope=Scope(table.scope),
        allow_relay=table.allow_relay,
        helo=table.advanced.helo,
        security=security,
        restrictions=_restrictions(table.restrictions),
        limits=ConnectorLimits(
            table.limits.connections, table.limits.connections_per_domain, table.limits.messages_per_connection
        ),
        note=table.note,
    )


def _check_route(table: ConnectorTable, path: Path, report: Report) -> None:
    has_hosts = bool(notation.smart_hosts(table.smart_hosts))
    if table.route == "dns" and has_hosts:
        report.error(
            (*path, "smart_hosts"),
            'a connector with route = "dns" has no smart hosts',
            'route = "smart-hosts", or no smart_hosts',
        )
    if table.route == "smart-hosts" and not has_hosts:
        report.error(
            (*path, "smart_hosts"),
            'route = "smart-hosts" needs smart hosts',
            'smart_hosts = "[192.0.2.10];[192.0.2.11]"',
        )


def _bridgeheads(table: ConnectorTable, path: Path, names: Names, report: Report) -> tuple[str, ...]:
    place = (*path, "bridgeheads")
    if table.bridgeheads is None and len(names.servers) == 1:
        return (names.keys[0],)
    if not table.bridgeheads:
        report.error(place, "the connector has no bridgehead", one_of(names.keys))
        return ()
    keys = []
    for number, text in enumerate(table.bridgeheads):
        meant = names.keys_meant(text)
        if len(meant) == 1:
            keys.append(meant[0])
        elif meant:
            report.error((*place, number), f"{quoted(text)} could be several virtual servers", one_of(meant))
        elif not report.is_uncertain("virtual_server"):
            text_ = f"there is no virtual server {quoted(text)}"
            listed = names.keys
            suggestion = nearest(text, listed) or nearest(text, [key.partition("/")[2] for key in listed])
            report.error((*place, number), text_, one_of(listed), suggestion, found=text)
    return tuple(dict.fromkeys(keys))


def _routing_group(table: ConnectorTable, path: Path, names: Names, report: Report) -> str:
    groups = names.routing_groups
    if table.routing_group and table.routing_group not in groups and not report.is_uncertain("server"):
        text = f"no server is in routing group {quoted(table.routing_group)}"
        suggestion = nearest(table.routing_group, groups)
        report.error((*path, "routing_group"), text, one_of(groups), suggestion, found=table.routing_group)
    return table.routing_group if table.routing_group in groups else groups[0]


def _address_space(entry: SpaceEntry) -> AddressSpace:
    if isinstance(entry, SpaceTable):
        return AddressSpace(domains.pattern_of_space(entry.address), entry.cost)
    return domains.address_space(entry)


def _security(table: SecurityTable, path: Path, sources: Sources, report: Report, *, is_here: bool) -> Security:
    authentication = Authentication(table.authentication)
    default = TlsLevel.OPPORTUNISTIC if authentication is Authentication.ANONYMOUS else TlsLevel.REQUIRE
    _check_credentials(table, path, report)
    ca_pem = b""
    if is_here and table.ca_file:
        ca_pem = _trust_anchors(table.ca_file, (*path, "ca_file"), sources, report)
    return Security(
        authentication=authentication,
        username=table.username,
        password=sources.secret(table.password, (*path, "password"), is_here=is_here),
        tls=TlsLevel(table.tls) if table.tls else default,
        implicit_tls=table.implicit_tls,
        tls_domain=domains.host_name(table.tls_domain) if table.tls_domain else "",
        ca_pem=ca_pem,
        ca_file=str(sources.path_of(table.ca_file)) if table.ca_file else "",
    )


def _check_credentials(table: SecurityTable, path: Path, report: Report) -> None:
    has_password = bool(table.password.env or table.password.file or table.password.credential)
    if table.authentication == "basic" and not table.username:
        report.error((*path, "username"), "basic authentication needs a user name", 'username = "NAME"')
    if table.authentication == "basic" and not has_password:
        expected = 'password = { file = "isp.secret" }'
        report.error((*path, "password"), "basic authentication needs a password", expected)
    if table.authentication == "anonymous" and (table.username or has_password):
        place = (*path, "username" if table.username else "password")
        report.warning(place, 'the credentials are not used: authentication is "anonymous"; "basic" would use them')


def _trust_anchors(file: str, path: Path, sources: Sources, report: Report) -> bytes:
    pem = sources.read(file, path)
    if pem is None:
        return b""
    try:
        load_pem_x509_certificates(pem)
    except ValueError:
        report.error(path, f"{sources.path_of(file)} holds no PEM certificate")
    return pem


def _restrictions(table: RestrictionsTable) -> Restrictions:
    return Restrictions(
        size_less_than=table.size_less_than_kb * KIB,
        accept_from=tuple(domains.sender(text) for text in table.accept_from),
        reject_from=tuple(domains.sender(text) for text in table.reject_from),
    )
