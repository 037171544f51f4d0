"""Late mail: the delay notice and the expiry, without a timer per message.

Ids are in order of arrival, so a sweep now and then finds what has passed the shortest age since the last sweep. Each
message is looked at once for each age; only what is not due then (its clocks stood still, or its virtual server has
longer times) or what is being sent is remembered to be looked at again. What stands still never expires: when its
time would be over, it raises an alarm instead.
"""

from __future__ import annotations

import asyncio
import heapq
from collections import deque
from collections.abc import Callable
from typing import Final, Protocol

from bridgehead.core import queue_id
from bridgehead.core.envelope import MessageId
from bridgehead.core.organization import Delivery, Organization
from bridgehead.core.queue_id import earliest_at
from bridgehead.core.recipient_state import Hold
from bridgehead.core.retry import delay_notice_at, expires_at
from bridgehead.core.tracking import Emit, Step, TrackingEvent
from bridgehead.outbound.entry import Attempt, Entry
from bridgehead.outbound.index import Index
from bridgehead.outbound.placement import unsettled
from bridgehead.outbound.queue import Queue
from bridgehead.outbound.recorder import Recorder
from bridgehead.outbound.verdict import Circumstances, Verdict, merged, of_delay, of_expiry
from bridgehead.spool.contract import StoredEntry

SWEEP_SECONDS: Final = 60.0
"""How often late mail is looked for: how late a delay notice or an expiry can be."""
BUSY_SECONDS: Final = 60.0
"""When a message is looked at again that was being sent."""


class Post(Protocol):
    """What the sweep needs of the dispatcher."""

    organization: Organization
    index: Index
    recorder: Recorder

    def claim(self, queue: Queue, entry: Entry) -> None:
        """Take an entry that waits."""
        ...

    async def read(self, queue: Queue, entry: Entry) -> Attempt | None:
        """Load a claimed entry."""
        ...

    def finish(self, queue: Queue, attempt: Attempt) -> None:
        """Place a claimed entry again."""
        ...


