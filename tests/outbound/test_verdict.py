"""What an attempt, an operator or the clock means for recipients: states, reports and events, as tables."""

from __future__ import annotations

import msgspec
import pytest

from bridgehead.core import queue_id
from bridgehead.core.dsn_text import Action
from bridgehead.core.organization import Delivery
from bridgehead.core.outcome import Deferred, Delivered, Outcome, Scope
from bridgehead.core.recipient_state import FRESH, Hold, RecipientState, Standing
from bridgehead.core.reply import Reply
from bridgehead.core.tracking import Step
from bridgehead.outbound.verdict import (
    Circumstances,
    Verdict,
    delay_ms,
    merged,
    of_delay,
    of_deletion,
    of_expiry,
    of_hold,
    of_outcomes,
    of_release,
)
from tests.outbound.back_room import NOW, attempt, message
from tests.outbound.fake_channel import CLOSING, LATER, LOGIN, LOST, NO_SUCH_USER, OK

LATE = NOW + 3600
AT = Circumstances(LATE, "ISP", Delivery(retry_seconds=(60.0, 600.0)))
TRIED = RecipientState(attempts=1, next_attempt=LATE - 1, connector="old", host="mx0", code=451, text="busy")
FROZEN = RecipientState(attempts=1, hold=Hold.FROZEN, held_since=LATE - 100, held_seconds=20)


def after(outcome: Outcome, before: RecipientState = FRESH) -> RecipientState:
    return of_outcomes(attempt(message(1, states={0: before})), {0: outcome}, AT).states[0]


# Outcomes

STATES: dict[str, tuple[Outcome, RecipientState, RecipientState]] = {
    "delivered": (
        OK,
        TRIED,
        RecipientState(Standing.DELIVERED, 2, connector="ISP", host=OK.host),
    ),
    "failed": (
        NO_SUCH_USER,
        FRESH,
        RecipientState(
            Standing.FAILED,
            1,
            connector="ISP",
            host=NO_SUCH_USER.host,
            code=550,
            enhanced="5.1.1",
            text="no such user",
        ),
    ),
    "later, for the first time": (
        LATER,
        FRESH,
        RecipientState(
            attempts=1,
            next_attempt=LATE + 60,
            connector="ISP",
            host=LATER.host,
            code=451,
            enhanced="4.7.1",
            text="greylisted",
        ),
    ),
    "the peer closes: the queue waits, the message has no time of its own": (
        CLOSING,
        TRIED,
        RecipientState(
            attempts=1, connector="ISP", host=CLOSING.host, code=421, enhanced="4.3.2", text="shutting down"
        ),
    ),
    "our credentials": (
        LOGIN,
        TRIED,
        RecipientState(
            attempts=1,
            hold=Hold.CREDENTIAL,
            held_since=LATE,
            connector="ISP",
            host=LOGIN.host,
            code=535,
            enhanced="5.7.8",
            text="authentication failed",
        ),
    ),
}


@pytest.mark.parametrize("name", STATES)
def test_the_state_after_an_outcome(name: str) -> None:
    outcome, before, expected = STATES[name]
    assert after(outcome, before) == expected


def test_each_deferral_waits_the_next_retry_time_and_the_last_one_repeats() -> None:
    state, waits = FRESH, list[float]()
    for _ in range(4):
        state = after(LATER, state)
        waits.append(state.next_attempt - LATE)
    assert waits == [60, 600, 600, 600]
    assert state.attempts == 4


def test_a_lost_connection_backs_off_the_message() -> None:
    """A message that makes a host hang up must not keep the others of its queue waiting."""
    state = after(LOST)
    assert (state.attempts, state.next_attempt) == (1, LATE + 60)


def test_a_failure_ends_a_hold_and_keeps_its_length() -> None:
    state = after(NO_SUCH_USER, FROZEN)
    assert (state.hold, state.held_since, state.held_seconds) == (Hold.NONE, 0, 120)


