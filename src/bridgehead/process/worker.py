"""A worker: everything that receives, keeps and sends mail in one process, built here and nowhere else.

It owns one partition. What it accepts it delivers; no other worker touches its mail.
"""

from __future__ import annotations

import asyncio
import resource
import socket
import time
from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from random import SystemRandom
from typing import Final

from bridgehead.control.tracking import EventSink, SinkSettings
from bridgehead.core.envelope import MessageId
from bridgehead.core.link_state import LinkState
from bridgehead.core.organization import Node, Organization
from bridgehead.core.queue_id import QueueIds
from bridgehead.core.tracking import Step, TrackingEvent
from bridgehead.inbound.credentials import CredentialCheck
from bridgehead.inbound.listener import Door, InboundServer
from bridgehead.inbound.reception import InForce, Reception
from bridgehead.inbound.submission import SubmissionServer
from bridgehead.net.resolver import Resolvers
from bridgehead.net.tls import ClientContexts, server_context
from bridgehead.outbound.connect import Wiring
from bridgehead.outbound.dialer import SmtpDialer
from bridgehead.outbound.dispatcher import Dispatcher, Surroundings
from bridgehead.outbound.hand_back import Badmail
from bridgehead.outbound.hosts import HostFinder, ourselves
from bridgehead.outbound.lmtp import LmtpDialer
from bridgehead.outbound.maildir import MaildirDialer
from bridgehead.process.dialers import Dialers
from bridgehead.process.free_space import FreeSpace
from bridgehead.process.lease_client import LeaseClient
from bridgehead.process.messages import Ask, GiveBack, Granted, Links, Listening, Message, Reported, SpoolSaid
from bridgehead.process.spool_watch import SpoolWatch, Watched
from bridgehead.process.worker_requests import WorkerRequests
from bridgehead.spool.contract import SpoolLostError
from bridgehead.spool.id_mark import IdMark
from bridgehead.spool.partition import partition_path
from bridgehead.spool.sqlite import SqliteSpool

DESCRIPTORS_RESERVED: Final = 1024
"""File descriptors kept for outgoing connections, databases and body files."""
MAILDIR_THREADS: Final = 2
_RECEIVED: Final = Step.RECEIVED
_REFUSED: Final = Step.REFUSED
LOST_SECONDS: Final = 1.0
"""What sessions get to hear that their message was not stored, where a worker ends by a defect of its spool."""


@dataclass(frozen=True, slots=True)
class Assignment:
    """What a worker is told at its start."""

    index: int
    """Number of the worker, and of its partition."""
    node: Node
    organization: Organization
    json_logs: bool | None = None
    """`None`: JSON where standard error is no terminal."""


