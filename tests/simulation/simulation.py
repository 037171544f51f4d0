"""One run of one seed, from the first mail to the moment when all is mended and nothing waits."""

from __future__ import annotations

import asyncio
import gc
import logging
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from contextvars import Context
from dataclasses import dataclass
from functools import partial
from random import Random
from typing import Any, Final

from bridgehead.core import queue_id
from bridgehead.core.organization import Organization
from bridgehead.core.retry import longest_wait
from bridgehead.outbound import operations
from bridgehead.outbound.gathering import GATHER_SECONDS
from tests.simulation.faults import Faults
from tests.simulation.ledger import Copy, Ledger
from tests.simulation.machine import EPOCH, Machine
from tests.simulation.network import End, Handshake, Host, Network
from tests.simulation.scenario import SECURE, SERVERS, SINKS, STORES, Plan, plan
from tests.simulation.sender import Sender
from tests.simulation.sink import Sink
from tests.simulation.virtual_loop import START, Life, VirtualLoop
from tests.simulation.worker import Worker
from tests.simulation.world import World

MENDED_SECONDS: Final = 300.0
"""Within so long after the last fault all mail is gone."""
LOOK_SECONDS: Final = 5.0
WAIT_SECONDS: Final = 45.0
"""No time limit of a server of ours is longer than 30 s; one looks at it every 5 s, or reads on for a while."""
STEADY_SECONDS: Final = 8.0
"""Within so long mail reaches a host that never fails."""
DEFECTS: Final = ("session failed", "dialling failed", "a probe failed", "was not handed over", "cannot close")


@dataclass(frozen=True)
class Run:
    """What came of a seed."""

    seed: int
    broken: str
    """The promise that was broken, or empty."""
    story: tuple[str, ...]
    counts: Counter[str]
    """What happened, and how often."""
    faults: Counter[str]
    """What went wrong, by kind, and how often."""


def run(seed: int, sabotage: Callable[[Worker], None] = lambda _: None) -> Run:
    """Run a seed; the same seed gives the same story. `sabotage` breaks each worker at its start."""
    loop = VirtualLoop()
    try:
        return _Simulation(seed, loop, sabotage).run()
    finally:
        loop.bury()
        loop.close()


