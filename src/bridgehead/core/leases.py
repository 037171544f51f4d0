"""Connection limits that hold over all worker processes of a server: who may open one more.

A limit is a name and a maximum: `("connector Internet via ISP", 20)`. A worker asks for a lease under several
limits at once and gets it when all of them have room. The supervisor owns one `Leases` for all workers.

Two kinds of asking: `try_acquire` is answered at once (inbound sessions: over the limit is 421), `request` waits
in order of asking (outbound connections). So that no worker with mail starves beside one that keeps its connections
busy for ever, a waiting worker that holds less than its fair share makes the largest holder give one back.
"""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass, field
from typing import TypeAlias

Limits: TypeAlias = tuple[tuple[str, int], ...]
"""Names and maxima. A maximum of 0 is no limit."""


@dataclass(frozen=True, slots=True)
class Request:
    """One lease asked for, waiting or granted. Identity is `(holder, ticket)`."""

    holder: int
    """Index of the worker."""
    ticket: int
    """Chosen by the worker, unique among its own."""
    limits: Limits


@dataclass(slots=True)
class _Limit:
    """What is taken under one name. Changed by `Leases` alone."""

    taken: int = 0
    by_holder: dict[int, int] = field(default_factory=dict)

    def take(self, holder: int, count: int) -> None:
        self.taken += count
        held = self.by_holder.get(holder, 0) + count
        if held:
            self.by_holder[holder] = held
        else:
            self.by_holder.pop(holder, None)


class Leases:
    """All leases of a server. Mutable; owned by one task, which sends out what the methods return."""

    def __init__(self) -> None:
        self._limits: dict[str, _Limit] = {}
        self._granted: dict[tuple[int, int], Request] = {}
        self._waiting: deque[Request] = deque()

    def try_acquire(self, request: Request) -> bool:
        """Take a lease if there is room now; never waits."""
        if not self._has_room(request.limits):
            return False
        self._grant(request)
        return True

    def request(self, request: Request) -> tuple[list[Request], list[tuple[int, str]]]:
        """Take a lease or wait for it.

        Returns the requests granted now, and who shall give one back under which limit: `(worker, name)`. Giving
        back is a plea: the holder ends one of its connections after its message and calls `release` for it.
        """
        if self.try_acquire(request):
            return [request], []
        self._waiting.append(request)
        return [], self._pleas(request)

    def release(self, holder: int, ticket: int) -> list[Request]:
        """Give a lease back, or stop waiting for it; returns the requests that are granted by it."""
        granted = self._granted.pop((holder, ticket), None)
        if granted is None:
            self._waiting = deque(r for r in self._waiting if (r.holder, r.ticket) != (holder, ticket))
            return []
        self._count(granted, -1)
        return self._serve_waiting()

    def holder_gone(self, holder: int) -> list[Request]:
        """Forget a worker that ended: all it held and all it waited for; returns what that grants to others."""
        self._waiting = deque(r for r in self._waiting if r.holder != holder)
        for key in [key for key in self._granted if key[0] == holder]:
            self._count(self._granted.pop(key), -1)
        return self._serve_waiting()

    def taken(self, name: str) -> int:
        """How many leases are held under a name."""
        limit = self._limits.get(name)
        return limit.taken if limit else 0

    def _has_room(self, limits: Limits) -> bool:
        return all(not maximum or self.taken(name) < maximum for name, maximum in limits)

    def _grant(self, request: Request) -> None:
        self._granted[request.holder, request.ticket] = request
        self._count(request, 1)

    def _count(self, request: Request, count: int) -> None:
        for name, _ in request.limits:
            limit = self._limits.setdefault(name, _Limit())
            limit.take(request.holder, count)
            if not limit.taken:
                del self._limits[name]

    def _serve_waiting(self) -> list[Request]:
        """Grant what has room now: the worker that holds least goes first, then the order of asking."""
        granted: list[Request] = []
        while True:
            possible = [request for request in self._waiting if self._has_room(request.limits)]
            if not possible:
                return granted
            best = min(possible, key=self._held_at_the_tightest)
            self._waiting.remove(best)
            self._grant(best)
            granted.append(best)

    def _held_at_the_tightest(self, request: Request) -> int:
        return max((self._held(name, request.holder) for name, maximum in request.limits if maximum), default=0)

    def _held(self, name: str, holder: int) -> int:
        limit = self._limits.get(name)
        return limit.by_holder.get(holder, 0) if limit else 0

    def _pleas(self, request: Request) -> list[tuple[int, str]]:
        """Whom to ask to give one back: under each full limit the largest holder, if it has over its fair share."""
        pleas = []
        for name, maximum in request.limits:
            limit = self._limits.get(name)
            if not maximum or limit is None or limit.taken < maximum:
                continue
            wanting = {waiting.holder for waiting in self._waiting if (name, maximum) in waiting.limits}
            share = max(1, maximum // len(wanting | set(limit.by_holder)))
            largest = max(limit.by_holder, key=limit.by_holder.__getitem__)
            if self._held(name, request.holder) < share < limit.by_holder[largest] and largest != request.holder:
                pleas.append((largest, name))
        return pleas
