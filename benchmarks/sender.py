"""The load that smtp-source cannot express: STARTTLS, an offered rate, many recipients and domains, idle sessions.

    python -m benchmarks.sender --port 2525 --sessions 50 --count 1000 --tls

Like smtp-source it waits for each reply before the next command, unless `--pipelining`. Its last line of output is a
JSON object: what was accepted, when it began and ended (seconds of CLOCK_MONOTONIC), the times from the end of the
data to the 250, and the processor time it took itself.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import ssl
import sys
import time
from collections import deque
from collections.abc import Sequence
from typing import Final

import uvloop

from benchmarks.wire import Wire

LINE: Final = b"benchmark " * 7 + b"\r\n"
STAMP: Final = b"X-Sent: "
"""Header with the moment at which the content was written, for a sink on the same machine."""


class Session(Wire):
    """One connection: flights of octets out, each answered by a known number of replies."""

    def __init__(self, load: Load) -> None:
        """Belongs to `load`, which says what comes next."""
        super().__init__()
        self._load = load
        self._rest = b""
        self._flights: deque[tuple[bytes, int]] = deque()
        self._due = 1
        """Replies until the next flight; the greeting is the first."""
        self._is_secure = False
        self._is_shaking_hands = False
        self._due_since = 0.0
        """When the message in hand should have begun; 0: there is none."""
        self._content_at = 0.0

    def received(self, data: bytes) -> None:
        """Count replies; the last of a flight sends the next one."""
        *lines, self._rest = (self._rest + data).split(b"\r\n")
        for line in lines:
            if line[3:4] == b"-":
                continue
            if line[:1] not in b"23" or not line:
                self._load.failed(line.decode("ascii", "replace"))
                return
            self._due -= 1
            if not self._due:
                self._next(line)

    def _next(self, reply: bytes) -> None:
        if self._flights:
            flight, self._due = self._flights.popleft()
            if not self._flights and self._due_since:
                self._content_at = time.monotonic()
                flight = STAMP + str(self._content_at).encode() + b"\r\n" + flight
            self.write(flight)
        elif reply.startswith(b"220") and not self._is_shaking_hands:
            self._greeted()
        elif self._is_shaking_hands:
            self._is_shaking_hands = False
            assert self._load.context is not None
            self.start_tls(self._load.context, server=False)
        elif self._load.context is not None and not self._is_secure:
            self._is_shaking_hands, self._due = True, 1
            self.write(b"STARTTLS\r\n")
        else:
            self._ready()

    def _greeted(self) -> None:
        self._due = 1
        self.write(b"EHLO client.test\r\n")

    def secured(self) -> None:
        """Say who we are again (RFC 3207)."""
        self._is_secure = True
        self._greeted()

    def _ready(self) -> None:
        """EHLO is answered, or a message."""
        if self._due_since:
            self._due_since = 0.0
            self._load.accepted(time.monotonic() - self._content_at)
            if self._load.reconnects:
                self.write(b"QUIT\r\n")
                self.transport.close()
                return
        self._load.ready(self)

    def begin(self, number: int, due_at: float) -> None:
        """Send a message; `due_at` is when it was to be sent."""
        self._due_since = due_at
        recipients = self._load.recipients_of(number)
        commands = [b"MAIL FROM:<sender@client.test>\r\n", *(b"RCPT TO:<" + r + b">\r\n" for r in recipients)]
        commands.append(b"DATA\r\n")
        if self._load.pipelines:
            self._flights.append((b"".join(commands), len(commands)))
        else:
            self._flights.extend((command, 1) for command in commands)
        self._flights.append((self._load.content, 1))
        self._next(b"")

    def connection_lost(self, exc: Exception | None) -> None:
        """An end in the middle of a message fails the run."""
        self._load.lost(in_message=bool(self._due_since))


class Load:
    """What all sessions share: what is left to send, and what came of it."""

    def __init__(self, options: argparse.Namespace) -> None:
        """Nothing is connected yet."""
        self._options = options
        self.context = client_context() if options.tls else None
        self.sessions: int = options.sessions
        self.count: int = options.count
        self.content = content(options.size)
        self.pipelines: bool = options.pipelining
        self.reconnects: bool = options.reconnect
        self.latencies: list[float] = []
        self.failure = ""
        self.ended = asyncio.get_running_loop().create_future()
        self.began = 0.0
        self.all_greeted = asyncio.Event()
        self.late = 0.0
        self._next_number = 0
        self._idle: deque[Session] = deque()
        self._waiting: deque[tuple[int, float]] = deque()
        """Messages that are due while no session is free."""
        self.open_sessions = 0
        self.vacant = asyncio.Event()
        """A session ended that is to be replaced."""

    @property
    def is_paced(self) -> bool:
        """Whether messages are offered at a rate, whatever the relay takes."""
        return bool(self._options.rate)

    @property
    def is_sent(self) -> bool:
        """Whether nothing is left to begin."""
        return self._next_number >= self.count

    def recipients_of(self, number: int) -> Sequence[bytes]:
        """Recipients of a message, spread over the domains one after the other."""
        options = self._options
        first = number * options.recipients
        if options.domains == 1:
            return [b"r%d@%s" % (first + k, options.domain.encode()) for k in range(options.recipients)]
        return [
            b"r%d@d%d.%s" % (k, (first + k) % options.domains, options.domain.encode())
            for k in range(options.recipients)
        ]

    def ready(self, session: Session) -> None:
        """A session can take a message."""
        if self._waiting:
            session.begin(*self._waiting.popleft())
        elif self.is_paced or self.is_sent or not self.began:
            self._idle.append(session)
            if len(self._idle) == self.sessions:
                self.all_greeted.set()
        else:
            self._next_number += 1
            session.begin(self._next_number - 1, time.monotonic())

    def offer(self, number: int, due_at: float) -> None:
        """A message is due."""
        self._next_number = number + 1
        self.late = max(self.late, time.monotonic() - due_at)
        if self._idle:
            self._idle.popleft().begin(number, due_at)
        else:
            self._waiting.append((number, due_at))

    def start(self) -> None:
        """All are connected: the clock runs."""
        self.began = time.monotonic()
        if not self.is_paced:
            for _ in range(len(self._idle)):
                self.ready(self._idle.popleft())

    def accepted(self, latency: float) -> None:
        """A 250 to a message."""
        self.latencies.append(latency)
        if len(self.latencies) == self.count and not self.ended.done():
            self.ended.set_result(time.monotonic())

    def lost(self, *, in_message: bool) -> None:
        """A connection is gone."""
        self.open_sessions -= 1
        self.vacant.set()
        if in_message or (not self.reconnects and not self.ended.done()):
            self.failed("connection lost")

    def failed(self, words: str) -> None:
        """The run is void."""
        self.failure = self.failure or words
        if not self.ended.done():
            self.ended.set_result(time.monotonic())
        self.all_greeted.set()


def client_context() -> ssl.SSLContext:
    """Any certificate will do; no session is resumed, as with strangers."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    return context


