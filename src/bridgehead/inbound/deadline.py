"""One timer for a session: deadlines that move with every command, without a timer for each.

The timer is set once and, when it fires early, set again for what is left; so moving the deadline back costs one
assignment.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable


class Deadline:
    """Calls `expired` once when the time is over. Used on the event loop alone."""

    __slots__ = ("_at", "_expired", "_loop", "_timer", "_timer_at")

    def __init__(self, loop: asyncio.AbstractEventLoop, expired: Callable[[], None]) -> None:
        self._loop = loop
        self._expired = expired
        self._at = 0.0
        self._timer: asyncio.TimerHandle | None = None
        self._timer_at = 0.0

    def set(self, at: float) -> None:
        """Expire at `at`, in the loop's seconds, whatever was set before."""
        self._at = at
        if self._timer is not None and at < self._timer_at:
            self._timer.cancel()
            self._timer = None
        if self._timer is None:
            self._start()

    def cancel(self) -> None:
        """Never expire."""
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def _start(self) -> None:
        self._timer_at = self._at
        self._timer = self._loop.call_at(self._at, self._fire)

    def _fire(self) -> None:
        self._timer = None
        if self._loop.time() < self._at:
            self._start()
        else:
            self._expired()
