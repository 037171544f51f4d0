"""From a route to what the wire must know: the `Destination` of a queue, made anew from the organization in force."""

from __future__ import annotations

from typing import Final

from bridgehead.core.organization import Connector, Organization, Security, SmartHostOrder, VirtualServer
from bridgehead.core.routing import SMART_HOSTS, Route
from bridgehead.outbound.contract import Destination, QueueKey

_NATIVE_SECURITY: Final = Security()
"""Without a connector: anonymous, TLS where it is offered."""


def key_of(route: Route) -> QueueKey:
    """The queue that a route leads to."""
    return QueueKey(route.connector, route.bridgehead, route.next_hop)


def destination_of(key: QueueKey, organization: Organization) -> Destination | None:
    """Where the queue with this key sends; `None` where the organization has no such way any more."""
    virtual_server = _virtual_server(key.virtual_server, organization)
    connector = organization.connector(key.connector) if key.connector else None
    if virtual_server is None or (key.connector and (connector is None or not connector.enabled)):
        return None
    by_smart_hosts = key.next_hop == SMART_HOSTS
    own = connector.smart_hosts if connector is not None else virtual_server.delivery.smart_hosts
    if by_smart_hosts and not own:
        return None
    local = Route(key.connector, key.virtual_server, key.next_hop).local
    return Destination(
        key=key,
        virtual_server=virtual_server,
        connector=connector,
        smart_hosts=own if by_smart_hosts else (),
        order=connector.smart_host_order if connector is not None else SmartHostOrder.FAILOVER,
        domain="" if by_smart_hosts or local is not None else key.next_hop,
        local=local,
        security=connector.security if connector is not None else _NATIVE_SECURITY,
        helo=connector is not None and connector.helo,
        messages_per_connection=_messages_per_connection(virtual_server, connector),
    )


def _virtual_server(key: str, organization: Organization) -> VirtualServer | None:
    try:
        return organization.virtual_server(key)
    except KeyError:
        return None


def _messages_per_connection(virtual_server: VirtualServer, connector: Connector | None) -> int:
    """Both apply, the smaller wins; 0 is no limit, and the result is 0 only where neither has one."""
    limits = [virtual_server.messages.messages_per_connection]
    if connector is not None:
        limits.append(connector.limits.messages_per_connection)
    return min((limit for limit in limits if limit), default=0)
