"""Which hosts a destination has, in the order in which they are tried (RFC 5321 5.1, RFC 7505).

By DNS: MX records by preference, equal ones shuffled, without any the domain itself. Where this server is one of the
exchangers, it and all that are not better are dropped: mail must come closer with every hop. Smart hosts: as written
or shuffled. What DNS says for certain about a recipient's domain is permanent; about a smart host nothing is, since
a slip in the configuration must not bounce mail.
"""

from __future__ import annotations

import asyncio
import ipaddress
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from itertools import groupby
from random import Random
from typing import Final, TypeAlias

from bridgehead.core.organization import Family, Organization, SmartHost, SmartHostKind, SmartHostOrder
from bridgehead.core.outcome import Deferred, Failed, Scope
from bridgehead.core.reply import Reply
from bridgehead.net.dns_answer import (
    AddressAnswer,
    Addresses,
    DnsFault,
    ImplicitMx,
    MxHost,
    MxHosts,
    NoSuchName,
    NullMx,
)
from bridgehead.net.interfaces import is_own_address
from bridgehead.net.resolver import Resolver, Resolvers
from bridgehead.outbound.contract import Destination, Unavailable

HOSTS_MAX: Final = 20
"""Mail exchangers of a domain that are looked up; the worse ones are left out."""
CANDIDATES_MAX: Final = 20
"""Addresses tried for one channel: bounds the time that one opening takes."""


@dataclass(frozen=True, slots=True)
class Candidate:
    """An address and port to dial."""

    address: str
    port: int
    name: str = ""
    """The host's name, from DNS or the configuration; empty for a literal."""
    trusted_name: str = ""
    """Whom we mean to reach: the smart host as written, or the recipient domain; what `verify` checks."""

    def __str__(self) -> str:
        return f"{self.name}[{self.address}]:{self.port}"


@dataclass(frozen=True, slots=True)
class Ourselves:
    """How this server is known: for loops."""

    names: frozenset[str]
    """Own `fqdn`s, lower case."""
    addresses: frozenset[str]
    """Addresses that listeners name, in canonical form."""
    listens_on_every: frozenset[int] = frozenset()
    """IP versions with a wildcard listener: there every address of an interface is ours."""

    def is_address(self, address: str) -> bool:
        """Whether we listen there, whatever the port; what leads nowhere but to this machine counts as well."""
        parsed = ipaddress.ip_address(address)
        if parsed.version == 6:
            parsed = parsed.ipv4_mapped or parsed
        if parsed.is_unspecified:  # whoever dials 0.0.0.0 reaches itself
            return True
        own = str(parsed)
        return own in self.addresses or (parsed.version in self.listens_on_every and is_own_address(own))


def ourselves(organization: Organization, server: str) -> Ourselves:
    """How the server of this name is known."""
    own = [virtual_server for virtual_server in organization.virtual_servers if virtual_server.server == server]
    listening = [ipaddress.ip_address(listener.address) for one in own for listener in one.listeners]
    return Ourselves(
        frozenset(virtual_server.fqdn.lower() for virtual_server in own),
        frozenset(str(address) for address in listening if not address.is_unspecified),
        frozenset(address.version for address in listening if address.is_unspecified),
    )


Found: TypeAlias = tuple[Candidate, ...]
"""At least one candidate, in order."""


class HostFinder:
    """Turns destinations into candidates. Owned by one worker; `ourselves` is asked anew each time."""

    def __init__(self, resolvers: Resolvers, ourselves: Callable[[], Ourselves], random: Random) -> None:
        self._resolvers = resolvers
        self._ourselves = ourselves
        self._random = random

    async def find(self, destination: Destination) -> Found | Unavailable:
        """The candidates, or the outcome for all mail of this destination. Waits for DNS, which is bounded."""
        delivery = destination.virtual_server.delivery
        search = _Search(
            self._resolvers.resolver(delivery.dns_servers),
            self._ourselves,
            self._random,
            delivery.family,
            destination.virtual_server.outbound_port,
        )
        if destination.smart_hosts:
            return await self._smart_hosts(search, destination)
        found = await search.domain(destination.domain)
        if isinstance(found, Reply):
            return Unavailable(_outcome(found), (f"{destination.domain}: {found}",))
        return found

    async def _smart_hosts(self, search: _Search, destination: Destination) -> Found | Unavailable:
        smart_hosts = list(destination.smart_hosts)
        if destination.order is SmartHostOrder.BALANCE:
            self._random.shuffle(smart_hosts)
        if all(smart_host.kind is SmartHostKind.ADDRESS for smart_host in smart_hosts):  # nothing to wait for
            return tuple(search.literal(smart_host) for smart_host in smart_hosts)[:CANDIDATES_MAX]
        async with asyncio.TaskGroup() as group:
            tasks = [group.create_task(search.smart_host(smart_host)) for smart_host in smart_hosts]
        results = [task.result() for task in tasks]
        found = tuple(candidate for result in results if not isinstance(result, Reply) for candidate in result)
        if found:
            return found[:CANDIDATES_MAX]
        troubles = [
            f"smart host {smart_host}: {result}"
            for smart_host, result in zip(smart_hosts, results, strict=True)
            if isinstance(result, Reply)
        ]
        return Unavailable(Deferred(Reply(0, "4.4.4", "; ".join(troubles)[:900]), Scope.HOST), tuple(troubles))


