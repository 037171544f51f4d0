"""Late mail: the delay notice and the expiry, without a timer per message.

Ids are in order of arrival, so a sweep now and then finds what has passed the shortest age since the last sweep. Each
message is looked at once for each age; only what is not due then (its clocks stood still, or its virtual server has
longer times) or what is being sent is remembered to be looked at again. What stands still never expires: when its
time would be over, it raises an alarm instead.

Age goes by the clock on the wall, which may be wrong for a while, and by which a machine may have been off for days.
So nothing is late right after the start or a jump forward: all mail first has the time for one more attempt.
"""

from __future__ import annotations

import asyncio
import heapq
from collections import deque
from collections.abc import Iterator
from typing import Final, Protocol

from bridgehead.core import queue_id
from bridgehead.core.envelope import MessageId
from bridgehead.core.organization import Delivery, Organization
from bridgehead.core.queue_id import earliest_at
from bridgehead.core.recipient_state import Hold
from bridgehead.core.retry import delay_notice_at, expires_at, longest_wait
from bridgehead.core.tracking import Emit, Step, TrackingEvent
from bridgehead.outbound.clocks import Clocks
from bridgehead.outbound.entry import Attempt, Entry
from bridgehead.outbound.index import Index
from bridgehead.outbound.loader import READ_AT_ONCE
from bridgehead.outbound.placement import unsettled
from bridgehead.outbound.queue import Queue
from bridgehead.outbound.recorder import Recorder
from bridgehead.outbound.verdict import Circumstances, Verdict, merged, of_delay, of_expiry
from bridgehead.spool.contract import StoredEntry

SWEEP_SECONDS: Final = 60.0
"""How often late mail is looked for: how late a delay notice or an expiry can be."""
JUMP_SECONDS: Final = 60.0
"""The wall clock was set forward if it went so much further than the steady one between two ticks."""
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

    def __init__(self, post: Post, clocks: Clocks, emit: Emit) -> None:
        self._post = post
        self._clocks = clocks
        self._emit = emit
        self._times = _times(post.organization)
        now, self._steady_then = clocks.wall(), clocks.steady()
        self._wall_then = now
        self._patient_until = self._steady_then + _patience(post.organization)
        self._noticed_before = earliest_at(max(0.0, now - self._notice_age))
        self._expired_before = earliest_at(max(0.0, now - self._expire_age))
        self._ahead_before = MessageId(0)
        """Ids never go back. Where they run ahead of the clock, each is looked at at once, and again at its time."""
        self._next_sweep = self._steady_then
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

    def sweep(self) -> None:
        """Find the messages to look at now. Costs some 50 ns a waiting message, once a minute."""
        now, steady_now = self._clocks.wall(), self._clocks.steady()
        if (now - self._wall_then) - (steady_now - self._steady_then) > JUMP_SECONDS:
            self._patient_until = steady_now + _patience(self._post.organization)
        self._wall_then, self._steady_then = now, steady_now
        if steady_now < self._patient_until:
            return
        due: dict[
            MessageId, None
        ] = {}  # each once: a look is at all parts of a message, and every part may ask for one
        while self._again and self._again[0][0] <= now:
            due[heapq.heappop(self._again)[1]] = None
        if steady_now >= self._next_sweep:
            self._next_sweep = steady_now + SWEEP_SECONDS
            due |= dict.fromkeys(self._found(now))
        if due:
            self._looks.extend(due)
            self._look_due.set()

    def _found(self, now: float) -> Iterator[MessageId]:
        """What has passed an age since the last sweep, and what no sweep will find in time."""
        messages = self._post.index.messages
        notice, expire = earliest_at(now - self._notice_age), earliest_at(now - self._expire_age)
        for since, until in ((self._noticed_before, notice), (self._expired_before, expire)):
            if since < until:
                yield from [one for one in messages if since <= one < until]
        # Not the later of before and now: a clock that was set back comes to these ages once more.
        self._noticed_before, self._expired_before = notice, expire
        newest = next(reversed(messages), MessageId(0))
        ahead = max(earliest_at(now + JUMP_SECONDS), self._ahead_before)
        if newest >= ahead:
            yield from [one for one in messages if one >= ahead]
            self._ahead_before = MessageId(newest + 1)

    async def run(self) -> None:
        """Look at what the sweeps found, one message after the other, and let mail flow meanwhile."""
        looked = 0
        while True:
            while not self._looks:
                self._look_due.clear()
                await self._look_due.wait()
            await self._look(self._looks.popleft())
            looked += 1
            if looked % READ_AT_ONCE == 0:
                await asyncio.sleep(0)

    async def _look(self, message_id: MessageId) -> None:
        for entry, queue in self._post.index.entries_of(message_id):
            if self._post.index.queue_of(entry) is not queue:
                continue
            if entry in queue.active:
                heapq.heappush(self._again, (self._clocks.wall() + BUSY_SECONDS, message_id))
                continue
            self._post.claim(queue, entry)
            attempt = await self._post.read(queue, entry)
            if attempt is not None:
                self._judge(queue, attempt)

    def _judge(self, queue: Queue, attempt: Attempt) -> None:
        """Expire, notify, or raise an alarm; then put the entry back."""
        now = self._clocks.wall()
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


def _patience(organization: Organization) -> float:
    """In so long every message that can be sent was tried once."""
    deliveries = [one.delivery for one in organization.virtual_servers] or [Delivery()]
    return max(longest_wait(delivery) for delivery in deliveries)


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
