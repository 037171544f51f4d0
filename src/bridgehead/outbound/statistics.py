"""What the queue counts: frozen values for status, metrics and the console."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Final

from bridgehead.core.link_state import LinkState
from bridgehead.core.queue_id import arrival_seconds
from bridgehead.core.recipient_state import Hold
from bridgehead.core.statistics import DeliveryCount, QueueCount
from bridgehead.core.tracking import Step, TrackingEvent
from bridgehead.outbound.entry import Entry, message_of
from bridgehead.outbound.listing import HELD_AS, QueueState
from bridgehead.outbound.queue import Queue
from bridgehead.outbound.verdict import BOUNCED_REASON, CREDENTIALS_REFUSED, EXPIRED_REASON


@dataclass(frozen=True, slots=True)
class QueueStatistics:
    """Gauges of now, and counters since the start."""

    queues: tuple[QueueCount, ...]
    """A message that waits in parts counts once for each."""
    deliveries: tuple[DeliveryCount, ...]
    connections: int
    unconfirmed: int
    """Transactions whose final reply was lost."""
    badmail: int
    """Kept as badmail since the start."""


class Results:
    """Recipients by connector and by what became of them, since the start. Mutable; owned by the recorder.

    `expired` and `bounced` are among `failed`: they say why, where it was no answer of the next hop.
    """

    def __init__(self) -> None:
        self._counts: Counter[tuple[str, str]] = Counter()

    def note(self, event: TrackingEvent) -> None:
        """Count an event that is durable; each but those of outcomes counts nothing."""
        result = _RESULTS.get(event.step)
        if result is None:
            if event.step is Step.HELD and event.reason == CREDENTIALS_REFUSED:
                self._counts[event.connector, "deferred"] += 1
            return
        self._counts[event.connector, result] += 1
        if event.reason in _WHY_FAILED:
            self._counts[event.connector, event.reason] += 1

    def counts(self) -> tuple[DeliveryCount, ...]:
        """In order of connector and result."""
        return tuple(DeliveryCount(*key, count) for key, count in sorted(self._counts.items()))


_RESULTS: Final = {Step.DELIVERED: "delivered", Step.DEFERRED: "deferred", Step.FAILED: "failed"}
_WHY_FAILED: Final = frozenset((EXPIRED_REASON, BOUNCED_REASON))


def queue_counts(queues: Iterable[Queue], link_state: LinkState) -> tuple[QueueCount, ...]:
    """Waiting mail by connector and state. Its cost grows with the entries that do not wait in order."""
    counts: Counter[tuple[str, QueueState]] = Counter()
    oldest: dict[tuple[str, QueueState], float] = {}

    def add(connector: str, state: QueueState, count: int, entries: Iterable[Entry]) -> None:
        first = min(entries, default=None) if count > 0 else None
        if first is not None:
            arrived = arrival_seconds(message_of(first))
            counts[connector, state] += count
            oldest[connector, state] = min(arrived, oldest.get((connector, state), arrived))

    for queue in queues:
        name, waiting = queue.key.connector, queue.waiting
        waiting.tidy()
        word, later = state_of(queue, link_state), QueueState.RETRY
        if word is QueueState.UNREACHABLE:
            later = word
        add(name, word, waiting.ready_count, waiting.first_ready())
        add(name, later, waiting.later_count(), waiting.later())
        add(name, QueueState.ACTIVE, len(queue.active), queue.active)
        for hold, held_as in HELD_AS.items():
            entries = [entry for entry, found in waiting.held.items() if found is hold] if waiting.held else []
            add(name, held_as, len(entries), entries)
    return tuple(
        QueueCount(connector, state, number, oldest[connector, state])
        for (connector, state), number in sorted(counts.items())
    )


def state_of(queue: Queue, link_state: LinkState) -> QueueState:
    """The state of what is ready in a queue."""
    if queue.key.connector and not link_state.is_up(queue.key.connector):
        return QueueState.UNREACHABLE
    return QueueState.RETRY if queue.is_backing_off else QueueState.READY


def state_of_entry(queue: Queue, entry: Entry, link_state: LinkState) -> QueueState:
    """The state of one entry."""
    if entry in queue.active:
        return QueueState.ACTIVE
    hold = queue.waiting.held.get(entry, Hold.NONE)
    return HELD_AS.get(hold) or state_of(queue, link_state)
