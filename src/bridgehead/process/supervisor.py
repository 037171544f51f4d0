"""The supervisor: binds ports, starts workers and the console, keeps link state and leases, applies changes.

It touches no mail. It keeps the rights it was started with (to bind ports and to read certificates and secrets
when a changed file is applied); its children become the user that `[node]` names.

Stopping goes in four steps: stop accepting, ask the workers to drain, wait with a limit, kill.
"""

from __future__ import annotations

import asyncio
import logging
import pickle
import signal
import time
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any, Final

from bridgehead.control.configuration.difference import difference
from bridgehead.control.configuration.load import Configuration, Loaded
from bridgehead.control.control_socket import ControlServer, Request
from bridgehead.core import leases
from bridgehead.core.error import MachineError
from bridgehead.core.leases import Leases
from bridgehead.core.organization import Node, Organization
from bridgehead.outbound.router import Router
from bridgehead.process import child_process, state_directory
from bridgehead.process.child_process import ChildProcess, Identity
from bridgehead.process.departures import departures_in_words
from bridgehead.process.free_space import FreeSpace
from bridgehead.process.health import Health
from bridgehead.process.keeping import keep
from bridgehead.process.link_keeper import LinkKeeper
from bridgehead.process.listening import ListeningSockets
from bridgehead.process.messages import (
    Acquire,
    Answered,
    Ask,
    Configure,
    Drain,
    Failed,
    GiveBack,
    Granted,
    Listening,
    Message,
    Ready,
    Release,
    Reported,
    SpoolSaid,
)
from bridgehead.process.requests import Requests
from bridgehead.process.status import answer_alone

log: Final = logging.getLogger(__name__)

DRAIN_GRACE_SECONDS: Final = 5.0
"""What a worker gets beyond `drain` to close its spool, before it is killed."""
UNBOUND_STATUS: Final = 69
"""Stands for the exit status of a worker that could not even be started, as its ports are taken."""


@dataclass(frozen=True, slots=True)
class Start:
    """What the supervisor starts from."""

    configuration: Configuration
    load: Callable[[], Loaded]
    """Reads the configuration file again, at SIGHUP."""
    workers: int
    logs: str = "auto"
    """`"json"`, or `"auto"`: JSON where standard error is no terminal."""


