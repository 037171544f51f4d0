"""A long run at half of what the machine takes, with restarts: nothing lost or doubled, and nothing that grows.

    python -m tests.faults.soak --minutes 20
    python -m tests.faults.soak --minutes 20 --rate 500 --directory /var/tmp --json soak.json

Each sample holds the memory of all processes, open descriptors, files below the state folder, and how many accepted
messages have not arrived yet. The server is stopped and started again after a quarter and after a half of the time;
slopes are those of the second half, when nothing is new any more. Exit status 1: a promise was broken.
"""

from __future__ import annotations

import argparse
import json
import sys
import tempfile
import time
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Final

from tests.faults.distant_sender import DistantSender
from tests.faults.processes import usage
from tests.peers.bridgehead import Bridgehead, smart_host
from tests.peers.child import wait_until
from tests.peers.sender import Account
from tests.peers.sink import Sink

SESSIONS: Final = 16
MEASURE_SECONDS: Final = 4.0
SETTLE_SECONDS: Final = 60.0
STARTS: Final = 3
MEMORY_PER_MINUTE_MAX: Final = 2 << 20
"""Octets; over a run that is long enough for a slope to mean something."""
SLOPE_MINUTES_MIN: Final = 5.0
"""A shorter run reports its slopes and judges the growth of memory alone."""
MEMORY_GROWTH_MAX: Final = 48 << 20
FILES_GROWTH_MAX: Final = 50
LAG_SECONDS_MAX: Final = 5.0
"""Of mail, at the rate that was asked for: a queue that grows passes it soon."""


@dataclass(frozen=True, slots=True)
class Sample:
    """One look at the server."""

    seconds: float
    memory: int
    descriptors: int
    files: int
    lag: int
    """Accepted and not yet arrived."""


@dataclass(slots=True)
class Report:
    """What came of a run."""

    rate: float
    """Messages a second that were asked for."""
    accepted: int = 0
    lost: int = 0
    doubled: int = 0
    foreign: int = 0
    refused: int = 0
    samples: list[Sample] = field(default_factory=list)

    @property
    def steady(self) -> list[Sample]:
        """The second half, a little after the last start."""
        middle = self.samples[-1].seconds / 2
        return [sample for sample in self.samples if sample.seconds > middle * 1.1]

    def slope(self, name: str) -> float:
        """Growth a minute in the second half, by least squares."""
        values = [(sample.seconds / 60, float(getattr(sample, name))) for sample in self.steady]
        mean_x = sum(x for x, _ in values) / len(values)
        mean_y = sum(y for _, y in values) / len(values)
        spread = sum((x - mean_x) ** 2 for x, _ in values)
        return sum((x - mean_x) * (y - mean_y) for x, y in values) / spread if spread else 0.0

    def broken(self) -> list[str]:
        """The promises that were broken, as sentences."""
        steady = self.steady
        growth = steady[-1].memory - steady[0].memory
        is_long = (steady[-1].seconds - steady[0].seconds) / 60 >= SLOPE_MINUTES_MIN
        checks = {
            f"{self.lost} messages were lost": self.lost > 0,
            f"{self.doubled} messages came twice": self.doubled > 0,
            f"{self.foreign} messages came that were not accepted": self.foreign > 0,
            f"{self.refused} messages were refused": self.refused > 0,
            f"memory grew by {growth >> 20} MiB": growth > MEMORY_GROWTH_MAX,
            f"memory grows by {self.slope('memory') / (1 << 20):.1f} MiB a minute": is_long
            and self.slope("memory") > MEMORY_PER_MINUTE_MAX,
            f"{steady[-1].files - steady[0].files} files more": steady[-1].files - steady[0].files > FILES_GROWTH_MAX,
            "the queue grows": min(sample.lag for sample in steady[-5:]) > LAG_SECONDS_MAX * self.rate,
        }
        return [sentence for sentence, is_broken in checks.items() if is_broken]

    def __str__(self) -> str:
        """A few lines for people."""
        steady, memory = self.steady, self.slope("memory") / (1 << 20)
        first, last = steady[0], steady[-1]
        lags = sorted(sample.lag for sample in steady)
        lines = [
            f"{self.accepted} accepted: {self.lost} lost, {self.doubled} doubled",
            f"{self.accepted / last.seconds:.0f} a second of {self.rate:.0f} asked for",
            f"memory {first.memory >> 20} -> {last.memory >> 20} MiB, {memory:+.2f} MiB a minute",
            f"descriptors {first.descriptors} -> {last.descriptors}, files {first.files} -> {last.files}",
            f"waiting: median {lags[len(lags) // 2]}, most {lags[-1]}, {self.slope('lag'):+.1f} a minute",
        ]
        return "\n".join(lines)