def content(size: int) -> bytes:
    """A message as smtp-source makes it: some header lines, then `size` octets; ends with the final dot."""
    head = b"From: <sender@client.test>\r\nTo: <recipient@destination.test>\r\nMessage-Id: <1@client.test>\r\n\r\n"
    return head + LINE * (size // len(LINE)) + b"x" * (size % len(LINE)) + b"\r\n.\r\n"


async def replace(load: Load, port: int) -> None:
    """With `--reconnect`: a new session for each that ended, until everything is sent."""
    loop = asyncio.get_running_loop()
    while not load.ended.done():
        await load.vacant.wait()
        load.vacant.clear()
        while load.open_sessions < load.sessions and not load.is_sent:
            load.open_sessions += 1
            await loop.create_connection(lambda: Session(load), "127.0.0.1", port)


async def pace(load: Load, count: int, rate: float) -> None:
    """Offer `count` messages at `rate` a second, each at its own time."""
    for number in range(count):
        due_at = load.began + number / rate
        if (wait := due_at - time.monotonic()) > 0:
            await asyncio.sleep(wait)
        load.offer(number, due_at)


async def connect(load: Load, port: int) -> None:
    """Open all sessions; unless each is to carry one message alone, wait until all are greeted."""
    loop = asyncio.get_running_loop()
    if load.reconnects:
        load.start()
    for _ in range(load.sessions):
        load.open_sessions += 1
        await loop.create_connection(lambda: Session(load), "127.0.0.1", port)
    if not load.reconnects:
        await load.all_greeted.wait()


async def hold(load: Load) -> None:
    """Do nothing with all sessions until standard input ends."""
    print(load.failure or "held", flush=True)
    await asyncio.get_running_loop().run_in_executor(None, sys.stdin.read)
    if not load.failure:
        load.ended.set_result(time.monotonic())


async def run(options: argparse.Namespace) -> dict[str, float | str]:
    """Connect, send, and return the figures."""
    load = Load(options)
    await connect(load, options.port)
    if options.hold:
        await hold(load)
    elif not load.reconnects:
        load.start()
    async with asyncio.TaskGroup() as group:
        replacing = group.create_task(replace(load, options.port)) if load.reconnects else None
        if load.is_paced:
            await pace(load, options.count, options.rate)
        end = await load.ended
        if replacing is not None:
            replacing.cancel()
    load.latencies.sort()
    return {
        "failure": load.failure,
        "accepted": len(load.latencies),
        "began": load.began,
        "ended": end,
        "median": percentile(load.latencies, 0.5),
        "p99": percentile(load.latencies, 0.99),
        "longest": percentile(load.latencies, 1.0),
        "late": load.late,
        "cpu": time.process_time(),
    }


def percentile(ordered: Sequence[float], part: float) -> float:
    """The value that `part` of all do not exceed; 0 of nothing."""
    return ordered[min(len(ordered) - 1, int(part * len(ordered)))] if ordered else 0.0


def arguments(words: list[str] | None = None) -> argparse.Namespace:
    """The command line."""
    parser = argparse.ArgumentParser(description="Sends load to an SMTP server on loopback.")
    parser.add_argument("--port", type=int, required=True)
    parser.add_argument("--sessions", type=int, default=50)
    parser.add_argument("--count", type=int, default=1000, help="messages")
    parser.add_argument("--size", type=int, default=4096, help="octets of the body")
    parser.add_argument("--tls", action="store_true", help="STARTTLS")
    parser.add_argument("--reconnect", action="store_true", help="a new connection for each message")
    parser.add_argument("--pipelining", action="store_true", help="MAIL, RCPT and DATA in one flight")
    parser.add_argument(
        "--rate", type=float, default=0.0, help="messages offered a second; default: as fast as taken"
    )
    parser.add_argument("--recipients", type=int, default=1, help="of each message")
    parser.add_argument("--domains", type=int, default=1, help="d0.DOMAIN, d1.DOMAIN... instead of DOMAIN")
    parser.add_argument("--domain", default="destination.test")
    parser.add_argument(
        "--hold", action="store_true", help="send nothing; hold all sessions until standard input ends"
    )
    return parser.parse_args(words)


if __name__ == "__main__":
    figures = uvloop.run(run(arguments()))
    print(json.dumps(figures), flush=True)
    raise SystemExit(1 if figures["failure"] else 0)
