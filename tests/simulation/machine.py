"""A server in the simulation: the parts of a supervisor and its workers, put together as `process` does it.

Everything that decides is the real thing: sessions and conversations, dispatcher, recorder, link keeper, leases,
operations, dialer and channels. Simulated are clock, network, disk, and the pipes between supervisor and workers.
"""

from __future__ import annotations

import asyncio
import socket
from collections import deque
from collections.abc import Callable, Coroutine
from typing import Any, Final, cast

from argon2 import PasswordHasher

from bridgehead.core.envelope import Envelope, MessageId
from bridgehead.core.explanation import Question, explain
from bridgehead.core.leases import Leases, Request
from bridgehead.core.link_state import LinkState
from bridgehead.core.organization import Organization
from bridgehead.core.queue_id import QueueIds
from bridgehead.core.queue_id import read as read_queue_id
from bridgehead.core.tracking import Step, TrackingEvent
from bridgehead.inbound.credentials import CredentialCheck
from bridgehead.inbound.listener import Door, InboundServer
from bridgehead.inbound.reception import InForce, Reception
from bridgehead.net.tls import ClientContexts
from bridgehead.outbound.connect import Wiring
from bridgehead.outbound.contract import AttemptDone, Attempted, Channel, Destination, Transaction, Unavailable
from bridgehead.outbound.dialer import SmtpDialer
from bridgehead.outbound.dispatcher import Dispatcher, Surroundings
from bridgehead.outbound.hosts import HostFinder, ourselves
from bridgehead.outbound.operations import Operations
from bridgehead.outbound.smtp_channel import SmtpChannel
from bridgehead.process.lease_client import LeaseClient
from bridgehead.process.link_keeper import LinkKeeper
from bridgehead.process.messages import Acquire, GiveBack, Granted, Links, Message, Release, Reported
from tests.simulation.disk import Disk, SimulatedBadmail, SimulatedSpool
from tests.simulation.network import End, Host
from tests.simulation.virtual_loop import Life
from tests.simulation.world import Names, World

EPOCH: Final = 1_790_000_000.0
PIPE_SECONDS: Final = 0.0005
RESTART_SECONDS: Final = 1.0
DRAIN_SECONDS: Final = 5.0
CHEAP: Final = PasswordHasher(time_cost=1, memory_cost=8, parallelism=1)


class WatchedChannel:
    """A channel whose transactions are written into the ledger."""

    def __init__(self, channel: SmtpChannel, worker: Worker, destination: Destination) -> None:
        self._channel = channel
        self._worker = worker
        self._destination = destination
        self._number = cast("End", channel._transport).number if channel._transport is not None else -1

    @property
    def host(self) -> str:
        """As in `Channel`."""
        return self._channel.host

    def send(self, transaction: Transaction, done: AttemptDone) -> None:
        """As in `Channel`."""
        worker, ledger = self._worker, self._worker.ledger
        ledger.sending(worker.name, worker.life, self._number, transaction)
        connector = self._destination.connector
        if connector is not None:
            found = worker.dispatcher.organization.connector(connector.name)
            if found is None or not found.enabled:
                ledger.fail(f"{worker.name} sends by {connector.name}, which is disabled or gone")

        def ended(attempted: Attempted) -> None:
            ledger.ended(self._number, attempted)
            done(attempted)

        self._channel.send(transaction, ended)

    def close(self) -> None:
        """As in `Channel`."""
        self._channel.close()

    def abort(self) -> None:
        """As in `Channel`."""
        self._channel.abort()


class WatchedDialer:
    """The real dialer, and what comes of it watched."""

    def __init__(self, dialer: SmtpDialer, worker: Worker) -> None:
        self._dialer = dialer
        self._worker = worker

    async def open(self, destination: Destination, closed: Callable[[], None]) -> Channel | Unavailable:
        """As in `Dialer`."""
        result = await self._dialer.open(destination, closed)
        if isinstance(result, Unavailable):
            self._worker.ledger.note(f"{self._worker.name} cannot reach {destination.key}: {result.attempts}")
            return result
        assert isinstance(result, SmtpChannel)
        return WatchedChannel(result, self._worker, destination)


