"""What all machines of a simulation share, and the DNS they ask."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from random import Random
from typing import Final

from bridgehead.core.organization import Family
from bridgehead.net.dns_answer import AddressAnswer, Addresses, DnsFault, ImplicitMx, MxAnswer, MxHost, MxHosts
from bridgehead.net.resolver import Resolver, Resolvers
from tests.simulation.ledger import Ledger
from tests.simulation.network import Network
from tests.simulation.virtual_loop import VirtualLoop

MX: Final = {"wingtip.example": ("mx1.wingtip.example", "mx2.wingtip.example")}


@dataclass
class World:
    """What all machines share."""

    loop: VirtualLoop
    network: Network
    random: Random
    ledger: Ledger
    addresses: dict[str, str]
    """Of hosts by name."""
    dns_fails: bool = False


class Names(Resolvers):
    """DNS without packets."""

    def __init__(self, world: World) -> None:
        # nothing of the machine that runs the simulation: neither its hosts nor its name servers
        self._answers = _Answers(world)

    def resolver(self, dns_servers: tuple[str, ...]) -> Resolver:
        """One for all."""
        return self._answers


class _Answers(Resolver):
    def __init__(self, world: World) -> None:
        self._world = world

    async def mx(self, domain: str) -> MxAnswer:
        """As in `Resolver`."""
        await asyncio.sleep(0.001)
        if self._world.dns_fails:
            return DnsFault("SERVFAIL")
        hosts = MX.get(domain)
        return MxHosts(tuple(MxHost(10 * n, host) for n, host in enumerate(hosts))) if hosts else ImplicitMx()

    async def addresses(self, host: str, family: Family = Family.ANY) -> AddressAnswer:
        """As in `Resolver`."""
        await asyncio.sleep(0.001)
        address = self._world.addresses.get(host)
        return Addresses(ipv4=(address,)) if address is not None else DnsFault("timed out")
