"""The figures of the running demo: asked of its server now and then, and how fast they grow."""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

import msgspec

from bridgehead.control.control_socket import call
from bridgehead.core.statistics import Statistics

WINDOW: Final = 10
"""Samples that a rate is taken over."""
NO_CONNECTOR: Final = "mailboxes of Contoso"
"""What delivers without a connector."""


@dataclass(frozen=True, slots=True)
class Line:
    """One connector, or the mailboxes."""

    name: str
    is_up: bool
    waiting: int
    delivered: int
    deferred: int
    failed: int


@dataclass(frozen=True, slots=True)
class Figures:
    """One look at the server."""

    at: float
    lines: tuple[Line, ...]
    received: int
    refused: int

    @property
    def waiting(self) -> int:
        """Messages in all queues."""
        return sum(line.waiting for line in self.lines)

    @property
    def delivered(self) -> int:
        """Recipients settled well."""
        return sum(line.delivered for line in self.lines)

    @property
    def deferred(self) -> int:
        """Attempts that ended in a wait."""
        return sum(line.deferred for line in self.lines)

    @property
    def failed(self) -> int:
        """Recipients that were returned."""
        return sum(line.failed for line in self.lines)

    @property
    def down(self) -> tuple[str, ...]:
        """Names of the connectors that are down."""
        return tuple(line.name for line in self.lines if not line.is_up)


def ask(state_dir: Path) -> Figures:
    """Ask the server; blocks. `BridgeheadError` where it does not answer."""
    links = call(state_dir, "links")["connectors"]
    return figures(
        {link["name"]: link["up"] for link in links},
        msgspec.convert(call(state_dir, "statistics"), Statistics),
        time.monotonic(),
    )


def figures(is_up: dict[str, bool], statistics: Statistics, now: float) -> Figures:
    """The figures of each connector, in the order of the configuration, and then of the mailboxes."""
    waiting: dict[str, int] = {}
    for queue in statistics.queues:
        waiting[queue.connector] = waiting.get(queue.connector, 0) + queue.messages
    settled = {(one.connector, one.result): one.count for one in statistics.deliveries}
    lines = tuple(
        Line(
            name or NO_CONNECTOR,
            is_up.get(name, True),
            waiting.get(name, 0),
            *(settled.get((name, result), 0) for result in ("delivered", "deferred", "failed")),
        )
        for name in (*is_up, "")
    )
    return Figures(now, lines, statistics.received, statistics.refused)


@dataclass(slots=True)
class Rates:
    """How fast the figures grow, over the last `WINDOW` looks."""

    _looks: deque[Figures] = field(default_factory=lambda: deque(maxlen=WINDOW))

    def add(self, look: Figures) -> None:
        """Take one more look."""
        self._looks.append(look)

    @property
    def received(self) -> float:
        """Messages accepted a second."""
        return self._growth(lambda look: look.received)

    def delivered(self, name: str) -> float:
        """Recipients delivered a second by one line."""
        return self._growth(lambda look: sum(line.delivered for line in look.lines if line.name == name))

    def _growth(self, count: Callable[[Figures], int]) -> float:
        if len(self._looks) < 2:
            return 0.0
        first, last = self._looks[0], self._looks[-1]
        return (count(last) - count(first)) / max(last.at - first.at, 0.001)
