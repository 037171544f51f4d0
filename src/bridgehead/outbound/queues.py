"""All queues of a worker, and the one clock that wakes them: no timer per message, none per connection."""

from __future__ import annotations

import heapq
from collections.abc import Iterator
from itertools import count
from math import inf
from typing import Final

from bridgehead.core.organization import Organization
from bridgehead.outbound.contract import QueueKey
from bridgehead.outbound.destination import destination_of
from bridgehead.outbound.opening import Wire
from bridgehead.outbound.queue import Queue, QueueOwner

UNROUTED: Final = QueueKey("", "", "")
"""Key of the queue that holds what nothing serves."""


class Queues:
    """Queues by key. A queue is made when mail comes for it and forgotten when nothing keeps it. Mutable."""

    def __init__(self, organization: Organization, owner: QueueOwner, wire: Wire) -> None:
        self._organization = organization
        self._owner = owner
        self._wire = wire
        self._by_key: dict[QueueKey, Queue] = {}
        self._alarms: list[tuple[float, int, Queue]] = []
        self._order = count()

    def __iter__(self) -> Iterator[Queue]:
        return iter(list(self._by_key.values()))

    def get(self, key: QueueKey) -> Queue:
        """The queue with this key, a new one if need be."""
        queue = self._by_key.get(key)
        if queue is None:
            queue = self._by_key[key] = Queue(key, self._owner, self._wire)
            queue.set_destination(destination_of(key, self._organization))
        return queue

    def find(self, key: QueueKey) -> Queue | None:
        """The queue with this key, if there is one."""
        return self._by_key.get(key)

    def set_organization(self, organization: Organization) -> list[Queue]:
        """Make all destinations anew; returns the queues whose way changed."""
        self._organization = organization
        changed = []
        for queue in self:
            destination = destination_of(queue.key, organization)
            if destination != queue.destination:
                queue.set_destination(destination)
                changed.append(queue)
        return changed

    def wake_at(self, queue: Queue, when: float) -> None:
        """Wake a queue at `when`, which is earlier than what is set for it now."""
        queue.alarm_at = when
        heapq.heappush(self._alarms, (when, next(self._order), queue))

    def next_alarm(self) -> float:
        """The earliest time at which a queue may have to be woken; infinite: none."""
        return self._alarms[0][0] if self._alarms else inf

    def wake(self, now: float) -> None:
        """Wake every queue that is due."""
        while self._alarms and self._alarms[0][0] <= now:
            when, _, queue = heapq.heappop(self._alarms)
            if queue.alarm_at != when:
                continue  # an earlier alarm took its place and set a new one
            queue.alarm_at = inf
            queue.wake(now)
            self.forget_unused(queue)

    def forget_unused(self, queue: Queue) -> None:
        """Forget a queue that nothing keeps."""
        if queue.is_unused and self._by_key.get(queue.key) is queue:
            del self._by_key[queue.key]
