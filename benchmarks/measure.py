"""What `benchmarks/relay.py` measures: messages at the sink, seconds, processor time, the disk's fdatasync."""

from __future__ import annotations

import contextlib
import os
import subprocess
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from statistics import median

from tests.peers.child import free_port, greets, program, wait_until

TICKS = os.sysconf("SC_CLK_TCK")
POLL_SECONDS = 0.005
STALL_SECONDS = 30.0
"""With no message arriving for so long the run has failed."""
QUIET_SECONDS = 0.5
QUIET_SECONDS_MAX = 15.0
"""After the last message a relay may still delete and log; its processor time counts until it rests."""


@dataclass(frozen=True, slots=True)
class Load:
    """What is sent in one run."""

    count: int
    sessions: int
    size: int
    """Octets of the body; smtp-source adds some header lines."""
    reconnect: bool
    """A new connection for each message instead of sessions that are kept open."""


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

    @property
    def cpu_us(self) -> float:
        """User and system time in microseconds a message."""
        return self.user_us + self.system_us


class CountingSink:
    """Debian's smtp-sink, which prints a running counter; `messages` is the newest value it printed."""

    def __init__(self) -> None:
        """Start it on a free loopback port."""
        self.port = free_port()
        command = [program("smtp-sink"), "-c", "-m", "2000"]
        if os.geteuid() == 0:
            command += ["-u", "nobody"]
        self._process = subprocess.Popen(
            [*command, f"127.0.0.1:{self.port}", "1000"], stdout=subprocess.PIPE, stderr=subprocess.DEVNULL
        )
        assert self._process.stdout is not None
        self._output = self._process.stdout.fileno()
        os.set_blocking(self._output, False)
        self._seen = 0
        wait_until(lambda: greets(self.port), "smtp-sink greets")

    def messages(self) -> int:
        """Messages received until now; reads what was printed since the last call."""
        with contextlib.suppress(BlockingIOError):
            while text := os.read(self._output, 1 << 20):
                whole = text.rpartition(b"\r")[0]
                number = whole.rpartition(b"mesg=")[2].split(b"\r")[0]
                if number.strip().isdigit():
                    self._seen = int(number)
        return self._seen

    def stop(self) -> None:
        """End it."""
        self._process.kill()
        self._process.communicate()


@dataclass(frozen=True, slots=True)
class Passage:
    """Seconds from the first connection until all messages were accepted, and until the last one arrived."""

    accepted: float
    delivered: float
    arrived: int


def send(port: int, load: Load, count: int, sink: CountingSink) -> Passage:
    """Send `count` messages with Debian's smtp-source and watch the sink; gives up when nothing arrives any more."""
    command = [program("smtp-source"), "-s", str(min(load.sessions, count)), "-m", str(count), "-l", str(load.size)]
    if not load.reconnect:
        command.append("-d")
    command += ["-f", "sender@client.test", "-t", "recipient@destination.test", f"127.0.0.1:{port}"]
    already = newest = sink.messages()
    start = moment = time.perf_counter()
    accepted = 0.0
    with subprocess.Popen(command) as client:
        while not accepted or newest < already + count:
            time.sleep(POLL_SECONDS)
            now = time.perf_counter()
            if (seen := sink.messages()) != newest:
                newest, moment = seen, now
            if not accepted and client.poll() is not None:
                accepted = now - start
            if now - moment > STALL_SECONDS:
                client.kill()
                break
        assert client.wait() == 0, f"smtp-source failed; {newest - already} of {count} messages arrived"
    return Passage(accepted, moment - start, newest - already)


@dataclass(frozen=True, slots=True)
class ProcessorTime:
    """User and system seconds of a tree of processes, those that ended included."""

    user: float
    system: float

    @property
    def total(self) -> float:
        """Both."""
        return self.user + self.system


def processor_time(process_ids: Sequence[int]) -> ProcessorTime:
    """Sum over these processes and their children that were waited for."""
    user = system = 0
    for process_id in process_ids:
        with contextlib.suppress(OSError):
            fields = Path(f"/proc/{process_id}/stat").read_text().rpartition(")")[2].split()
            user += int(fields[11]) + int(fields[13])
            system += int(fields[12]) + int(fields[14])
    return ProcessorTime(user / TICKS, system / TICKS)


def rest(process_ids: Callable[[], list[int]]) -> ProcessorTime:
    """Wait until the tree uses (nearly) no processor time, and return what it has used."""
    deadline = time.monotonic() + QUIET_SECONDS_MAX
    used = processor_time(process_ids())
    while time.monotonic() < deadline:
        time.sleep(QUIET_SECONDS)
        before, used = used, processor_time(process_ids())
        if used.total - before.total <= 0.02 * QUIET_SECONDS + 1 / TICKS:
            break
    return used


def measure(relay: str, port: int, process_ids: Callable[[], list[int]], sink: CountingSink, load: Load) -> Run:
    """Warm the relay up, send the load through it, and return the figures."""
    send(port, load, max(load.sessions, load.count // 20), sink)
    before = rest(process_ids)
    passage = send(port, load, load.count, sink)
    after = rest(process_ids)
    per_message = 1e6 / load.count
    return Run(
        relay=relay,
        accepted_per_second=load.count / passage.accepted,
        delivered_per_second=passage.arrived / passage.delivered,
        user_us=(after.user - before.user) * per_message,
        system_us=(after.system - before.system) * per_message,
        missing=load.count - passage.arrived,
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
