"""What the mail system asks the DNS: mail exchangers, addresses, verified names (RFC 1035, 2308, 5321 5.1, 7505).

A fault at one name server leads to the next; only when none gives a usable answer is the result a `DnsFault`, which
is always temporary. Chains, sets and waits are bounded. `/etc/hosts` is honoured for addresses (`localhost`), never
for MX. Search domains are not: every name here is complete.
"""

from __future__ import annotations

import asyncio
import ipaddress
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import Final

import dns.exception
import dns.message
import dns.name
import dns.rcode
import dns.rdatatype
import dns.reversename

from bridgehead.core.organization import Family
from bridgehead.net.dns_answer import (
    AddressAnswer,
    Addresses,
    Answer,
    DnsFault,
    ImplicitMx,
    MxAnswer,
    MxHost,
    MxHosts,
    NoRecords,
    NoSuchName,
    NullMx,
    Records,
)
from bridgehead.net.dns_cache import DnsCache
from bridgehead.net.dns_exchange import Endpoint, ExchangeError, ask

RECORDS_MAX: Final = 500
"""Records of one set that are looked at; more are left out."""
CHAIN_MAX: Final = 8
"""CNAME steps, those inside one answer not counted: a longer chain is a loop or might as well be."""
PTR_NAMES_MAX: Final = 10
"""Names of one address that are verified: some addresses have thousands."""
ROUNDS: Final = 2
"""How often each server is asked before we give up."""
SERVERS_MAX: Final = 3
"""Servers of `/etc/resolv.conf` that are used, as the C library does."""
FAULT_TTL: Final = 5.0
"""Seconds a fault is remembered (RFC 2308 7 allows 300): a crowd of waiting mail must not ask at once."""
NEGATIVE_TTL: Final = 60.0
"""Seconds a "no" without an SOA record is remembered."""

RESOLVERS_MAX: Final = 64
"""Lists of name servers; an organization that names more starts with empty caches now and then."""


@dataclass(frozen=True, slots=True)
class ResolverTimeouts:
    """Seconds that a resolver waits."""

    step: float = 3.0
    """For one answer by UDP, or by TCP."""
    total: float = 20.0
    """For one question, all servers and rounds together."""


class Resolver:
    """Asks a fixed list of name servers; owns their cache. Lives on one event loop."""

    def __init__(
        self,
        servers: Sequence[Endpoint],
        clock: Callable[[], float],
        hosts: Mapping[str, Addresses] | None = None,
        timeouts: ResolverTimeouts | None = None,
    ) -> None:
        self._servers = tuple(servers)
        self._hosts = hosts or {}
        self._timeouts = timeouts or ResolverTimeouts()
        self._cache = DnsCache(clock)

    async def mx(self, domain: str) -> MxAnswer:
        """Where mail for `domain` (A-labels) goes; a set of one `.` is the null MX, else such records say nothing."""
        match await self._records(domain, "MX"):
            case Records(values):
                hosts = [_mx_host(value) for value in values]
                named = tuple(sorted((host for host in hosts if host.name), key=lambda host: host.preference))
                return MxHosts(named) if named else NullMx()
            case NoRecords():
                return ImplicitMx()
            case other:
                return other

    async def addresses(self, host: str, family: Family = Family.ANY) -> AddressAnswer:
        """The addresses of `host` that may be dialled; a fault of one family hides behind the other."""
        listed = self._hosts.get(host.lower())
        if listed is not None:
            return Addresses(
                () if family is Family.IPV4 else listed.ipv6, () if family is Family.IPV6 else listed.ipv4
            )
        kinds = {Family.IPV4: ("A",), Family.IPV6: ("AAAA",)}.get(family, ("AAAA", "A"))
        async with asyncio.TaskGroup() as group:
            tasks = {kind: group.create_task(self._records(host, kind)) for kind in kinds}
        answers = {kind: task.result() for kind, task in tasks.items()}
        found = {kind: answer.values for kind, answer in answers.items() if isinstance(answer, Records)}
        if found:
            return Addresses(found.get("AAAA", ()), found.get("A", ()))
        for doubt in (DnsFault, NoSuchName):  # a fault first: while one answer is missing, nothing is certain
            for answer in answers.values():
                if isinstance(answer, doubt):
                    return answer
        return Addresses()

    async def ptr(self, address: str) -> tuple[str, ...] | DnsFault:
        """The names of `address` that resolve back to it, lower case; empty: none does."""
        question = dns.reversename.from_address(address).to_text(omit_final_dot=True)
        answer = await self._records(question, "PTR")
        if isinstance(answer, DnsFault):
            return answer
        names = answer.values[:PTR_NAMES_MAX] if isinstance(answer, Records) else ()
        meant = ipaddress.ip_address(address)
        kind = Family.IPV6 if meant.version == 6 else Family.IPV4
        async with asyncio.TaskGroup() as group:
            tasks = [group.create_task(self.addresses(name, kind)) for name in names]
        verified = []
        for name, task in zip(names, tasks, strict=True):
            match task.result():
                case Addresses(ipv6, ipv4) if any(ipaddress.ip_address(one) == meant for one in (*ipv6, *ipv4)):
                    verified.append(name)
                case DnsFault() as fault if not verified and len(names) == 1:
                    return fault
                case _:
                    pass
        return tuple(verified)

    async def _records(self, name: str, kind: str) -> Answer:
        """One question through the cache."""
        name = name.lower().removesuffix(".")
        try:
            dns.name.from_text(name)
        except (dns.exception.DNSException, UnicodeError, ValueError):
            return NoSuchName()  # what no DNS name can be does not exist
        return await self._cache.answer((name, kind), lambda: self._ask_within_total(name, kind))

    async def _ask_within_total(self, name: str, kind: str) -> tuple[Answer, float]:
        try:
            async with asyncio.timeout(self._timeouts.total):
                return await self._follow(name, kind)
        except TimeoutError:
            return DnsFault(f"no answer about {name} {kind} within {self._timeouts.total:g} s"), FAULT_TTL

    async def _follow(self, name: str, kind: str) -> tuple[Answer, float]:
        """Ask, and ask on where the answer ends in an alias whose target it does not tell."""
        ttl_max = float("inf")
        for _ in range(CHAIN_MAX):
            answer, ttl, alias = await self._ask_servers(name, kind)
            ttl_max = min(ttl_max, ttl)
            if alias is None:
                return answer, ttl_max
            name = alias
        return DnsFault(f"more than {CHAIN_MAX} aliases on the way to {name}"), FAULT_TTL

    async def _ask_servers(self, name: str, kind: str) -> tuple[Answer, float, str | None]:
        trouble = "no name server is configured"
        for _ in range(ROUNDS):
            for server in self._servers:
                try:
                    return _read(await ask(server, name, kind, self._timeouts.step))
                except ExchangeError as error:
                    trouble = str(error)
        return DnsFault(trouble), FAULT_TTL, None


