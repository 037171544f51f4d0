"""A whole inbound server on a loopback port with a spool in memory: what the tests of this folder share."""

from __future__ import annotations

import asyncio
import errno
import ipaddress
import socket
import ssl
import struct
import time
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, replace

from argon2 import PasswordHasher

from bridgehead.core.organization import (
    AcceptedDomain,
    ClientList,
    Listener,
    NoMatch,
    Organization,
    Server,
    ServerAuthentication,
    VirtualServer,
)
from bridgehead.core.queue_id import QueueIds
from bridgehead.core.tracking import TrackingEvent
from bridgehead.inbound.credentials import CredentialCheck
from bridgehead.inbound.draft_memory import DRAFT_MEMORY_MAX, DraftMemory
from bridgehead.inbound.listener import Door, InboundServer
from bridgehead.inbound.reception import ClientNames, InForce, Reception
from bridgehead.inbound.session_leases import LocalLeases
from bridgehead.spool.contract import StoredMessage
from bridgehead.spool.memory import MemoryBodyWriter, MemorySpool

KEY = "BRIDGE01/Default SMTP Virtual Server"
HASHER = PasswordHasher(time_cost=1, memory_cost=8, parallelism=1)
USERS = {"user": HASHER.hash("secret")}
LOOPBACK = ClientList(networks=(ipaddress.ip_network("127.0.0.0/8"),))


def organization(
    *,
    virtual_server: VirtualServer | None = None,
    accepted: Sequence[AcceptedDomain] = (AcceptedDomain("contoso.com"),),
) -> Organization:
    """One server; contoso.com is accepted, anything else only from loopback where `relay` says so."""
    return Organization(
        "Test",
        (Server("BRIDGE01"),),
        (virtual_server or server(),),
        accepted_domains=tuple(accepted),
        postmaster="postmaster@contoso.com",
        no_match=NoMatch.NATIVE_DNS,
    )


def server() -> VirtualServer:
    """The virtual server of the tests; change it with `dataclasses.replace`."""
    return VirtualServer(
        "Default SMTP Virtual Server",
        "BRIDGE01",
        (Listener("127.0.0.1", 0),),
        "mail.contoso.com",
        authentication=ServerAuthentication(users=USERS, without_tls=True),
    )


class FailingBody(MemoryBodyWriter):
    """A body on a disk that is full after so many octets."""

    def __init__(self, octets: int) -> None:
        super().__init__()
        self._octets = octets

    def write(self, data: bytes) -> None:
        super().write(data)
        if self.size > self._octets:
            raise OSError(errno.ENOSPC, "disk full")


class SlowSpool(MemorySpool):
    """A spool whose commits the test makes, and whose bodies may fail."""

    body_error: Exception | None = None
    body_octets: int | None = None

    def new_body(self) -> MemoryBodyWriter:
        if self.body_error is not None:
            raise self.body_error
        return super().new_body() if self.body_octets is None else FailingBody(self.body_octets)


@dataclass
class Receiving:
    """A running server and everything that came out of it."""

    port: int
    spool: SlowSpool
    server: InboundServer
    in_force: InForce
    reception: Reception
    messages: list[StoredMessage]
    events: list[TrackingEvent]
    has_room: bool = True

    def apply(self, changed: Organization) -> None:
        """What SIGHUP does, as far as sessions are concerned."""
        self.in_force = replace(self.in_force, organization=changed)

    @property
    def bodies(self) -> list[bytes]:
        """The accepted messages, without the Received line in front."""
        return [without_received(message.body.content or b"") for message in self.messages]


def without_received(content: bytes) -> bytes:
    """A message behind our trace line."""
    assert content.startswith(b"Received: ")
    end = content.index(b"\r\n")
    while content[end + 2 : end + 3] in {b" ", b"\t"}:
        end = content.index(b"\r\n", end + 2)
    return content[end + 2 :]


@asynccontextmanager
async def receiving(
    configuration: Organization | None = None,
    *,
    tls: ssl.SSLContext | None = None,
    implicit_tls: bool = False,
    manual: bool = False,
    names: ClientNames | None = None,
    sessions_max: int = 100,
    draft_memory_max: int = DRAFT_MEMORY_MAX,
) -> AsyncIterator[Receiving]:
    """Run a server; at the end of the block it is drained."""
    spool = SlowSpool(manual=manual)
    in_force = InForce(configuration or organization(), {KEY: tls} if tls else {})
    ids = QueueIds(0)
    credentials = CredentialCheck(time.monotonic, HASHER)
    messages: list[StoredMessage] = []
    events: list[TrackingEvent] = []
    async with asyncio.TaskGroup() as tasks:
        found: list[Receiving] = []
        reception = Reception(
            spool=spool,
            current=lambda: found[0].in_force,
            next_id=lambda: ids.next(time.time()),
            clock=time.time,
            accepted=messages.append,
            emit=events.append,
            tasks=tasks,
            credentials=credentials,
            leases=LocalLeases(),
            names=names,
            has_room=lambda: found[0].has_room,
            sessions_max=sessions_max,
            draft_memory=DraftMemory(draft_memory_max),
        )
        inbound = InboundServer(reception)
        bound = socket.create_server(("127.0.0.1", 0))
        port = bound.getsockname()[1]
        found.append(Receiving(port, spool, inbound, in_force, reception, messages, events))
        await inbound.listen(Door(KEY, "127.0.0.1", port, implicit_tls), bound)
        try:
            yield found[0]
        finally:
            await inbound.drain(0.1)
            credentials.close()
            # uvloop frees a closed connection on the turn after it said so.
            await asyncio.sleep(0.01)
            assert manual or not reception.draft_memory.held, "what arrived holds no memory any more"


class Dialogue:
    """A client that speaks octets."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._reader = reader
        self._writer = writer

    async def send(self, data: bytes) -> None:
        """Send without waiting for an answer."""
        self._writer.write(data)
        await self._writer.drain()

    async def reply(self) -> str:
        """The next reply, all of its lines joined by `|`."""
        lines = []
        async with asyncio.timeout(10):
            while True:
                line = (await self._reader.readuntil(b"\r\n")).decode()
                lines.append(line.removesuffix("\r\n"))
                if line[3] == " ":
                    return "|".join(lines)

    async def say(self, data: bytes) -> str:
        """Send a line and wait for the reply."""
        await self.send(data + b"\r\n")
        return await self.reply()

    async def rest(self) -> bytes:
        """All that comes until the server hangs up."""
        async with asyncio.timeout(10):
            return await self._reader.read()

    def end(self) -> None:
        """Say that nothing more will be sent."""
        self._writer.write_eof()

    def reset(self) -> None:
        """Hang up at once, with a RST."""
        self._writer.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self._writer.transport.abort()


@asynccontextmanager
async def dialogue(port: int, *, greeted: bool = True) -> AsyncIterator[Dialogue]:
    """Connect; by default the greeting is read and EHLO is said."""
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    talk = Dialogue(reader, writer)
    try:
        if greeted:
            assert (await talk.reply()).startswith("220 ")
            assert (await talk.say(b"EHLO client.example")).startswith("250-")
        yield talk
    finally:
        writer.close()
        with suppress(OSError):
            await writer.wait_closed()
