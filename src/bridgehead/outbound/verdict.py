"""What an attempt, an operator or the clock means for the recipients of a message: new states, reports, events.

Everything that changes a recipient is a `Verdict` first; the recorder makes it durable, and only then events are
written and further steps follow. The functions here are pure.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import Final, TypeAlias, assert_never

import msgspec

from bridgehead.core import queue_id
from bridgehead.core.dsn import delay_report, expired_report, is_wanted, reports_for
from bridgehead.core.dsn_text import Action, Report
from bridgehead.core.envelope import Envelope, Recipient
from bridgehead.core.organization import Delivery
from bridgehead.core.outcome import Deferred, Delivered, Failed, Outcome, Scope
from bridgehead.core.recipient_state import Hold, RecipientState, Standing
from bridgehead.core.reply import Reply
from bridgehead.core.retry import expires_at, held_seconds, message_back_off
from bridgehead.core.tracking import NO_TIME, Step, TrackingEvent
from bridgehead.outbound.entry import Attempt

EXPIRED: Final = Reply(0, "4.4.7", "Delivery time expired")
BOUNCED: Final = Failed(Reply(554, "5.0.0", "Returned by the postmaster of this system"))
EXPIRED_REASON: Final = "expired"
BOUNCED_REASON: Final = "bounced"
CREDENTIALS_REFUSED: Final = "credentials refused"
"""Reasons of events, in the log as they stand here; counted by them."""
_DELIVERED: Final = Standing.DELIVERED


class Circumstances(msgspec.Struct, frozen=True, gc=False):
    """When and where something was decided."""

    now: float
    connector: str = ""
    delivery: Delivery = Delivery()


class Verdict(msgspec.Struct, frozen=True, gc=False):
    """New states by ordinal, the reports that are due to the sender, and the events to write once it is durable."""

    states: Mapping[int, RecipientState]
    reports: tuple[Report, ...] = ()
    events: tuple[TrackingEvent, ...] = ()


def of_outcomes(attempt: Attempt, outcomes: Mapping[int, Outcome], at: Circumstances) -> Verdict:
    """What one transaction, or a dial that failed for good, means."""
    message = attempt.message
    states: dict[int, RecipientState] = {}
    events: list[TrackingEvent] = []
    may_report = False
    for ordinal, outcome in outcomes.items():
        states[ordinal] = state = _after(attempt.state(ordinal), outcome, at)
        recipient = message.envelope.recipients[ordinal]
        events.append(_outcome_event(attempt, recipient, state, outcome, at))
        may_report = may_report or recipient.notify > 0 or isinstance(outcome, Failed)
    reports = reports_for(message.envelope, outcomes, at.now) if may_report else ()
    return Verdict(states, reports, tuple(events))


def of_expiry(attempt: Attempt, ordinals: Iterable[int], at: Circumstances) -> Verdict:
    """These recipients waited too long."""
    states, reports, events = {}, [], []
    for recipient in recipients_of(attempt, ordinals):
        before = attempt.state(recipient.ordinal)
        if is_wanted(attempt.message.envelope, recipient, Action.FAILED):
            reports.append(expired_report(recipient, before))
        states[recipient.ordinal] = msgspec.structs.replace(
            before, standing=Standing.FAILED, enhanced=EXPIRED.enhanced, next_attempt=0.0
        )
        failed = Failed(Reply(before.code, EXPIRED.enhanced, before.text or EXPIRED.text), before.host)
        event = _outcome_event(attempt, recipient, states[recipient.ordinal], failed, at)
        events.append(msgspec.structs.replace(event, reason=EXPIRED_REASON))
    return Verdict(states, tuple(reports), tuple(events))


def of_bounce(attempt: Attempt, ordinals: Iterable[int], at: Circumstances) -> Verdict:
    """An operator returns these recipients to their sender."""
    verdict = of_outcomes(attempt, dict.fromkeys(ordinals, BOUNCED), at)
    events = tuple(msgspec.structs.replace(event, reason=BOUNCED_REASON) for event in verdict.events)
    return Verdict(verdict.states, verdict.reports, events)


def of_delay(attempt: Attempt, ordinals: Iterable[int], at: Circumstances) -> Verdict:
    """These recipients waited so long that the sender should know, once; noted also where no notice is wanted."""
    envelope = attempt.message.envelope
    states, reports = {}, []
    for recipient in recipients_of(attempt, ordinals):
        before = attempt.state(recipient.ordinal)
        states[recipient.ordinal] = msgspec.structs.replace(before, delay_noticed=True)
        if is_wanted(envelope, recipient, Action.DELAYED):
            reports.append(delay_report(recipient, before, expires_at(envelope, before, at.now, at.delivery)))
    return Verdict(states, tuple(reports))


def of_hold(attempt: Attempt, ordinals: Iterable[int], hold: Hold, at: Circumstances, reason: str) -> Verdict:
    """These recipients stand still from now on, and remember the connector they waited for."""

    def after(state: RecipientState) -> RecipientState:
        return msgspec.structs.replace(held(state, hold, at.now), connector=at.connector or state.connector)

    return _changed(attempt, ordinals, at, (Step.HELD, reason, after))


def of_release(attempt: Attempt, ordinals: Iterable[int], at: Circumstances, reason: str) -> Verdict:
    """These recipients move again, at once and by whatever way there is now."""
    return _changed(attempt, ordinals, at, (Step.RELEASED, reason, lambda state: released(state, at.now)))


def of_deletion(attempt: Attempt, ordinals: Iterable[int], at: Circumstances) -> Verdict:
    """An operator deleted these recipients: settled, and nobody is told."""
    reason = "deleted by an operator"
    change = lambda state: msgspec.structs.replace(state, standing=Standing.FAILED, text=reason)  # noqa: E731
    return _changed(attempt, ordinals, at, (Step.DELETED, reason, change))


def merged(verdicts: Iterable[Verdict]) -> Verdict:
    """Verdicts on different recipients of a message as one."""
    states: dict[int, RecipientState] = {}
    reports: tuple[Report, ...] = ()
    events: tuple[TrackingEvent, ...] = ()
    for verdict in verdicts:
        states.update(verdict.states)
        reports += verdict.reports
        events += verdict.events
    return Verdict(states, reports, events)


def held(state: RecipientState, hold: Hold, now: float) -> RecipientState:
    """The state, its clocks standing still from `now`."""
    if state.hold is not Hold.NONE:
        return msgspec.structs.replace(state, hold=hold)
    return msgspec.structs.replace(state, hold=hold, held_since=now)


def released(state: RecipientState, now: float) -> RecipientState:
    """The state, its clocks running again; it forgets its connector, so that no comparison holds it once more."""
    return msgspec.structs.replace(
        state,
        hold=Hold.NONE,
        held_since=0.0,
        held_seconds=held_seconds(state, now),
        next_attempt=0.0,
        connector="",
    )


def recipients_of(attempt: Attempt, ordinals: Iterable[int]) -> list[Recipient]:
    """The recipients with these ordinals."""
    return [attempt.message.envelope.recipients[ordinal] for ordinal in ordinals]


def delay_ms(envelope: Envelope, now: float) -> int:
    """How long ago the message arrived, in milliseconds, never negative."""
    return max(0, round((now - envelope.received_at) * 1000))


def _after(state: RecipientState, outcome: Outcome, at: Circumstances) -> RecipientState:
    """The state of a recipient after an outcome."""
    match outcome:
        case Delivered():
            return RecipientState(_DELIVERED, state.attempts + 1, connector=at.connector, host=outcome.host)
        case Failed():
            free = released(state, at.now)
            return _with_words(free, outcome, at, standing=Standing.FAILED, attempts=state.attempts + 1)
        case Deferred():
            return _after_deferral(state, outcome, at)
        case _:
            assert_never(outcome)


def _after_deferral(state: RecipientState, outcome: Deferred, at: Circumstances) -> RecipientState:
    """Credentials: held. 421: the queue waits, so the message has no time of its own. Else its own back-off."""
    if outcome.scope is Scope.CREDENTIAL:
        return held(_with_words(state, outcome, at, attempts=state.attempts), Hold.CREDENTIAL, at.now)
    if outcome.scope is Scope.HOST and outcome.reply.code == 421:
        return _with_words(state, outcome, at, attempts=state.attempts)
    attempts = state.attempts + 1
    due = at.now + message_back_off(attempts, at.delivery)
    return _with_words(state, outcome, at, attempts=attempts, next_attempt=due)


def _with_words(
    state: RecipientState,
    outcome: Deferred | Failed,
    at: Circumstances,
    *,
    attempts: int,
    standing: Standing = Standing.WAITING,
    next_attempt: float = 0.0,
) -> RecipientState:
    return msgspec.structs.replace(
        state,
        standing=standing,
        attempts=attempts,
        next_attempt=next_attempt,
        connector=at.connector,
        host=outcome.host,
        code=outcome.reply.code,
        enhanced=outcome.reply.enhanced,
        text=outcome.reply.text,
    )


_STEPS: Final = {Delivered: Step.DELIVERED, Failed: Step.FAILED, Deferred: Step.DEFERRED}


def _outcome_event(
    attempt: Attempt, recipient: Recipient, state: RecipientState, outcome: Outcome, at: Circumstances
) -> TrackingEvent:
    envelope = attempt.message.envelope
    is_held = isinstance(outcome, Deferred) and outcome.scope is Scope.CREDENTIAL
    return TrackingEvent(
        ts=at.now,
        step=Step.HELD if is_held else _STEPS[type(outcome)],
        level="info" if isinstance(outcome, Delivered) else "warning",
        trace_id=envelope.trace_id,
        queue_id=queue_id.write(attempt.message.message_id),
        message_id=envelope.message_id,
        sender=envelope.reverse_path,
        recipient=recipient.address,
        size=envelope.size,
        connector=at.connector,
        host=outcome.host,
        tls=outcome.tls if isinstance(outcome, Delivered) else "",
        code=outcome.reply.code,
        enhanced=outcome.reply.enhanced,
        reply=outcome.reply.text,
        attempt=state.attempts,
        next_attempt=state.next_attempt or NO_TIME,
        reason=CREDENTIALS_REFUSED if is_held else "",
        delay_ms=delay_ms(envelope, at.now),
    )


_Change: TypeAlias = tuple[Step, str, Callable[[RecipientState], RecipientState]]


def _changed(attempt: Attempt, ordinals: Iterable[int], at: Circumstances, change: _Change) -> Verdict:
    """The same change for some recipients: step, reason, and the state after it."""
    step, reason, after = change
    ordinals = tuple(ordinals)
    envelope = attempt.message.envelope
    event = TrackingEvent(
        ts=at.now,
        step=step,
        trace_id=envelope.trace_id,
        queue_id=queue_id.write(attempt.message.message_id),
        message_id=envelope.message_id,
        sender=envelope.reverse_path,
        recipient=envelope.recipients[ordinals[0]].address if len(ordinals) == 1 else "",
        recipients=len(ordinals) if len(ordinals) > 1 else 0,
        connector=at.connector,
        reason=reason,
        delay_ms=delay_ms(envelope, at.now),
    )
    return Verdict({ordinal: after(attempt.state(ordinal)) for ordinal in ordinals}, (), (event,))
