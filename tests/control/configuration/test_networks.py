"""Networks that are too wide, that hide strangers, and addresses that are a server's own."""

from __future__ import annotations

from dataclasses import replace
from ipaddress import ip_address, ip_network

import pytest

from bridgehead.control.configuration.networks import is_gateway_like, is_loopback, is_too_public, own_endpoints
from bridgehead.core.organization import Listener, Node, Organization, Server, VirtualServer
from tests.control.configuration.examples import MACHINE


@pytest.mark.parametrize(
    ("network", "expected"),
    [
        ("0.0.0.0/0", True),
        ("8.8.0.0/15", True),
        ("8.8.0.0/16", False),
        ("10.0.0.0/8", False),
        ("10.0.0.0/7", True),
        ("172.16.0.0/12", False),
        ("172.0.0.0/11", True),
        ("192.168.0.0/16", False),
        ("127.0.0.0/8", False),
        ("100.64.0.0/10", False),
        ("::/0", True),
        ("2000::/3", True),
        ("2a00::/31", True),
        ("2a00::/32", False),
        ("fc00::/7", False),
        ("fe80::/10", False),
    ],
)
def test_public_networks_may_be_as_large_as_one_organization(network: str, expected: bool) -> None:
    assert is_too_public(ip_network(network)) is expected


@pytest.mark.parametrize(
    ("network", "expected"),
    [
        ("172.17.0.0/16", True),
        ("172.17.0.1/32", True),
        ("172.31.0.0/16", True),
        ("172.16.0.0/12", True),
        ("172.16.5.0/24", False),
        ("10.0.2.2/32", True),
        ("10.0.0.0/8", False),
        ("10.1.2.1/32", True),
        ("10.1.2.3/32", False),
        ("192.168.1.0/24", False),
        ("198.51.100.1/32", False),
        ("127.0.0.1/32", False),
        ("::1/128", False),
        ("100.64.0.0/10", True),
    ],
)
def test_gateways_are_recognised_by_the_ranges_they_use(network: str, expected: bool) -> None:
    assert is_gateway_like(ip_network(network)) is expected


@pytest.mark.parametrize(
    ("address", "expected"), [("127.0.0.9", True), ("::1", True), ("0.0.0.0", False), ("::", False)]
)
def test_loopback_is_told_from_wildcards(address: str, expected: bool) -> None:
    assert is_loopback(Listener(address, 25)) is expected


def _organization(*listeners: Listener) -> Organization:
    servers = (Server("A", "198.51.100.1"), Server("B", "198.51.100.2"))
    return Organization("x", servers, (VirtualServer("V", "A", listeners, "a.example"),))


def _own(server: str, organization: Organization, here: str = "A") -> set[tuple[str, int]]:
    found = own_endpoints(server, organization, Node(here, "/x"), MACHINE)
    return {(str(address), port) for address, port in found}


def test_wildcard_means_the_interfaces_and_the_address_that_peers_use() -> None:
    assert _own("A", _organization(Listener("0.0.0.0", 25))) == {
        ("127.0.0.1", 25),
        ("192.0.2.1", 25),
        ("198.51.100.1", 25),
    }


def test_ipv6_wildcard_may_take_ipv4_too() -> None:
    own = _own("A", _organization(Listener("::", 25)))
    assert {("2001:db8::1", 25), ("::1", 25), ("192.0.2.1", 25)} <= own


def test_another_servers_interfaces_are_not_those_of_this_machine() -> None:
    own = _own("A", _organization(Listener("0.0.0.0", 25)), here="B")
    assert own == {("127.0.0.1", 25), ("198.51.100.1", 25)}


def test_plain_listener_is_itself_alone() -> None:
    organization = _organization(Listener("127.0.0.2", 2525))
    assert _own("A", organization) == {("127.0.0.2", 2525)}
    assert _own("B", organization) == set()
    assert _own("A", replace(organization, virtual_servers=())) == set()


def test_address_by_name_is_left_to_dns() -> None:
    organization = replace(_organization(Listener("0.0.0.0", 25)), servers=(Server("A", "a.example"),))
    assert (str(ip_address("127.0.0.1")), 25) in _own("A", organization)
