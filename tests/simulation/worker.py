"""One worker in the simulation: the parts of `process.worker`, put together as that does it.

Everything that decides is the real thing: sessions and conversations, dispatcher, recorder, leases, operations,
dialers and channels. Simulated are clock, network, disk, and the pipe to the supervisor.
"""

from __future__ import annotations

import asyncio
import socket
from collections import deque
from collections.abc import Coroutine
from typing import TYPE_CHECKING, Any, Final, cast

from argon2 import PasswordHasher

from bridgehead.core.envelope import Envelope, MessageId
from bridgehead.core.explanation import Question, explain
from bridgehead.core.link_state import LinkState
from bridgehead.core.organization import Organization, Security
from bridgehead.core.queue_id import QueueIds
from bridgehead.core.queue_id import read as read_queue_id
from bridgehead.core.tracking import Step, TrackingEvent
from bridgehead.inbound.credentials import CredentialCheck
from bridgehead.inbound.draft_memory import DraftMemory
from bridgehead.inbound.listener import Door, InboundServer
from bridgehead.inbound.reception import InForce, Reception
from bridgehead.net.tls import ClientContexts, ClientTls
from bridgehead.outbound.connect import Wiring
from bridgehead.outbound.dialer import SmtpDialer
from bridgehead.outbound.dispatcher import Dispatcher, Surroundings
from bridgehead.outbound.hosts import HostFinder, ourselves
from bridgehead.outbound.lmtp import LmtpDialer
from bridgehead.outbound.operations import Operations
from bridgehead.process.dialers import Dialers
from bridgehead.process.lease_client import LeaseClient
from bridgehead.process.messages import GiveBack, Granted, Links, Message, Reported
from tests.simulation.disk import Disk, SimulatedBadmail, SimulatedSpool
from tests.simulation.virtual_loop import Life
from tests.simulation.watch import WatchedDialer
from tests.simulation.world import Names

if TYPE_CHECKING:
    from tests.simulation.machine import Machine

DRAIN_SECONDS: Final = 5.0
ADOPTED_AT_ONCE: Final = 3
"""Messages in a batch."""
CHEAP: Final = PasswordHasher(time_cost=1, memory_cost=8, parallelism=1)


class NoContexts(ClientContexts):
    """Contexts for a network on which nothing is encrypted."""

    def tls(self, security: Security, name: str, host: str) -> ClientTls:
        """As in `ClientContexts`."""
        return ClientTls(None, host, verifies=False)  # type: ignore[arg-type]  # nobody looks at it


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
        self.draft_memory: DraftMemory
        self.operations: Operations
        self.organization: Organization
        self.leases: LeaseClient
        self.wire: WatchedDialer
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
            await self._take_over()
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

    async def _take_over(self) -> None:
        """Take over what workers left that are there no more, in the steps of `spool.adopt`."""
        moving = self.machine.moving
        for orphan in self.machine.orphans_of(self.index):
            moving[orphan] = self.index
            await asyncio.sleep(self.disk.sync_seconds)
            await self.adopt(self.machine.disks[orphan])
            moving |= {number: self.index for number, into in moving.items() if into == orphan}
            moving.pop(orphan, None)

    async def adopt(self, orphan: Disk) -> None:
        """Move all that another partition has into the own one."""
        while orphan.rows:
            ids = sorted(orphan.rows)[:ADOPTED_AT_ONCE]
            while self.disk.is_full:  # noqa: ASYNC110  what is waited for has no event
                await asyncio.sleep(1.0)
            for message_id in ids:
                self.disk.rows.setdefault(message_id, orphan.rows[message_id])
            self.disk.damaged |= orphan.damaged
            self.ledger.adopted(self.name, ids)
            await asyncio.sleep(self.disk.sync_seconds)
            for message_id in ids:
                del orphan.rows[message_id]
            await asyncio.sleep(orphan.sync_seconds)

    def _build(self, tasks: asyncio.TaskGroup) -> None:
        machine, loop = self.machine, self.world.loop
        self.organization = machine.organization
        self._in_force = InForce(machine.organization)
        self._ids = QueueIds(self.index)
        self.leases = LeaseClient(self._tell_keeper)
        self.spool = SimulatedSpool(
            self.disk,
            lambda changes: self.ledger.durable(self.name, self.life, changes),
            lambda message_id: self.ledger.set_aside(self.name, message_id),
        )
        finder = HostFinder(Names(self.world), lambda: ourselves(self.organization, machine.name), self.world.random)
        wiring = Wiring(NoContexts())
        smtp = SmtpDialer(finder, wiring, loop.time)
        lmtp = LmtpDialer(wiring)
        self.wire = WatchedDialer(Dialers(smtp, lmtp, lmtp), self)
        surroundings = Surroundings(
            spool=self.spool,
            dialer=self.wire,
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
        self.draft_memory = DraftMemory()
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
                draft_memory=self.draft_memory,
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


def _roots(error: BaseException) -> list[BaseException]:
    if isinstance(error, BaseExceptionGroup):
        return [root for one in error.exceptions for root in _roots(one)]
    return [error]
