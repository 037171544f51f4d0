"""Dialling connectors that are not up: once a minute, only where no mail does it, and with a word for each answer."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field, replace

import pytest

from bridgehead.core.envelope import MessageId
from bridgehead.core.link_state import ALL_UP, LinkState
from bridgehead.core.organization import ConnectorLimits, Organization
from bridgehead.core.recipient_state import Hold
from bridgehead.outbound.allowance import LocalAllowance
from bridgehead.outbound.contract import Destination, QueueKey, Unavailable
from bridgehead.outbound.opening import Wire
from bridgehead.outbound.probes import PROBE_SECONDS, Probes
from bridgehead.outbound.queues import Queues
from tests.outbound.back_room import NOW, Owner
from tests.outbound.fake_channel import REFUSED, Clock, FakeChannel, FakeDialer
from tests.outbound.post_office import HERE, connector, disabled, organization, without

ORGANIZATION = organization(connector("A", "*"), connector("B", "*;5"), connector("DNS", "x.example", dns=True))
DOWN = LinkState({"A": NOW})
KEY = QueueKey("A", HERE, "smart-hosts")


class Dialer(FakeDialer):
    """A wire that can have a defect."""

    is_broken = False

    async def open(self, destination: Destination, closed: Callable[[], None]) -> FakeChannel | Unavailable:
        if self.is_broken:
            raise RuntimeError("a defect")
        return await super().open(destination, closed)


@dataclass
class Room:
    """Probes and what came of them."""

    probes: Probes
    dialer: Dialer
    queues: Queues
    clock: Clock
    allowance: LocalAllowance
    answers: list[tuple[str, bool]] = field(default_factory=list)

    async def look(self, seconds: float, links: LinkState = DOWN, here: Organization = ORGANIZATION) -> int:
        """Look after so many seconds; how often was dialled so far."""
        self.clock.now += seconds
        self.probes.probe(self.clock.now, links, here)
        for _ in range(10):
            await asyncio.sleep(0)
        return len(self.dialer.dialled)


@asynccontextmanager
async def room(server: str = "BRIDGE01") -> AsyncIterator[Room]:
    clock, dialer, answers = Clock(NOW), Dialer(), list[tuple[str, bool]]()
    async with asyncio.TaskGroup() as tasks:
        allowance = LocalAllowance(asyncio.get_running_loop().call_soon)
        wire = Wire(dialer, allowance, tasks.create_task, clock)
        queues = Queues(ORGANIZATION, Owner(), wire)
        probes = Probes(server, queues, wire, lambda name, is_success: answers.append((name, is_success)))
        yield Room(probes, dialer, queues, clock, allowance, answers)


async def test_a_connector_that_is_down_is_dialled_a_minute_later_and_each_minute_from_then_on() -> None:
    async with room() as here:
        here.dialer.hosts["A"] = REFUSED
        looks = [
            await here.look(seconds) for seconds in (0, PROBE_SECONDS - 1, 1, 1, PROBE_SECONDS - 1, PROBE_SECONDS)
        ]
        assert looks == [0, 0, 1, 1, 2, 3]
        assert here.answers == [("A", False)] * 3


async def test_a_good_greeting_is_told_and_its_connection_is_closed_unused() -> None:
    async with room() as here:
        await here.look(0)
        await here.look(PROBE_SECONDS)
        assert here.answers == [("A", True)]
        (channel,) = here.dialer.channels
        assert channel.is_ended
        assert channel.sent == []


async def test_a_suspect_connector_is_dialled_too() -> None:
    async with room() as here:
        suspect = LinkState(suspect=frozenset({"B"}))
        await here.look(0, suspect)
        await here.look(PROBE_SECONDS, suspect)
        assert here.answers == [("B", True)]


async def test_each_connector_has_its_own_minute() -> None:
    async with room() as here:
        both = LinkState({"A": NOW, "B": NOW})
        await here.look(0)
        await here.look(PROBE_SECONDS / 2, both)
        await here.look(PROBE_SECONDS / 2, both)
        assert [name for name, _ in here.answers] == ["A"]
        await here.look(PROBE_SECONDS / 2, both)
        assert [name for name, _ in here.answers] == ["A", "B"]


async def test_a_dial_that_takes_long_is_not_begun_twice() -> None:
    async with room() as here:
        gate = asyncio.Event()

        async def slow(destination: Destination, closed: Callable[[], None]) -> FakeChannel:
            here.dialer.dialled.append(destination)
            await gate.wait()
            return FakeChannel(here.dialer, destination, closed)

        here.dialer.open = slow  # type: ignore[method-assign]  # a dial that the test ends
        await here.look(0)
        assert [await here.look(PROBE_SECONDS) for _ in range(3)] == [1, 1, 1]
        gate.set()


MAIL: dict[str, tuple[Callable[[Queues], object], int]] = {
    "mail waits": (lambda queues: queues.get(KEY).waiting.add_ready(MessageId(1)), 0),
    "mail waits for later": (lambda queues: queues.get(KEY).waiting.add_later(MessageId(1), NOW + 999), 0),
    "mail is being sent": (lambda queues: queues.get(KEY).active.add(MessageId(1)), 0),
    "mail waits by another virtual server": (
        lambda queues: queues.get(QueueKey("A", "BRIDGE01/Other", "smart-hosts")).waiting.add_ready(MessageId(1)),
        0,
    ),
    "mail is held only": (lambda queues: queues.get(KEY).waiting.held.update({MessageId(1): Hold.FROZEN}), 1),
    "mail of another connector": (
        lambda queues: queues.get(QueueKey("B", HERE, "smart-hosts")).waiting.add_ready(MessageId(1)),
        1,
    ),
    "an empty queue": (lambda queues: queues.get(KEY), 1),
}


@pytest.mark.parametrize("name", MAIL)
async def test_mail_is_the_better_probe(name: str) -> None:
    prepare, dials = MAIL[name]
    async with room() as here:
        prepare(here.queues)
        await here.look(0)
        assert await here.look(PROBE_SECONDS) == dials


@pytest.mark.parametrize(
    "changed", [without(ORGANIZATION, "A"), disabled(ORGANIZATION, "A")], ids=["removed", "disabled"]
)
async def test_a_connector_that_has_no_way_any_more_is_not_dialled(changed: Organization) -> None:
    async with room() as here:
        await here.look(0, here=changed)
        assert await here.look(PROBE_SECONDS, here=changed) == 0


async def test_a_connector_of_another_server_is_not_dialled() -> None:
    async with room("BRIDGE02") as here:
        await here.look(0)
        assert await here.look(PROBE_SECONDS) == 0


async def test_a_connector_that_came_back_is_forgotten_and_begins_anew_when_it_goes_down_again() -> None:
    async with room() as here:
        await here.look(0)
        await here.look(PROBE_SECONDS - 1, ALL_UP)
        assert await here.look(1) == 0
        assert await here.look(PROBE_SECONDS) == 1


async def test_a_defect_of_the_wire_is_logged_and_counts_as_no_answer(caplog: pytest.LogCaptureFixture) -> None:
    async with room() as here:
        here.dialer.is_broken = True
        with caplog.at_level(logging.ERROR):
            await here.look(0)
            await here.look(PROBE_SECONDS)
        assert here.answers == [("A", False)]
        here.dialer.is_broken = False
        await here.look(PROBE_SECONDS)
        assert here.answers == [("A", False), ("A", True)]
    assert "a probe failed" in caplog.text


async def test_a_probe_is_a_connection_like_any_other_and_waits_for_its_lease() -> None:
    narrow = organization(replace(connector("A", "*"), limits=ConnectorLimits(connections=1)))
    async with room() as here:
        here.dialer.hosts["A"] = REFUSED
        limits = (("connector A", 1),)
        ticket = here.allowance.request(limits, lambda: None)
        await here.look(0, here=narrow)
        assert await here.look(PROBE_SECONDS, here=narrow) == 0
        here.allowance.release(ticket)
        assert await here.look(1, here=narrow) == 1
        assert await here.look(PROBE_SECONDS, here=narrow) == 2, "the probe before gave its lease back"


async def test_a_probe_that_was_greeted_gives_its_lease_back_when_its_connection_has_ended() -> None:
    narrow = organization(replace(connector("A", "*"), limits=ConnectorLimits(connections=1)))
    async with room() as here:
        await here.look(0, here=narrow)
        assert await here.look(PROBE_SECONDS, here=narrow) == 1
        granted: list[bool] = []
        here.allowance.request((("connector A", 1),), lambda: granted.append(True))
        await here.look(1, here=narrow)
        assert granted == [True]
