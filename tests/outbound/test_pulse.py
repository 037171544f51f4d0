"""The dispatcher looks at what is due in time, and sleeps while nothing is. Time is the loop's, and virtual."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from math import inf

import pytest

from bridgehead.outbound.pulse import IDLE_SECONDS, TICK_SECONDS, Pulse


class Looks:
    """A pulse on the loop's own time, and when it ticked, in seconds since its start."""

    def __init__(self, *, is_always_due: bool = False) -> None:
        loop = asyncio.get_running_loop()
        self.clock: Callable[[], float] = loop.time
        self.start = loop.time()
        self.due = -inf if is_always_due else inf
        self.ticks: list[float] = []
        self.pulse = Pulse(self.clock, lambda: self.due, self._tick)

    def _tick(self) -> None:
        self.ticks.append(self.clock() - self.start)
        if -inf < self.due <= self.clock():
            self.due = inf

    async def run(self, seconds: float) -> list[float]:
        running = asyncio.get_running_loop().create_task(self.pulse.run())
        await asyncio.sleep(seconds)
        running.cancel()
        return self.ticks

    def after(self, seconds: float, call: Callable[[], None]) -> None:
        asyncio.get_running_loop().call_later(seconds, call)


async def test_it_looks_at_once_and_then_sleeps_while_nothing_is_due() -> None:
    ticks = await Looks().run(2.5 * (TICK_SECONDS + IDLE_SECONDS))
    assert ticks == pytest.approx([0, TICK_SECONDS + IDLE_SECONDS, 2 * (TICK_SECONDS + IDLE_SECONDS)])


async def test_what_is_known_to_be_due_is_not_slept_through() -> None:
    looks = Looks()
    looks.due = looks.start + 5 * TICK_SECONDS
    assert await looks.run(IDLE_SECONDS) == pytest.approx([0, 5 * TICK_SECONDS])


async def test_a_due_time_that_comes_up_later_ends_the_sleep() -> None:
    looks = Looks()

    def hurry() -> None:
        looks.due = looks.clock() + TICK_SECONDS
        looks.pulse.notice(looks.due)

    looks.after(2 * TICK_SECONDS, hurry)
    assert await looks.run(IDLE_SECONDS) == pytest.approx([0, 3 * TICK_SECONDS])


async def test_a_due_time_behind_the_next_look_ends_no_sleep() -> None:
    looks = Looks()
    looks.after(2 * TICK_SECONDS, lambda: looks.pulse.notice(looks.clock() + 2 * IDLE_SECONDS))
    assert await looks.run(IDLE_SECONDS) == [0]


async def test_however_much_is_due_there_is_a_pause_between_looks() -> None:
    ticks = await Looks(is_always_due=True).run(3.5 * TICK_SECONDS)
    assert ticks == pytest.approx([0, TICK_SECONDS, 2 * TICK_SECONDS, 3 * TICK_SECONDS])