@dataclass(frozen=True, slots=True)
class _Search:
    """One look for hosts; a `Reply` says why there are none."""

    resolver: Resolver
    ourselves: Callable[[], Ourselves]
    random: Random
    family: Family
    port: int

    def literal(self, smart_host: SmartHost) -> Candidate:
        """The candidate of a smart host that is given by its address."""
        return Candidate(smart_host.host, smart_host.port or self.port, trusted_name=smart_host.host)

    async def smart_host(self, smart_host: SmartHost) -> Found | Reply:
        """Candidates of one entry of a smart host list."""
        port = smart_host.port or self.port
        if smart_host.kind is SmartHostKind.ADDRESS:
            return (self.literal(smart_host),)
        if smart_host.kind is SmartHostKind.NAME:
            return await self.by_mx(smart_host.host)
        answer = await self.resolver.addresses(smart_host.host, self.family)
        found = self._candidates(smart_host.host, answer, smart_host.host, port)
        return found or _no_address(smart_host.host, answer)

    async def domain(self, domain: str) -> Found | Reply:
        """Candidates of a recipient domain or address literal."""
        if domain.startswith("["):
            address = domain.strip("[]")
            address = address[5:] if address.lower().startswith("ipv6:") else address
            try:
                address = str(ipaddress.ip_address(address))
            except ValueError:
                return Reply(0, "5.1.2", f"{domain} is no IP address")
            if self.ourselves().is_address(address):
                return _loop(domain)
            return (Candidate(address, self.port, trusted_name=address),)
        return await self.by_mx(domain)

    async def by_mx(self, domain: str) -> Found | Reply:
        """Candidates of a name: its mail exchangers, without any itself."""
        match await self.resolver.mx(domain):
            case MxHosts(hosts):
                return await self._exchangers(domain, hosts)
            case ImplicitMx():
                return await self._exchangers(domain, (MxHost(0, domain),))
            case NullMx():
                return Reply(0, "5.1.10", f"{domain} takes no mail (null MX)")
            case NoSuchName():
                return Reply(0, "5.1.2", f"Domain {domain} does not exist")
            case DnsFault(reason):
                return Reply(0, "4.4.3", f"DNS: {reason}")

    async def _exchangers(self, domain: str, hosts: Sequence[MxHost]) -> Found | Reply:
        """Look up all exchangers at once, then go through them from best to worst until one is this server."""
        hosts = hosts[:HOSTS_MAX]
        async with asyncio.TaskGroup() as group:
            tasks = {host: group.create_task(self.resolver.addresses(host.name, self.family)) for host in hosts}
        answers = {host: task.result() for host, task in tasks.items()}
        ourselves = self.ourselves()
        found: list[Candidate] = []
        for _, equals in groupby(answers, key=lambda host: host.preference):
            group_hosts = list(equals)
            if any(_is_this_server(ourselves, host.name, answers[host]) for host in group_hosts):
                return tuple(found) or _best_fault(answers.values()) or _loop(domain)
            self.random.shuffle(group_hosts)
            for host in group_hosts:
                found += self._candidates(host.name, answers[host], domain, self.port)
        if found:
            return tuple(found[:CANDIDATES_MAX])
        is_implicit = len(hosts) == 1 and hosts[0].name == domain
        return _best_fault(answers.values()) or (
            _no_address(domain, Addresses())
            if is_implicit
            else Reply(0, "5.4.4", f"No mail exchanger of {domain} has an address")
        )

    def _candidates(self, name: str, answer: AddressAnswer, trusted_name: str, port: int) -> Found:
        """The addresses of one host, the preferred family first, shuffled within a family."""
        if not isinstance(answer, Addresses):
            return ()
        families = [list(answer.ipv6), list(answer.ipv4)]
        if self.family is Family.PREFER_IPV4:
            families.reverse()
        for addresses in families:
            self.random.shuffle(addresses)
        return tuple(Candidate(address, port, name, trusted_name) for addresses in families for address in addresses)


def _is_this_server(ourselves: Ourselves, name: str, answer: AddressAnswer) -> bool:
    if name in ourselves.names:
        return True
    return isinstance(answer, Addresses) and any(map(ourselves.is_address, (*answer.ipv6, *answer.ipv4)))


def _best_fault(answers: Iterable[AddressAnswer]) -> Reply | None:
    """The first fault among answers: what is not known now may be known later."""
    for answer in answers:
        if isinstance(answer, DnsFault):
            return Reply(0, "4.4.3", f"DNS: {answer.reason}")
    return None


def _no_address(name: str, answer: AddressAnswer) -> Reply:
    return _best_fault((answer,)) or Reply(0, "5.1.2", f"{name} has no mail exchanger and no address")


def _loop(domain: str) -> Reply:
    return Reply(0, "5.4.6", f"Mail for {domain} loops back to this server")


def _outcome(reply: Reply) -> Deferred | Failed:
    return Failed(reply) if reply.enhanced.startswith("5.") else Deferred(reply, Scope.HOST)
