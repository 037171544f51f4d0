"""Address spaces as routing finds them: by domain, and with what it reads of their connectors close at hand.

An organization may have a hundred thousand of them, and a look-up waits for memory that is not in the processor's
caches. So address spaces of one connector that cost the same are one object, and what routing reads of nearly every
connector stands in it: the connector itself is looked at only where it may refuse a message.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from bridgehead.core.organization import Connector, VirtualServer


@dataclass(frozen=True, slots=True)
class ServedSpace:
    """All address spaces of one connector that have one cost."""

    name: str
    """The connector's."""
    cost: int
    is_open: bool
    """The connector's: it takes every message, wherever it comes from."""
    has_smart_hosts: bool
    bridgeheads: Mapping[str, tuple[str, ...]]
    """Name of a server -> the connector's bridgeheads there, by key."""
    connector: Connector


def served_spaces(
    connectors: Sequence[Connector], virtual_servers: Mapping[str, VirtualServer]
) -> Iterator[tuple[str, ServedSpace]]:
    """Every pattern of every connector once, at its lowest cost; virtual servers are given by key."""
    grouped: dict[tuple[str, ...], Mapping[str, tuple[str, ...]]] = {}
    for connector in connectors:
        keys = connector.bridgeheads
        bridgeheads = grouped.get(keys)
        if bridgeheads is None:
            bridgeheads = grouped[keys] = _by_server(keys, virtual_servers)
        costs: dict[str, int] = {}
        for space in connector.address_spaces:
            costs[space.pattern] = min(space.cost, costs.get(space.pattern, space.cost))
        by_cost = {
            cost: ServedSpace(
                connector.name, cost, connector.is_open, bool(connector.smart_hosts), bridgeheads, connector
            )
            for cost in set(costs.values())
        }
        for pattern, cost in costs.items():
            yield pattern, by_cost[cost]


def _by_server(keys: tuple[str, ...], virtual_servers: Mapping[str, VirtualServer]) -> Mapping[str, tuple[str, ...]]:
    """The keys by the names of their servers; one that is not in the file any more belongs to none."""
    found: dict[str, tuple[str, ...]] = {}
    for key in keys:
        server = virtual_servers[key].server if key in virtual_servers else ""
        found[server] = (*found.get(server, ()), key)
    return found