def _read(message: dns.message.Message) -> tuple[Answer, float, str | None]:
    """What a message says, for how many seconds, and the alias to ask about next, if any."""
    if not isinstance(message, dns.message.QueryMessage):
        raise ExchangeError("the answer is no answer to a query")
    try:
        chain = message.resolve_chaining()
    except dns.exception.DNSException as error:
        raise ExchangeError(f"no sense in the answer: {error}") from error
    if chain.answer is not None:
        values = tuple(str(record).removesuffix(".").lower() for record in islice(chain.answer, RECORDS_MAX))
        return Records(values), chain.minimum_ttl, None
    has_soa = any(rrset.rdtype == dns.rdatatype.SOA for rrset in message.authority)
    negative_ttl = float(chain.minimum_ttl) if has_soa else NEGATIVE_TTL
    if message.rcode() == dns.rcode.NXDOMAIN:
        return NoSuchName(), negative_ttl, None
    if chain.cnames and not has_soa:
        return NoRecords(), chain.minimum_ttl, chain.canonical_name.to_text(omit_final_dot=True)
    return NoRecords(), negative_ttl, None


def _mx_host(value: str) -> MxHost:
    """`"10 mx1.fabrikam.com"`; the name is empty for the root."""
    preference, _, name = value.partition(" ")
    return MxHost(int(preference), name)


class Resolvers:
    """One `Resolver` for each list of name servers that the organization names. Owned by one worker."""

    def __init__(
        self,
        clock: Callable[[], float],
        hosts_file: Path = Path("/etc/hosts"),
        resolv_conf: Path = Path("/etc/resolv.conf"),
    ) -> None:
        self._clock = clock
        self._hosts_file = hosts_file
        self._resolv_conf = resolv_conf
        self._hosts: Mapping[str, Addresses] = {}
        self._system_servers: tuple[str, ...] = read_name_servers("")
        self._resolvers: dict[tuple[str, ...], Resolver] = {}
        self.look_again()

    def look_again(self) -> None:
        """Read both files of the system anew and forget every answer; a file that cannot be read counts as before.

        Questions under way end as they began.
        """
        hosts, servers = _text(self._hosts_file), _text(self._resolv_conf)
        if hosts is not None:
            self._hosts = read_hosts(hosts)
        if servers is not None:
            self._system_servers = read_name_servers(servers)
        self._resolvers.clear()

    def resolver(self, dns_servers: tuple[str, ...]) -> Resolver:
        """The resolver for these `"ADDRESS[:PORT]"`; empty: the system's servers. Ask anew for each question."""
        resolver = self._resolvers.get(dns_servers)
        if resolver is None:
            servers = dns_servers or self._system_servers
            resolver = Resolver([read_endpoint(server) for server in servers], self._clock, self._hosts)
            if len(self._resolvers) >= RESOLVERS_MAX:
                self._resolvers.clear()
            self._resolvers[dns_servers] = resolver
        return resolver


def read_endpoint(text: str) -> Endpoint:
    """`"192.0.2.53"`, `"192.0.2.53:5353"`, `"2001:db8::53"`, `"[2001:db8::53]:5353"`; the port is 53 by default."""
    if text.startswith("["):
        address, _, port = text[1:].partition("]")
        return address, int(port.removeprefix(":") or 53)
    address, _, port = text.partition(":")
    return (text, 53) if ":" in port else (address, int(port or 53))


def read_name_servers(text: str) -> tuple[str, ...]:
    """The name servers of a resolv.conf; without any the local machine is asked, as the C library does."""
    lines = [line.split() for line in text.splitlines()]
    servers = [words[1] for words in lines if len(words) > 1 and words[0] == "nameserver"]
    return tuple(f"[{server}]:53" for server in servers[:SERVERS_MAX]) or ("127.0.0.1",)


def read_hosts(text: str) -> dict[str, Addresses]:
    """The names of a hosts file; lines that make no sense are left out."""
    hosts: dict[str, Addresses] = {}
    for line in text.splitlines():
        address, *names = line.partition("#")[0].lower().split() or [""]
        try:
            version = ipaddress.ip_address(address).version
        except ValueError:
            continue
        for name in names:
            known = hosts.get(name, Addresses())
            if version == 6:
                hosts[name] = Addresses((*known.ipv6, address), known.ipv4)
            else:
                hosts[name] = Addresses(known.ipv6, (*known.ipv4, address))
    return hosts


def _text(path: Path) -> str | None:
    """The content of a file; `None` where it cannot be read."""
    try:
        return path.read_text("utf-8", "replace")
    except OSError:
        return None
