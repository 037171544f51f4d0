"""Session limits within one worker: what `SessionLeases` promises, without a supervisor to ask."""

from __future__ import annotations

from collections import Counter

from bridgehead.core.leases import Limits


class LocalLeases:
    """For a server of one worker, and for tests. Used on the event loop alone."""

    def __init__(self) -> None:
        self._taken: Counter[str] = Counter()
        self._tickets: dict[int, Limits] = {}
        self._last = 0

    async def try_acquire(self, limits: Limits) -> int | None:
        """A ticket if there is room, else `None`."""
        if any(maximum and self._taken[name] >= maximum for name, maximum in limits):
            return None
        self._last += 1
        self._tickets[self._last] = limits
        self._taken.update(name for name, _ in limits)
        return self._last

    def release(self, ticket: int) -> None:
        """Give a ticket back; one that was given back already is ignored."""
        for name, _ in self._tickets.pop(ticket, ()):
            self._taken[name] -= 1
            if not self._taken[name]:
                del self._taken[name]
