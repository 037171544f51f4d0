"""One load through one relay: messages at the sink, seconds, processor time, and the disk's fdatasync."""

from __future__ import annotations

import contextlib
import json
import os
import re
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from statistics import median

from benchmarks.processes import ProcessIds, rest
from tests.peers.child import free_port, greets, program, wait_until

ROOT = Path(__file__).resolve().parent.parent
POLL_SECONDS = 0.005
STALL_SECONDS = 30.0
"""With no message arriving for so long the run has failed."""


@dataclass(frozen=True, slots=True)
class Load:
    """What is sent in one run."""

    count: int
    sessions: int = 50
    size: int = 4096
    """Octets of the body; the sender adds some header lines."""
    reconnect: bool = False
    """A new connection for each message instead of sessions that are kept open."""
    tls: bool = False
    recipients: int = 1
    """Of each message."""
    domains: int = 1
    """Among which the recipients are spread."""
    rate: float = 0.0
    """Messages offered a second; 0: as fast as they are taken."""
    pipelining: bool = False

    @property
    def deliveries(self) -> int:
        """Recipients of all messages."""
        return self.count * self.recipients

    def command(self, port: int) -> list[str]:
        """The sender: Debian's smtp-source where it can express the load, else ours."""
        is_plain = not (self.tls or self.rate or self.pipelining) and self.domains == 1
        return self._smtp_source(port) if is_plain else self._own_sender(port)

    def _smtp_source(self, port: int) -> list[str]:
        command = [program("smtp-source"), "-s", str(self.sessions), "-m", str(self.count), "-l", str(self.size)]
        if not self.reconnect:
            command.append("-d")
        if self.recipients > 1:
            command += ["-r", str(self.recipients)]
        return [*command, "-f", "sender@client.test", "-t", "recipient@destination.test", f"127.0.0.1:{port}"]

    def _own_sender(self, port: int) -> list[str]:
        command = [sys.executable, "-m", "benchmarks.sender", "--port", str(port), "--count", str(self.count)]
        command += ["--sessions", str(self.sessions), "--size", str(self.size), "--rate", str(self.rate)]
        command += ["--recipients", str(self.recipients), "--domains", str(self.domains)]
        switches = {"--tls": self.tls, "--reconnect": self.reconnect, "--pipelining": self.pipelining}
        return command + [switch for switch, is_on in switches.items() if is_on]


@dataclass(frozen=True, slots=True)
class Run:
    """The figures of one relay in one round."""

    relay: str
    accepted_per_second: float
    """Until the last 250 at the client."""
    delivered_per_second: float
    """Until the last message at the sink: what the relay really sustains."""
    user_us: float
    """User time of all its processes in microseconds a message, until they are at rest."""
    system_us: float
    missing: int
    """Messages that were accepted and never reached the sink; must be 0 (negative: duplicates)."""
    transactions: int = 0
    """At the sink."""
    sender: dict[str, float] = field(default_factory=dict)
    """What our own sender reports; empty with smtp-source."""

    @property
    def cpu_us(self) -> float:
        """User and system time in microseconds a message."""
        return self.user_us + self.system_us


class CountingSink:
    """A next hop in a process of its own, which prints running counters: Debian's smtp-sink unless told otherwise."""

    def __init__(self, port: int = 0, own: Sequence[str] | None = None) -> None:
        """Start it on a loopback port (0: a free one); `own` takes our own sink, with these options."""
        self.port = port or free_port()
        line = self._smtp_sink() if own is None else self._own_sink(own)
        self._process = subprocess.Popen(line, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, cwd=ROOT)
        assert self._process.stdout is not None
        self._output = self._process.stdout.fileno()
        os.set_blocking(self._output, False)
        self._seen = {b"mesg": 0, b"rcpt": 0}
        self._cut = b""
        wait_until(lambda: greets(self.port), "the sink greets")

    def _own_sink(self, options: Sequence[str]) -> list[str]:
        return [sys.executable, "-m", "benchmarks.sink", "--port", str(self.port), *options]

    def _smtp_sink(self) -> list[str]:
        words = [program("smtp-sink"), "-c", "-m", "2000"]
        if os.geteuid() == 0:
            words += ["-u", "nobody"]
        return [*words, f"127.0.0.1:{self.port}", "1000"]

    def messages(self) -> int:
        """Transactions until now; reads what was printed since the last call."""
        self._read()
        return self._seen[b"mesg"]

    def recipients(self) -> int:
        """Recipients of those; smtp-sink does not say."""
        self._read()
        return self._seen[b"rcpt"]

    def _read(self) -> None:
        with contextlib.suppress(BlockingIOError):
            while text := os.read(self._output, 1 << 20):
                whole, _, self._cut = (self._cut + text).rpartition(b"\r")
                for name, number in re.findall(rb"(mesg|rcpt)=(\d+)", whole.rpartition(b"\r")[2]):
                    self._seen[name] = int(number)

    def end(self) -> None:
        """SIGTERM, and wait: ours writes its delays then."""
        self._process.terminate()
        self._process.wait()

    def stop(self) -> None:
        """End it at once; nothing happens the second time."""
        self._process.kill()
        self._process.wait()
        assert self._process.stdout is not None
        self._process.stdout.close()


