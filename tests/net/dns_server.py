"""A small name server for tests: UDP and TCP on one loopback port, answers from a dictionary, faults on demand."""

from __future__ import annotations

import asyncio
import errno
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, Sequence
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field

import dns.flags
import dns.message
import dns.rcode
import dns.rdatatype
import dns.rrset

from tests.peers.connections import Connections, stop_accepting

SOA = "ns.test. hostmaster.test. 1 3600 600 86400 30"


@dataclass
class DnsServer:
    """What is served may be changed at any time; `asked` counts what came.

    `records`: `{("fabrikam.com", "MX"): ["10 mx1.fabrikam.com."]}`. A name that no record has is NXDOMAIN, another
    type of a known one is NODATA; aliases are followed within the zone.
    """

    records: dict[tuple[str, str], Sequence[str]] = field(default_factory=dict)
    rcode: dns.rcode.Rcode = dns.rcode.NOERROR
    """What every question is answered with instead."""
    faults: set[tuple[str, str]] = field(default_factory=set)
    """Questions answered with SERVFAIL."""
    is_silent: bool = False
    truncates_udp: bool = False
    truncates_tcp: bool = False
    knows_edns: bool = True
    has_soa: bool = True
    forgeries: int = 0
    """Answers with a wrong id that precede the true one."""
    ttl: int = 60
    asked: list[tuple[str, str, str]] = field(default_factory=list)
    """`("udp", "fabrikam.com", "MX")`."""
    clients: list[object] = field(default_factory=list)
    """Where each question by UDP came from."""
    port: int = 0

    @property
    def address(self) -> str:
        """As `dns_servers` wants it: `"127.0.0.1:40001"`."""
        return f"127.0.0.1:{self.port}"

    def questions(self, name: str, kind: str) -> int:
        """How often this was asked."""
        return sum(1 for _, *question in self.asked if question == [name, kind])

    def answer(self, query_wire: bytes, transport: str) -> list[bytes]:
        """The messages that answer a query."""
        query = dns.message.from_wire(query_wire)
        question = query.question[0]
        name, kind = question.name.to_text(omit_final_dot=True).lower(), dns.rdatatype.to_text(question.rdtype)
        self.asked.append((transport, name, kind))
        if self.is_silent:
            return []
        reply = dns.message.make_response(query)
        if query.edns >= 0 and not self.knows_edns:
            reply.set_rcode(dns.rcode.FORMERR)
        elif self.rcode != dns.rcode.NOERROR:
            reply.set_rcode(self.rcode)
        elif (name, kind) in self.faults:
            reply.set_rcode(dns.rcode.SERVFAIL)
        elif self.truncates_udp if transport == "udp" else self.truncates_tcp:
            reply.flags |= dns.flags.TC
        else:
            self._fill(reply, name, kind)
        wire = reply.to_wire(max_size=65535)
        return [bytes([wire[0] ^ 1]) + wire[1:]] * self.forgeries + [wire]

    def _fill(self, reply: dns.message.Message, name: str, kind: str) -> None:
        known = {owner for owner, _ in self.records}
        seen: set[str] = set()
        while (name, "CNAME") in self.records and name not in seen:
            seen.add(name)
            target = self.records[name, "CNAME"][0]
            reply.answer.append(dns.rrset.from_text(f"{name}.", self.ttl, "IN", "CNAME", target))
            name = target.removesuffix(".").lower()
        values = self.records.get((name, kind))
        if values:
            reply.answer.append(dns.rrset.from_text_list(f"{name}.", self.ttl, "IN", kind, list(values)))
        elif name in known or not seen:
            if name not in known:
                reply.set_rcode(dns.rcode.NXDOMAIN)
            if self.has_soa:
                reply.authority.append(dns.rrset.from_text("test.", 30, "IN", "SOA", SOA))


class _Udp(asyncio.DatagramProtocol):
    def __init__(self, server: DnsServer) -> None:
        self._server = server
        self._transport: asyncio.DatagramTransport | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = transport  # type: ignore[assignment]  # uvloop's own class is none of asyncio's

    def datagram_received(self, data: bytes, addr: tuple[str, int]) -> None:
        assert self._transport is not None
        self._server.clients.append(addr)
        for wire in self._server.answer(data, "udp"):
            self._transport.sendto(wire, addr)


async def _listening(
    tcp: Callable[[asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]], address: str, server: DnsServer
) -> tuple[asyncio.Server, asyncio.DatagramTransport]:
    """One port by TCP and UDP: what is free by TCP may be taken by UDP, for instance by somebody's question."""
    while True:
        listener = await asyncio.start_server(tcp, address, 0)
        bound = (address, listener.sockets[0].getsockname()[1])
        try:
            transport, _ = await asyncio.get_running_loop().create_datagram_endpoint(
                lambda: _Udp(server), local_addr=bound
            )
        except OSError as error:
            listener.close()
            if error.errno != errno.EADDRINUSE:
                raise
        else:
            return listener, transport


@asynccontextmanager
async def dns_server(
    records: Mapping[tuple[str, str], Sequence[str]] | None = None,
    address: str = "127.0.0.1",
    kind: type[DnsServer] = DnsServer,
) -> AsyncIterator[DnsServer]:
    """Serve these records until the block ends."""
    server = kind(dict(records or {}))
    connections = Connections()

    async def tcp(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with connections.present(writer), suppress(asyncio.IncompleteReadError, asyncio.CancelledError):
            length = int.from_bytes(await reader.readexactly(2), "big")
            for wire in server.answer(await reader.readexactly(length), "tcp"):
                writer.write(len(wire).to_bytes(2, "big") + wire)

    listener, transport = await _listening(tcp, address, server)
    server.port = listener.sockets[0].getsockname()[1]
    try:
        yield server
    finally:
        transport.close()
        await stop_accepting(listener)
        await connections.cut()