EVENTS: dict[str, tuple[Outcome, Step, str]] = {
    "delivered": (OK, Step.DELIVERED, "info"),
    "failed": (NO_SUCH_USER, Step.FAILED, "warning"),
    "deferred": (LATER, Step.DEFERRED, "warning"),
    "held": (LOGIN, Step.HELD, "warning"),
}


@pytest.mark.parametrize("name", EVENTS)
def test_the_event_of_an_outcome(name: str) -> None:
    outcome, step, level = EVENTS[name]
    (event,) = of_outcomes(attempt(message(7)), {0: outcome}, AT).events
    assert (event.step, event.level, event.ts) == (step, level, LATE)
    assert (event.queue_id, event.trace_id, event.message_id) == (queue_id.write(7), "trace", "<1@x>")
    assert (event.sender, event.recipient, event.connector) == ("alice@contoso.com", "bob@fabrikam.com", "ISP")
    assert (event.code, event.enhanced, event.reply) == (
        outcome.reply.code,
        outcome.reply.enhanced,
        outcome.reply.text,
    )
    assert event.delay_ms == 3_600_000
    assert event.reason == ("credentials refused" if step is Step.HELD else "")


def test_the_event_of_an_outcome_without_a_next_attempt_says_nothing_of_one() -> None:
    for outcome in (OK, NO_SUCH_USER, LOGIN):
        found = attempt(message(1))
        (event,) = of_outcomes(found, {0: outcome}, AT).events
        assert b"next_attempt" not in msgspec.json.encode(event)


def test_the_event_of_a_delivery_says_how_it_was_protected() -> None:
    delivered = Delivered(Reply(250, "2.0.0", "Ok"), "mx", tls="TLSv1.3 verified")
    (event,) = of_outcomes(attempt(message(1)), {0: delivered}, AT).events
    assert event.tls == "TLSv1.3 verified"


@pytest.mark.parametrize(
    ("notify", "outcome", "count"),
    [(-1, OK, 0), (1, OK, 1), (0, NO_SUCH_USER, 0), (-1, NO_SUCH_USER, 1), (2, NO_SUCH_USER, 1), (1, LATER, 0)],
)
def test_a_report_is_due_where_the_sender_wants_one(notify: int, outcome: Outcome, count: int) -> None:
    assert len(of_outcomes(attempt(message(1, notify=notify)), {0: outcome}, AT).reports) == count


def test_the_null_reverse_path_gets_no_report() -> None:
    assert of_outcomes(attempt(message(1, sender="", notify=7)), {0: NO_SUCH_USER}, AT).reports == ()


def test_outcomes_concern_their_recipients_alone() -> None:
    found = attempt(message(1, "a@x.example", "b@x.example", "c@x.example"))
    verdict = of_outcomes(found, {2: NO_SUCH_USER, 0: OK}, AT)
    assert {ordinal: state.standing for ordinal, state in verdict.states.items()} == {
        2: Standing.FAILED,
        0: Standing.DELIVERED,
    }
    assert sorted(event.recipient for event in verdict.events) == ["a@x.example", "c@x.example"]
    assert [report.recipient.address for report in verdict.reports] == ["c@x.example"]


# The clock


def test_expired_mail_fails_and_its_last_words_are_told() -> None:
    verdict = of_expiry(attempt(message(1, states={0: TRIED})), [0], AT)
    assert verdict.states[0] == msgspec.structs.replace(
        TRIED, standing=Standing.FAILED, enhanced="4.4.7", next_attempt=0.0
    )
    (event,) = verdict.events
    assert (event.step, event.reason, event.code, event.enhanced, event.reply) == (
        Step.FAILED,
        "expired",
        451,
        "4.4.7",
        "busy",
    )
    (report,) = verdict.reports
    assert report.action is Action.FAILED


def test_mail_that_expires_untried_says_so() -> None:
    (event,) = of_expiry(attempt(message(1)), [0], AT).events
    assert (event.code, event.reply) == (0, "Delivery time expired")