class Worker:
    """One worker, from its start to its death. `disk` is its partition."""

    def __init__(self, machine: Machine, index: int, life: Life) -> None:
        self.machine = machine
        self.index = index
        self.name = life.name
        self.life = life
        self.world = machine.world
        self.ledger = machine.world.ledger
        self.is_ready = False
        self.disk = machine.disks[index]
        self.spool: SimulatedSpool
        self.dispatcher: Dispatcher
        self.inbound: InboundServer
        self.operations: Operations
        self.organization: Organization
        self.leases: LeaseClient
        self.tasks: asyncio.TaskGroup | None = None
        self._requests: set[asyncio.Task[Any]] = set()
        self._main: asyncio.Task[None] | None = None
        self._drain = asyncio.Event()
        self.started_at = machine.world.loop.time()
        self._inbox: deque[Message | Organization] = deque()
        self._present: tuple[object, object] = (None, None)
        self._answers: dict[tuple[object, ...], frozenset[str]] = {}

    def begin(self) -> None:
        """Start, in its own life."""
        loop = self.world.loop
        self._main = loop.create_task(self._run())
        self._main.add_done_callback(self._ended)

    async def _run(self) -> None:
        async with asyncio.TaskGroup() as tasks:
            self.tasks = tasks
            self._build(tasks)
            self.machine.sabotage(self)
            latest = 0
            for entry in self.spool.recover():
                latest = entry.message_id
                self.dispatcher.restore(entry)
            self._ids = QueueIds(self.index, latest)
            tasks.create_task(self.dispatcher.run())
            await self._listen()
            self.is_ready = True
            while self._inbox:
                self._obey(self._inbox.popleft())
            await self._drain.wait()
            self.is_ready = False
            async with asyncio.TaskGroup() as ends:
                ends.create_task(self.inbound.drain(DRAIN_SECONDS))
                ends.create_task(self.dispatcher.drain(DRAIN_SECONDS))
            for request in self._requests:
                request.cancel()
            await self.spool.close()

    def _build(self, tasks: asyncio.TaskGroup) -> None:
        machine, loop = self.machine, self.world.loop
        self.organization = machine.organization
        self._in_force = InForce(machine.organization)
        self._ids = QueueIds(self.index)
        self.leases = LeaseClient(self._tell_keeper)
        self.spool = SimulatedSpool(self.disk, lambda changes: self.ledger.durable(self.name, self.life, changes))
        finder = HostFinder(Names(self.world), lambda: ourselves(self.organization, machine.name), self.world.random)
        dialer = SmtpDialer(finder, Wiring(ClientContexts()), loop.time)
        surroundings = Surroundings(
            spool=self.spool,
            dialer=WatchedDialer(dialer, self),
            allowance=self.leases,
            emit=self._emit,
            clock=machine.clock,
            new_id=self._next_id,
            report_link=lambda name, is_success: self._tell_keeper(Reported(name, is_success)),
            badmail=SimulatedBadmail(self.disk),
            steady=loop.time,
        )
        self.dispatcher = Dispatcher(surroundings, machine.name, machine.organization, machine.keeper.state)
        self.operations = Operations(self.dispatcher, self.spool, machine.clock)
        self.inbound = InboundServer(
            Reception(
                spool=self.spool,
                current=lambda: self._in_force,
                next_id=self._next_id,
                clock=machine.clock,
                accepted=self.dispatcher.accepted,
                emit=self._emit,
                tasks=tasks,
                credentials=CredentialCheck(loop.time, CHEAP),
                leases=self.leases,
            )
        )

    async def _listen(self) -> None:
        for one in self.machine.organization.virtual_servers:
            if one.server == self.machine.name:
                bound = cast("socket.socket", (self.machine.host, self.life))
                await self.inbound.listen(Door(one.key, self.machine.host.address, 25), bound)

    def drain(self) -> None:
        """SIGTERM."""
        self._drain.set()

    def hear(self, message: Message | Organization) -> None:
        """The supervisor says something; before the start is over it has to wait."""
        self._inbox.append(message)
        while self.is_ready and self._inbox:
            self._obey(self._inbox.popleft())

    def _obey(self, message: Message | Organization) -> None:
        match message:
            case Organization():
                self.organization = message
                self._in_force = InForce(message)
                self.dispatcher.set_organization(message)
            case Links():
                self.dispatcher.set_link_state(LinkState(message.down, message.suspect, message.version))
            case Granted():
                self.leases.on_granted(message)
            case GiveBack():
                self.dispatcher.give_back(message.name, is_urgent=message.is_urgent)
            case _:
                raise ValueError(message)

    def spawn(self, coroutine: Coroutine[Any, Any, Any]) -> None:
        """Run something beside the rest."""
        assert self.tasks is not None
        request = self.tasks.create_task(coroutine)
        self._requests.add(request)
        request.add_done_callback(self._requests.discard)

    def _tell_keeper(self, message: Message) -> None:
        self.machine.pipe(self.machine.heard, self, message)

    def _next_id(self) -> MessageId:
        return self._ids.next(self.machine.clock())

    def _ended(self, main: asyncio.Task[None]) -> None:
        error = main.exception() if not main.cancelled() else None
        if error is not None:
            self.ledger.fail(f"{self.name} ended by a defect: {_roots(error)!r}")
        self.machine.worker_ended(self)

    def _emit(self, event: TrackingEvent) -> None:
        if event.step in {Step.ROUTED, Step.REROUTED}:
            self._must_agree(event)
        elif event.step not in {Step.RECEIVED, Step.DELIVERED}:
            words = event.reply or event.reason
            self.ledger.note(f"{self.name} {event.step} {event.queue_id} {event.recipient} {event.connector} {words}")

    def _must_agree(self, event: TrackingEvent) -> None:
        """The router says what `explain` says."""
        message_id = read_queue_id(event.queue_id)
        assert message_id is not None
        envelope = self.ledger.copy(self.name, message_id).envelope
        addresses = [event.recipient] if event.recipient else [one.address for one in envelope.recipients]
        explained = {connector for address in addresses for connector in self._explained(address, envelope)}
        if event.connector not in explained:
            self.ledger.fail(f"{self.name} routes {addresses} by {event.connector!r}, explain says {explained}")

    def _explained(self, address: str, envelope: Envelope) -> frozenset[str]:
        """The connectors that `explain` names; asked once for each configuration and link state."""
        present = self.dispatcher.organization, self.dispatcher.link_state
        if present[0] is not self._present[0] or present[1] is not self._present[1]:
            self._present = present
            self._answers.clear()
        key = address, envelope.reverse_path, envelope.size, envelope.virtual_server
        if key not in self._answers:
            question = Question(
                address,
                envelope.reverse_path,
                envelope.client,
                size=envelope.size,
                virtual_server=envelope.virtual_server,
            )
            answer = explain(question, *present)
            self._answers[key] = frozenset([route.connector for route in answer.routes] or [""])
        return self._answers[key]


