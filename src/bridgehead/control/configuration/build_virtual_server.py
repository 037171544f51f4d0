"""Turns `[[virtual_server]]` into a `VirtualServer`: see `build`."""

from __future__ import annotations

from typing import Final

from bridgehead.control import accounts
from bridgehead.control.configuration import domains, notation
from bridgehead.control.configuration.certificates import check_certificate, read_certificate
from bridgehead.control.configuration.issue import Path
from bridgehead.control.configuration.machine import Machine
from bridgehead.control.configuration.names import DEFAULT_VIRTUAL_SERVER, Names
from bridgehead.control.configuration.report import Report, nearest, one_of, quoted
from bridgehead.control.configuration.sources import Sources
from bridgehead.control.configuration.virtual_server_table import (
    ConnectionTable,
    DeliveryTable,
    ListenEntry,
    ListenTable,
    MessagesTable,
    RelayTable,
    ServerAuthenticationTable,
    ServerTlsTable,
    VirtualServerTable,
)
from bridgehead.core.organization import (
    Certificate,
    ConnectionControl,
    Delivery,
    Family,
    Listener,
    ListMode,
    MessageLimits,
    RelayRestrictions,
    ServerAuthentication,
    ServerTls,
    VirtualServer,
)

KIB: Final = 1024
TIMEOUT_SECONDS_MIN: Final = 300.0
"""RFC 5321 4.5.3.2.7: a server waits at least 5 minutes for the next command."""
DEFAULT_LISTENER: Final = Listener("127.0.0.1", 2525)
DEFAULT_RELAY: Final = RelayRestrictions(clients=notation.client_list(RelayTable().clients))


def default_virtual_server(server: str, machine: Machine) -> VirtualServer:
    """What listens where the file names no virtual server: loopback only."""
    return VirtualServer(
        DEFAULT_VIRTUAL_SERVER, server, (DEFAULT_LISTENER,), _machine_name(machine), relay=DEFAULT_RELAY
    )


def build_virtual_server(
    table: VirtualServerTable, path: Path, names: Names, machine: Machine, context: tuple[Sources, Report]
) -> VirtualServer:
    """The virtual server that the table describes; certificate and accounts are read on its own machine."""
    report = context[1]
    server = _server(table, path, names, report)
    is_here = server == names.here
    tls = authentication = None
    if table.tls is not None:
        tls = _tls(table.tls, (*path, "tls"), machine.now if is_here else None, context)
    if table.authentication is not None:
        authentication = _authentication(table.authentication, (*path, "authentication"), context, is_here=is_here)
    return VirtualServer(
        name=table.name,
        server=server,
        listeners=tuple(_listener(entry) for entry in table.listen),
        fqdn=domains.host_name(table.fqdn) if table.fqdn else _machine_name(machine),
        outbound_port=table.outbound_port,
        tls=tls,
        authentication=authentication,
        connection=_connection(table.connection, (*path, "connection"), report),
        relay=RelayRestrictions(
            ListMode(table.relay.mode), notation.client_list(table.relay.clients), table.relay.authenticated
        ),
        messages=_messages(table.messages),
        delivery=_delivery(table.delivery, (*path, "delivery"), report),
    )


def _server(table: VirtualServerTable, path: Path, names: Names, report: Report) -> str:
    listed = names.server_names
    if not table.server:
        if len(listed) > 1:
            report.error((*path, "server"), "with several servers, a virtual server names its own", one_of(listed))
        return names.here
    if table.server not in listed and not report.is_uncertain("server"):
        text = f"there is no [[server]] {quoted(table.server)}"
        report.error((*path, "server"), text, one_of(listed), nearest(table.server, listed), found=table.server)
    return table.server


def _machine_name(machine: Machine) -> str:
    """The machine's name, as far as it can stand in a greeting."""
    try:
        return domains.host_name(machine.host_name)
    except ValueError:
        return "localhost"


def _listener(entry: ListenEntry) -> Listener:
    if isinstance(entry, ListenTable):
        return Listener(*notation.endpoint(entry.address, port_min=0), implicit_tls=entry.tls == "implicit")
    return Listener(*notation.endpoint(entry, port_min=0))


