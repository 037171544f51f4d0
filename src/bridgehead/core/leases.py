"""Connection limits that hold over all worker processes of a server: who may open one more.

A limit is a name and a maximum: `("connector Internet via ISP", 20)`. A worker asks for a lease under several
limits at once and gets it when all of them have room. The supervisor owns one `Leases` for all workers.

Two kinds of asking: `try_acquire` is answered at once (inbound sessions: over the limit is 421), `request` waits
in order of asking (outbound connections). So that no worker with mail starves beside one that keeps its connections
busy for ever, a waiting worker that holds less than its fair share makes the largest holder give one back: at once if
that one has more than its share, else when it can spare it.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import NamedTuple, TypeAlias

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


class Plea(NamedTuple):
    """A holder shall give one lease back under a limit."""

    holder: int
    name: str
    is_urgent: bool
    """It has more than its fair share: after the present message. Else once it is idle, or has had its turn."""


@dataclass(slots=True)
class _Limit:
    """What is taken under one name, and who waits for it. Changed by `Leases` alone."""

    taken: int = 0
    by_holder: dict[int, int] = field(default_factory=dict)
    waiting: dict[int, dict[int, Request]] = field(default_factory=dict)
    """By holder and ticket, in order of asking."""

    @property
    def is_unused(self) -> bool:
        """Whether it can be forgotten."""
        return not self.taken and not self.waiting

    def add_waiting(self, request: Request) -> None:
        """Put a request at the end of its holder's line."""
        self.waiting.setdefault(request.holder, {})[request.ticket] = request

    def drop_waiting(self, request: Request) -> None:
        """Take a request out of its holder's line."""
        line = self.waiting[request.holder]
        del line[request.ticket]
        if not line:
            del self.waiting[request.holder]

    def take(self, holder: int, count: int) -> None:
        """Count one more or one less for a holder."""
        self.taken += count
        held = self.by_holder.get(holder, 0) + count
        if held:
            self.by_holder[holder] = held
        else:
            self.by_holder.pop(holder, None)


class Leases:
    """All leases of a server. Mutable; owned by one task, which sends out what the methods return.

    A release looks only at those who wait for a limit that was full, so that thousands of queues may wait.
    """

    def __init__(self) -> None:
        self._limits: dict[str, _Limit] = {}
        self._granted: dict[tuple[int, int], Request] = {}
        self._waiting: dict[tuple[int, int], Request] = {}

    def try_acquire(self, request: Request) -> bool:
        """Take a lease if there is room now; never waits."""
        if not self._has_room(request.limits):
            return False
        self._grant(request)
        return True

    def request(self, request: Request) -> tuple[list[Request], list[Plea]]:
        """Take a lease or wait for it.

        Returns the requests granted now, and who shall give one back. The holder ends one of its connections and
        calls `release` for it.
        """
        if self.try_acquire(request):
            return [request], []
        self._waiting[_key(request)] = request
        for name, _ in request.limits:
            self._limits.setdefault(name, _Limit()).add_waiting(request)
        return [], self._pleas(request)

    def release(self, holder: int, ticket: int) -> list[Request]:
        """Give a lease back, or stop waiting for it; returns the requests that are granted by it."""
        waiting = self._waiting.get((holder, ticket))
        if waiting is not None:
            self._wait_no_more(waiting)
            return []
        granted = self._granted.get((holder, ticket))
        return [] if granted is None else self._give_back([granted])

    def holder_gone(self, holder: int) -> list[Request]:
        """Forget a worker that ended: all it held and all it waited for; returns what that grants to others."""
        for request in [request for request in self._waiting.values() if request.holder == holder]:
            self._wait_no_more(request)
        return self._give_back([request for request in self._granted.values() if request.holder == holder])

    def taken(self, name: str) -> int:
        """How many leases are held under a name."""
        limit = self._limits.get(name)
        return limit.taken if limit else 0

    def _has_room(self, limits: Limits) -> bool:
        return all(not maximum or self.taken(name) < maximum for name, maximum in limits)

    def _grant(self, request: Request) -> None:
        self._granted[_key(request)] = request
        for name, _ in request.limits:
            self._limits.setdefault(name, _Limit()).take(request.holder, 1)

    def _give_back(self, requests: list[Request]) -> list[Request]:
        """End these leases, and grant what had to wait for a limit that was full until now."""
        freed: dict[str, None] = {}
        for request in requests:
            del self._granted[_key(request)]
            for name, maximum in request.limits:
                if maximum and self.taken(name) >= maximum:
                    freed[name] = None
                self._limits[name].take(request.holder, -1)
                self._forget_unused(name)
        return [granted for name in freed for granted in self._serve(name)]

    def _serve(self, name: str) -> Iterable[Request]:
        """Grant what waits for a limit and has room now; among workers the one that holds least goes first."""
        while name in self._limits:
            lines = self._limits[name].waiting.values()
            first = [request for line in lines if (request := self._first_with_room(name, line)) is not None]
            if not first:
                return
            best = min(first, key=lambda request: self._held(name, request.holder))
            self._wait_no_more(best)
            self._grant(best)
            yield best

    def _first_with_room(self, name: str, line: dict[int, Request]) -> Request | None:
        taken = self.taken(name)
        for request in line.values():
            if self._has_room(request.limits):
                return request
            if any(limit == name and 0 < maximum <= taken for limit, maximum in request.limits):
                return None  # full for all who wait behind it too
        return None

    def _wait_no_more(self, request: Request) -> None:
        del self._waiting[_key(request)]
        for name, _ in request.limits:
            self._limits[name].drop_waiting(request)
            self._forget_unused(name)

    def _forget_unused(self, name: str) -> None:
        if self._limits[name].is_unused:
            del self._limits[name]

    def _held(self, name: str, holder: int) -> int:
        limit = self._limits.get(name)
        return limit.by_holder.get(holder, 0) if limit else 0

    def _pleas(self, request: Request) -> list[Plea]:
        """Whom to ask: where the asker has less than its share under a full limit, the largest holder there."""
        pleas = []
        for name, maximum in request.limits:
            limit = self._limits[name]
            if not maximum or limit.taken < maximum:
                continue
            share = max(1, maximum // len(limit.waiting.keys() | limit.by_holder.keys()))
            largest = max(limit.by_holder, key=limit.by_holder.__getitem__)
            if self._held(name, request.holder) < share and largest != request.holder:
                pleas.append(Plea(largest, name, limit.by_holder[largest] > share))
        return pleas


def _key(request: Request) -> tuple[int, int]:
    return request.holder, request.ticket
