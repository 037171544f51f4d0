"""Destinations and their candidates: MX, smart hosts, literals, loops; DNS is a real server on a loopback port."""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import replace
from random import Random

import pytest

from bridgehead.core.organization import (
    Delivery,
    Family,
    Listener,
    Organization,
    SmartHost,
    SmartHostKind,
    SmartHostOrder,
    VirtualServer,
)
from bridgehead.core.outcome import Deferred, Failed, Scope
from bridgehead.net.resolver import Resolvers
from bridgehead.outbound.contract import Destination, Unavailable
from bridgehead.outbound.hosts import CANDIDATES_MAX, HOSTS_MAX, Candidate, HostFinder, Ourselves, ourselves
from tests.net.dns_server import DnsServer, dns_server
from tests.outbound.wire import NOBODY, to_domain, to_smart_hosts

ZONE: dict[tuple[str, str], Sequence[str]] = {
    ("f.test", "MX"): ["20 backup.f.test.", "10 mx.f.test."],
    ("mx.f.test", "A"): ["192.0.2.1"],
    ("mx.f.test", "AAAA"): ["2001:db8::1"],
    ("backup.f.test", "A"): ["192.0.2.2"],
    ("plain.test", "A"): ["192.0.2.9"],
    ("bare.test", "TXT"): ['"no mail here"'],
    ("null.test", "MX"): ["0 ."],
    ("dead.test", "MX"): ["10 gone.test."],
    ("half.test", "MX"): ["10 gone.test.", "20 backup.f.test."],
    ("equal.test", "MX"): [f"10 e{number}.test." for number in range(6)],
    **{(f"e{number}.test", "A"): [f"192.0.2.{10 + number}"] for number in range(6)},
    ("self.test", "MX"): ["10 mx.f.test.", "20 me.test.", "20 plain.test.", "30 backup.f.test."],
    ("me.test", "A"): ["127.0.0.1"],
    ("nothing.test", "A"): ["0.0.0.0"],
    ("mapped.test", "AAAA"): ["::ffff:192.0.2.9"],
    ("first.test", "MX"): ["10 me.test.", "20 backup.f.test."],
    ("many.test", "MX"): [f"{number} plain.test." for number in range(HOSTS_MAX + 5)],
    ("wide.test", "A"): [f"198.51.100.{number}" for number in range(1, CANDIDATES_MAX + 5)],
}


async def find(
    destination: Destination, own: Ourselves = NOBODY, seed: int = 1
) -> tuple[Candidate, ...] | Unavailable:
    return await HostFinder(Resolvers(time.monotonic), lambda: own, Random(seed)).find(destination)


async def labels(destination: Destination, own: Ourselves = NOBODY, seed: int = 1) -> list[str]:
    found = await find(destination, own, seed)
    assert not isinstance(found, Unavailable), found
    return [str(candidate) for candidate in found]


def domain(name: str, server: DnsServer, family: Family = Family.ANY) -> Destination:
    destination = to_domain(name, server.address, 2525)
    delivery = replace(destination.virtual_server.delivery, family=family)
    return replace(destination, virtual_server=replace(destination.virtual_server, delivery=delivery))


MX6, MX4, BACKUP = "mx.f.test[2001:db8::1]:2525", "mx.f.test[192.0.2.1]:2525", "backup.f.test[192.0.2.2]:2525"
ME = Ourselves(frozenset({"me.test"}), frozenset())
BY_ADDRESS = Ourselves(frozenset(), frozenset({"192.0.2.9"}))
EVERYWHERE = Ourselves(frozenset(), frozenset(), frozenset({4}))

FOUND = {
    "by preference": ("f.test", Family.ANY, NOBODY, [MX6, MX4, BACKUP]),
    "IPv4 alone": ("f.test", Family.IPV4, NOBODY, [MX4, BACKUP]),
    "IPv6 alone": ("f.test", Family.IPV6, NOBODY, [MX6]),
    "IPv4 first": ("f.test", Family.PREFER_IPV4, NOBODY, [MX4, MX6, BACKUP]),
    "implicit MX": ("plain.test", Family.ANY, NOBODY, ["plain.test[192.0.2.9]:2525"]),
    "a host without address is passed over": ("half.test", Family.ANY, NOBODY, [BACKUP]),
    "IPv4 literal": ("[192.0.2.7]", Family.ANY, NOBODY, ["[192.0.2.7]:2525"]),
    "IPv6 literal": ("[IPv6:2001:db8::7]", Family.ANY, NOBODY, ["[2001:db8::7]:2525"]),
    "loop by name: it, its equals and the worse go": ("self.test", Family.ANY, ME, [MX6, MX4]),
    "loop by address": ("self.test", Family.ANY, BY_ADDRESS, [MX6, MX4]),
    "loop by an interface's address": ("self.test", Family.ANY, EVERYWHERE, [MX6, MX4]),
}


