"""A set of IP networks that answers fast, however many it holds."""

from __future__ import annotations

from collections.abc import Iterable
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network
from typing import TypeAlias

Address: TypeAlias = IPv4Address | IPv6Address
_Network: TypeAlias = IPv4Network | IPv6Network
_Prefixes: TypeAlias = tuple[tuple[int, frozenset[int]], ...]


class NetworkSet:
    """Networks by length of prefix: one look-up for each length in use, 33 or 129 at most. Never changed."""

    __slots__ = ("_version_4", "_version_6")

    def __init__(self, networks: Iterable[_Network]) -> None:
        listed = tuple(networks)
        self._version_4 = _prefixes(network for network in listed if network.version == 4)
        self._version_6 = _prefixes(network for network in listed if network.version == 6)

    def __contains__(self, address: Address) -> bool:
        prefixes = self._version_4 if address.version == 4 else self._version_6
        number = int(address)
        for shift, found in prefixes:  # noqa: SIM110  # half the time of any() with a generator
            if number >> shift in found:
                return True
        return False


def _prefixes(networks: Iterable[_Network]) -> _Prefixes:
    """`((24, {10}), (0, {2130706433}))`: how far to shift an address, and what must be left of it."""
    by_shift: dict[int, set[int]] = {}
    for network in networks:
        shift = network.max_prefixlen - network.prefixlen
        by_shift.setdefault(shift, set()).add(int(network.network_address) >> shift)
    return tuple((shift, frozenset(found)) for shift, found in by_shift.items())
