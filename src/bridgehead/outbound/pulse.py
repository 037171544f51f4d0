"""When the dispatcher looks at what is due: often while something is, seldom while nothing is.

A timer for each queue would cost every message; a look ten times a second would keep an idle machine awake. So there
is one loop, which sleeps until the earliest due time it knows of, and is told of earlier ones.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from math import inf
from typing import Final

TICK_SECONDS: Final = 0.1
"""Between two looks, at least: the precision of every retry time."""
IDLE_SECONDS: Final = 1.0
"""Between two looks, at most: how late anything can be that nobody told us of, a jump of the clock for instance."""


class Pulse:
    """Calls `tick` while it runs. Used on one event loop."""

    def __init__(self, clock: Callable[[], float], next_due: Callable[[], float], tick: Callable[[], None]) -> None:
        """`next_due`: the earliest time, by `clock`, at which `tick` has something to do; infinite: none is known."""
        self._clock = clock
        self._next_due = next_due
        self._tick = tick
        self._sleeps_until = -inf
        self._sleep: asyncio.Future[bool] | None = None

    def notice(self, when: float) -> None:
        """Something is due at `when` that `next_due` did not say before."""
        if when < self._sleeps_until and self._sleep is not None:
            _end(self._sleep, is_woken=True)

    async def run(self) -> None:
        """Tick for ever."""
        while True:
            self._tick()
            await asyncio.sleep(TICK_SECONDS)
            while await self._is_woken():
                pass

    async def _is_woken(self) -> bool:
        """Sleep until something is due; whether that was ended by `notice`, and what is due must be asked anew."""
        now = self._clock()
        seconds = min(self._next_due() - now, IDLE_SECONDS)
        if seconds <= 0:
            return False
        loop = asyncio.get_running_loop()
        self._sleep = sleep = loop.create_future()
        timer = loop.call_later(seconds, _end, sleep, False)
        self._sleeps_until = now + seconds
        try:
            is_woken: bool = await sleep
        finally:
            timer.cancel()
            self._sleeps_until = -inf
        return is_woken


def _end(sleep: asyncio.Future[bool], is_woken: bool) -> None:
    if not sleep.done():
        sleep.set_result(is_woken)
