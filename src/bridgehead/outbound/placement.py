"""Puts recipients where they belong: routes them, groups those that go together, gives the groups to queues.

The one place for it, whether a message was just accepted, was found at start-up, comes back from an attempt, was
released by an operator, or is looked at because links or configuration changed.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Final

from bridgehead.core import queue_id
from bridgehead.core.envelope import Recipient
from bridgehead.core.outcome import Deferred, Failed, Outcome
from bridgehead.core.policy import UNABLE_TO_RELAY
from bridgehead.core.recipient_state import FRESH, Hold, RecipientState, Standing
from bridgehead.core.retry import longest_wait
from bridgehead.core.tracking import Emit, Step, TrackingEvent
from bridgehead.outbound.clocks import Clocks
from bridgehead.outbound.contract import QueueKey
from bridgehead.outbound.entry import Attempt, Entry, Part, waiting_ordinals
from bridgehead.outbound.index import Index
from bridgehead.outbound.listing import absence
from bridgehead.outbound.queue import Queue
from bridgehead.outbound.queues import UNROUTED, Queues
from bridgehead.outbound.recorder import Recorder
from bridgehead.outbound.router import Router, Way
from bridgehead.outbound.verdict import Circumstances, Verdict, delay_ms, merged, of_hold, of_outcomes, of_release
from bridgehead.spool.contract import Body, Remove, StoredEntry, StoredMessage

WEAKER: Final = "the way that is left is less specific or has a weaker TLS level"
NO_ROUTE: Final = "no route any more"
NO_BODY: Final = Body(0, b"")


@dataclass(frozen=True, slots=True)
class Occasion:
    """Why recipients are placed, which decides what may become of those that have no way, or a weaker one."""

    may_refuse: bool = False
    """Just accepted under the organization in force: what nothing takes fails at once. Else it is held."""
    is_first: bool = False
    """The decision is told as `routed`, whatever it is."""
    is_ordered: bool = False
    """An operator wants the way there is now, weaker or not."""


@dataclass(frozen=True, slots=True)
class Site:
    """What placing needs of its surroundings."""

    emit: Emit
    clocks: Clocks
    condemn: Callable[[Queue, Entry, Deferred | Failed], None]
    is_running: Callable[[], bool]


RETURNED: Final = Occasion()
ORDERED: Final = Occasion(is_ordered=True)


class Placement:
    """Places recipients. Mutable only in `router` and `formers`, which the dispatcher replaces."""

    def __init__(self, router: Router, index: Index, queues: Queues, recorder: Recorder, site: Site) -> None:
        self.router = router
        self.formers: dict[str, Router] = {}
        """How mail was routed before a connector was disabled or removed, by its name."""
        self._index = index
        self._queues = queues
        self._recorder = recorder
        self._site = site

    def place_fresh(self, message: StoredMessage, occasion: Occasion) -> None:
        """Place a message that was just accepted. The path every message takes, so the usual case is short."""
        message_id, envelope = message.message_id, message.envelope
        if len(envelope.recipients) == 1:
            way = self.router.way(message_id, envelope, envelope.recipients[0])
            queue = self._queues.get(way.key) if way.key is not None else None
            if queue is not None and not queue.is_backing_off and queue.refusal is None:
                self._index.messages[message_id] = queue
                self._index.keep(message)
                self._emit_routed(message, Step.ROUTED, way, envelope.recipients)
                queue.waiting.add_ready(message_id)
                queue.pump()
                return
        self._index.keep(message)
        self.place(Attempt(message_id, message, ()), None, occasion)

    def place_restored(self, entry: StoredEntry) -> None:
        """Place a message found at start-up; nothing is sent before `pump`."""
        message_id, envelope = entry.message_id, entry.envelope
        if len(envelope.recipients) == 1:
            state = entry.states.get(0, FRESH)
            way = self.router.way(message_id, envelope, envelope.recipients[0])
            if way.key is not None and _is_plain(state, way.key):
                queue = self._queues.get(way.key)
                self._index.messages[message_id] = queue
                if state.next_attempt > self._site.clocks.wall():
                    self._add_later(queue, message_id, state.next_attempt)
                else:
                    queue.waiting.add_ready(message_id)
                return
        message = StoredMessage(message_id, envelope, NO_BODY, entry.states)
        self.place(Attempt(message_id, message, ()), None, RETURNED)

    def place(self, attempt: Attempt, source: Queue | None, occasion: Occasion = RETURNED) -> None:
        """Place the unsettled recipients of an entry that is active in `source` (`None`: it is new here).

        What that changes in their states is made durable first.
        """
        recipients = unsettled(attempt)
        if not recipients:
            self._settle(attempt, source)
            return
        envelope = attempt.message.envelope
        ways = self.router.ways(attempt.message.message_id, envelope, recipients)
        verdict = self._judge(attempt, source, list(zip(recipients, ways, strict=True)), occasion)
        if verdict.states:
            self._index.drop_fresh(attempt.message.message_id)  # what is in memory does not know of the change
            source = source or self._admit_to_limbo(attempt)
            home = source
            self._recorder.record(attempt, verdict, lambda: self.place(attempt, home, occasion))
            return
        groups: dict[tuple[QueueKey, float, Hold], list[int]] = {}
        now = self._site.clocks.wall()
        for recipient, way in zip(recipients, ways, strict=True):
            state = attempt.state(recipient.ordinal)
            due = state.next_attempt if state.next_attempt > now and state.hold is Hold.NONE else 0.0
            groups.setdefault((way.key or UNROUTED, due, state.hold), []).append(recipient.ordinal)
        self._tell(attempt, source, list(zip(recipients, ways, strict=True)), occasion)
        self._distribute(attempt, source, groups)

    def _settle(self, attempt: Attempt, source: Queue | None) -> None:
        """Every recipient of the entry is settled."""
        if source is None:  # found at start-up: the removal was lost, the outcomes were not
            self._recorder.submit([Remove(attempt.message.message_id)], lambda: None)
            return
        source.active.discard(attempt.entry)
        self._index.remove(attempt.entry)
        self._queues.forget_unused(source)

    def _admit_to_limbo(self, attempt: Attempt) -> Queue:
        """A new message needs a place while a change is being written."""
        limbo = self._queues.get(UNROUTED)
        self._index.messages[attempt.message.message_id] = limbo
        limbo.active.add(attempt.entry)
        return limbo

    def _distribute(
        self, attempt: Attempt, source: Queue | None, groups: dict[tuple[QueueKey, float, Hold], list[int]]
    ) -> None:
        message_id = attempt.message.message_id
        if source is not None:
            source.active.discard(attempt.entry)
        queues = [self._queues.get(key) for key, _, _ in groups]
        members = [
            (*ordinals, *self._index.absorb(attempt.entry, queue))
            if not due and hold is Hold.NONE
            else tuple(ordinals)
            for queue, ((_, due, hold), ordinals) in zip(queues, groups.items(), strict=True)
        ]
        old = attempt.entry if source is not None else None
        entries = self._index.put(message_id, old, zip(queues, members, strict=True))
        for queue, entry, (_, due, hold) in zip(queues, entries, groups, strict=True):
            self._add(queue, entry, due, hold)
        if self._site.is_running():
            for queue in queues:
                queue.pump()
        if source is not None:
            self._queues.forget_unused(source)

    def _add(self, queue: Queue, entry: Entry, due: float, hold: Hold) -> None:
        if isinstance(entry, Part):
            entry.is_ready = not due and hold is Hold.NONE
        if hold is not Hold.NONE:
            queue.waiting.held[entry] = hold
        elif due:
            self._add_later(queue, entry, due)
        elif queue.refusal is not None:
            queue.active.add(entry)
            self._site.condemn(queue, entry, queue.refusal)
        else:
            queue.waiting.add_ready(entry)

    def _add_later(self, queue: Queue, entry: Entry, next_attempt: float) -> None:
        queue.add_later(entry, self._site.clocks.instant_of(next_attempt, longest_wait(queue.delivery)))

    def _judge(
        self, attempt: Attempt, source: Queue | None, ways: list[tuple[Recipient, Way]], occasion: Occasion
    ) -> Verdict:
        """What must change in the states before the recipients can be placed; often nothing."""
        refused: dict[int, Outcome] = {}
        held: dict[tuple[Hold, str], list[int]] = {}
        healed = []
        for recipient, way in ways:
            hold = attempt.state(recipient.ordinal).hold
            if recipient.is_refused:
                refused[recipient.ordinal] = Failed(UNABLE_TO_RELAY)
            elif hold is Hold.CONFIGURATION and way.key is not None:
                healed.append(recipient.ordinal)
            elif hold is Hold.NONE and way.key is None:
                if occasion.may_refuse and way.refusal is not None:
                    refused[recipient.ordinal] = Failed(way.refusal)
                else:
                    why = self._why(attempt, source, recipient, NO_ROUTE)
                    held.setdefault((Hold.CONFIGURATION, why), []).append(recipient.ordinal)
            elif hold is Hold.NONE and not occasion.is_ordered and self._is_weaker(attempt, source, recipient):
                why = self._why(attempt, source, recipient, WEAKER)
                held.setdefault((Hold.FROZEN, why), []).append(recipient.ordinal)
        at = Circumstances(self._site.clocks.wall(), source.key.connector if source is not None else "")
        verdicts = [of_outcomes(attempt, refused, at)] if refused else []
        verdicts += [of_hold(attempt, ordinals, hold, at, why) for (hold, why), ordinals in held.items()]
        if healed:
            verdicts.append(of_release(attempt, healed, at, "there is a route again"))
        return merged(verdicts)

    def _why(self, attempt: Attempt, source: Queue | None, recipient: Recipient, words: str) -> str:
        """What is said of a recipient that has to be held: the connector that is gone, if it waited for one."""
        gone = absence(self._former_connector(attempt, source, recipient), self.router.organization)
        return f"{gone}; {words}" if gone else words

    def _former_connector(self, attempt: Attempt, source: Queue | None, recipient: Recipient) -> str:
        """The connector it waited for, empty for none."""
        return source.key.connector if source is not None else attempt.state(recipient.ordinal).connector

    def _is_weaker(self, attempt: Attempt, source: Queue | None, recipient: Recipient) -> bool:
        """Whether the recipient waited for a connector that is gone now, and its way would be a weaker one."""
        name = self._former_connector(attempt, source, recipient)
        if not absence(name, self.router.organization):
            return False
        message = (attempt.message.message_id, attempt.message.envelope)
        former = self.formers.get(name)
        if former is not None:
            return self.router.is_weaker(former, name, message, recipient)
        return self.router.is_weaker_than_before(name, message, recipient)

    def _tell(
        self, attempt: Attempt, source: Queue | None, ways: list[tuple[Recipient, Way]], occasion: Occasion
    ) -> None:
        """One event for each distinct decision that is new."""
        by_way: dict[int, tuple[Way, list[Recipient]]] = {}
        for recipient, way in ways:
            if occasion.is_first or (source is not None and source.key not in (way.key, UNROUTED)):
                by_way.setdefault(id(way), (way, []))[1].append(recipient)
        for way, recipients in by_way.values():
            step = Step.ROUTED if occasion.is_first else Step.REROUTED
            self._emit_routed(attempt.message, step, way, recipients)

    def _emit_routed(self, message: StoredMessage, step: Step, way: Way, recipients: Sequence[Recipient]) -> None:
        envelope = message.envelope
        now = self._site.clocks.wall()
        self._site.emit(
            TrackingEvent(
                ts=now,
                step=step,
                trace_id=envelope.trace_id,
                queue_id=queue_id.write(message.message_id),
                message_id=envelope.message_id,
                sender=envelope.reverse_path,
                recipient=recipients[0].address if len(recipients) == 1 else "",
                recipients=len(recipients) if len(recipients) > 1 else 0,
                connector=way.key.connector if way.key is not None else "",
                delay_ms=delay_ms(envelope, now),
                decision=way.json(),
            )
        )


def _is_plain(state: RecipientState, key: QueueKey) -> bool:
    """Whether a recipient just waits, and for the connector it waited for before, if it was tried."""
    is_free = state.standing is Standing.WAITING and state.hold is Hold.NONE
    return is_free and state.connector in {"", key.connector}


def unsettled(attempt: Attempt) -> tuple[Recipient, ...]:
    """The recipients of an entry that are not settled."""
    recipients = attempt.message.envelope.recipients
    return tuple(
        [
            recipients[ordinal]
            for ordinal in waiting_ordinals(attempt.entry, recipients)
            if not attempt.state(ordinal).standing.is_settled
        ]
    )