class Machine:
    """One server: its disks survive, its processes come and go."""

    def __init__(self, world: World, name: str, host: Host, organization: Organization, workers: int) -> None:
        self.world = world
        self.name = name
        self.host = host
        self.organization = organization
        self.sabotage: Callable[[Worker], None] = lambda _: None
        self.offset = 0.0
        """Of the wall clock against the truth."""
        self.jumps: list[tuple[float, float, bool]] = []
        """When the wall clock was set, its offset before, and whether it was set forward by far."""
        self.disks = [Disk(world.random) for _ in range(workers)]
        self.workers: list[Worker | None] = [None] * workers
        self.troubled_at = world.loop.time()
        """When something last happened that may delay mail."""
        self.is_off = False
        self._forget_keeper()

    def clock(self) -> float:
        """What its wall clock says."""
        return EPOCH + self.world.loop.time() + self.offset

    def _forget_keeper(self) -> None:
        self.keeper = LinkKeeper(self._broadcast, lambda: self.organization, self.clock)
        self._leases = Leases()

    # Life and death

    def start(self) -> None:
        """Start every worker that does not run."""
        for index, worker in enumerate(self.workers):
            if worker is None:
                self._start_worker(index)

    def _start_worker(self, index: int) -> None:
        if self.is_off or self.workers[index] is not None:
            return
        life = Life(f"{self.name}.{index}")
        worker = self.workers[index] = Worker(self, index, life)
        life.died = lambda: self.killed(index)
        self.world.ledger.note(f"{life.name} starts")
        life.run(worker.begin)

    def killed(self, index: int) -> None:
        """`kill -9` of one worker; the supervisor starts another one."""
        worker = self.workers[index]
        if worker is None:
            return
        self.world.ledger.note(f"{worker.name} is killed")
        worker.life.is_alive = False
        self.world.ledger.life_ended(worker.life)
        self.world.network.killed(worker.life)
        self._gone(worker)

    def worker_ended(self, worker: Worker) -> None:
        """A worker drained and ended."""
        if worker.life.is_alive and self.workers[worker.index] is worker:
            self.world.ledger.note(f"{worker.name} has ended")
            worker.life.is_alive = False
            self.world.ledger.life_ended(worker.life)
            self.world.network.killed(worker.life)
            self._gone(worker)

    def _gone(self, worker: Worker) -> None:
        self.troubled_at = self.world.loop.time()
        self.workers[worker.index] = None
        self._grant(self._leases.holder_gone(worker.index))
        self.later(RESTART_SECONDS, self._start_worker, worker.index)

    def power_off(self) -> None:
        """Everything at once, and nobody is told."""
        self.world.ledger.note(f"{self.name} loses power")
        self.is_off = True
        self.troubled_at = self.world.loop.time()
        for index, worker in enumerate(self.workers):
            if worker is not None:
                worker.life.is_alive = False
                self.world.ledger.life_ended(worker.life)
                self.world.network.unplugged(worker.life, self.host)
                self.workers[index] = None
        self.host.is_silent = True
        self._forget_keeper()

    def power_on(self) -> None:
        """It starts again."""
        if self.is_off:
            self.world.ledger.note(f"{self.name} has power again")
            self.is_off = self.host.is_silent = False
            self.troubled_at = self.world.loop.time()
            self.start()

    def drain(self) -> None:
        """A restart in order."""
        self.world.ledger.note(f"{self.name} is stopped in order")
        self.troubled_at = self.world.loop.time()
        for worker in self.workers:
            if worker is not None and worker.is_ready:
                worker.life.run(worker.drain)

    # The supervisor's part

    def apply(self, organization: Organization) -> None:
        """A changed file, at SIGHUP."""
        self.organization = organization
        for index in range(len(self.workers)):
            self._send(index, organization)
        self.keeper.forget_removed()

    def heard(self, worker: Worker, message: Message) -> None:
        """A worker said something."""
        if not worker.life.is_alive or self.workers[worker.index] is not worker:
            return
        match message:
            case Reported():
                self.keeper.report(message.connector, is_success=message.is_success)
            case Acquire():
                self._acquire(Request(worker.index, message.ticket, message.limits), waits=message.waits)
            case Release():
                self._grant(self._leases.release(worker.index, message.ticket))
            case _:
                raise ValueError(message)

    def _acquire(self, request: Request, *, waits: bool) -> None:
        if not waits:
            self._send(request.holder, Granted(request.ticket, self._leases.try_acquire(request)))
            return
        granted, pleas = self._leases.request(request)
        self._grant(granted)
        for holder, name, is_urgent in pleas:
            self._send(holder, GiveBack(name, is_urgent))

    def _grant(self, granted: list[Request]) -> None:
        for request in granted:
            self._send(request.holder, Granted(request.ticket, is_granted=True))

    def _broadcast(self, message: Message) -> None:
        for index in range(len(self.workers)):
            self._send(index, message)

    def _send(self, index: int, message: Message | Organization) -> None:
        worker = self.workers[index]
        if worker is not None:
            self.later(PIPE_SECONDS, worker.life.run, worker.hear, message)

    def pipe(self, call: Callable[..., None], *arguments: object) -> None:
        """Say something to the supervisor."""
        self.later(PIPE_SECONDS, call, *arguments)

    def later(self, seconds: float, call: Callable[..., None], *arguments: object) -> None:
        """Do something outside of all workers."""
        self.world.loop.call_later(seconds, call, *arguments, context=self.world.network.context)


def _roots(error: BaseException) -> list[BaseException]:
    if isinstance(error, BaseExceptionGroup):
        return [root for one in error.exceptions for root in _roots(one)]
    return [error]