@dataclass(frozen=True, slots=True)
class Passage:
    """Seconds from the first connection until all messages were accepted, and until the last one arrived."""

    accepted: float
    delivered: float
    arrived: int
    """Recipients, where the sink counts them; else messages."""
    transactions: int
    sender: dict[str, float]
    """What our own sender reports; empty with smtp-source."""


class VoidRunError(Exception):
    """A run that is void; its text says why."""


def send(port: int, load: Load, sink: CountingSink) -> Passage:
    """Send a load and watch the sink; gives up when nothing arrives any more."""
    count = sink.recipients if load.domains > 1 or load.recipients > 1 else sink.messages
    already = newest = count()
    transactions = sink.messages()
    start = moment = time.perf_counter()
    accepted = 0.0
    with subprocess.Popen(load.command(port), stdout=subprocess.PIPE, cwd=ROOT) as client:
        while not accepted or newest < already + load.deliveries:
            time.sleep(POLL_SECONDS)
            now = time.perf_counter()
            if (seen := count()) != newest:
                newest, moment = seen, now
            if not accepted and client.poll() is not None:
                accepted = now - start
            if now - moment > STALL_SECONDS:
                client.kill()
                break
        assert client.stdout is not None
        said = client.stdout.read()
        if client.wait() != 0:
            raise VoidRunError(f"the sender failed; {newest - already} of {load.deliveries} arrived: {said.decode()}")
    report = json.loads(said) if said.startswith(b"{") else {}
    if report:  # its interpreter's start is no part of the load; perf_counter is CLOCK_MONOTONIC too
        accepted, start = report["ended"] - report["began"], report["began"]
    return Passage(accepted, moment - start, newest - already, sink.messages() - transactions, report)


def warm_up(port: int, load: Load, sink: CountingSink) -> None:
    """5 % of the load, so that caches are filled, processes forked and connections open."""
    send(port, replace(load, count=max(min(load.sessions, load.count), load.count // 20), rate=0.0), sink)


def measure(relay: str, port: int, process_ids: ProcessIds, sink: CountingSink, load: Load) -> Run:
    """Warm the relay up, send the load through it, and return the figures."""
    warm_up(port, load, sink)
    before = rest(process_ids)
    passage = send(port, load, sink)
    after = rest(process_ids)
    per_message = 1e6 / load.count
    return Run(
        relay=relay,
        accepted_per_second=load.count / passage.accepted,
        delivered_per_second=passage.arrived / passage.delivered,
        user_us=(after.user - before.user) * per_message,
        system_us=(after.system - before.system) * per_message,
        missing=load.deliveries - passage.arrived,
        transactions=passage.transactions,
        sender=passage.sender,
    )


def disk_sync_ms(directory: Path, count: int = 100) -> float:
    """Median of an fdatasync after 4 KB were appended to a file there, in milliseconds: how fast the disk is now."""
    path = directory / "fdatasync"
    descriptor = os.open(path, os.O_CREAT | os.O_WRONLY | os.O_APPEND)
    try:
        return median(_sync_times(descriptor, count)) * 1000
    finally:
        os.close(descriptor)
        path.unlink()


def _sync_times(descriptor: int, count: int) -> Iterator[float]:
    for _ in range(count):
        os.write(descriptor, bytes(4096))
        start = time.perf_counter()
        os.fdatasync(descriptor)
        yield time.perf_counter() - start
