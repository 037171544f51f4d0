"""Who may open one more outgoing connection: the limits of connector and virtual server, over all workers.

Both the connector's and the virtual server's limits apply, so the smaller one wins. A queue asks for a lease, is
granted it now or later, and gives it back when the connection has ended. `LocalAllowance` serves one process; with
several workers the supervisor keeps the count (`core.leases`) behind the same door.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Final, Protocol

from bridgehead.core.leases import Leases, Limits, Request
from bridgehead.outbound.contract import Destination

_HOLDER: Final = 0
_SLOW: Final = ", slow"
SLOW_PART: Final = 2
"""One in so many of the connections may be slow to come about."""


class Allowance(Protocol):
    """Leases for outgoing connections."""

    def request(self, limits: Limits, granted: Callable[[], None]) -> int:
        """Ask for a lease; returns a ticket. `granted` is called once, later on the event loop, never at once."""
        ...

    def request_place(self, limits: Limits, granted: Callable[[], None]) -> int:
        """The same for a place among the slow of these limits; a connection of its own is no part of it."""
        ...

    def release(self, ticket: int) -> None:
        """Give the lease, or the place, back, or withdraw the request that still waits."""
        ...


class LocalAllowance:
    """The limits of a server with one worker. `call_soon` runs a callback on the next turn of the event loop."""

    def __init__(self, call_soon: Callable[[Callable[[], None]], object]) -> None:
        self._call_soon = call_soon
        self._leases = Leases()
        self._granted: dict[int, Callable[[], None]] = {}
        self._last_ticket = 0

    def request(self, limits: Limits, granted: Callable[[], None]) -> int:
        """As in `Allowance`."""
        self._last_ticket += 1
        ticket = self._last_ticket
        self._granted[ticket] = granted
        given, _ = self._leases.request(Request(_HOLDER, ticket, limits))
        self._tell(given)
        return ticket

    def request_place(self, limits: Limits, granted: Callable[[], None]) -> int:
        """As in `Allowance`."""
        return self.request(slow(limits), granted)

    def release(self, ticket: int) -> None:
        """As in `Allowance`."""
        self._granted.pop(ticket, None)
        self._tell(self._leases.release(_HOLDER, ticket))

    def _tell(self, given: list[Request]) -> None:
        for request in given:
            ticket = request.ticket
            self._call_soon(lambda ticket=ticket: self._grant(ticket))  # type: ignore[misc]  # bound now, on purpose

    def _grant(self, ticket: int) -> None:
        """Pass a grant on, unless the lease was given back before the message arrived."""
        granted = self._granted.pop(ticket, None)
        if granted is not None:
            granted()


def limits_of(destination: Destination) -> Limits:
    """The limits a connection to `destination` falls under; 0 is no limit."""
    virtual_server, connector = destination.virtual_server, destination.connector
    delivery = virtual_server.delivery
    # Smart hosts by their names: a list that hangs must not hold up the connectors to others.
    next_hop = ";".join(map(str, destination.smart_hosts)) or destination.key.next_hop
    limits: list[tuple[str, int]] = [
        (f"virtual server {virtual_server.key}", delivery.connections),
        (f"virtual server {virtual_server.key} to {next_hop}", delivery.connections_per_domain),
    ]
    if connector is not None:
        limits.append((f"connector {connector.name}", connector.limits.connections))
        limits.append((f"connector {connector.name} to {next_hop}", connector.limits.connections_per_domain))
    return tuple(limits)


def slow(limits: Limits) -> Limits:
    """The limits that a connection falls under beside its own while it is slow to come about: a part of each."""
    return tuple((f"{name}{_SLOW}", max(1, maximum // SLOW_PART)) for name, maximum in limits if maximum)


def is_of_slow(name: str) -> bool:
    """Whether a limit is one of `slow`."""
    return name.endswith(_SLOW)
