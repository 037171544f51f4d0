"""The next hop that smtp-sink cannot be: STARTTLS, recipients counted, many addresses, some of them dead or slow.

    python -m benchmarks.sink --port 2600 [--tls FOLDER] [--moods] [--delays FILE]

It prints `mesg=N rcpt=N` with a carriage return whenever that has changed, as smtp-sink does. With `--moods` it
listens on all of 127.0.0.0/8, and the address that was dialled decides how it behaves: 127.0/16 and 127.1/16 are
quick, 127.2/16 accepts connections and never says a word, 127.3/16 takes its time for each reply, and 127.4.0.1 to
127.4.0.40 do not even complete a TCP handshake (their listeners' queues are full). `--delays` gets the seconds from
`X-Sent` to the end of each message at quick addresses, as JSON, when SIGTERM ends it.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import json
import os
import signal
import socket
import ssl
import sys
import time
from pathlib import Path
from typing import Final

import uvloop

from benchmarks.wire import Wire

STAMP: Final = b"X-Sent: "
END: Final = b"\r\n.\r\n"
PRINT_SECONDS: Final = 0.01
BLACK_HOLES: Final = 40
EXTENSIONS: Final = (b"PIPELINING", b"8BITMIME", b"SIZE 0", b"ENHANCEDSTATUSCODES")


class Counts:
    """What all sessions add to."""

    def __init__(self, options: argparse.Namespace) -> None:
        """Nothing yet."""
        self.context = server_context(options.tls) if options.tls else None
        self.moods: bool = options.moods
        self.slow_seconds: float = options.slow
        self.messages = self.recipients = 0
        self.delays: list[float] = []


class Session(Wire):
    """The server's side of a connection."""

    def __init__(self, counts: Counts) -> None:
        """Belongs to `counts`."""
        super().__init__()
        self._counts = counts
        self._buffer = b""
        self._tail = b""
        self._is_content = False
        self._recipients = 0
        self._sent_at = 0.0
        self._mood = 1

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Greet, or not, as the address that was dialled says."""
        super().connection_made(transport)
        if self._counts.moods:
            self._mood = int(transport.get_extra_info("sockname")[0].split(".")[1])
        if self._mood != 2:
            self._answer(b"220 sink.test ESMTP\r\n")

    def _answer(self, octets: bytes) -> None:
        if self._mood == 3:
            asyncio.get_running_loop().call_later(self._counts.slow_seconds, self._answer_late, octets)
        else:
            self.write(octets)

    def _answer_late(self, octets: bytes) -> None:
        if not self.transport.is_closing():
            self.write(octets)

    def received(self, data: bytes) -> None:
        """Commands until DATA, content until the dot."""
        while data:
            data = self._content(data) if self._is_content else self._commands(data)

    def _commands(self, data: bytes) -> bytes:
        self._buffer += data
        replies, verb = [], b""
        while (end := self._buffer.find(b"\r\n")) >= 0:
            line, self._buffer = self._buffer[:end], self._buffer[end + 2 :]
            verb = line[:4].upper()
            replies.append(self._reply(verb))
            if self._is_content or verb == b"STAR":
                break
        if replies:
            self._answer(b"".join(replies))
        if self._is_content:
            rest, self._buffer = self._buffer, b""
            return rest
        if replies and verb == b"STAR":
            assert self._counts.context is not None
            self.start_tls(self._counts.context, server=True)
        return b""

    def _reply(self, verb: bytes) -> bytes:
        match verb:
            case b"EHLO":
                offers_tls = self._counts.context is not None and self._tls is None
                names = [b"sink.test", *EXTENSIONS, *([b"STARTTLS"] if offers_tls else [])]
                return b"".join(b"250-%s\r\n" % name for name in names[:-1]) + b"250 %s\r\n" % names[-1]
            case b"RCPT":
                self._recipients += 1
            case b"DATA":
                self._is_content, self._tail, self._sent_at = True, b"\r\n", 0.0
                return b"354 go on\r\n"
            case b"STAR":
                return b"220 2.0.0 ready\r\n"
            case b"QUIT":
                return b"221 2.0.0 bye\r\n"
            case b"RSET":
                self._recipients = 0
            case _:
                pass
        return b"250 2.0.0 ok\r\n"

    def _content(self, data: bytes) -> bytes:
        """Pass over content; what follows the final dot is returned."""
        if not self._sent_at and (at := data.find(STAMP)) >= 0:
            self._sent_at = float(data[at + len(STAMP) :].split(b"\r\n", 1)[0])
        seam = self._tail + data[:4]
        at = seam.find(END)
        end = at + len(END) - len(self._tail) if at >= 0 else data.find(END)
        if at < 0 and end >= 0:
            end += len(END)
        if end < 0:
            self._tail = (self._tail + data[-4:])[-4:]
            return b""
        self._is_content = False
        counts = self._counts
        counts.messages += 1
        counts.recipients += self._recipients
        self._recipients = 0
        if self._sent_at and self._mood < 2:
            counts.delays.append(time.monotonic() - self._sent_at)
        self._answer(b"250 2.0.0 taken\r\n")
        return data[end:]

    def secured(self) -> None:
        """The client speaks next."""


def server_context(folder: Path) -> ssl.SSLContext:
    """With the certificate of a test authority."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(folder / "cert.pem", folder / "key.pem")
    return context


