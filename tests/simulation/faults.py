"""What goes wrong, drawn from the seed; each fault is written into the story, and all of them end in `mend`."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import suppress
from typing import Final

from bridgehead.core import queue_id
from bridgehead.core.envelope import MessageId
from bridgehead.outbound.aging import JUMP_SECONDS
from bridgehead.outbound.listing import Selection
from bridgehead.outbound.operations import Verb
from tests.simulation.machine import Machine
from tests.simulation.network import Handshake, Host, Rates
from tests.simulation.scenario import SECURE, changed
from tests.simulation.sink import EXTENSIONS, MOODS, WELL, Sink
from tests.simulation.worker import Worker
from tests.simulation.world import World

CALM: Final = Rates()


class Faults:
    """Strikes now and then until `mend`."""

    def __init__(self, world: World, machines: list[Machine], sinks: dict[str, tuple[Sink, Host]]) -> None:
        self._world = world
        self._machines = machines
        self._sinks = sinks
        self._random = world.random
        self._original = machines[0].organization
        self._is_over = False
        self._kinds = self._choose()

    def begin(self, seconds: float) -> None:
        """Let things go wrong for so long."""
        random = self._random
        likely = random.choice((0.0, 0.02, 0.1, 0.3))
        self._world.network.rates = Rates(
            likely * random.random(), likely * random.random(), random.choice((0.0, 0.2, 0.8))
        )
        for host in self._world.network.hosts.values():
            host.latency = random.choice((0.0005, 0.003, 0.02, 0.2)) if not host.is_faithful else 0.001
        for machine in self._machines:
            for disk in machine.disks:
                disk.sync_seconds = random.choice((0.001, 0.005, 0.05))
        pace = random.choice((0.6, 2.5, 9.0))
        end = self._world.loop.time() + seconds
        when = self._world.loop.time() + random.random() * pace
        while self._kinds and when < end:
            self._at(when, random.choice(self._kinds))
            when += random.expovariate(1 / pace)

    def mend(self) -> None:
        """Everything works again."""
        self._is_over = True
        self._world.ledger.note("all is mended")
        self._world.network.rates = CALM
        self._world.dns_fails = False
        for sink, host in self._sinks.values():
            sink.mood = WELL
            sink.lacks, sink.is_old, sink.refuses_tls = frozenset(), False, False
            sink.tls = Handshake.WELL if sink.name in SECURE else None
            host.is_silent = host.is_refusing = False
        for machine in self._machines:
            machine.host.is_refusing = False
            machine.power_on()
            machine.apply(self._original)
            for disk in machine.disks:
                disk.is_full = disk.is_unreadable = False
            for worker in machine.workers:
                if worker is not None:
                    worker.life.dies_at = float("inf")
        self._world.network.healed()

    def release_all(self) -> None:
        """The operator lets go of everything that was held."""
        for machine in self._machines:
            for worker in machine.workers:
                if worker is not None and worker.is_ready:
                    self._perform(worker, Verb.RELEASE, Selection())

    # One fault each

    def _choose(self) -> list[Callable[[], None]]:
        """Some kinds for each seed, so that each of them is also seen alone."""
        every: list[Callable[[], None]] = [
            self._sink_changes_mood,
            self._sink_changes_mood,
            self._host_goes,
            self._host_flaps,
            self._worker_is_killed,
            self._worker_is_killed_soon,
            self._power_fails,
            self._restart,
            self._disk_fails,
            self._reload,
            self._operator_acts,
            self._dns_fails,
            self._clock_jumps,
            self._clock_goes_to_and_fro,
            self._link_flaps,
            self._number_of_workers_changes,
            self._sink_lacks_extensions,
            self._sink_spoils_tls,
            self._message_is_damaged,
        ]
        chance = self._random.choice((0.15, 0.3, 0.6, 1.0))
        return [kind for kind in every if self._random.random() < chance]

    def _at(self, when: float, act: Callable[..., None], *arguments: object) -> None:
        self._world.loop.call_at(when, self._act, act, arguments, context=self._world.network.context)

    def _after(self, seconds: float, act: Callable[..., None], *arguments: object) -> None:
        self._at(self._world.loop.time() + seconds, act, *arguments)

    def _act(self, act: Callable[..., None], arguments: tuple[object, ...]) -> None:
        if not self._is_over:
            act(*arguments)

    def _count(self, kind: str) -> None:
        self._world.ledger.faults[kind] += 1

    def _note(self, text: str) -> None:
        self._world.ledger.note(f"! {text}")

    def _sink(self) -> tuple[str, Sink, Host]:
        name = self._random.choice([name for name in self._sinks if name != "steady"])
        return (name, *self._sinks[name])

    def _worker(self) -> Worker | None:
        return self._random.choice([worker for machine in self._machines for worker in machine.workers])

    def _sink_changes_mood(self) -> None:
        name, sink, _ = self._sink()
        mood = self._random.choice(list(MOODS))
        self._count(mood)
        sink.mood = MOODS[mood]
        sink.recipients_max = self._random.choice((100, 100, 1, 2))
        self._note(f"{name} is {mood}")

    def _host_goes(self) -> None:
        name, _, host = self._sink()
        kind = self._random.choice(("is_silent", "is_refusing"))
        setattr(host, kind, True)
        self._count("host silent" if kind == "is_silent" else "host refuses")
        self._note(f"{name} {kind}")
        self._after(self._random.choice((0.5, 5.0, 25.0, 100.0)), self._host_returns, name, host)

    def _host_flaps(self) -> None:
        name, _, host = self._sink()
        for second in range(0, 20, 2):
            self._after(second, setattr, host, "is_refusing", True)
            self._after(second + 1, setattr, host, "is_refusing", False)
        self._count("host flaps")
        self._note(f"{name} flaps")

    def _link_flaps(self) -> None:
        """The way to one of our own servers: every other second nothing can be reached there."""
        machine = self._random.choice(self._machines)
        for second in range(0, self._random.choice((6, 20)), 2):
            self._after(second, self._link_breaks, machine)
            self._after(second + self._random.random() * 2, setattr, machine.host, "is_refusing", False)
        self._count("link flaps")
        self._note(f"the link to {machine.name} flaps")

    def _link_breaks(self, machine: Machine) -> None:
        machine.host.is_refusing = True
        self._world.network.parted(machine.host)

    def _number_of_workers_changes(self) -> None:
        machine = self._random.choice(self._machines)
        self._count("number of workers changes")
        count = self._random.choice([count for count in (1, 2, 3, 4) if count != len(machine.workers)])
        machine.resize(count, self._random.choice((None, None, None, 1, 2, 3, 4)))

    def _sink_lacks_extensions(self) -> None:
        name, sink, _ = self._sink()
        every = sorted(EXTENSIONS)
        sink.lacks = frozenset(self._random.sample(every, self._random.randrange(len(every) + 1)))
        sink.is_old = not sink.is_lmtp and self._random.random() < 0.2
        self._count("knows HELO alone" if sink.is_old else "lacks extensions")
        self._note(f"{name} is old" if sink.is_old else f"{name} lacks {sorted(sink.lacks)}")

    def _sink_spoils_tls(self) -> None:
        name, sink, _ = self._sink()
        if sink.is_lmtp:
            return
        sink.tls = self._random.choice((*Handshake, None))
        sink.refuses_tls = self._random.random() < 0.2
        what = "refused" if sink.refuses_tls else "not offered" if sink.tls is None else sink.tls.value
        self._count(f"TLS {what}")
        self._note(f"{name}: TLS {what}")

    def _message_is_damaged(self) -> None:
        disk = self._random.choice(self._random.choice(self._machines).disks)
        if disk.rows:
            message_id = self._random.choice(sorted(disk.rows))
            disk.damaged.add(message_id)
            self._count("message damaged")
            self._note(f"{queue_id.write(message_id)} is damaged on its disk")

    def _host_returns(self, name: str, host: Host) -> None:
        host.is_silent = host.is_refusing = False
        self._note(f"{name} is back")
        self._world.network.healed()

    def _worker_is_killed(self) -> None:
        worker = self._worker()
        if worker is not None:
            self._count("worker killed")
            worker.machine.killed(worker.index)

    def _worker_is_killed_soon(self) -> None:
        worker = self._worker()
        if worker is not None:
            self._count("worker killed at a step")
            steps = self._random.randrange(1, 400)
            self._note(f"{worker.name} will be killed in {steps} steps")
            worker.life.dies_at = worker.life.steps + steps

    def _power_fails(self) -> None:
        machine = self._random.choice(self._machines)
        if not machine.is_off:
            self._count("power fails")
            machine.power_off()
            self._after(self._random.choice((1.0, 10.0)), machine.power_on)

    def _restart(self) -> None:
        self._count("restart")
        self._random.choice(self._machines).drain()

    def _disk_fails(self) -> None:
        machine = self._random.choice(self._machines)
        disk = self._random.choice(machine.disks)
        kind = self._random.choice(("is_full", "is_unreadable"))
        setattr(disk, kind, True)
        self._count("disk full" if kind == "is_full" else "disk unreadable")
        machine.troubled_at = self._world.loop.time() + 20.0
        self._note(f"the disk of {machine.name} {kind}")
        self._after(self._random.choice((0.2, 3.0, 15.0)), setattr, disk, kind, False)

    def _reload(self) -> None:
        machine = self._random.choice(self._machines)
        former = machine.organization if self._random.random() < 0.5 else self._original
        organization = changed(former, self._random)
        self._count("reload")
        self._note(f"{machine.name} takes a changed configuration: {_difference(self._original, organization)}")
        machine.apply(organization)

    def _operator_acts(self) -> None:
        worker = self._worker()
        if worker is None or not worker.is_ready:
            return
        verb = self._random.choice(list(Verb))
        self._count(f"operator: {verb}")
        waiting = sorted(worker.dispatcher.index.messages)
        if self._random.random() < 0.5 and waiting:
            chosen = Selection(frozenset((MessageId(self._random.choice(waiting)),)))
        else:
            chosen = Selection(connector=self._random.choice([one.name for one in self._original.connectors]))
        self._perform(worker, verb, chosen)

    def _perform(self, worker: Worker, verb: Verb, selection: Selection) -> None:
        self._note(f"an operator on {worker.name}: {verb} {selection}")
        worker.machine.troubled_at = self._world.loop.time()
        worker.life.run(lambda: worker.spawn(self._performed(worker, verb, selection)))

    async def _performed(self, worker: Worker, verb: Verb, selection: Selection) -> None:
        """As `process.worker_requests` does it: an error is an answer too.

        An order whose worker ends before the answer may be carried out by its last commit, so it stays in the books.
        """
        ledger = self._world.ledger
        ledger.order(worker.name, verb, 1)
        try:
            affected = await worker.operations.perform(verb, selection)
            self._note(f"{verb} on {worker.name}: {affected}")
        except OSError as error:
            self._note(f"{verb} on {worker.name}: {error}")
        ledger.order(worker.name, verb, -1)

    def _dns_fails(self) -> None:
        self._world.dns_fails = True
        self._count("DNS fails")
        self._note("DNS fails")
        self._after(self._random.choice((2.0, 20.0)), setattr, self._world, "dns_fails", False)

    def _clock_goes_to_and_fro(self) -> None:
        machine = self._random.choice(self._machines)
        seconds = self._random.choice((-1, 1)) * self._random.choice((3600.0, 3 * 3600.0, 9 * 3600.0))
        self._count("clock set to and fro")
        gap = self._random.choice((0.5, 5.0, 15.0))
        for turn in range(self._random.choice((2, 4))):
            self._after(turn * gap, self._set_clock, machine, seconds * (-1) ** turn)

    def _clock_jumps(self) -> None:
        self._count("clock set")
        machine = self._random.choice(self._machines)
        seconds = self._random.choice((-1, 1)) * self._random.choice((30.0, 3600.0, 5 * 3600.0, 86_400.0))
        self._set_clock(machine, seconds)

    def _set_clock(self, machine: Machine, seconds: float) -> None:
        machine.jumps.append((self._world.loop.time(), machine.offset, seconds > JUMP_SECONDS))
        machine.offset += seconds
        self._note(f"the clock of {machine.name} jumps by {seconds:+.0f} s")


def _difference(before: object, after: object) -> str:
    with suppress(AttributeError):
        former = {one.name: one for one in before.connectors}  # type: ignore[attr-defined]
        latter = {one.name: one for one in after.connectors}  # type: ignore[attr-defined]
        gone = former.keys() - latter.keys()
        other = [name for name, one in latter.items() if one != former[name]]
        return f"without {sorted(gone)}, changed {other}"
    return ""
