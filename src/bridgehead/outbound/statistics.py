"""What the queue counts: frozen values for status, metrics and the console."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass

from bridgehead.core.link_state import LinkState
from bridgehead.core.queue_id import arrival_seconds
from bridgehead.core.recipient_state import Hold
from bridgehead.core.statistics import DeliveryCount, QueueCount
from bridgehead.outbound.entry import Entry, message_of
from bridgehead.outbound.listing import HELD_AS, QueueState
from bridgehead.outbound.queue import Queue


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