def full_listeners(port: int) -> list[socket.socket]:
    """Sockets whose queue of connections is full: the kernel drops every further SYN."""
    kept = []
    for number in range(1, BLACK_HOLES + 1):
        listener = socket.socket()
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
        listener.bind((f"127.4.0.{number}", port))
        listener.listen(0)
        kept.append(listener)
        for _ in range(3):
            dialled = socket.socket()
            dialled.setblocking(False)
            with contextlib.suppress(BlockingIOError):
                dialled.connect((f"127.4.0.{number}", port))
            kept.append(dialled)
    return kept


async def serve(options: argparse.Namespace) -> None:
    """Until SIGTERM."""
    loop = asyncio.get_running_loop()
    counts = Counts(options)
    holes = full_listeners(options.port) if options.moods else []
    listener = socket.socket()
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    if options.moods:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
    listener.bind(("" if options.moods else "127.0.0.1", options.port))
    server = await loop.create_server(lambda: Session(counts), sock=listener, backlog=1024)
    ended = asyncio.Event()
    loop.add_signal_handler(signal.SIGTERM, ended.set)
    os.set_blocking(1, False)  # nobody may be reading just now, and mail goes on all the same
    printed = -1
    while not ended.is_set():
        if counts.messages != printed:
            with contextlib.suppress(BlockingIOError):
                os.write(1, b"mesg=%d rcpt=%d \r" % (counts.messages, counts.recipients))
                printed = counts.messages
        await asyncio.sleep(PRINT_SECONDS)
    server.close()
    for hole in holes:
        hole.close()
    if options.delays:
        options.delays.write_text(json.dumps(sorted(counts.delays)))


def arguments(words: list[str] | None = None) -> argparse.Namespace:
    """The command line."""
    parser = argparse.ArgumentParser(description="An SMTP server on loopback that keeps nothing but counts.")
    parser.add_argument("--port", type=int, required=True)
    parser.add_argument("--tls", type=Path, help="folder with cert.pem and key.pem: offer STARTTLS")
    parser.add_argument("--moods", action="store_true", help="dead and slow addresses")
    parser.add_argument("--slow", type=float, default=3.0, help="seconds until each reply of a slow address")
    parser.add_argument("--delays", type=Path, help="file for the delays of messages")
    return parser.parse_args(words)


if __name__ == "__main__":
    uvloop.run(serve(arguments()))
    sys.exit(0)
