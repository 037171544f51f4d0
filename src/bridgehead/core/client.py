"""Who speaks to us: a `Client`, and whether a list of clients names it.

An IPv4-mapped IPv6 address is the IPv4 address it means, so a dual-stack listener cannot be used to slip past a
list. Names count only if they were verified: the PTR name resolves back to the client's address.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from ipaddress import IPv6Address, ip_address
from typing import Final

from bridgehead.core.network_set import Address
from bridgehead.core.organization import ClientList, ListMode
from bridgehead.core.pattern import covers

_FAMILIAR_MAX: Final = 1024
"""Clients that are remembered: most come again."""


@dataclass(frozen=True, slots=True)
class Client:
    """The other end of a session, as far as it is known."""

    address: Address | None
    """`None`: someone on no list (the client of a question that names none)."""
    text: str
    """The address as it is logged: `"192.0.2.7"`, `"2001:db8::7"`."""
    names: tuple[str, ...] | None = None
    """Verified PTR names in normal form; `None`: not looked up."""
    user: str = ""
    """The authenticated account; empty: none."""

    @property
    def is_loopback(self) -> bool:
        """Whether the client is on this machine."""
        return self.address is not None and self.address.is_loopback


STRANGER = Client(None, "")
"""A client on no list, not authenticated."""


@lru_cache(_FAMILIAR_MAX)
def client_at(address: str, user: str = "", names: tuple[str, ...] | None = None) -> Client:
    """The client at a peer's IP address, `"::ffff:192.0.2.7"` is `"192.0.2.7"`; `ValueError` if it is no address."""
    parsed = ip_address(address)
    if isinstance(parsed, IPv6Address) and parsed.ipv4_mapped is not None:
        parsed = parsed.ipv4_mapped
    return Client(parsed, str(parsed), names, user)


def needs_names(clients: ClientList) -> bool:
    """Whether a list can be answered only after a look-up of the client's names."""
    return bool(clients.domains)


def includes(clients: ClientList, client: Client) -> bool:
    """Whether a list names the client. Names that were not looked up, or could not be, count as no names."""
    if client.address is None:
        return False
    if client.address in clients.network_set:
        return True
    if not clients.domains or not client.names:
        return False
    return any(covers(pattern, name) for name in client.names for pattern in clients.domains)


def is_granted(mode: ListMode, clients: ClientList, client: Client) -> bool:
    """What a list says of a client: "only the list below", or "all except the list below"."""
    return includes(clients, client) is (mode is ListMode.ONLY_LIST)
