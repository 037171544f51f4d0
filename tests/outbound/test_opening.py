"""Connections that are slow to come about hold a part of those allowed, and get their turn all the same."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from bridgehead.core.leases import Limits
from bridgehead.core.organization import ConnectorLimits, Delivery
from bridgehead.outbound.allowance import LocalAllowance, slow
from bridgehead.outbound.contract import Channel, Destination, QueueKey, Unavailable
from bridgehead.outbound.destination import destination_of
from bridgehead.outbound.line import Line
from bridgehead.outbound.opening import PLACE_SECONDS, SLOW_SECONDS, Openings, Wire
from tests.outbound.fake_channel import REFUSED, Clock, FakeDialer
from tests.outbound.post_office import HERE, PostOffice, connector, organization

CONNECTIONS = 4
PART = 2
GIVEN_UP = SLOW_SECONDS + PLACE_SECONDS + 1
LIMITED = organization(
    replace(connector("Direct", "*", dns=True), limits=ConnectorLimits(connections=CONNECTIONS)),
    delivery=Delivery(glitch_retry_seconds=1000.0),
)


def hanging(count: int) -> list[str]:
    return [f"dead{number}.example" for number in range(count)]


class Office(PostOffice):
    """With hosts that hang."""

    async def hang(self, *domains: str) -> None:
        """Mail for hosts that take connections and do not greet."""
        for domain in domains:
            self.dialer.late[domain] = asyncio.Event()
            await self.accept(f"a@{domain}")

    async def greets(self, domain: str) -> None:
        """The host is ready now, and at once from now on."""
        self.dialer.late.pop(domain).set()
        await self.settle()

    async def times_out(self, domain: str) -> None:
        """The dialer has waited long enough."""
        self.dialer.hosts[domain] = REFUSED
        await self.greets(domain)

    @property
    def places(self) -> int:
        """Taken among the slow."""
        leases = self.dispatcher._surroundings.allowance._leases  # type: ignore[attr-defined]  # a test's look inside
        taken: int = leases.taken("connector Direct, slow")
        return taken


@pytest.mark.parametrize("count", [CONNECTIONS, 20, 200])
async def test_hosts_that_hang_leave_connections_to_the_mail_of_others(tmp_path: Path, count: int) -> None:
    async with Office(tmp_path, LIMITED).open() as office:
        await office.hang(*hanging(count))
        await office.accept("a@good.example")
        assert office.dialer.delivered == [], "they hold every connection"
        await office.passes(GIVEN_UP * (1 + count / PART), step=1.0)
        assert len(office.dialer.delivered) == 1
        assert len(office.dialer.held) == PART
        for _ in range(10):
            await office.accept("a@good.example")
            await office.accept("a@fine.example")
        assert len(office.dialer.delivered) == 21, "no time passes: nothing stands before them any more"


async def test_nothing_is_given_up_while_there_are_places(tmp_path: Path) -> None:
    async with Office(tmp_path, LIMITED).open() as office:
        domains = hanging(PART)
        await office.hang(*domains)
        await office.passes(300)
        assert [one.key.next_hop for one in office.dialer.dialled] == domains
        for domain in domains:
            await office.greets(domain)
        assert len(office.dialer.delivered) == PART
        assert office.places == 0


async def test_every_slow_host_gets_a_turn_with_all_the_time_there_is(tmp_path: Path) -> None:
    async with Office(tmp_path, LIMITED).open() as office:
        domains = hanging(8)
        await office.hang(*domains)
        await office.passes(10 * GIVEN_UP, step=1.0)
        for turn in range(0, 8, PART):
            assert office.dialer.held == domains[turn : turn + PART], "in the order in which they were slow"
            await office.passes(300)
            for domain in domains[turn : turn + PART]:
                await office.greets(domain)
        assert len(office.dialer.delivered) == 8
        assert office.places == 0


async def test_hosts_that_time_out_let_the_next_of_the_slow_ones_try(tmp_path: Path) -> None:
    async with Office(tmp_path, LIMITED).open() as office:
        domains = hanging(6)
        await office.hang(*domains)
        await office.passes(10 * GIVEN_UP, step=1.0)
        for domain in domains:
            await office.times_out(domain)
        assert office.dialer.held == []
        assert office.places == 0
        assert [queue.is_backing_off for queue in office.dispatcher.queues] == [True] * 6


async def test_a_host_that_was_slow_takes_a_place_at_its_next_attempt_until_it_was_quick(tmp_path: Path) -> None:
    async with Office(tmp_path, LIMITED).open() as office:
        (slow_one, *others) = domains = hanging(5)
        await office.hang(slow_one)
        await office.passes(30)
        await office.times_out(slow_one)
        office.dialer.late[slow_one] = asyncio.Event()
        del office.dialer.hosts[slow_one]
        await office.hang(*others)
        await office.passes(10 * GIVEN_UP, step=1.0)
        assert office.dialer.held == others[:PART]
        await office.passes(1000)
        assert office.dialer.held == others[:PART], "it stands in line like the others"
        for domain in others:
            await office.greets(domain)
        assert office.dialer.held == [slow_one]
        await office.greets(slow_one)
        assert len(office.dialer.delivered) == len(domains)
        assert office.places == 0


async def test_slow_hosts_of_several_connectors_leave_room_under_the_limit_of_their_virtual_server(
    tmp_path: Path,
) -> None:
    connectors = [
        replace(connector(name, f"*.{name}.example", dns=True), limits=ConnectorLimits(connections=20))
        for name in ("one", "two", "three")
    ]
    together = organization(*connectors, delivery=Delivery(connections=CONNECTIONS))
    async with Office(tmp_path, together).open() as office:
        await office.hang(*(f"{number}.{name}.example" for name in ("one", "two") for number in range(5)))
        await office.accept("a@good.three.example")
        await office.passes(6 * GIVEN_UP, step=1.0)
        assert len(office.dialer.held) == PART
        assert len(office.dialer.delivered) == 1


async def test_one_connection_is_not_divided(tmp_path: Path) -> None:
    """A slow host may hold the only one, and is not given up for nothing."""
    single = replace(LIMITED.connectors[0], limits=ConnectorLimits(connections=1))
    async with Office(tmp_path, replace(LIMITED, connectors=(single,))).open() as office:
        await office.hang("dead.example")
        await office.passes(60)
        assert len(office.dialer.dialled) == 1


async def test_without_a_limit_nothing_is_given_up(tmp_path: Path) -> None:
    free = replace(LIMITED.connectors[0], limits=ConnectorLimits(0, 0, 20))
    unlimited = organization(free, delivery=Delivery(connections=0, connections_per_domain=0))
    async with Office(tmp_path, unlimited).open() as office:
        await office.hang(*hanging(50))
        await office.passes(60)
        assert len(office.dialer.held) == len(office.dialer.dialled) == 50


async def test_a_slow_host_whose_mail_left_gives_its_place_to_others(tmp_path: Path) -> None:
    async with Office(tmp_path, LIMITED).open() as office:
        domains = hanging(3)
        await office.hang(*domains)
        await office.passes(3 * GIVEN_UP, step=1.0)
        waiting = office.dispatcher.queues.find(QueueKey("Direct", HERE, domains[2]))
        assert waiting is not None
        assert office.dialer.held == domains[:PART]
        waiting.back_off(REFUSED)
        for domain in domains[:PART]:
            await office.greets(domain)
        assert office.places == 0
        assert len(office.dialer.dialled) == 3, "nothing of it was sent in vain"


# One queue's lines by themselves


class Asked(LocalAllowance):
    """Notes who asks for a place, and grants it when the test says so."""

    def __init__(self, call_soon: Callable[[Callable[[], None]], object]) -> None:
        super().__init__(call_soon)
        self.asked: list[Callable[[], None]] = []
        self.returned: list[int] = []

    def request_place(self, limits: Limits, granted: Callable[[], None]) -> int:
        """As in `Allowance`."""
        assert slow(limits)
        self.asked.append(granted)
        return -len(self.asked)

    def release(self, ticket: int) -> None:
        """As in `Allowance`."""
        self.returned.append(ticket)
        super().release(ticket)


class Lines:
    """A queue that only opens lines, and what they need."""

    def __init__(self, tasks: asyncio.TaskGroup) -> None:
        self.clock, self.dialer = Clock(), FakeDialer()
        self.allowance = Asked(asyncio.get_running_loop().call_soon)
        self.openings = Openings(self, Wire(self.dialer, self.allowance, tasks.create_task, self.clock))
        self.results: list[Channel | Unavailable] = []
        self.alarms: list[float] = []
        found = destination_of(QueueKey("Direct", HERE, "fabrikam.com"), LIMITED)
        assert found is not None
        self.destination = found

    def wanted(self, _line: Line) -> Destination | None:
        """As in `OpeningOwner`."""
        return self.destination

    def opened(self, _line: Line, _destination: Destination, result: Channel | Unavailable) -> None:
        """As in `OpeningOwner`."""
        self.results.append(result)

    def notice(self, when: float) -> None:
        """As in `OpeningOwner`."""
        self.alarms.append(when - self.clock.now)

    def transaction_done(self, line: Line, transaction: object, attempted: object) -> None:
        """As in `LineOwner`."""
        raise AssertionError("nothing is sent here")

    def line_closed(self, line: Line) -> None:
        """As in `LineOwner`."""

    async def begin(self) -> Line:
        """A line on its way."""
        line = Line(self)
        self.openings.begin(line, self.destination)
        await self.settle()
        return line

    async def passes(self, seconds: float) -> None:
        """Let time pass."""
        self.clock.now += seconds
        self.openings.wake(self.clock.now)
        await self.settle()

    async def settle(self) -> None:
        """Let everything happen that happens without time passing."""
        for _ in range(10):
            await asyncio.sleep(0)


async def test_what_answers_in_time_never_asks_for_a_place() -> None:
    async with asyncio.TaskGroup() as tasks:
        lines = Lines(tasks)
        for _ in range(3):
            await lines.begin()
        assert (len(lines.results), len(lines.openings), lines.allowance.asked) == (3, 0, [])
        assert lines.openings.next_due() == float("inf")


async def test_a_place_is_asked_for_when_a_dial_takes_long_and_returned_when_it_ends() -> None:
    async with asyncio.TaskGroup() as tasks:
        lines = Lines(tasks)
        lines.dialer.late["fabrikam.com"] = asyncio.Event()
        await lines.begin()
        assert lines.alarms == [SLOW_SECONDS]
        await lines.passes(SLOW_SECONDS / 2)
        assert lines.allowance.asked == []
        await lines.passes(SLOW_SECONDS / 2)
        lines.allowance.asked[0]()
        await lines.passes(600)
        assert lines.allowance.returned == []
        lines.dialer.late["fabrikam.com"].set()
        await lines.settle()
        assert (len(lines.results), lines.allowance.returned) == (1, [-1])


async def test_a_dial_without_a_place_is_given_up_with_its_lease_and_begins_anew_with_a_place() -> None:
    async with asyncio.TaskGroup() as tasks:
        lines = Lines(tasks)
        lines.dialer.late["fabrikam.com"] = asyncio.Event()
        line = await lines.begin()
        lease = line.ticket
        await lines.passes(SLOW_SECONDS)
        await lines.passes(PLACE_SECONDS)
        assert (lines.dialer.held, lines.allowance.returned, line.is_granted) == ([], [lease], False)
        assert (lines.results, len(lines.openings)) == ([], 1)
        lines.allowance.asked[0]()
        await lines.settle()
        assert lines.dialer.held == ["fabrikam.com"]
        await lines.passes(600)
        lines.dialer.late["fabrikam.com"].set()
        await lines.settle()
        assert (len(lines.results), lines.allowance.returned) == (1, [lease, -1])


async def test_a_place_that_comes_while_the_dial_is_being_given_up_is_used() -> None:
    async with asyncio.TaskGroup() as tasks:
        lines = Lines(tasks)
        lines.dialer.late["fabrikam.com"] = asyncio.Event()
        await lines.begin()
        await lines.passes(SLOW_SECONDS)
        lines.clock.now += PLACE_SECONDS
        lines.openings.wake(lines.clock.now)
        lines.allowance.asked[0]()
        await lines.settle()
        assert (len(lines.dialer.dialled), lines.dialer.held) == (2, ["fabrikam.com"])
        lines.dialer.late["fabrikam.com"].set()
        await lines.settle()
        assert len(lines.results) == 1


async def test_a_line_that_is_forgotten_while_its_dial_is_being_given_up_asks_for_nothing_more() -> None:
    async with asyncio.TaskGroup() as tasks:
        lines = Lines(tasks)
        lines.dialer.late["fabrikam.com"] = asyncio.Event()
        line = await lines.begin()
        lease = line.ticket
        await lines.passes(SLOW_SECONDS)
        lines.clock.now += PLACE_SECONDS
        lines.openings.wake(lines.clock.now)
        lines.openings.end(line)
        await lines.settle()
        assert lines.allowance.returned == [-1], "the lease is for the queue to return"
        assert (line.ticket, len(lines.openings), len(lines.dialer.dialled)) == (lease, 0, 1)