@pytest.mark.parametrize(("name", "family", "own", "hosts"), FOUND.values(), ids=FOUND.keys())
async def test_domain_has_hosts(name: str, family: Family, own: Ourselves, hosts: list[str]) -> None:
    async with dns_server(ZONE) as server:
        assert await labels(domain(name, server, family), own) == hosts


NONE_LEFT = {
    "null MX": ("null.test", NOBODY, Failed, "5.1.10"),
    "no such domain": ("nowhere.test", NOBODY, Failed, "5.1.2"),
    "neither MX nor address": ("bare.test", NOBODY, Failed, "5.1.2"),
    "no exchanger has an address": ("dead.test", NOBODY, Failed, "5.4.4"),
    "nothing left of a loop": ("first.test", ME, Failed, "5.4.6"),
    "nothing left of a loop by address": ("first.test", EVERYWHERE, Failed, "5.4.6"),
    "implicit MX is this server": ("plain.test", BY_ADDRESS, Failed, "5.4.6"),
    "literal is this server": ("[192.0.2.9]", BY_ADDRESS, Failed, "5.4.6"),
    "an address that leads to whoever dials it": ("nothing.test", NOBODY, Failed, "5.4.6"),
    "our address in another form": ("mapped.test", BY_ADDRESS, Failed, "5.4.6"),
    "literal is none": ("[192.0.2.999]", NOBODY, Failed, "5.1.2"),
}


@pytest.mark.parametrize(("name", "own", "kind", "enhanced"), NONE_LEFT.values(), ids=NONE_LEFT.keys())
async def test_domain_has_no_host(name: str, own: Ourselves, kind: type[Failed], enhanced: str) -> None:
    async with dns_server(ZONE) as server:
        found = await find(domain(name, server), own)
    assert isinstance(found, Unavailable)
    assert isinstance(found.outcome, kind)
    assert found.outcome.reply.enhanced == enhanced
    assert found.attempts[0].startswith(name)


FAULTS = {
    "of the MX": ("f.test", ("f.test", "MX")),
    "of the only address": ("plain.test", ("plain.test", "A")),
    "of the only exchanger's address": ("dead.test", ("gone.test", "A")),
}


@pytest.mark.parametrize(("name", "question"), FAULTS.values(), ids=FAULTS.keys())
async def test_fault_of_dns_is_temporary(name: str, question: tuple[str, str]) -> None:
    async with dns_server(ZONE) as server:
        server.faults.add(question)
        found = await find(domain(name, server))
    assert isinstance(found, Unavailable)
    assert isinstance(found.outcome, Deferred)
    assert (found.outcome.scope, found.outcome.reply.enhanced) == (Scope.HOST, "4.4.3")
    assert not found.outcome.is_connect_failure


async def test_fault_about_a_better_host_is_not_taken_for_a_loop() -> None:
    async with dns_server({**ZONE, ("x.test", "MX"): ["5 sick.test.", "10 me.test."]}) as server:
        server.faults.add(("sick.test", "A"))
        found = await find(domain("x.test", server), ME)
    assert isinstance(found, Unavailable)
    assert isinstance(found.outcome, Deferred)


async def test_equal_preferences_are_shuffled() -> None:
    async with dns_server(ZONE) as server:
        orders = {tuple(await labels(domain("equal.test", server), seed=seed)) for seed in range(8)}
    assert len(orders) > 1
    assert len({frozenset(order) for order in orders}) == 1


async def test_number_of_hosts_and_addresses_is_bounded() -> None:
    async with dns_server(ZONE) as server:
        server.ttl = 60
        assert len(await labels(domain("many.test", server))) <= CANDIDATES_MAX
        assert len(await labels(domain("wide.test", server))) == CANDIDATES_MAX


# Smart hosts


