"""Questions to a real name server on a loopback port, and what their answers and faults come to."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Sequence
from pathlib import Path

import dns.rcode
import pytest
from hypothesis import given
from hypothesis import strategies as st

from bridgehead.core.organization import Family
from bridgehead.net.dns_answer import (
    AddressAnswer,
    Addresses,
    DnsFault,
    ImplicitMx,
    MxAnswer,
    MxHost,
    MxHosts,
    NoSuchName,
    NullMx,
)
from bridgehead.net.resolver import (
    RECORDS_MAX,
    Resolver,
    Resolvers,
    ResolverTimeouts,
    read_endpoint,
    read_hosts,
    read_name_servers,
)
from tests.net.dns_server import DnsServer, dns_server

QUICK = ResolverTimeouts(step=0.05, total=1.0)
"""Where a server is silent; elsewhere a busy machine must not be taken for one."""
PATIENT = ResolverTimeouts(step=10.0, total=20.0)
ZONE: dict[tuple[str, str], Sequence[str]] = {
    ("contoso.com", "MX"): ["20 b.contoso.com.", "10 A.Contoso.com."],
    ("a.contoso.com", "A"): ["192.0.2.1", "192.0.2.2"],
    ("a.contoso.com", "AAAA"): ["2001:db8::1"],
    ("v4.contoso.com", "A"): ["192.0.2.4"],
    ("plain.test", "A"): ["192.0.2.9"],
    ("null.test", "MX"): ["0 ."],
    ("mixed.test", "MX"): ["0 .", "10 a.contoso.com."],
    ("alias.test", "CNAME"): ["contoso.com."],
    ("out.test", "CNAME"): ["elsewhere.invalid."],
    ("loop1.test", "CNAME"): ["loop2.test."],
    ("loop2.test", "CNAME"): ["loop1.test."],
    ("9.2.0.192.in-addr.arpa", "PTR"): ["Plain.test.", "liar.test."],
    ("liar.test", "A"): ["192.0.2.66"],
    ("66.2.0.192.in-addr.arpa", "PTR"): ["plain.test."],
}


def resolver(*servers: DnsServer, timeouts: ResolverTimeouts = PATIENT) -> Resolver:
    return Resolver([("127.0.0.1", server.port) for server in servers], time.monotonic, timeouts=timeouts)


A, B = MxHost(10, "a.contoso.com"), MxHost(20, "b.contoso.com")
MX: dict[str, tuple[str, MxAnswer]] = {
    "by preference, names in lower case": ("contoso.com", MxHosts((A, B))),
    "question in upper case with a dot": ("CONTOSO.COM.", MxHosts((A, B))),
    "no MX": ("plain.test", ImplicitMx()),
    "null MX": ("null.test", NullMx()),
    "null MX among others says nothing": ("mixed.test", MxHosts((A,))),
    "alias": ("alias.test", MxHosts((A, B))),
    "no such domain": ("nowhere.test", NoSuchName()),
    "alias to nowhere": ("out.test", NoSuchName()),
    "a label too long": ("x" * 64 + ".test", NoSuchName()),
    "empty label": ("a..test", NoSuchName()),
}


@pytest.mark.parametrize(("domain", "answer"), MX.values(), ids=MX.keys())
async def test_mx(domain: str, answer: MxAnswer) -> None:
    async with dns_server(ZONE) as server:
        assert await resolver(server).mx(domain) == answer


ADDRESSES: dict[str, tuple[str, Family, AddressAnswer]] = {
    "both": ("a.contoso.com", Family.ANY, Addresses(("2001:db8::1",), ("192.0.2.1", "192.0.2.2"))),
    "IPv4 alone": ("a.contoso.com", Family.IPV4, Addresses((), ("192.0.2.1", "192.0.2.2"))),
    "IPv6 alone": ("a.contoso.com", Family.IPV6, Addresses(("2001:db8::1",))),
    "no IPv6": ("v4.contoso.com", Family.IPV6, Addresses()),
    "no address": ("contoso.com", Family.ANY, Addresses()),
    "no such host": ("nowhere.test", Family.ANY, NoSuchName()),
}


@pytest.mark.parametrize(("host", "family", "answer"), ADDRESSES.values(), ids=ADDRESSES.keys())
async def test_addresses(host: str, family: Family, answer: AddressAnswer) -> None:
    async with dns_server(ZONE) as server:
        assert sorted_answer(await resolver(server).addresses(host, family)) == answer


def sorted_answer(answer: AddressAnswer) -> AddressAnswer:
    if isinstance(answer, Addresses):
        return Addresses(tuple(sorted(answer.ipv6)), tuple(sorted(answer.ipv4)))
    return answer


PTR = {
    "one that resolves back, one that does not": ("192.0.2.9", ("plain.test",)),
    "none that resolves back": ("192.0.2.66", ()),
    "none": ("192.0.2.77", ()),
    "IPv6 without any": ("2001:db8::77", ()),
}


@pytest.mark.parametrize(("address", "names"), PTR.values(), ids=PTR.keys())
async def test_ptr_is_verified_forward(address: str, names: tuple[str, ...]) -> None:
    async with dns_server(ZONE) as server:
        assert await resolver(server).ptr(address) == names


@pytest.mark.parametrize("rcode", [dns.rcode.SERVFAIL, dns.rcode.REFUSED, dns.rcode.NOTIMP, dns.rcode.FORMERR])
async def test_refusal_of_all_servers_is_a_fault(rcode: dns.rcode.Rcode) -> None:
    async with dns_server(ZONE) as server:
        server.rcode = rcode
        answer = await resolver(server).mx("contoso.com")
        assert isinstance(answer, DnsFault)
        assert dns.rcode.to_text(rcode) in answer.reason


async def test_fault_of_one_server_asks_the_next() -> None:
    async with dns_server() as broken, dns_server() as silent, dns_server(ZONE) as good:
        broken.rcode = dns.rcode.SERVFAIL
        silent.is_silent = True
        assert await resolver(broken, silent, good, timeouts=QUICK).mx("contoso.com") == MxHosts((A, B))


async def test_no_such_domain_is_believed_from_the_first_server() -> None:
    async with dns_server() as first, dns_server(ZONE) as second:
        assert await resolver(first, second).mx("contoso.com") == NoSuchName()
        assert not second.asked


async def test_silence_is_a_fault_within_the_time() -> None:
    async with dns_server(ZONE) as server:
        server.is_silent = True
        answer = await resolver(server, timeouts=QUICK).mx("contoso.com")
        assert isinstance(answer, DnsFault)
        assert server.questions("contoso.com", "MX") == 2, "two rounds"


async def test_all_rounds_together_are_bounded() -> None:
    async with dns_server(ZONE) as server:
        server.is_silent = True
        answer = await resolver(server, timeouts=ResolverTimeouts(step=9.0, total=0.05)).mx("contoso.com")
        assert isinstance(answer, DnsFault)


async def test_no_server_at_all_is_a_fault() -> None:
    assert isinstance(await resolver().mx("contoso.com"), DnsFault)


async def test_closed_port_is_a_fault() -> None:
    async with dns_server() as server:
        port = server.port
    assert isinstance(await Resolver([("127.0.0.1", port)], time.monotonic, timeouts=PATIENT).mx("a.test"), DnsFault)


async def test_truncated_answer_is_asked_for_by_tcp() -> None:
    async with dns_server(ZONE) as server:
        server.truncates_udp = True
        assert await resolver(server).mx("contoso.com") == MxHosts((A, B))
        assert [transport for transport, *_ in server.asked] == ["udp", "tcp"]


async def test_answer_truncated_by_tcp_too_is_a_fault() -> None:
    async with dns_server(ZONE) as server:
        server.truncates_udp = server.truncates_tcp = True
        assert isinstance(await resolver(server).mx("contoso.com"), DnsFault)


async def test_server_without_edns_is_asked_without_it() -> None:
    async with dns_server(ZONE) as server:
        server.knows_edns = False
        assert await resolver(server).mx("contoso.com") == MxHosts((A, B))


async def test_forged_answers_do_not_end_the_wait_for_the_true_one() -> None:
    async with dns_server(ZONE) as server:
        server.forgeries = 5
        assert await resolver(server).mx("contoso.com") == MxHosts((A, B))


async def test_alias_loop_is_a_fault() -> None:
    async with dns_server(ZONE) as server:
        assert isinstance(await resolver(server).mx("loop1.test"), DnsFault)


async def test_fault_of_one_family_hides_behind_the_other() -> None:
    async with dns_server(ZONE) as server:
        server.faults.add(("v4.contoso.com", "AAAA"))
        assert await resolver(server).addresses("v4.contoso.com") == Addresses((), ("192.0.2.4",))


async def test_fault_of_one_family_is_a_fault_where_the_other_has_no_address() -> None:
    async with dns_server(ZONE) as server:
        server.faults.add(("v4.contoso.com", "A"))
        assert isinstance(await resolver(server).addresses("v4.contoso.com"), DnsFault)


async def test_fault_about_a_name_of_the_address_cannot_be_said_now() -> None:
    async with dns_server(ZONE) as server:
        server.faults.add(("plain.test", "A"))
        assert isinstance(await resolver(server).ptr("192.0.2.66"), DnsFault)


async def test_huge_sets_are_cut() -> None:
    async with dns_server({("big.test", "MX"): [f"{n} mx{n}.big.test." for n in range(RECORDS_MAX + 100)]}) as server:
        server.truncates_udp = True
        answer = await resolver(server, timeouts=ResolverTimeouts()).mx("big.test")
        assert isinstance(answer, MxHosts)
        assert len(answer.hosts) == RECORDS_MAX


async def test_many_who_ask_at_once_are_one_question() -> None:
    async with dns_server(ZONE) as server:
        asked = resolver(server)
        async with asyncio.TaskGroup() as group:
            tasks = [group.create_task(asked.mx("contoso.com")) for _ in range(50)]
        assert {task.result() for task in tasks} == {MxHosts((A, B))}
        assert server.questions("contoso.com", "MX") == 1


async def test_hosts_file_goes_before_dns_and_not_for_mx() -> None:
    async with dns_server(ZONE) as server:
        asked = Resolver(
            [("127.0.0.1", server.port)], time.monotonic, read_hosts("127.0.0.3 a.contoso.com\n"), PATIENT
        )
        assert await asked.addresses("A.contoso.com") == Addresses((), ("127.0.0.3",))
        assert await asked.addresses("a.contoso.com", Family.IPV6) == Addresses()
        assert await asked.mx("contoso.com") == MxHosts((A, B))


def test_hosts_file_is_read() -> None:
    text = "127.0.0.1 localhost me # comment\n::1 localhost\n#127.0.0.9 no\nnonsense x\n\n127.0.0.2 localhost\n"
    assert read_hosts(text) == {
        "localhost": Addresses(("::1",), ("127.0.0.1", "127.0.0.2")),
        "me": Addresses((), ("127.0.0.1",)),
    }


ENDPOINTS = {
    "192.0.2.53": ("192.0.2.53", 53),
    "192.0.2.53:5353": ("192.0.2.53", 5353),
    "2001:db8::53": ("2001:db8::53", 53),
    "[2001:db8::53]": ("2001:db8::53", 53),
    "[2001:db8::53]:5353": ("2001:db8::53", 5353),
    "[192.0.2.53]:53": ("192.0.2.53", 53),
}


@pytest.mark.parametrize(("text", "endpoint"), ENDPOINTS.items(), ids=ENDPOINTS.keys())
def test_endpoint_is_read(text: str, endpoint: tuple[str, int]) -> None:
    assert read_endpoint(text) == endpoint


def test_resolv_conf_is_read() -> None:
    text = "# nameserver 1.1.1.1\nsearch x.test\nnameserver 192.0.2.1\nnameserver\nnameserver 2001:db8::1\n"
    assert read_name_servers(text) == ("[192.0.2.1]:53", "[2001:db8::1]:53")
    assert read_name_servers("") == ("127.0.0.1",)


def test_resolvers_are_shared_by_those_who_name_the_same_servers() -> None:
    resolvers = Resolvers(time.monotonic)
    assert resolvers.resolver(("192.0.2.1",)) is resolvers.resolver(("192.0.2.1",))
    assert resolvers.resolver(("192.0.2.1",)) is not resolvers.resolver(("192.0.2.2",))
    assert isinstance(resolvers.resolver(()), Resolver)


async def test_resolvers_look_again_at_the_files_of_the_system(tmp_path: Path) -> None:
    hosts, resolv_conf = tmp_path / "hosts", tmp_path / "resolv.conf"
    hosts.write_text("192.0.2.1 mail.contoso.com\n")
    resolv_conf.write_text("nameserver 192.0.2.53\n")
    resolvers = Resolvers(time.monotonic, hosts, resolv_conf)
    before = resolvers.resolver(())
    hosts.write_text("192.0.2.2 mail.contoso.com\n")
    resolv_conf.write_text("nameserver 192.0.2.54\n")
    assert await resolvers.resolver(()).addresses("mail.contoso.com") == Addresses((), ("192.0.2.1",))
    resolvers.look_again()
    assert await resolvers.resolver(()).addresses("mail.contoso.com") == Addresses((), ("192.0.2.2",))
    assert resolvers.resolver(()) is not before
    assert await before.addresses("mail.contoso.com") == Addresses((), ("192.0.2.1",))  # as it began


async def test_resolvers_forget_every_answer_when_they_look_again(tmp_path: Path) -> None:
    async with dns_server(ZONE) as server:
        resolvers = Resolvers(time.monotonic, tmp_path / "none", tmp_path / "none")
        servers = (f"127.0.0.1:{server.port}",)
        for _ in range(2):
            assert await resolvers.resolver(servers).mx("contoso.com") == MxHosts((A, B))
        assert server.questions("contoso.com", "MX") == 1  # the second answer was remembered
        resolvers.look_again()
        assert await resolvers.resolver(servers).mx("contoso.com") == MxHosts((A, B))
        assert server.questions("contoso.com", "MX") == 2


async def test_resolvers_keep_what_they_know_where_a_file_of_the_system_cannot_be_read(tmp_path: Path) -> None:
    hosts = tmp_path / "hosts"
    hosts.write_text("192.0.2.1 mail.contoso.com\n")
    resolvers = Resolvers(time.monotonic, hosts, tmp_path / "none")
    hosts.unlink()
    resolvers.look_again()
    assert await resolvers.resolver(()).addresses("mail.contoso.com") == Addresses((), ("192.0.2.1",))


@given(st.text(max_size=20))
async def test_names_that_cannot_be_are_never_asked_for(name: str) -> None:
    answer = await Resolver((), time.monotonic).mx(name)
    assert isinstance(answer, (DnsFault, NoSuchName))