class Supervisor:
    """The parent of all processes of one server. Everything in it belongs to its event loop."""

    def __init__(self, start: Start) -> None:
        self.node: Node = start.configuration.node
        self.organization: Organization = start.configuration.organization
        self.started = time.time()
        self.refusals: tuple[str, ...] = ()
        """Errors of the last changed file, where it was not taken."""
        self.links = LinkKeeper(self._broadcast, lambda: self.organization, time.time)
        space = FreeSpace(Path(self.node.state_dir), lambda: self.node.min_free_bytes, time.monotonic)
        self.health = Health(space, self.workers)
        self._start = start
        self._count = start.workers
        self._workers: list[ChildProcess | None] = [None] * self._count
        self._console: ChildProcess | None = None
        self._console_moved = asyncio.Event()
        self._sockets = ListeningSockets(self.node, self._count)
        self._leases = Leases()
        self._requests = Requests(self)
        self._stopping = asyncio.Event()
        self._reload_asked = asyncio.Event()

    def bind(self) -> None:
        """Bind every listener of this server; `MachineError` (exit 69) where one cannot be bound."""
        self._sockets.bind(self.organization)

    async def run(self) -> None:
        """Serve until SIGTERM or SIGINT; returns when every child has ended."""
        loop = asyncio.get_running_loop()
        loop.add_signal_handler(signal.SIGTERM, self._on_stop_signal)
        loop.add_signal_handler(signal.SIGINT, self._on_stop_signal)
        loop.add_signal_handler(signal.SIGHUP, self._reload_asked.set)
        control = ControlServer(Path(self.node.state_dir), self._requests.respond)
        await control.start()
        state_directory.give(control.path, self.node.user)
        try:
            async with asyncio.TaskGroup() as tasks:
                loops = (self._stop_when_asked(), self._reload_when_asked(), self.health.watch())
                ending = [tasks.create_task(one) for one in loops]
                tasks.create_task(keep("the console", self._run_console, self._stopping))
                await self._run_workers()
                for task in ending:
                    task.cancel()
        finally:
            control.close()
            self._sockets.close()

    def workers(self) -> list[ChildProcess | None]:
        """The workers by index; `None` while one is being started again."""
        return self._workers

    def ask(self, index: int, question: Ask) -> None:
        """Pass a request of the control socket to a worker."""
        self._send(index, question)

    def answer_alone(self, request: Request) -> Any:
        """The answer to a verb that concerns no mail; `NotImplemented` for others."""
        return answer_alone(self, request)

    # Stopping -----------------------------------------------------------------------------------------------

    def _on_stop_signal(self) -> None:
        if self._stopping.is_set():
            self._kill_workers()
        self._stopping.set()

    async def _stop_when_asked(self) -> None:
        await self._stopping.wait()
        log.info("stopping: what is in flight gets %g s", self.node.drain_seconds, extra={"event": "stopping"})
        self._broadcast(Drain(self.node.drain_seconds))
        self._console_moved.set()
        if self._console is not None:
            self._console.hang_up()
        await asyncio.sleep(self.node.drain_seconds + DRAIN_GRACE_SECONDS)
        self._kill_workers()

    def _kill_workers(self) -> None:
        for worker in self._workers:
            if worker is not None:
                worker.kill()

    # Children -----------------------------------------------------------------------------------------------

    async def _run_workers(self) -> None:
        async with asyncio.TaskGroup() as tasks:
            for index in range(self._count):
                tasks.create_task(keep(f"worker {index}", partial(self._run_worker, index), self._stopping))

    async def _run_worker(self, index: int) -> int:
        arguments = (str(index), str(self._count), self._start.logs)
        identity = Identity("bridgehead.process.worker_main", arguments, self.node.user)
        try:
            self._sockets.wake(index)
        except MachineError as error:
            self.health.worker_failed(index, str(error))
            return UNBOUND_STATUS
        worker = await child_process.start(identity, lambda message: self._on_message(index, message))
        self._workers[index] = worker
        self._configure(index, self._sockets.listening)
        worker.send(self.links.message())
        if self._stopping.is_set():
            worker.send(Drain(0.0))
        try:
            return await worker.wait_ended()
        finally:
            self._workers[index] = None
            if not worker.is_ready and self.health.fault_of(index):
                self._sockets.rest(index)
            self._requests.worker_gone(index)
            self._grant(self._leases.holder_gone(index))

    async def _run_console(self) -> int:
        """Run the console, on the addresses it has now; without any, wait until a changed file names one."""
        while not (self.node.console or self.node.metrics):
            self._console_moved.clear()
            await self._console_moved.wait()
            if self._stopping.is_set():
                return 0
        identity = Identity(
            "bridgehead.process.console_main",
            (self.node.state_dir, self.node.console, self.node.metrics),
            self.node.user,
        )
        console = await child_process.start(identity, lambda _: None)
        self._console = console
        if self._stopping.is_set():
            console.hang_up()
        try:
            return await console.wait_ended()
        finally:
            self._console = None

    def _configure(self, index: int, new: tuple[Listening, ...]) -> None:
        worker = self._workers[index]
        if worker is not None:
            listening = self._sockets.listening
            organization = pickle.dumps((self.node, self.organization), pickle.HIGHEST_PROTOCOL)
            positions = tuple(position for position, one in enumerate(listening) if one in new)
            worker.send(Configure(organization, listening, positions), self._sockets.descriptors(index, new))

    def _on_message(self, index: int, message: Message) -> None:
        match message:
            case Ready():
                self._on_ready(index)
            case SpoolSaid():
                self.health.spool_said(index, message.fault)
            case Failed():
                self.health.worker_failed(index, message.reason)
            case Reported():
                self.links.report(message.connector, is_success=message.is_success)
            case Acquire():
                self._acquire(leases.Request(index, message.ticket, message.limits), waits=message.waits)
            case Release():
                self._grant(self._leases.release(index, message.ticket))
            case Answered():
                self._requests.answered(index, message)
            case _:
                raise ValueError(f"worker {index} sent {type(message).__name__}")

    def _on_ready(self, index: int) -> None:
        worker = self._workers[index]
        if worker is not None:
            worker.is_ready = True
            self.health.worker_ready(index)
        if all(worker is not None and worker.is_ready for worker in self._workers):
            where = ", ".join(f"{one.address}:{one.port}" for one in self._sockets.listening if one.virtual_server)
            log.info("ready: listening on %s", where, extra={"event": "ready"})

    def _acquire(self, request: leases.Request, *, waits: bool) -> None:
        if not waits:
            self._send(request.holder, Granted(request.ticket, self._leases.try_acquire(request)))
            return
        granted, pleas = self._leases.request(request)
        self._grant(granted)
        for holder, name, is_urgent in pleas:
            self._send(holder, GiveBack(name, is_urgent))

    def _grant(self, granted: list[leases.Request]) -> None:
        for request in granted:
            self._send(request.holder, Granted(request.ticket, is_granted=True))

    def _send(self, index: int, message: Message) -> None:
        worker = self._workers[index]
        if worker is not None:
            worker.send(message)

    def _broadcast(self, message: Message) -> None:
        for index in range(self._count):
            self._send(index, message)

    # Changed files ------------------------------------------------------------------------------------------

    async def _reload_when_asked(self) -> None:
        """Once for all signals that came meanwhile: the last one finds the file as it is then."""
        while True:
            await self._reload_asked.wait()
            self._reload_asked.clear()
            await self.reload()

    async def reload(self) -> None:
        """Apply the configuration file again; one with errors is not taken and changes nothing."""
        loaded = self._start.load()
        if loaded.configuration is None:
            self._refuse(tuple(str(issue) for issue in loaded.errors))
            return
        router = Router(self.node.server, loaded.configuration.organization, self.links.state)
        departures = await departures_in_words(self._requests, self.organization, router)
        try:
            new = self._sockets.bind(loaded.configuration.organization)
        except MachineError as error:
            self._refuse((str(error),))
            return
        for issue in loaded.issues:
            log.warning("%s", issue, extra={"event": "configuration-warning"})
        found = difference(Configuration(self.organization, self.node), loaded.configuration)
        for sentence in found.changes:
            log.info("%s", sentence, extra={"event": "reload-change"})
        for sentence in departures:
            log.warning("%s", sentence, extra={"event": "reload-waiting"})
        for key in found.needs_restart:
            log.warning("%s of [node] changed: it needs a restart", key, extra={"event": "reload-needs-restart"})
        self._apply(loaded.configuration.organization, found.node, new)

    def _apply(self, organization: Organization, node: Node, new: tuple[Listening, ...]) -> None:
        moved = (node.console, node.metrics) != (self.node.console, self.node.metrics)
        self.refusals = ()
        self.organization = organization
        self.node = node
        for index in range(self._count):
            self._configure(index, new)
        self.links.forget_removed()
        if moved:
            self._console_moved.set()
            if self._console is not None:
                self._console.kill()  # it is started again, on its new addresses
        log.info("generation %s is in force", organization.generation, extra={"event": "reload"})

    def _refuse(self, errors: tuple[str, ...]) -> None:
        self.refusals = errors
        for error in errors:
            log.error(
                "the changed file is not taken, the old one stays: %s", error, extra={"event": "reload-refused"}
            )
