"""The dispatcher looks at what is due in time, and sleeps while nothing is."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from math import inf

from bridgehead.outbound.pulse import IDLE_SECONDS, TICK_SECONDS, Pulse


class Looks:
    """A pulse on the loop's own time, and when it ticked."""

    def __init__(self) -> None:
        loop = asyncio.get_running_loop()
        self.clock: Callable[[], float] = loop.time
        self.start = loop.time()
        self.due = inf
        self.ticks: list[float] = []
        self.pulse = Pulse(self.clock, lambda: self.due, self._tick)

    def _tick(self) -> None:
        self.ticks.append(self.clock() - self.start)
        if self.due <= self.clock():
            self.due = inf

    async def run(self, seconds: float) -> list[float]:
        running = asyncio.get_running_loop().create_task(self.pulse.run())
        await asyncio.sleep(seconds)
        running.cancel()
        return self.ticks


async def test_it_looks_at_once_and_then_sleeps_while_nothing_is_due() -> None:
    looks = Looks()
    assert len(await looks.run(IDLE_SECONDS / 2)) == 1


async def test_what_is_known_to_be_due_is_not_slept_through() -> None:
    looks = Looks()
    looks.due = looks.start + 2 * TICK_SECONDS
    ticks = await looks.run(IDLE_SECONDS / 2)
    assert [tick >= 2 * TICK_SECONDS for tick in ticks] == [False, True]


async def test_a_due_time_that_comes_up_later_ends_the_sleep() -> None:
    looks = Looks()

    def hurry() -> None:
        looks.due = looks.clock()
        looks.pulse.notice(looks.due)

    asyncio.get_running_loop().call_later(2 * TICK_SECONDS, hurry)
    assert len(await looks.run(IDLE_SECONDS / 2)) == 2


async def test_a_due_time_behind_the_next_look_ends_no_sleep() -> None:
    looks = Looks()
    asyncio.get_running_loop().call_later(
        2 * TICK_SECONDS, lambda: looks.pulse.notice(looks.clock() + 2 * IDLE_SECONDS)
    )
    assert len(await looks.run(IDLE_SECONDS / 2)) == 1


async def test_however_much_is_due_there_is_a_pause_between_looks() -> None:
    looks = Looks()
    pulse = Pulse(looks.clock, lambda: -inf, looks._tick)
    running = asyncio.get_running_loop().create_task(pulse.run())
    await asyncio.sleep(3.5 * TICK_SECONDS)
    running.cancel()
    assert 2 <= len(looks.ticks) <= 4
