"""How a connection of a queue comes about: its lease, its dial, and how long that may take while others wait.

Hosts that hang would hold every connection of a connector until they time out, and mail for all others would wait
behind them. So what takes long may hold a part of them only: a dial that is not ready after `SLOW_SECONDS` needs a
place among the slow, and there are half as many of these as connections (`Allowance.request_place`). Where none is
free, the dial is given up; the line stands in the line for a place, and dials anew when it has one, with all the time
there is. Until its queue has found a host that is quick again, further lines ask for their place before they dial.

What answers in time never asks for a place, so this costs nothing while all is well.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Coroutine
from dataclasses import dataclass, field
from math import inf
from typing import Final, Protocol

from bridgehead.core.outcome import Deferred, Scope
from bridgehead.core.reply import Reply
from bridgehead.outbound.allowance import Allowance, limits_of
from bridgehead.outbound.contract import Channel, Destination, Dialer, Unavailable
from bridgehead.outbound.idle import IdleLines
from bridgehead.outbound.line import Line

log: Final = logging.getLogger(__name__)

SLOW_SECONDS: Final = 5.0
"""A dial that takes longer is slow: most hosts are ready within one second, names, TLS and all."""
PLACE_SECONDS: Final = 1.0
"""Where a place is not granted within this, there is none: the supervisor answers within milliseconds."""
_DEFECT: Final = Deferred(Reply(0, "4.3.0", "Internal error; the log has the details"), Scope.HOST)


@dataclass(frozen=True, slots=True)
class Wire:
    """How queues reach the outside."""

    dialer: Dialer
    allowance: Allowance
    spawn: Callable[[Coroutine[None, None, None]], object]
    """Starts a task in the dispatcher's group."""
    clock: Callable[[], float]
    """Seconds that only grow."""
    idle: IdleLines = field(default_factory=IdleLines)


class OpeningOwner(Protocol):
    """The queue of the lines."""

    def wanted(self, line: Line) -> Destination | None:
        """Where to dial now that there is room for the line; `None`: nothing waits for it any more, forget it."""
        ...

    def opened(self, line: Line, destination: Destination, result: Channel | Unavailable) -> None:
        """A dial has ended; the line has its lease still."""
        ...

    def notice(self, when: float) -> None:
        """`Openings.wake` has something to do at `when`."""
        ...


@dataclass(slots=True)
class _Opening:
    """How far one line is."""

    destination: Destination
    place: int = 0
    """Ticket of its place among the slow, or of the request for one; 0 while there is none."""
    has_place: bool = False
    dial: asyncio.Task[None] | None = None
    due: float = inf
    """When a dial without a place has taken too long."""
    is_given_up: bool = False


class Openings:
    """The lines of one queue that are on their way. Mutable; used on the event loop by the queue that owns them."""

    def __init__(self, owner: OpeningOwner, wire: Wire) -> None:
        self._owner = owner
        self._wire = wire
        self._under_way: dict[Line, _Opening] = {}
        self._is_slow = False
        """The last dial took long."""

    def __len__(self) -> int:
        return len(self._under_way)

    def begin(self, line: Line, destination: Destination) -> None:
        """Ask for what the line needs, and dial when it is granted; `OpeningOwner.opened` follows."""
        opening = self._under_way[line] = _Opening(destination)
        if self._is_slow:
            self._ask_for_place(line, opening)
        else:
            self._ask_for_lease(line, opening)

    def end(self, line: Line) -> None:
        """The line is not on its way any more, whatever came of it: its place is free, not its lease."""
        opening = self._under_way.pop(line, None)
        if opening is not None and opening.place:
            self._wire.allowance.release(opening.place)

    def next_due(self) -> float:
        """When `wake` has something to do; infinite: not before another dial."""
        return min((opening.due for opening in self._under_way.values()), default=inf)

    def wake(self, now: float) -> None:
        """Let dials that take long ask for a place, and give up those that got none."""
        for line, opening in self._under_way.items():
            if opening.due > now:
                continue
            opening.due = inf
            self._is_slow = True
            if not opening.place:
                opening.due = now + PLACE_SECONDS
                self._ask_for_place(line, opening)
            elif opening.dial is not None:
                opening.is_given_up = True
                opening.dial.cancel()

    def _ask_for_place(self, line: Line, opening: _Opening) -> None:
        limits = limits_of(opening.destination)
        opening.place = self._wire.allowance.request_place(limits, lambda: self._place_granted(line, opening))

    def _place_granted(self, line: Line, opening: _Opening) -> None:
        opening.has_place = True
        opening.due = inf
        if opening.dial is None:
            self._ask_for_lease(line, opening)

    def _ask_for_lease(self, line: Line, opening: _Opening) -> None:
        limits = limits_of(opening.destination)
        line.ticket = self._wire.allowance.request(limits, lambda: self._granted(line, opening))

    def _granted(self, line: Line, opening: _Opening) -> None:
        """There is room for the line; dial, if anything still waits for it."""
        line.is_granted = True
        destination = self._owner.wanted(line)
        if destination is not None:
            self._wire.spawn(self._dial(line, opening, destination))

    async def _dial(self, line: Line, opening: _Opening, destination: Destination) -> None:
        opening.dial = asyncio.current_task()
        begun = self._wire.clock()
        if not opening.has_place:
            opening.due = begun + SLOW_SECONDS
            self._owner.notice(opening.due)
        try:
            result = await self._wire.dialer.open(destination, line.closed)
        except asyncio.CancelledError:
            if opening.is_given_up:
                self._given_up(line, opening)
            raise
        except Exception:  # the root of a dial: a defect there must not end the dispatcher
            key = destination.key
            log.exception("dialling failed", extra={"connector": key.connector, "next_hop": key.next_hop})
            result = Unavailable(_DEFECT, ())
        self._is_slow = self._wire.clock() - begun > SLOW_SECONDS
        self.end(line)
        self._owner.opened(line, destination, result)

    def _given_up(self, line: Line, opening: _Opening) -> None:
        """Let others have the lease; the line dials anew when it has a place, which may have come just now."""
        opening.is_given_up = False
        opening.dial = None
        if line not in self._under_way:
            return
        self._wire.allowance.release(line.ticket)
        line.ticket = 0
        line.is_granted = False
        if opening.has_place:
            self._ask_for_lease(line, opening)
