"""What the checks need to know of addresses: loopback, private, container gateways, a server's own."""

from __future__ import annotations

from ipaddress import IPv4Network, ip_address, ip_network
from typing import Final

from bridgehead.control.configuration.machine import LOOPBACK, Machine
from bridgehead.core.network_set import Address
from bridgehead.core.organization import Listener, Network, Node, Organization

PUBLIC_PREFIX_MIN: Final = {4: 16, 6: 32}
"""A public network with a shorter prefix is more than one organization has."""

_PRIVATE: Final[tuple[Network, ...]] = tuple(
    ip_network(text)
    for text in (
        "10.0.0.0/8",
        "172.16.0.0/12",
        "192.168.0.0/16",
        "127.0.0.0/8",
        "169.254.0.0/16",
        "100.64.0.0/10",
        "::1/128",
        "fc00::/7",
        "fe80::/10",
    )
)
_GATEWAYS: Final[tuple[Network, ...]] = tuple(
    ip_network(text)
    for text in (
        "172.17.0.0/16",  # Docker's default bridge
        "172.18.0.0/15",  # and the networks it makes next
        "172.20.0.0/14",
        "172.24.0.0/13",
        "192.168.65.0/24",  # Docker Desktop
        "10.0.2.0/24",  # QEMU, VirtualBox and slirp4netns
        "10.88.0.0/16",  # Podman
        "10.42.0.0/16",  # K3s
        "10.244.0.0/16",  # Kubernetes with Flannel
        "192.168.122.0/24",  # libvirt
        "100.64.0.0/10",  # carrier-grade NAT
    )
)
_DOCKER_POOL: Final = ip_network("172.16.0.0/12")


def is_loopback(listener: Listener) -> bool:
    """Whether only this machine can reach the listener."""
    return ip_address(listener.address).is_loopback


def is_too_public(network: Network) -> bool:
    """Whether a network is public and larger than one organization's: /16, or /32 of IPv6."""
    return network.prefixlen < PUBLIC_PREFIX_MIN[network.version] and not any(
        _is_within(network, private) for private in _PRIVATE
    )


def is_gateway_like(network: Network) -> bool:
    """Whether strangers may appear to come from here: behind a gateway that rewrites source addresses."""
    if network == _DOCKER_POOL or any(_is_within(network, known) for known in _GATEWAYS):
        return True
    # A single private address that ends in .1 is nearly always a router.
    is_single_version_4 = isinstance(network, IPv4Network) and network.prefixlen == 32
    is_router = is_single_version_4 and int(network.network_address) & 0xFF == 1
    return is_router and not network.is_loopback and any(_is_within(network, private) for private in _PRIVATE)


def own_endpoints(
    server: str, organization: Organization, node: Node, machine: Machine
) -> frozenset[tuple[Address, int]]:
    """Addresses and ports that a server listens on; a wildcard stands for the addresses of the interfaces."""
    interfaces = set(machine.addresses if server == node.server else LOOPBACK)
    for entry in organization.servers:
        if entry.name == server and (address := _parsed(entry.address)) is not None:
            interfaces.add(address)
    found: set[tuple[Address, int]] = set()
    for virtual_server in organization.virtual_servers:
        if virtual_server.server == server:
            for listener in virtual_server.listeners:
                found |= {(address, listener.port) for address in _addresses(listener, interfaces)}
    return frozenset(found)


def _addresses(listener: Listener, interfaces: set[Address]) -> set[Address]:
    address = ip_address(listener.address)
    if not address.is_unspecified:
        return {address}
    # The IPv6 wildcard may take IPv4 connections too, depending on the system.
    return interfaces if address.version == 6 else {found for found in interfaces if found.version == 4}


def _parsed(text: str) -> Address | None:
    try:
        return ip_address(text)
    except ValueError:
        return None


def _is_within(inner: Network, outer: Network) -> bool:
    return inner.version == outer.version and inner.prefixlen >= outer.prefixlen and inner.network_address in outer
