"""A set of networks answers as the networks themselves do."""

from __future__ import annotations

from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network

from hypothesis import given
from hypothesis import strategies as st

from bridgehead.core.network_set import Address, NetworkSet

_near_4 = st.integers(0xC0000200, 0xC00002FF)
_networks_4 = st.builds(lambda n, p: IPv4Network((n, p), strict=False), _near_4, st.sampled_from((0, 24, 28, 31, 32)))
_networks_6 = st.builds(lambda n, p: IPv6Network((n, p), strict=False), _near_4, st.sampled_from((0, 96, 124, 128)))
_addresses: st.SearchStrategy[Address] = st.one_of(
    _near_4.map(IPv4Address), _near_4.map(IPv6Address), st.ip_addresses()
)


@given(st.lists(st.one_of(_networks_4, _networks_6), max_size=6), _addresses)
def test_network_set_holds_the_addresses_of_its_networks(
    networks: list[IPv4Network | IPv6Network], address: Address
) -> None:
    assert (address in NetworkSet(networks)) is any(address in network for network in networks)