class Run:
    """A server under load, and what arrived of it; the sink's copies are counted and let go."""

    def __init__(self, server: Bridgehead, sink: Sink) -> None:
        """`server` is configured; nothing runs yet."""
        self.server = server
        self.sink = sink
        self.accounts: list[Account] = []
        self.arrived: dict[bytes, int] = {}
        self.began = time.monotonic()

    def rate(self) -> float:
        """Messages a second that this machine takes now."""
        sender = self._sender("measure", 0.0)
        sender.start()
        time.sleep(MEASURE_SECONDS)
        count = sender.progress
        self.accounts.append(sender.abandon())
        wait_until(lambda: self.lag() == 0, "the mail of the measurement", SETTLE_SECONDS)
        return count / MEASURE_SECONDS

    def part(self, number: int, seconds: float, report: Report) -> None:
        """One life of the server: start, load, samples, stop."""
        sender = self._sender(f"part{number}", SESSIONS / report.rate)
        sender.start()
        end = time.monotonic() + seconds
        while time.monotonic() < end:
            time.sleep(min(1.0, max(0.1, seconds / 100)))
            report.samples.append(self.sample(sender.progress))
        if number < STARTS - 1:
            assert self.server.terminate() == 0, "it stops in order under load"
        self.accounts.append(sender.abandon())

    def sample(self, under_way: int) -> Sample:
        """A look now; `under_way` were accepted by the sender that still runs."""
        used = usage(self.server)
        files = sum(1 for _ in self.server.state.rglob("*"))
        lag = max(0, self.lag() + under_way)
        return Sample(time.monotonic() - self.began, used.memory, used.descriptors, files, lag)

    def lag(self) -> int:
        """Accepted by senders that ended, and not arrived yet."""
        self.count()
        return sum(len(account.accepted) for account in self.accounts) - len(self.arrived)

    def count(self) -> None:
        """Take what arrived off the sink."""
        new = self.sink.received[:]
        del self.sink.received[: len(new)]
        for message in new:
            identity = message.header(b"Message-ID")
            self.arrived[identity] = self.arrived.get(identity, 0) + 1

    def close_books(self, report: Report) -> None:
        """Wait for the rest, and compare."""
        accepted = {identity for account in self.accounts for identity in account.accepted}
        unanswered = {identity for account in self.accounts for identity in account.unanswered}
        deadline = time.monotonic() + SETTLE_SECONDS
        while accepted - self.arrived.keys() and time.monotonic() < deadline:
            time.sleep(0.2)
            self.count()
        report.accepted = len(accepted)
        report.lost = len(accepted - self.arrived.keys())
        report.doubled = sum(count - 1 for count in self.arrived.values())
        report.foreign = len(self.arrived.keys() - accepted - unanswered)
        # A client that hears 421 while the server stops sends again; anything else is a refusal.
        report.refused = sum(not words.startswith("421") for account in self.accounts for words in account.refused)

    def _sender(self, name: str, pause: float) -> DistantSender:
        return DistantSender(self.server.port, sessions=SESSIONS, pause=pause, name=name)


def soak(directory: Path, seconds: float, rate: float = 0.0) -> Report:
    """Run for so long; `rate` 0: half of what the machine takes."""
    server = Bridgehead(directory)
    with Sink() as sink:
        server.configure(smart_host(sink.port))
        server.start()
        try:
            run = Run(server, sink)
            report = Report(rate or run.rate() / 2)
            run.began = time.monotonic()
            for number, share in enumerate((0.25, 0.25, 0.5)):
                if number:
                    server.start()
                run.part(number, seconds * share, report)
            run.close_books(report)
            assert server.terminate() == 0
        finally:
            server.end()
    return report


def main(words: Sequence[str] | None = None) -> int:
    """The command; its exit status."""
    parser = argparse.ArgumentParser(
        description="A long run with restarts: what grows, what is lost, what comes twice."
    )
    parser.add_argument("--minutes", type=float, default=20.0)
    parser.add_argument("--rate", type=float, default=0.0, help="messages a second (default: half of what is taken)")
    parser.add_argument("--directory", type=Path, default=Path("/var/tmp"), help="whose disk is used (/var/tmp)")
    parser.add_argument("--json", type=Path, help="write all samples to this file")
    options = parser.parse_args(words)
    with tempfile.TemporaryDirectory(prefix="soak-", dir=options.directory) as place:
        report = soak(Path(place, "bridgehead"), options.minutes * 60, options.rate)
    print(report)
    if options.json:
        options.json.write_text(json.dumps(asdict(report)))
    broken = report.broken()
    print("\n".join(broken) or "every promise was kept")
    return 1 if broken else 0


if __name__ == "__main__":
    sys.exit(main())
