"""How the parts that workers answer become one answer."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, Final

import msgspec

from bridgehead.core.statistics import Statistics, add
from bridgehead.outbound.waiting_for import WaitingFor, added


def _concatenate(parts: list[Any]) -> Any:
    """Rows of all workers: `[[row, ...], [row, ...]]` -> `[row, ...]`."""
    return [row for part in parts for row in part]


def _add_numbers(parts: list[Any]) -> Any:
    """`[{"matched": 1}, {"matched": 2}]` -> `{"matched": 3}`."""
    total: dict[str, int] = {}
    for part in parts:
        for key, value in part.items():
            total[key] = total.get(key, 0) + value
    return total


def _statistics(parts: list[Any]) -> Any:
    return add(msgspec.convert(part, Statistics) for part in parts)


def _waiting_for(parts: list[Any]) -> Any:
    return added(one for part in parts for one in msgspec.convert(part, list[WaitingFor]))


MERGES: Final[Mapping[str, Callable[[list[Any]], Any]]] = {
    "statistics": _statistics,
    "queue.list": _concatenate,
    "queue.show": _concatenate,
    "queue.queues": _concatenate,
    "queue.waiting_for": _waiting_for,
    "queue.retry": _add_numbers,
    "queue.hold": _add_numbers,
    "queue.release": _add_numbers,
    "queue.delete": _add_numbers,
    "queue.bounce": _add_numbers,
    "queue.reroute": _add_numbers,
}
"""By verb of the control socket; a verb that is not here concerns no mail (see `process.status`)."""
