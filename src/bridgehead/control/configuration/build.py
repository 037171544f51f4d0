"""Turns the checked tables of the file into the values of `core.organization`, by hand and in one direction.

Decides the defaults that depend on other values, resolves references, and reads what the file refers to. Whatever is
wrong goes to the `Report`; the result is then still complete enough for the remaining checks.
"""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path as FilePath
from typing import Final

from bridgehead.control.configuration import domains, notation
from bridgehead.control.configuration.build_connector import build_connector
from bridgehead.control.configuration.build_virtual_server import build_virtual_server, default_virtual_server
from bridgehead.control.configuration.issue import Path
from bridgehead.control.configuration.machine import Machine
from bridgehead.control.configuration.model import AcceptedDomainTable, ConfigurationFile, NodeTable, ServerTable
from bridgehead.control.configuration.names import DEFAULT_ROUTING_GROUP, DEFAULT_SERVER, Names
from bridgehead.control.configuration.report import Report, nearest, one_of, quoted
from bridgehead.control.configuration.sources import Sources
from bridgehead.core.address import normalise_domain, parse_mailbox, recipient_key
from bridgehead.core.organization import (
    AcceptedDomain,
    DomainType,
    LocalDelivery,
    Node,
    NoMatch,
    Organization,
    Server,
    VirtualServer,
)

MIB: Final = 1024 * 1024


def build(file: ConfigurationFile, machine: Machine, sources: Sources, report: Report) -> tuple[Organization, Node]:
    """What the file describes; to be used only where the report has no error."""
    servers = _servers(file.server, file.node.server)
    here = _this_server(file, servers, report)
    virtual_servers = _virtual_servers(file, here, machine, (sources, report, servers))
    names = Names(here, servers, virtual_servers)
    accepted_domains = tuple(
        _accepted_domain(table, ("accepted_domain", number), sources, report)
        for number, table in enumerate(file.accepted_domain)
    )
    connectors = tuple(
        build_connector(table, ("connector", number), names, sources, report)
        for number, table in enumerate(file.connector)
    )
    organization = Organization(
        name=file.organization.name,
        servers=servers,
        virtual_servers=virtual_servers,
        connectors=connectors,
        accepted_domains=accepted_domains,
        postmaster=file.organization.postmaster or _default_postmaster(accepted_domains),
        no_match=_no_match(file),
        display_routing_groups=file.organization.display_routing_groups,
        display_administrative_groups=file.organization.display_administrative_groups,
        generation=sources.generation,
    )
    return organization, _node(file.node, here, machine, sources)


def _servers(tables: Iterable[ServerTable], here: str) -> tuple[Server, ...]:
    servers: list[Server] = []
    for table in tables:
        address, port = notation.server_address(table.address) if table.address else ("", notation.SMTP_PORT)
        first_group = servers[0].routing_group if servers else DEFAULT_ROUTING_GROUP
        group = table.routing_group or first_group
        servers.append(Server(table.name, address, port, group, table.administrative_group))
    return tuple(servers) or (Server(here or DEFAULT_SERVER, routing_group=DEFAULT_ROUTING_GROUP),)


def _this_server(file: ConfigurationFile, servers: tuple[Server, ...], report: Report) -> str:
    names = [server.name for server in servers]
    wanted = file.node.server
    if wanted and wanted not in names and not report.is_uncertain("server"):
        report.error(
            ("node", "server"), f"there is no [[server]] {quoted(wanted)}", one_of(names), nearest(wanted, names)
        )
    if not wanted and len(names) > 1:
        report.error(
            ("node", "server"),
            "the file has several servers; node.server says which one this machine is",
            one_of(names),
        )
    return wanted if wanted in names else names[0]


def _virtual_servers(
    file: ConfigurationFile, here: str, machine: Machine, context: tuple[Sources, Report, tuple[Server, ...]]
) -> tuple[VirtualServer, ...]:
    sources, report, servers = context
    if not file.virtual_server:
        return (default_virtual_server(here, machine),)
    names = Names(here, servers, ())
    return tuple(
        build_virtual_server(table, ("virtual_server", number), names, machine, (sources, report))
        for number, table in enumerate(file.virtual_server)
    )


def _accepted_domain(table: AcceptedDomainTable, path: Path, sources: Sources, report: Report) -> AcceptedDomain:
    recipients = None
    if table.recipients is not None:
        recipients = _recipients(table.recipients.file, (*path, "recipients", "file"), sources, report)
    return AcceptedDomain(
        pattern=domains.pattern(table.domain),
        type=DomainType(table.type),
        recipients=recipients,
        deliver=_local_delivery(table.deliver, sources) if table.deliver else None,
        recipients_file=str(sources.path_of(table.recipients.file)) if table.recipients is not None else "",
    )


def _recipients(file: str, path: Path, sources: Sources, report: Report) -> frozenset[str]:
    entries = sources.list_file(file, path) or []
    known = set()
    for entry in entries:
        key = _recipient(entry.text)
        if key is None:
            text = 'the line is no recipient; expected an address or "@domain"'
            report.error_in_list(path, str(sources.path_of(file)), entry.line, text)
        else:
            known.add(key)
    return frozenset(known)


def _recipient(text: str) -> str | None:
    if text.startswith("@"):
        domain = normalise_domain(text[1:])
        return None if domain is None else f"@{domain}"
    mailbox = parse_mailbox(text)
    return None if mailbox is None else recipient_key(mailbox.address, mailbox.domain)


def _local_delivery(text: str, sources: Sources) -> LocalDelivery:
    delivery = notation.local_delivery(text)
    if delivery.kind == "lmtp" and "/" not in delivery.target:
        return delivery
    return LocalDelivery(delivery.kind, str(sources.path_of(delivery.target)))


def _default_postmaster(accepted_domains: tuple[AcceptedDomain, ...]) -> str:
    return f"postmaster@{accepted_domains[0].pattern.removeprefix('*.')}" if accepted_domains else ""


def _no_match(file: ConfigurationFile) -> NoMatch:
    if file.organization.no_match:
        return NoMatch(file.organization.no_match)
    return NoMatch.NDR if file.connector else NoMatch.NATIVE_DNS


def _node(table: NodeTable, here: str, machine: Machine, sources: Sources) -> Node:
    return Node(
        server=here,
        state_dir=str(_state_folder(table.state_dir, machine, sources)),
        workers=table.workers or machine.cores,
        console=table.console,
        metrics=table.metrics,
        user=table.user,
        drain_seconds=notation.duration_seconds(table.drain),
        min_free_bytes=table.min_free_mb * MIB,
        volatile_state=table.volatile_state,
    )


def _state_folder(text: str, machine: Machine, sources: Sources) -> FilePath:
    if text:
        return sources.path_of(text)
    # systemd separates several state directories by colons; ours is the first.
    given = machine.environ.get("STATE_DIRECTORY", "").partition(":")[0]
    return FilePath(given) if given else machine.home / ".local/state/bridgehead"
