"""A server in the simulation: what a supervisor does, around link keeper and leases that are the real ones."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from math import inf
from typing import Final

from bridgehead.core.leases import Leases, Request
from bridgehead.core.organization import Organization
from bridgehead.outbound.pulse import IDLE_SECONDS, TICK_SECONDS
from bridgehead.process.link_keeper import LinkKeeper
from bridgehead.process.messages import Acquire, GiveBack, Granted, Message, Release, Reported
from bridgehead.spool.takeover import orphans
from tests.simulation.disk import Disk
from tests.simulation.network import Host
from tests.simulation.virtual_loop import Life
from tests.simulation.worker import Worker
from tests.simulation.world import World

EPOCH: Final = 1_790_000_000.0
PIPE_SECONDS: Final = 0.0005
RESTART_SECONDS: Final = 1.0
TAKEOVER_SECONDS: Final = 0.02
"""Within so long partitions are being taken over."""
NOTICE_SECONDS: Final = TICK_SECONDS + IDLE_SECONDS + 0.1
"""Within so long a worker has looked at its clock."""


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
        self.wanted = workers
        """How many workers the next start has; the present ones end before."""
        self.wanted_soon: int | None = None
        """Second thoughts: how many the start after that has, which comes while partitions are being taken over."""
        self.moving: dict[int, int] = {}
        """The marks of partitions that move, and into which; they survive, too."""
        self._forget_keeper()

    def clock(self) -> float:
        """What its wall clock says."""
        return EPOCH + self.world.loop.time() + self.offset

    def certain_jumps(self) -> Iterator[tuple[float, float, bool]]:
        """As `jumps`, but "forward" only where a worker must have noticed it, as it looks every second or so."""
        times = [-inf, *(when for when, _, _ in self.jumps), inf]
        for number, (when, offset, is_forward) in enumerate(self.jumps, 1):
            is_certain = min(when - times[number - 1], times[number + 1] - when) > NOTICE_SECONDS
            yield when, offset, is_forward and is_certain

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
        if self.is_off or self._is_ending or index >= len(self.workers) or self.workers[index] is not None:
            return
        if index in self.moving:  # it would fail, and be started again
            self.later(RESTART_SECONDS, self._start_worker, index)
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
            if strays := self.world.loop.tasks_of(worker.life):
                self.world.ledger.fail(f"{worker.name} has ended, and its tasks go on: {strays}")
            if held := worker.draft_memory.held:
                self.world.ledger.fail(f"{worker.name} has ended, and its drafts hold {held} octets")
            worker.life.is_alive = False
            self.world.ledger.life_ended(worker.life)
            self.world.network.killed(worker.life)
            self._gone(worker)

    def _gone(self, worker: Worker) -> None:
        self.troubled_at = self.world.loop.time()
        self.workers[worker.index] = None
        self._grant(self._leases.holder_gone(worker.index))
        if not self._is_ending:
            self.later(RESTART_SECONDS, self._start_worker, worker.index)
        elif not any(self.workers):
            self.later(RESTART_SECONDS, self._start_resized)

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
            if self._is_ending:
                self._start_resized()
            else:
                self.start()

    def drain(self) -> None:
        """A restart in order."""
        self.world.ledger.note(f"{self.name} is stopped in order")
        self.troubled_at = self.world.loop.time()
        for worker in self.workers:
            if worker is not None and worker.is_ready:
                worker.life.run(worker.drain)

    def resize(self, count: int, soon: int | None = None) -> None:
        """Stop in order, and start with another number of workers; with `soon`, all of it again within the start.

        Not before an earlier stop is complete.
        """
        if self._is_ending or count == len(self.workers):
            return
        self.world.ledger.note(f"{self.name} shall have {count} workers")
        self.wanted, self.wanted_soon = count, soon
        self.drain()
        for index, worker in enumerate(self.workers):
            if worker is not None and not worker.is_ready:
                self.killed(index)
        if not self.is_off and not any(self.workers):
            self.later(RESTART_SECONDS, self._start_resized)

    @property
    def _is_ending(self) -> bool:
        return self.wanted != len(self.workers)

    def _start_resized(self) -> None:
        if self.is_off or any(self.workers) or not self._is_ending:
            return
        self.troubled_at = self.world.loop.time()
        self.workers = [None] * self.wanted
        while len(self.disks) < self.wanted:
            self.disks.append(Disk(self.world.random, sync_seconds=self.disks[0].sync_seconds))
        self._forget_keeper()
        self.start()
        if self.wanted_soon is not None:
            self.later(self.world.random.random() * TAKEOVER_SECONDS, self.resize, self.wanted_soon)

    def orphans_of(self, index: int) -> list[int]:
        """The partitions that this worker takes over."""
        existing = [number for number, disk in enumerate(self.disks) if disk.rows]
        return orphans(index, existing, self.moving, len(self.workers))

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