class Worker:
    """One worker process. Used on its event loop alone."""

    def __init__(self, assignment: Assignment, send: Callable[[Message], None], tasks: asyncio.TaskGroup) -> None:
        self.node = assignment.node
        self.state_dir = Path(assignment.node.state_dir)
        self._organization = assignment.organization
        self._in_force = _in_force(assignment.organization, assignment.node.server)
        self._send = send
        self._tasks = tasks
        self._index = assignment.index
        self._ids = QueueIds(assignment.index)
        self._id_mark = IdMark(partition_path(self.state_dir, assignment.index))
        descriptors = _descriptors()
        own = ((f"descriptors of worker {assignment.index}", connections_for(descriptors)),)
        self._leases = LeaseClient(send, own)
        self._sessions_max = sessions_for(descriptors)
        self._resolvers = Resolvers(time.monotonic)
        self._credentials = CredentialCheck(time.monotonic)
        self._threads = ThreadPoolExecutor(MAILDIR_THREADS, "maildir")
        self.sink = EventSink(self.state_dir, assignment.index, SinkSettings(json=assignment.json_logs))
        self.received = 0
        """Messages accepted since the start."""
        self.refused = 0
        """Recipients and messages refused since the start."""
        self.spool = SqliteSpool(self.state_dir, assignment.index, lost=self._on_spool_lost)
        self.badmail = Badmail(self.state_dir / "badmail")
        self.dispatcher = Dispatcher(self._surroundings(), self.node.server, assignment.organization)
        reception = self._reception()
        self.inbound = InboundServer(reception)
        self.submission = SubmissionServer(reception, self.node.server)
        self._requests = WorkerRequests(self)
        self._watch = SpoolWatch(
            Watched(self.spool, self._next_id, time.time, lambda fault: self._send(SpoolSaid(fault)))
        )
        self._sending: asyncio.Task[None] | None = None
        self._answering: set[asyncio.Task[None]] = set()
        self._watching: asyncio.Task[None] | None = None

    async def start(self) -> None:
        """Recover the partition and begin to send."""
        latest = 0
        for entry in self.spool.recover():
            latest = entry.message_id
            self.dispatcher.restore(entry)
        self.spool.start()
        self._ids = QueueIds(self._index, max(latest, self._id_mark.read()), self._id_mark.write)
        self._sending = self._tasks.create_task(self.dispatcher.run())
        self._watching = self._tasks.create_task(self._watch.run())

    async def listen(self, wanted: tuple[Listening, ...], new: Mapping[Listening, socket.socket]) -> None:
        """Accept connections on exactly these sockets: those that are new, and those held already."""
        for one, bound in new.items():
            if one.virtual_server:
                await self.inbound.listen(_door(one), bound)
            else:
                await self.submission.listen(bound)
        for door in self.inbound.doors - {_door(one) for one in wanted}:
            self.inbound.forget(door)

    def configure(self, node: Node, organization: Organization) -> None:
        """Make a new organization current; sessions and transactions end with the one they began with.

        Names are looked up anew from here on, by the system's files as they are now.
        """
        self.node = node
        self._organization = organization
        self._in_force = _in_force(organization, self.node.server)
        self._resolvers.look_again()
        self.dispatcher.set_organization(organization)

    def set_links(self, links: Links) -> None:
        """Take the link state of this server."""
        self.dispatcher.set_link_state(LinkState(links.down, links.suspect, links.version))

    def on_message(self, message: Message) -> None:
        """Do what the supervisor says, apart from configuration and life."""
        match message:
            case Granted():
                self._leases.on_granted(message)
            case GiveBack():
                self.dispatcher.give_back(message.name, is_urgent=message.is_urgent)
            case Ask():
                answering = self._tasks.create_task(self._requests.answer(message, self._send))
                self._answering.add(answering)
                answering.add_done_callback(self._answering.discard)
            case _:
                raise ValueError(f"the supervisor sent {type(message).__name__}")

    async def drain(self, seconds: float) -> None:
        """Stop accepting, let what is in flight end within `seconds`, close the spool."""
        self.submission.close()
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(self.inbound.drain(seconds))
            tasks.create_task(self.dispatcher.drain(seconds))
        for answering in self._answering:  # one may wait for a disk that is full, and nothing is submitted again now
            answering.cancel()
        if self._watching is not None:
            self._watching.cancel()
        await self.spool.close()
        self._id_mark.write(self._ids.latest)
        self._threads.shutdown(wait=False)
        self._credentials.close()
        self.sink.close()

    def _on_spool_lost(self, error: SpoolLostError) -> None:
        self._tasks.create_task(self._end(error))

    async def _end(self, error: SpoolLostError) -> None:
        """End this worker, so that the supervisor starts another one: no outcome can be kept any more."""
        if self._sending is not None:
            self._sending.cancel()
        self.submission.close()
        await self.inbound.drain(LOST_SECONDS)
        raise error

    def _emit(self, event: TrackingEvent) -> None:
        if event.step is _RECEIVED:
            self.received += 1
        elif event.step is _REFUSED:
            self.refused += 1
        self.sink.emit(event)

    def _next_id(self) -> MessageId:
        return self._ids.next(time.time())

    def _surroundings(self) -> Surroundings:
        finder = HostFinder(self._resolvers, lambda: ourselves(self._organization, self.node.server), SystemRandom())
        wiring = Wiring(ClientContexts())
        dialers = Dialers(
            SmtpDialer(finder, wiring, time.monotonic),
            LmtpDialer(wiring),
            MaildirDialer(self._threads, self.node.server),
        )
        return Surroundings(
            spool=self.spool,
            dialer=dialers,
            allowance=self._leases,
            emit=self._emit,
            clock=time.time,
            new_id=self._next_id,
            report_link=lambda connector, is_success: self._send(Reported(connector, is_success)),
            badmail=self.badmail,
        )

    def _reception(self) -> Reception:
        return Reception(
            spool=self.spool,
            current=lambda: self._in_force,
            next_id=self._next_id,
            clock=time.time,
            accepted=self.dispatcher.accepted,
            emit=self._emit,
            tasks=self._tasks,
            credentials=self._credentials,
            leases=self._leases,
            names=_Names(self._resolvers),
            has_room=FreeSpace(self.state_dir, lambda: self.node.min_free_bytes, time.monotonic).is_enough,
            sessions_max=self._sessions_max,
        )


class _Names:
    """Names of clients, from the system's name servers; where DNS cannot say, a client has none."""

    def __init__(self, resolvers: Resolvers) -> None:
        self._resolvers = resolvers

    async def verified_names(self, address: str) -> tuple[str, ...]:
        """PTR names that resolve back to the address."""
        names = await self._resolvers.resolver(()).ptr(address)
        return names if isinstance(names, tuple) else ()


def _door(one: Listening) -> Door:
    return Door(one.virtual_server, one.address, one.port, one.implicit_tls)


def _in_force(organization: Organization, server: str) -> InForce:
    own = [virtual_server for virtual_server in organization.virtual_servers if virtual_server.server == server]
    return InForce(organization, {one.key: server_context(one.tls.certificate) for one in own if one.tls is not None})


def _descriptors() -> int:
    """File descriptors of this process, once it may have as many as the system lets it."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    return hard if hard > 0 else soft


def sessions_for(descriptors: int) -> int:
    """Sessions of a process with so many descriptors: the reserve stays free, or half where there are few."""
    return descriptors - min(DESCRIPTORS_RESERVED, descriptors // 2)


def connections_for(descriptors: int) -> int:
    """Outgoing connections of a process with so many descriptors: hosts that hang must not take what sessions need.

    Three quarters of the reserve; a quarter of all where there are plenty, so that no configured limit is undercut.
    """
    return max(min(DESCRIPTORS_RESERVED, descriptors // 2) * 3 // 4, descriptors // 4)
