"""The effective configuration, written as a file again: every default filled in, every path absolute.

Secrets are shown as where they are found, never as what they are. Loading the text again gives the same organization.
"""

from __future__ import annotations

from typing import Any, Final, TypeAlias

import tomlkit

from bridgehead.control.configuration.notation import in_brackets, write_duration
from bridgehead.core.organization import (
    AcceptedDomain,
    ClientList,
    Connector,
    Delivery,
    Listener,
    Node,
    Organization,
    Secret,
    Security,
    Server,
    VirtualServer,
)

Document: TypeAlias = dict[str, Any]
KIB: Final = 1024


def document_of(organization: Organization, node: Node) -> Document:
    """The configuration in the shape of the file, for JSON and TOML."""
    return {
        "node": _node(node),
        "organization": {
            "name": organization.name,
            "postmaster": organization.postmaster,
            "display_routing_groups": organization.display_routing_groups,
            "display_administrative_groups": organization.display_administrative_groups,
            "no_match": str(organization.no_match),
        },
        "server": [_server(server) for server in organization.servers],
        "accepted_domain": [_accepted_domain(domain) for domain in organization.accepted_domains],
        "virtual_server": [_virtual_server(virtual_server) for virtual_server in organization.virtual_servers],
        "connector": [_connector(connector) for connector in organization.connectors],
    }


def show(organization: Organization, node: Node) -> str:
    """The effective configuration as TOML."""
    document = document_of(organization, node)
    return tomlkit.dumps({key: value for key, value in document.items() if value})


def _node(node: Node) -> Document:
    return {
        "server": node.server,
        "state_dir": node.state_dir,
        "volatile_state": node.volatile_state,
        "workers": node.workers,
        "console": node.console,
        "metrics": node.metrics,
        "user": node.user,
        "drain": write_duration(node.drain_seconds),
        "min_free_mb": node.min_free_bytes // KIB**2,
    }


def _server(server: Server) -> Document:
    return {
        "name": server.name,
        "address": f"{in_brackets(server.address)}:{server.port}" if server.address else "",
        "routing_group": server.routing_group,
        "administrative_group": server.administrative_group,
    }


def _accepted_domain(domain: AcceptedDomain) -> Document:
    shown: Document = {"domain": domain.pattern, "type": str(domain.type)}
    if domain.recipients_file:
        shown["recipients"] = {"file": domain.recipients_file}
    if domain.deliver is not None:
        shown["deliver"] = str(domain.deliver)
    return shown


def _virtual_server(virtual_server: VirtualServer) -> Document:
    shown: Document = {
        "name": virtual_server.name,
        "server": virtual_server.server,
        "listen": [_listener(listener) for listener in virtual_server.listeners],
        "fqdn": virtual_server.fqdn,
        "outbound_port": virtual_server.outbound_port,
    }
    if virtual_server.tls is not None:
        certificate = virtual_server.tls.certificate
        shown["tls"] = {
            "certificate": certificate.certificate_path,
            "key": certificate.key_path,
            "required": virtual_server.tls.required,
        }
    authentication = virtual_server.authentication
    if authentication is not None:
        shown["authentication"] = {
            "mechanisms": list(authentication.mechanisms),
            "users": {"file": authentication.users_file},
            "without_tls": authentication.without_tls,
            "required": authentication.required,
        }
    return shown | _rules(virtual_server) | {"delivery": _delivery(virtual_server.delivery)}


def _rules(virtual_server: VirtualServer) -> Document:
    connection, relay, messages = virtual_server.connection, virtual_server.relay, virtual_server.messages
    return {
        "connection": {
            "mode": str(connection.mode),
            "clients": _clients(connection.clients),
            "limit": connection.limit,
            "limit_per_client": connection.limit_per_client,
            "timeout": write_duration(connection.timeout_seconds),
        },
        "relay": {
            "mode": str(relay.mode),
            "clients": _clients(relay.clients),
            "authenticated": relay.authenticated,
        },
        "messages": {
            "size_kb": messages.size_max // KIB,
            "session_size_kb": messages.session_size_max // KIB,
            "recipients": messages.recipients_max,
            "messages_per_connection": messages.messages_per_connection,
        },
    }


def _delivery(delivery: Delivery) -> Document:
    return {
        "glitch_retries": delivery.glitch_retries,
        "glitch_retry_seconds": delivery.glitch_retry_seconds,
        "retry_minutes": [seconds / 60 for seconds in delivery.retry_seconds],
        "delay_notice": write_duration(delivery.delay_notice_seconds),
        "expire": write_duration(delivery.expire_seconds),
        "hop_count": delivery.hop_count_max,
        "smart_hosts": [str(host) for host in delivery.smart_hosts],
        "reverse_dns": delivery.reverse_dns,
        "dns_servers": list(delivery.dns_servers),
        "connections": delivery.connections,
        "connections_per_domain": delivery.connections_per_domain,
        "connection_timeout": write_duration(delivery.connection_timeout_seconds),
        "source_addresses": list(delivery.source_addresses),
        "family": str(delivery.family),
    }


def _connector(connector: Connector) -> Document:
    restrictions, limits = connector.restrictions, connector.limits
    return {
        "name": connector.name,
        "enabled": connector.enabled,
        "routing_group": connector.routing_group,
        "scope": str(connector.scope),
        "route": "smart-hosts" if connector.smart_hosts else "dns",
        "smart_hosts": [str(host) for host in connector.smart_hosts],
        "smart_host_order": str(connector.smart_host_order),
        "bridgeheads": list(connector.bridgeheads),
        "address_spaces": [str(space) for space in connector.address_spaces],
        "allow_relay": connector.allow_relay,
        "note": connector.note,
        "security": _security(connector.security),
        "advanced": {"helo": connector.helo},
        "restrictions": {
            "size_less_than_kb": restrictions.size_less_than // KIB,
            "accept_from": list(restrictions.accept_from),
            "reject_from": list(restrictions.reject_from),
        },
        "limits": {
            "connections": limits.connections,
            "connections_per_domain": limits.connections_per_domain,
            "messages_per_connection": limits.messages_per_connection,
        },
    }


def _security(security: Security) -> Document:
    shown: Document = {"authentication": str(security.authentication), "username": security.username}
    if security.password is not None:
        shown["password"] = _secret(security.password)
    return shown | {
        "tls": str(security.tls),
        "implicit_tls": security.implicit_tls,
        "tls_domain": security.tls_domain,
        "ca_file": security.ca_file,
    }


def _secret(secret: Secret) -> Document:
    kind, _, name = secret.reference.partition(" ")
    return {kind: name}


def _listener(listener: Listener) -> str | Document:
    written = f"{in_brackets(listener.address)}:{listener.port}"
    return {"address": written, "tls": "implicit"} if listener.implicit_tls else written


def _clients(clients: ClientList) -> list[str]:
    return [*map(str, clients.networks), *clients.domains]
