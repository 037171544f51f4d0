"""SMTP servers on a loopback port that do what a test says, well-behaved or not."""

from __future__ import annotations

import asyncio
import ssl
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import TypeAlias

from tests.peers.connections import stop_accepting

ADDRESS = "127.0.0.2"
"""Not 127.0.0.1, which may be the server under test itself."""


class GoneError(Exception):
    """The client closed the connection."""


@dataclass
class Peer:
    """The server's side of one connection, for scripts."""

    reader: asyncio.StreamReader
    writer: asyncio.StreamWriter
    server: ScriptedServer
    is_tls: bool = False

    async def say(self, *lines: str) -> None:
        """Send lines."""
        await self.send("".join(f"{line}\r\n" for line in lines).encode())

    async def send(self, octets: bytes) -> None:
        """Send octets."""
        self.writer.write(octets)
        await self.writer.drain()

    async def hear(self) -> str:
        """The next command; recorded."""
        line = await self.reader.readline()
        if not line.endswith(b"\r\n"):
            raise GoneError
        command = line[:-2].decode()
        self.server.heard.append(command)
        return command

    async def hear_content(self) -> bytes:
        """The content up to its end, dots undone; recorded."""
        lines = []
        while (line := await self.reader.readline()) != b".\r\n":
            if not line:
                raise GoneError
            lines.append(line.removeprefix(b"."))
        self.server.messages.append(b"".join(lines))
        return self.server.messages[-1]

    async def start_tls(self, context: ssl.SSLContext) -> None:
        """The server's side of the handshake."""
        await self.writer.start_tls(context)
        self.is_tls = True

    def drop(self) -> None:
        """Close without a word."""
        self.writer.close()

    async def wait_gone(self) -> None:
        """Until the client closes; what it sends is thrown away."""
        while await self.reader.read(65536):
            pass


Script: TypeAlias = Callable[[Peer], Awaitable[None]]


@dataclass
class ScriptedServer:
    """What was seen over all connections."""

    port: int = 0
    connections: int = 0
    heard: list[str] = field(default_factory=list)
    messages: list[bytes] = field(default_factory=list)

    @property
    def label(self) -> str:
        """As outcomes name it."""
        return f"[{ADDRESS}]:{self.port}"


@dataclass(frozen=True)
class Manners:
    """How `polite` behaves where a test does not want the usual."""

    extensions: tuple[str, ...] = ("PIPELINING", "SIZE 100000000", "8BITMIME", "DSN")
    replies: dict[str, str] = field(default_factory=dict)
    """By the beginning of a command, or `"."` for the end of the content."""
    tls: ssl.SSLContext | None = None


def polite(manners: Manners | None = None) -> Script:
    """A server that takes everything, but for what `manners` say."""
    manners = manners or Manners()

    async def script(peer: Peer) -> None:
        await peer.say(manners.replies.get("", "220 scripted.test ESMTP"))
        while True:
            command = await peer.hear()
            reply = next(
                (reply for begin, reply in manners.replies.items() if begin and command.startswith(begin)), ""
            )
            if reply:
                await peer.say(reply)
            elif command.startswith("EHLO"):
                starttls = ("STARTTLS",) if manners.tls and not peer.is_tls else ()
                lines = ("scripted.test", *manners.extensions, *starttls)
                await peer.say(*(f"250-{line}" for line in lines[:-1]), f"250 {lines[-1]}")
            elif command == "STARTTLS" and manners.tls:
                await peer.say("220 2.0.0 Ready")
                await peer.start_tls(manners.tls)
            elif command == "DATA":
                await peer.say("354 Go")
                await peer.hear_content()
                await peer.say(manners.replies.get(".", "250 2.0.0 Queued"))
            elif command == "QUIT":
                await peer.say("221 2.0.0 Bye")
                return
            else:
                await peer.say("235 2.7.0 Welcome" if command.startswith("AUTH") else "250 2.0.0 Ok")

    return script


@asynccontextmanager
async def serve(
    *scripts: Script, address: str = ADDRESS, tls: ssl.SSLContext | None = None
) -> AsyncIterator[ScriptedServer]:
    """Play the scripts, one for each connection in turn, the last one for all that follow; `polite` without any."""
    server = ScriptedServer()
    turns = list(scripts) or [polite()]

    async def play(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        server.connections += 1
        script = turns[min(server.connections, len(turns)) - 1]
        try:
            await script(Peer(reader, writer, server, is_tls=tls is not None))
        except (GoneError, ConnectionError, ssl.SSLError):
            pass
        finally:
            writer.close()

    listener = await asyncio.start_server(play, address, 0, ssl=tls, limit=1 << 20)
    server.port = listener.sockets[0].getsockname()[1]
    try:
        yield server
    finally:
        await stop_accepting(listener)
