"""What every profile is given: the options of the run, and relays started, measured and ended in turn."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from functools import cached_property, partial
from pathlib import Path
from statistics import median

import trustme

from benchmarks.measure import CountingSink, Load, Run, measure
from benchmarks.relays import BridgeheadRelay, OtherRelay, Plan, PostfixRelay, Relay, StartRelay, Workplace
from benchmarks.report import BRIDGEHEAD, POSTFIX, Row, Sample

MEMORY_DISK = Path("/dev/shm")


@dataclass(frozen=True, slots=True)
class Options:
    """What was asked for on the command line."""

    quick: bool = False
    """Counts so small that the figures mean nothing: to see that everything runs."""
    directory: Path = Path("/var/tmp")
    workers: int = 0
    backlog: int = 100_000
    """Waiting messages in P9."""
    postfix: bool = True
    also: Mapping[str, str] = field(default_factory=dict)
    """Further relays, by name: their commands."""


@dataclass
class Bench:
    """One run of the whole; `samples` grows."""

    options: Options
    samples: list[Sample] = field(default_factory=list)
    round: int = 1

    @cached_property
    def starts(self) -> Mapping[str, StartRelay]:
        """All relays that take part, Bridgehead first."""
        starts: dict[str, StartRelay] = {BRIDGEHEAD: BridgeheadRelay}
        if self.options.postfix:
            starts[POSTFIX] = PostfixRelay
        for name, command in self.options.also.items():
            starts[name] = partial(OtherRelay, command=command)
        return starts

    @property
    def turn(self) -> list[str]:
        """Names of the relays in the order of this round: each begins as often as the others."""
        names = list(self.starts)
        first = (self.round - 1) % len(names)
        return names[first:] + names[:first]

    @property
    def the_two(self) -> list[str]:
        """Bridgehead and Postfix alone, in the order of this round: for what others cannot do."""
        return [name for name in self.turn if name in {BRIDGEHEAD, POSTFIX}]

    def amount(self, full: int, quick: int) -> int:
        """How many, in this kind of run."""
        return quick if self.options.quick else full

    def add(self, number: str, key: str, relay: str, value: float) -> None:
        """Keep a figure of this round."""
        self.samples.append(Sample(number, key, relay, value))

    def median(self, number: str, key: str, relay: str = BRIDGEHEAD) -> float | None:
        """Of what was measured in this run until now."""
        found = [s.value for s in self.samples if (s.number, s.key, s.relay) == (number, key, relay)]
        return median(found) if found else None

    def plan(self, sessions: int = 50) -> Plan:
        """The relays as they are in P1."""
        return Plan(sessions=sessions, workers=self.options.workers)

    @contextlib.contextmanager
    def relay(self, name: str, plan: Plan, sink_port: int) -> Iterator[Relay]:
        """A fresh relay with an empty queue on the measured disk; it is ended, and its state removed, behind it."""
        workplace = Workplace(MEMORY_DISK if plan.volatile else self.options.directory)
        try:
            relay = self.starts[name](workplace.path / name, sink_port, plan)
            try:
                yield relay
            finally:
                relay.stop()
        finally:
            workplace.clean()

    @contextlib.contextmanager
    def folder(self) -> Iterator[Path]:
        """An empty directory that other accounts may enter."""
        workplace = Workplace(self.options.directory)
        try:
            yield workplace.path
        finally:
            workplace.clean()

    @contextlib.contextmanager
    def certificate(self) -> Iterator[Path]:
        """A folder with `cert.pem` and `key.pem` (P-256) of an authority that nobody knows."""
        with self.folder() as path:
            issued = trustme.CA().issue_cert("localhost")
            issued.private_key_pem.write_to_path(str(path / "key.pem"))
            issued.cert_chain_pems[0].write_to_path(str(path / "cert.pem"))
            (path / "key.pem").chmod(0o600)
            yield path

    def pass_through(self, name: str, load: Load, plan: Plan, new_sink: Callable[[], CountingSink]) -> Run:
        """A fresh relay between sender and sink, and what it did."""
        sink = new_sink()
        try:
            with self.relay(name, plan, sink.port) as relay:
                run = measure(name, relay.port, relay.process_ids, sink, load)
        finally:
            sink.stop()
        print(
            f"   {name}: {run.delivered_per_second:,.0f} delivered/s, {run.accepted_per_second:,.0f} accepted/s, "
            f"{run.cpu_us:,.0f} us CPU, {run.missing} missing",
            flush=True,
        )
        return run


@dataclass(frozen=True, slots=True)
class Profile:
    """One of P1 to P14."""

    number: str
    title: str
    rows: tuple[Row, ...]
    measure: Callable[[Bench], None]
    """Adds its figures of one round to the bench."""
    needs: tuple[str, ...] = ()
    """Programs that it cannot do without."""
    rounds_max: int = 1_000
    """Absolute figures that hardly vary are not measured again and again."""