class _Simulation:
    def __init__(self, seed: int, loop: VirtualLoop, sabotage: Callable[[Worker], None]) -> None:
        self.seed = seed
        self._sabotage = sabotage
        self.loop = loop
        self.random = Random(seed)
        self.plan: Plan = plan(self.random)
        self.ledger = Ledger(loop.time, loop.stop)
        self.ledger.is_old = self._is_old
        self.ledger.is_badmail = lambda copy: any(
            copy.key[1] in disk.badmail for disk in self._machine(copy.key[0]).disks
        )
        self.network = Network(loop, self.random)
        self.network.changed = self._opened
        self.network.faults = self.ledger.faults
        addresses = {**SERVERS, **SINKS}
        self.world = World(loop, self.network, self.random, self.ledger, addresses)
        self.outside = Life("outside")
        self.machines: list[Machine] = []
        self.sinks: dict[str, tuple[Sink, Host]] = {}
        self.senders: list[Sender] = []
        self._sending: asyncio.Task[None] | None = None
        self._allowed = _allowed(self.plan.organization)
        loop.set_exception_handler(self._defect)

    def run(self) -> Run:
        """Play it."""
        with _listening_to_defects(self.ledger), _without_collector(), _with_small_bounds():
            self._build()
            main = self.loop.create_task(self._play(), context=Context())
            main.add_done_callback(lambda _: self.loop.stop())
            self.loop.run_forever()
            if main.done() and not self.ledger.broken and (error := main.exception()):
                raise error
        ledger = self.ledger
        return Run(
            self.seed,
            ledger.broken,
            tuple(ledger.lines),
            self._counts(),
            ledger.faults,
        )

    def _counts(self) -> Counter[str]:
        ledger = self.ledger
        return Counter(
            {
                "virtual seconds": round(self.loop.time() - START),
                "steps": self.loop.steps,
                "messages": len(ledger.copies),
                "transactions": ledger.transactions,
                "deliveries": ledger.deliveries,
                "duplicates": ledger.duplicates,
                "DSNs": ledger.dsns,
                "kills": sum("is killed" in line or "loses power" in line for line in ledger.lines),
            }
        )

    def _build(self) -> None:
        for name, address in SINKS.items():
            host = self.network.host(address, self.outside)
            host.is_faithful = name == "steady"
            sink = Sink(name, self.random, partial(self._taken, name), self.ledger.fail)
            sink.is_lmtp = name in STORES
            sink.tls = Handshake.WELL if name in SECURE else None
            host.opens(self.outside, sink.door)
            self.sinks[name] = (sink, host)
        for name, address in SERVERS.items():
            host = self.network.host(address, Life(name))
            machine = Machine(self.world, name, host, self.plan.organization, self.plan.workers[name])
            machine.sabotage = self._sabotage
            self.machines.append(machine)
        for when, server, mail in self.plan.mails:
            sender = Sender(mail, SERVERS[server], self.ledger, self.random)
            self.senders.append(sender)
            self.loop.call_later(when, self.outside.run, self._send, sender, context=self.network.context)

    def _send(self, sender: Sender) -> None:
        self._sending = self.loop.create_task(sender.run())

    async def _play(self) -> None:
        """The faults, then peace."""
        faults = Faults(self.world, self.machines, self.sinks)
        faults.begin(self.plan.seconds)
        self._look_for_waits()
        for machine in self.machines:
            machine.start()
        await asyncio.sleep(self.plan.seconds)
        faults.mend()
        waited = 0.0
        while not self._is_done():
            if waited > MENDED_SECONDS:
                break
            if waited % 25.0 == 0:
                faults.release_all()
            await asyncio.sleep(5.0)
            waited += 5.0
        for sender in self.senders:
            if not sender.is_done:
                self.ledger.fail("a sender could not send its mail")
        for machine in self.machines:
            if leftovers := self._leftovers(machine):
                self.ledger.fail(leftovers)
        self.ledger.close()

    def _is_done(self) -> bool:
        return all(sender.is_done for sender in self.senders) and not any(
            self._leftovers(machine) for machine in self.machines
        )

    def _leftovers(self, machine: Machine) -> str:
        """What a machine still has to do, by its own books; empty: nothing."""
        for worker in machine.workers:
            if worker is None or not worker.is_ready:
                return f"a worker of {machine.name} does not run"
            waiting = {queue_id.write(one): str(place) for one, place in worker.dispatcher.index.messages.items()}
            if waiting or worker.disk.rows:
                return (
                    f"{worker.name} still has {waiting}, on disk {[queue_id.write(one) for one in worker.disk.rows]}"
                )
        if any(disk.rows for disk in machine.disks):
            return f"nobody adopts what {machine.name} has in a partition without a worker"
        return ""

    def _is_old(self, copy: Copy) -> bool:
        """Whether a copy may expire: not before one more attempt after a start or a clock that was set forward.

        Where a clock was set forward and back at once nobody may have noticed; what waited so long in truth is old.
        Or it might just before the clock was set: what expires may wait a moment to share its DSN with others.
        """
        machine = self._machine(copy.key[0])
        worker = next((one for one in machine.workers if one is not None and one.name == copy.key[0]), None)
        if worker is None:
            return False
        delivery = machine.organization.virtual_servers[0].delivery
        began = worker.started_at
        now = self.loop.time()
        has_waited = now - copy.stored_at >= delivery.expire_seconds and now - began >= longest_wait(delivery)
        for until, offset, is_forward in (*machine.certain_jumps(), (now, machine.offset, False)):
            age = EPOCH + until + offset - copy.envelope.received_at
            is_recent = until >= self.loop.time() - GATHER_SECONDS - 1
            is_patient = has_waited or until - began >= longest_wait(delivery)
            if is_recent and age >= delivery.expire_seconds and is_patient:
                return True
            if is_forward:
                began = max(began, until)
        return False

    def _machine(self, worker: str) -> Machine:
        return next(machine for machine in self.machines if worker.startswith(machine.name))

    def _taken(self, name: str, end: End, addresses: list[str], content: bytes) -> None:
        copy = self.ledger.taken(name, end.number, addresses, content)
        if name != "steady" or copy is None:
            return
        machine = self._machine(copy.key[0])
        seconds = self.loop.time() - copy.stored_at
        if machine.troubled_at < copy.stored_at and seconds > STEADY_SECONDS:
            self.ledger.fail(f"{copy} took {seconds:.1f} s to a host that never failed")

    def _look_for_waits(self) -> None:
        """Nothing of ours waits for somebody outside without an end."""
        for life, what in self.network.silent(WAIT_SECONDS):
            if life is not self.outside:
                self.ledger.fail(f"{life.name} waits for {what} for more than {WAIT_SECONDS:.0f} s")
        self.loop.call_later(LOOK_SECONDS, self._look_for_waits, context=self.network.context)

    def _opened(self, client: str, address: str, _count: int) -> None:
        """No connector opens more connections than its limits allow, over all workers of a server."""
        machine = client.rpartition(".")[0]
        allowed = self._allowed.get((machine, address))
        if allowed is None:
            return
        count = sum(
            number
            for (name, host), number in self.network.open.items()
            if host == address and name.startswith(machine)
        )
        if allowed < count:
            self.ledger.fail(f"{machine} has {count} connections to {address}, its connectors may have {allowed}")

    def _defect(self, _loop: asyncio.AbstractEventLoop, context: dict[str, Any]) -> None:
        """Nothing may reach the event loop."""
        if not self.ledger.broken:
            error = context.get("exception")
            self.ledger.broken = f"{context.get('message')}: {error!r}"
            self.ledger.note(f"BROKEN: {self.ledger.broken}")
        self.loop.stop()