class Aging:
    """Looks at messages when they pass an age. Mutable; owned by the dispatcher."""

    def __init__(self, post: Post, clock: Callable[[], float], emit: Emit) -> None:
        self._post = post
        self._clock = clock
        self._emit = emit
        self._times = _times(post.organization)
        now = clock()
        self._noticed_before = earliest_at(max(0.0, now - self._notice_age))
        self._expired_before = earliest_at(max(0.0, now - self._expire_age))
        self._next_sweep = now
        self._again: list[tuple[float, MessageId]] = []
        self._looks: deque[MessageId] = deque()
        self._look_due = asyncio.Event()

    @property
    def _notice_age(self) -> float:
        return min(notice for notice, _ in self._times)

    @property
    def _expire_age(self) -> float:
        return min(expire for _, expire in self._times)

    def set_organization(self, organization: Organization) -> None:
        """Look at every message that is old enough once more, if the times changed."""
        times = _times(organization)
        if times != self._times:
            self._times = times
            self._noticed_before = self._expired_before = MessageId(0)

    def restored(self, entry: StoredEntry) -> None:
        """A message found at start-up: sweeps look forward, so what is older than their start is noted here."""
        if entry.message_id < self._noticed_before:
            heapq.heappush(self._again, (0.0, entry.message_id))

    def released(self, message_id: MessageId) -> None:
        """The clocks of a message run again: look when they next say something."""
        heapq.heappush(self._again, (0.0, message_id))

    def sweep(self, now: float) -> None:
        """Find the messages to look at now. Costs some 50 ns a waiting message, once a minute."""
        due: dict[
            MessageId, None
        ] = {}  # each once: a look is at all parts of a message, and every part may ask for one
        while self._again and self._again[0][0] <= now:
            due[heapq.heappop(self._again)[1]] = None
        if now >= self._next_sweep:
            self._next_sweep = now + SWEEP_SECONDS
            notice, expire = earliest_at(now - self._notice_age), earliest_at(now - self._expire_age)
            for since, until in ((self._noticed_before, notice), (self._expired_before, expire)):
                due |= dict.fromkeys([one for one in self._post.index.messages if since <= one < until])
            self._noticed_before = max(self._noticed_before, notice)
            self._expired_before = max(self._expired_before, expire)
        if due:
            self._looks.extend(due)
            self._look_due.set()

    async def run(self) -> None:
        """Look at what the sweeps found, one message after the other."""
        while True:
            while not self._looks:
                self._look_due.clear()
                await self._look_due.wait()
            await self._look(self._looks.popleft())

    async def _look(self, message_id: MessageId) -> None:
        for entry, queue in self._post.index.entries_of(message_id):
            if self._post.index.queue_of(entry) is not queue:
                continue
            if entry in queue.active:
                heapq.heappush(self._again, (self._clock() + BUSY_SECONDS, message_id))
                continue
            self._post.claim(queue, entry)
            attempt = await self._post.read(queue, entry)
            if attempt is not None:
                self._judge(queue, attempt)

    def _judge(self, queue: Queue, attempt: Attempt) -> None:
        """Expire, notify, or raise an alarm; then put the entry back."""
        now = self._clock()
        delivery = queue.delivery
        expired, late, next_look = [], [], []
        for recipient in unsettled(attempt):
            state = attempt.state(recipient.ordinal)
            expiry = expires_at(attempt.message.envelope, state, now, delivery)
            notice = delay_notice_at(attempt.message.envelope, state, now, delivery)
            if state.hold is not Hold.NONE:
                alarm_at = attempt.message.envelope.received_at + delivery.expire_seconds + state.held_seconds
                if alarm_at <= now:
                    self._emit(_alarm(attempt, queue, state.hold, now))
                else:
                    next_look.append(alarm_at)
            elif expiry <= now:
                expired.append(recipient.ordinal)
            elif not state.delay_noticed and notice <= now:
                late.append(recipient.ordinal)
                next_look.append(expiry)
            else:
                next_look.append(expiry if state.delay_noticed else min(notice, expiry))
        self._look_again(attempt.message.message_id, next_look)
        at = Circumstances(now, queue.key.connector, delivery)
        verdict = merged([of_expiry(attempt, expired, at), of_delay(attempt, late, at)])
        if verdict.states:
            self._record(queue, attempt, verdict)
        else:
            self._post.finish(queue, attempt)

    def _record(self, queue: Queue, attempt: Attempt, verdict: Verdict) -> None:
        self._post.recorder.record(attempt, verdict, lambda: self._post.finish(queue, attempt))

    def _look_again(self, message_id: MessageId, instants: list[float]) -> None:
        """Remember what the sweeps will not find by themselves."""
        for instant in sorted(set(instants)):
            is_found = message_id >= self._expired_before and message_id < earliest_at(instant - self._expire_age + 1)
            if not is_found:
                heapq.heappush(self._again, (instant, message_id))
                return


def _times(organization: Organization) -> frozenset[tuple[float, float]]:
    """The delay notice and expiry times that are in use."""
    deliveries = [one.delivery for one in organization.virtual_servers] or [Delivery()]
    return frozenset((one.delay_notice_seconds, one.expire_seconds) for one in deliveries)


def _alarm(attempt: Attempt, queue: Queue, hold: Hold, now: float) -> TrackingEvent:
    """What is held would have expired by now."""
    envelope = attempt.message.envelope
    return TrackingEvent(
        ts=now,
        step=Step.HELD,
        level="error",
        trace_id=envelope.trace_id,
        queue_id=queue_id.write(attempt.message.message_id),
        message_id=envelope.message_id,
        sender=envelope.reverse_path,
        connector=queue.key.connector,
        reason=f"held ({hold.name.lower()}) for longer than mail may wait; it waits for an operator",
    )