@pytest.mark.parametrize(("notify", "count"), [(-1, 1), (0, 0), (1, 0), (2, 1), (4, 0)])
def test_expiry_is_reported_to_who_wants_to_know_of_failure(notify: int, count: int) -> None:
    verdict = of_expiry(attempt(message(1, notify=notify)), [0], AT)
    assert len(verdict.reports) == count
    assert verdict.states[0].standing is Standing.FAILED


@pytest.mark.parametrize(("notify", "count"), [(-1, 1), (0, 0), (1, 0), (2, 0), (4, 1)])
def test_a_delay_is_noted_for_all_and_told_to_who_wants_it(notify: int, count: int) -> None:
    verdict = of_delay(attempt(message(1, notify=notify, states={0: TRIED})), [0], AT)
    assert verdict.states[0] == msgspec.structs.replace(TRIED, delay_noticed=True)
    assert len(verdict.reports) == count
    assert all(report.action is Action.DELAYED for report in verdict.reports)


# Operators


def test_a_hold_stops_the_clocks_and_a_second_one_does_not_start_them_anew() -> None:
    verdict = of_hold(attempt(message(1, states={0: FROZEN})), [0], Hold.CONFIGURATION, AT, "no route")
    assert verdict.states[0] == msgspec.structs.replace(FROZEN, hold=Hold.CONFIGURATION, connector=AT.connector)
    verdict = of_hold(attempt(message(1, states={0: TRIED})), [0], Hold.FROZEN, AT, "by an operator")
    assert (verdict.states[0].hold, verdict.states[0].held_since) == (Hold.FROZEN, LATE)
    (event,) = verdict.events
    assert (event.step, event.reason) == (Step.HELD, "by an operator")


def test_a_release_starts_the_clocks_and_forgets_the_way() -> None:
    (state,) = of_release(attempt(message(1, states={0: FROZEN})), [0], AT, "").states.values()
    assert state == RecipientState(attempts=1, held_seconds=120)


def test_a_release_of_what_was_not_held_hastens_it() -> None:
    (state,) = of_release(attempt(message(1, states={0: TRIED})), [0], AT, "").states.values()
    assert (state.next_attempt, state.held_seconds, state.connector) == (0, 0, "")


def test_a_deletion_settles_and_tells_nobody() -> None:
    verdict = of_deletion(attempt(message(1, notify=7)), [0], AT)
    assert verdict.states[0].standing is Standing.FAILED
    assert verdict.reports == ()
    assert [event.step for event in verdict.events] == [Step.DELETED]


@pytest.mark.parametrize(
    ("ordinals", "recipient", "count"), [([1], "b@x.example", 0), ([0, 2], "", 2), ([0, 1, 2], "", 3)]
)
def test_one_event_stands_for_several_recipients(ordinals: list[int], recipient: str, count: int) -> None:
    found = attempt(message(1, "a@x.example", "b@x.example", "c@x.example"))
    (event,) = of_hold(found, ordinals, Hold.FROZEN, AT, "").events
    assert (event.recipient, event.recipients) == (recipient, count)


# Together


def test_verdicts_are_merged_in_their_order() -> None:
    found = attempt(message(1, "a@x.example", "b@x.example"))
    one, other = of_outcomes(found, {0: NO_SUCH_USER}, AT), of_delay(found, [1], AT)
    both = merged([one, other])
    assert both.states == {**one.states, **other.states}
    assert both.reports == one.reports + other.reports
    assert both.events == one.events
    assert merged([]) == Verdict({})


def test_a_delay_is_counted_in_milliseconds_and_never_negative() -> None:
    envelope = message(1).envelope
    assert [delay_ms(envelope, NOW + seconds) for seconds in (0.0014, 1.0, -5.0)] == [1, 1000, 0]


def test_scopes_other_than_421_back_off_alike() -> None:
    for scope in (Scope.HOST, Scope.MESSAGE):
        assert after(Deferred(Reply(451, "4.3.0", ""), scope)).attempts == 1
