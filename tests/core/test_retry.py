"""When retries, delay notices and expiries are due."""

from __future__ import annotations

from itertools import accumulate, pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bridgehead.core.envelope import Envelope
from bridgehead.core.organization import Delivery
from bridgehead.core.recipient_state import FRESH, Hold, RecipientState
from bridgehead.core.retry import (
    delay_notice_at,
    expires_at,
    held_seconds,
    longest_wait,
    message_back_off,
    queue_back_off,
)

MINUTE = 60.0
HOUR = 3600.0

times = st.floats(min_value=0.001, max_value=1e6)
deliveries = st.builds(
    Delivery,
    glitch_retries=st.integers(0, 10),
    glitch_retry_seconds=times,
    retry_seconds=st.lists(times, min_size=1, max_size=6).map(tuple),
)


def arrived(at: float) -> Envelope:
    """A message that arrived at `at`."""
    return Envelope("alice@contoso.com", (), 100, at, "BRIDGE01/Default")


def test_a_queue_waits_three_glitch_retries_then_ten_ten_ten_and_fifteen_minutes_for_ever() -> None:
    waits = [queue_back_off(rounds, Delivery()) / MINUTE for rounds in range(1, 10)]
    assert waits == [1, 1, 1, 10, 10, 10, 15, 15, 15]


def test_the_time_line_of_a_dead_host_is_that_of_exchange() -> None:
    """t0, then 1, 2, 3 minutes later, then 13, 23, 33, then each quarter of an hour."""
    waits = [queue_back_off(rounds, Delivery()) / MINUTE for rounds in range(1, 9)]
    assert list(accumulate(waits)) == [1, 2, 3, 13, 23, 33, 48, 63]


def test_a_message_that_got_4yz_has_no_glitch_retries() -> None:
    waits = [message_back_off(attempts, Delivery()) / MINUTE for attempts in range(1, 7)]
    assert waits == [10, 10, 10, 15, 15, 15]


@pytest.mark.parametrize("retries", [0, 1, 5])
def test_without_glitch_retries_the_queue_goes_straight_to_the_retry_times(retries: int) -> None:
    delivery = Delivery(glitch_retries=retries, glitch_retry_seconds=7, retry_seconds=(100,))
    assert [queue_back_off(rounds, delivery) for rounds in range(1, retries + 3)] == [7] * retries + [100, 100]


@given(deliveries, st.integers(1, 100))
def test_every_wait_is_one_that_was_configured(delivery: Delivery, number: int) -> None:
    assert queue_back_off(number, delivery) in {delivery.glitch_retry_seconds, *delivery.retry_seconds}
    assert message_back_off(number, delivery) in delivery.retry_seconds


@given(deliveries, st.integers(1, 100))
def test_a_queue_after_its_glitch_retries_waits_like_a_message(delivery: Delivery, number: int) -> None:
    assert queue_back_off(delivery.glitch_retries + number, delivery) == message_back_off(number, delivery)


def test_delay_notice_and_expiry_count_from_arrival() -> None:
    envelope = arrived(1000.0)
    assert delay_notice_at(envelope, FRESH, 5000.0, Delivery()) == 1000.0 + 12 * HOUR
    assert expires_at(envelope, FRESH, 5000.0, Delivery()) == 1000.0 + 48 * HOUR


def test_earlier_holds_lengthen_both_clocks() -> None:
    state = RecipientState(held_seconds=HOUR)
    assert delay_notice_at(arrived(0), state, 99.0, Delivery()) == 13 * HOUR
    assert expires_at(arrived(0), state, 99.0, Delivery()) == 49 * HOUR


@given(
    st.sampled_from([Hold.FROZEN, Hold.CREDENTIAL, Hold.CONFIGURATION]),
    st.lists(st.floats(1000.0, 1e7), min_size=2, max_size=6).map(sorted),
)
def test_while_held_the_time_left_never_shrinks(hold: Hold, instants: list[float]) -> None:
    state = RecipientState(hold=hold, held_since=1000.0, held_seconds=5.0)
    left = [expires_at(arrived(0), state, now, Delivery()) - now for now in instants]
    assert all(later == pytest.approx(earlier) for earlier, later in pairwise(left))


def test_a_clock_that_jumps_back_does_not_shorten_a_hold() -> None:
    state = RecipientState(hold=Hold.FROZEN, held_since=1000.0, held_seconds=5.0)
    assert held_seconds(state, 900.0) == 5.0


def test_longest_wait_is_the_longest_of_all_retry_times() -> None:
    assert longest_wait(Delivery(glitch_retry_seconds=60.0, retry_seconds=(600.0, 900.0, 300.0))) == 900.0
    assert longest_wait(Delivery(glitch_retry_seconds=60.0, retry_seconds=(10.0,))) == 60.0
