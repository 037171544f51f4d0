"""Idle connections to the hosts of domains: few are kept, so that they take no room from domains that have mail.

A connection is kept for a while because the next message to the same place often comes soon. To a smart host, that
is so; of thousands of domains, most get one message a day, and each idle connection counts against a limit under
which others wait. So a connector keeps those that were used last, a small part of what it may open.
"""

from __future__ import annotations

from collections import deque
from typing import Final, Protocol

from bridgehead.outbound.contract import Destination
from bridgehead.outbound.line import Line

PART: Final = 8
"""One in so many of the connections allowed may be idle in each worker: half of them with four workers."""
UNLIMITED_MAX: Final = 100
"""Idle connections in each worker where no limit is set."""


class IdleOwner(Protocol):
    """The queue of a line."""

    def let_go(self, line: Line, carried: int) -> None:
        """End the line if it is idle and has carried no more since."""
        ...


class IdleLines:
    """The lines of one worker that came to be idle last, by connector and virtual server. Mutable.

    What was taken again, or has ended, keeps its place until its turn to leave comes, and is then passed over.
    """

    def __init__(self) -> None:
        self._kept: dict[tuple[str, str], deque[tuple[IdleOwner, Line, int]]] = {}

    def keep(self, owner: IdleOwner, line: Line, destination: Destination) -> None:
        """A line to the hosts of a domain is idle now; the one that came first leaves if there are too many."""
        kept = self._kept.setdefault((destination.key.connector, destination.key.virtual_server), deque())
        kept.append((owner, line, line.carried))
        while len(kept) > _most(destination):
            first, former, carried = kept.popleft()
            first.let_go(former, carried)


def _most(destination: Destination) -> int:
    limits = [destination.virtual_server.delivery.connections]
    if destination.connector is not None:
        limits.append(destination.connector.limits.connections)
    allowed = min((limit for limit in limits if limit), default=UNLIMITED_MAX * PART)
    return max(1, allowed // PART)