def _tls(table: ServerTlsTable, path: Path, now: float | None, context: tuple[Sources, Report]) -> ServerTls | None:
    """`now` is `None` for another server's virtual server, whose files are not on this machine."""
    sources, report = context
    for key, text in (("certificate", table.certificate), ("key", table.key)):
        if not text:
            report.error((*path, key), f"tls needs a certificate and its key; {key} is missing", f'{key} = "FILE"')
    if not (table.certificate and table.key):
        return None
    if now is None:
        paths = str(sources.path_of(table.certificate)), str(sources.path_of(table.key))
        return ServerTls(Certificate(*paths, b"", b""), table.required)
    certificate = read_certificate((table.certificate, table.key), path, sources)
    if certificate is None or not check_certificate(certificate, path, now, report):
        return None
    return ServerTls(certificate, table.required)


def _authentication(
    table: ServerAuthenticationTable, path: Path, context: tuple[Sources, Report], *, is_here: bool
) -> ServerAuthentication:
    sources, report = context
    users: dict[str, str] = {}
    users_file = ""
    if table.users is None:
        report.error((*path, "users"), "authentication needs accounts", 'users = { file = "users.txt" }')
    else:
        users_file = str(sources.path_of(table.users.file))
        if is_here:
            users = _users(table.users.file, (*path, "users", "file"), context)
    if not table.mechanisms:
        report.error((*path, "mechanisms"), "authentication needs a mechanism", '"PLAIN" or "LOGIN"')
    return ServerAuthentication(
        tuple(dict.fromkeys(table.mechanisms)), users, table.without_tls, table.required, users_file
    )


def _users(file: str, path: Path, context: tuple[Sources, Report]) -> dict[str, str]:
    sources, report = context
    users: dict[str, str] = {}
    for entry in sources.list_file(file, path) or []:
        account = accounts.parse_account(entry.text)
        text = ""
        if isinstance(account, str):
            text = account
        elif account.name in users:
            text = f"the account {quoted(account.name)} is listed twice"
        else:
            users[account.name] = account.password_hash
        if text:
            report.error_in_list(path, str(sources.path_of(file)), entry.line, text)
    return users


def _connection(table: ConnectionTable, path: Path, report: Report) -> ConnectionControl:
    timeout_seconds = notation.duration_seconds(table.timeout)
    if timeout_seconds < TIMEOUT_SECONDS_MIN:
        report.error(
            (*path, "timeout"), f"timeout is {quoted(table.timeout)}", "at least 5m (RFC 5321 4.5.3.2)", "5m"
        )
    return ConnectionControl(
        ListMode(table.mode),
        notation.client_list(table.clients),
        table.limit,
        table.limit_per_client,
        timeout_seconds,
    )


def _messages(table: MessagesTable) -> MessageLimits:
    return MessageLimits(
        size_max=table.size_kb * KIB,
        session_size_max=table.session_size_kb * KIB,
        recipients_max=table.recipients,
        messages_per_connection=table.messages_per_connection,
    )


def _delivery(table: DeliveryTable, path: Path, report: Report) -> Delivery:
    for key in ("expire", "connection_timeout"):
        if not notation.duration_seconds(getattr(table, key)):
            report.error((*path, key), f"{key} is zero", 'a duration such as "2d"')
    return Delivery(
        glitch_retries=table.glitch_retries,
        glitch_retry_seconds=float(table.glitch_retry_seconds),
        retry_seconds=tuple(minutes * 60.0 for minutes in table.retry_minutes),
        delay_notice_seconds=notation.duration_seconds(table.delay_notice),
        expire_seconds=notation.duration_seconds(table.expire),
        hop_count_max=table.hop_count,
        smart_hosts=notation.smart_hosts(table.smart_hosts),
        reverse_dns=table.reverse_dns,
        dns_servers=tuple(notation.name_server(text) for text in table.dns_servers),
        connections=table.connections,
        connections_per_domain=table.connections_per_domain,
        connection_timeout_seconds=notation.duration_seconds(table.connection_timeout),
        source_addresses=tuple(notation.ip_text(text) for text in table.source_addresses),
        family=Family(table.family),
    )
