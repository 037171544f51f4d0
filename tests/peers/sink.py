"""A next hop that keeps accounts: every message it ever answered 250 to, byte for byte, with its envelope.

It is deliberately small and its own: what Bridgehead sends is compared with what this server saw on the wire, so
nothing here may parse, repair or decode. It runs in a thread, so that a test may wait on programs.
"""

from __future__ import annotations

import asyncio
import contextlib
import ssl
import threading
import time
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
from types import TracebackType
from typing import Self

from tests.peers.connections import Connections, stop_accepting

GREETING = b"220 sink.test ESMTP\r\n"
EXTENSIONS = (b"PIPELINING", b"8BITMIME", b"SMTPUTF8", b"DSN", b"ENHANCEDSTATUSCODES", b"SIZE 0")
LINE_BYTES_MAX = 64 * 1024 * 1024


@dataclass(frozen=True, slots=True)
class Received:
    """One message that was answered 250."""

    mail: bytes
    """The MAIL line without its verb: `b"<a@b.example> SIZE=10"`."""
    recipients: tuple[bytes, ...]
    """The RCPT lines without their verb: `b"<x@y.example> NOTIFY=NEVER"`."""
    content: bytes
    """The message, dots unstuffed, its last CRLF included."""
    is_tls: bool
    connection: int = 0
    """Number of the connection it came over, counted from 1."""
    at: float = 0.0
    """When its 250 left, by the monotonic clock."""

    def header(self, name: bytes) -> bytes:
        """Value of the first header field of this name, unfolded not; empty where there is none."""
        for line in self.content[: self.content.find(b"\r\n\r\n")].split(b"\r\n"):
            field, colon, value = line.partition(b":")
            if colon and field.lower() == name.lower():
                return value.strip()
        return b""


Decision = Callable[[bytes], bytes]
"""From a command line (or `b"."` at the end of data) to the whole reply, CRLF included; empty: as usual."""


class Sink:
    """An SMTP server on a loopback port; use it as a context manager."""

    def __init__(
        self,
        *,
        decide: Decision | None = None,
        extensions: tuple[bytes, ...] = EXTENSIONS,
        tls: ssl.SSLContext | None = None,
        address: str = "127.0.0.1",
        port: int = 0,
    ) -> None:
        """`decide` may answer any line in another way; with `tls` it offers STARTTLS; port 0 takes a free one."""
        self.address = address
        self.port = port
        self.received: list[Received] = []
        self.connections = 0
        self.cuts: dict[int, float] = {}
        """Connections that ended without QUIT, and when, by the monotonic clock."""
        self.goodbyes: dict[int, float] = {}
        """Those that ended with QUIT."""
        self.decide = decide
        self.extensions = extensions
        self.tls = tls
        self._ready = threading.Event()
        self._loop = asyncio.new_event_loop()
        self._stop = asyncio.Event()
        self._thread = threading.Thread(target=self._run, name="sink", daemon=True)

    def __enter__(self) -> Self:
        self._thread.start()
        assert self._ready.wait(10), "the sink did not start"
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._loop.call_soon_threadsafe(self._stop.set)
        self._thread.join(10)

    def counts(self, header: bytes = b"Message-ID") -> Counter[bytes]:
        """How often each value of a header arrived."""
        return Counter(message.header(header) for message in tuple(self.received))

    def _run(self) -> None:
        with contextlib.closing(self._loop):
            self._loop.run_until_complete(self._serve())

    async def _serve(self) -> None:
        connections = Connections()

        async def session(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            with connections.present(writer):
                conversation = _Session(self, reader, writer)
                with contextlib.suppress(ConnectionError, asyncio.IncompleteReadError, asyncio.CancelledError):
                    await conversation.run()
                ends = self.goodbyes if conversation.said_goodbye else self.cuts
                ends[conversation.number] = time.monotonic()

        server = await asyncio.start_server(session, self.address, self.port, limit=LINE_BYTES_MAX, backlog=500)
        self.port = server.sockets[0].getsockname()[1]
        self._ready.set()
        await self._stop.wait()
        await stop_accepting(server)
        await connections.cut()


class _Session:
    """One connection to the sink."""

    def __init__(self, sink: Sink, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._sink = sink
        self._reader = reader
        self._writer = writer
        self._mail = b""
        self._recipients: list[bytes] = []
        sink.connections += 1
        self.number = sink.connections
        self.said_goodbye = False

    async def run(self) -> None:
        """Answer until QUIT or the end of the connection."""
        if not self._say(self._ask(b"") or GREETING):
            return
        while True:
            line = (await self._reader.readuntil(b"\r\n"))[:-2]
            verb = line[:4].upper()
            if not self._say(self._ask(line) or self._reply(verb, line)):
                return
            if verb == b"DATA" and self._recipients:
                await self._data()
            elif line.upper() == b"STARTTLS" and self._sink.tls is not None:
                await self._writer.start_tls(self._sink.tls)
            elif verb == b"QUIT":
                self.said_goodbye = True
                return

    def _ask(self, line: bytes) -> bytes:
        return self._sink.decide(line) if self._sink.decide is not None else b""

    def _say(self, reply: bytes) -> bool:
        """Write a reply; False when it was 421, which ends the connection."""
        self._writer.write(reply)
        return not reply.startswith(b"421")

    def _reply(self, verb: bytes, line: bytes) -> bytes:
        match verb:
            case b"EHLO":
                return self._greet()
            case b"MAIL":
                self._mail, self._recipients = line.partition(b":")[2], []
            case b"RCPT" | b"DATA" if not self._mail:
                return b"503 5.5.1 no sender\r\n"
            case b"RCPT":
                self._recipients.append(line.partition(b":")[2])
            case b"DATA":
                return b"354 go on\r\n" if self._recipients else b"554 5.5.1 no recipient\r\n"
            case b"QUIT":
                return b"221 2.0.0 bye\r\n"
            case b"STAR":
                return b"220 2.0.0 go on\r\n" if self._sink.tls is not None else b"502 5.5.1 no\r\n"
            case b"RSET":
                self._mail, self._recipients = b"", []
            case _:
                pass
        return b"250 2.0.0 ok\r\n"

    def _greet(self) -> bytes:
        offered = list(self._sink.extensions)
        if self._sink.tls is not None and not self._is_tls:
            offered.append(b"STARTTLS")
        lines = [b"sink.test", *offered]
        return b"".join(b"250-%s\r\n" % line for line in lines[:-1]) + b"250 %s\r\n" % lines[-1]

    @property
    def _is_tls(self) -> bool:
        return self._writer.get_extra_info("ssl_object") is not None

    async def _data(self) -> None:
        lines = []
        while (line := await self._reader.readuntil(b"\r\n")) != b".\r\n":
            lines.append(line.removeprefix(b"."))
        content = b"".join(lines)
        reply = self._ask(b".")
        if not reply or reply.startswith(b"250"):
            # Recorded before the answer leaves: a peer that saw 250 must find the message here.
            entry = Received(
                self._mail, tuple(self._recipients), content, self._is_tls, self.number, time.monotonic()
            )
            self._sink.received.append(entry)
        self._say(reply or b"250 2.0.0 taken\r\n")
        self._mail, self._recipients = b"", []