def _allowed(organization: Organization) -> Counter[tuple[str, str]]:
    """How many connections each server may have to each address of a smart host, by all of its connectors."""
    allowed = Counter[tuple[str, str]]()
    for connector in organization.connectors:
        servers = {key.partition("/")[0] for key in connector.bridgeheads}
        for key in {(server, found.host) for server in servers for found in connector.smart_hosts}:
            allowed[key] += connector.limits.connections
    return allowed


@contextmanager
def _without_collector() -> Iterator[None]:
    """What is collected, and when, is no part of a story; and it takes a sixth of the time."""
    was_on = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if was_on:
            gc.enable()


@contextmanager
def _with_small_bounds() -> Iterator[None]:
    """Bounds that the mail of a seed would never reach."""
    before = operations.UNDER_WAY_MAX
    operations.UNDER_WAY_MAX = 3  # type: ignore[misc]  # on purpose
    try:
        yield
    finally:
        operations.UNDER_WAY_MAX = before  # type: ignore[misc]  # on purpose


@contextmanager
def _listening_to_defects(ledger: Ledger) -> Iterator[None]:
    """What is logged as a defect of ours is one."""

    class Listener(logging.Handler):
        def emit(self, record: logging.LogRecord) -> None:
            if any(words in record.getMessage() for words in DEFECTS):
                error = record.exc_info[1] if record.exc_info else None
                if not ledger.broken:
                    ledger.broken = f"{record.getMessage()}: {error!r}"
                    ledger.note(f"BROKEN: {ledger.broken}")

    logger, listener = logging.getLogger("bridgehead"), Listener(logging.ERROR)
    before = logger.level, logger.propagate
    logger.addHandler(listener)
    logger.setLevel(logging.ERROR)
    logger.propagate = False
    try:
        yield
    finally:
        logger.removeHandler(listener)
        logger.level, logger.propagate = before