def smart(host: str, kind: SmartHostKind, port: int | None = None) -> SmartHost:
    return SmartHost(host, kind, port)


SMART: dict[str, tuple[SmartHost, list[str]]] = {
    "address": (smart("192.0.2.77", SmartHostKind.ADDRESS), ["[192.0.2.77]:2525"]),
    "address and port": (smart("2001:db8::77", SmartHostKind.ADDRESS, 587), ["[2001:db8::77]:587"]),
    "name: MX first": (smart("f.test", SmartHostKind.NAME), [MX6, MX4, BACKUP]),
    "name without MX": (smart("plain.test", SmartHostKind.NAME), ["plain.test[192.0.2.9]:2525"]),
    "host: no MX": (smart("mx.f.test", SmartHostKind.HOST), [MX6, MX4]),
    "host and port": (smart("plain.test", SmartHostKind.HOST, 587), ["plain.test[192.0.2.9]:587"]),
}


def smart_destination(
    server: DnsServer, *smart_hosts: SmartHost, order: SmartHostOrder = SmartHostOrder.FAILOVER
) -> Destination:
    virtual_server = domain("", server).virtual_server
    return replace(to_smart_hosts(*smart_hosts), virtual_server=virtual_server, order=order)


@pytest.mark.parametrize(("smart_host", "hosts"), SMART.values(), ids=SMART.keys())
async def test_smart_host_is_found(smart_host: SmartHost, hosts: list[str]) -> None:
    async with dns_server(ZONE) as server:
        assert await labels(smart_destination(server, smart_host)) == hosts


async def test_smart_host_is_what_verify_trusts_and_not_its_exchanger() -> None:
    async with dns_server(ZONE) as server:
        found = await find(smart_destination(server, smart("f.test", SmartHostKind.NAME)))
        by_domain = await find(domain("f.test", server))
    assert not isinstance(found, Unavailable)
    assert not isinstance(by_domain, Unavailable)
    assert {candidate.trusted_name for candidate in (*found, *by_domain)} == {"f.test"}


ADDRESSES = tuple(smart(f"192.0.2.{number}", SmartHostKind.ADDRESS) for number in range(1, 7))


async def test_failover_keeps_the_order_as_written() -> None:
    async with dns_server(ZONE) as server:
        for seed in range(5):
            hosts = await labels(smart_destination(server, *ADDRESSES), seed=seed)
            assert hosts == [f"[192.0.2.{number}]:2525" for number in range(1, 7)]


async def test_balance_draws_the_order_anew() -> None:
    async with dns_server(ZONE) as server:
        destination = smart_destination(server, *ADDRESSES, order=SmartHostOrder.BALANCE)
        assert len({tuple(await labels(destination, seed=seed)) for seed in range(8)}) > 1


async def test_smart_host_that_is_not_found_leaves_the_others() -> None:
    async with dns_server(ZONE) as server:
        destination = smart_destination(server, smart("slip.test", SmartHostKind.HOST), ADDRESSES[0])
        assert await labels(destination) == ["[192.0.2.1]:2525"]


@pytest.mark.parametrize("host", ["slip.test", "null.test", "bare.test", "first.test"])
async def test_smart_hosts_that_are_not_found_never_bounce_mail(host: str) -> None:
    """A slip in the configuration: the mail waits, whatever the DNS says."""
    async with dns_server(ZONE) as server:
        found = await find(smart_destination(server, smart(host, SmartHostKind.NAME)), ME)
    assert isinstance(found, Unavailable)
    assert isinstance(found.outcome, Deferred)
    assert found.outcome.scope is Scope.HOST
    assert host in found.attempts[0]


def test_server_knows_itself_by_its_virtual_servers() -> None:
    def virtual_server(server: str, fqdn: str, *addresses: str) -> VirtualServer:
        listeners = tuple(Listener(address, 25) for address in addresses)
        return VirtualServer("V", server, listeners, fqdn, delivery=Delivery())

    organization = Organization(
        "O",
        (),
        (
            virtual_server("A", "Mail.A.test", "0.0.0.0", "2001:DB8:0::1"),
            virtual_server("B", "mail.b.test", "192.0.2.66"),
        ),
    )
    assert ourselves(organization, "A") == Ourselves(
        frozenset({"mail.a.test"}), frozenset({"2001:db8::1"}), frozenset({4})
    )
