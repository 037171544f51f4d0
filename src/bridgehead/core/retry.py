"""When the next attempt, the delay notice and the expiry of waiting mail are due (RFC 5321 4.5.4.1).

Two clocks: trouble with a host backs off its whole queue, glitch retries first; trouble with one message backs off
that message alone and starts with the longer retry times. All times are seconds; instants are seconds since the
epoch, given by the caller.
"""

from __future__ import annotations

from bridgehead.core.envelope import Envelope
from bridgehead.core.organization import Delivery
from bridgehead.core.recipient_state import Hold, RecipientState


def queue_back_off(rounds: int, delivery: Delivery) -> float:
    """How long a queue waits after `rounds` (1 or more) failed rounds in a row.

    First `glitch_retries` short waits, then the retry times; the last one repeats.
    """
    if rounds <= delivery.glitch_retries:
        return delivery.glitch_retry_seconds
    return _retry_time(rounds - delivery.glitch_retries, delivery)


def message_back_off(attempts: int, delivery: Delivery) -> float:
    """How long a recipient waits after `attempts` (1 or more) attempts that ended in 4yz: no glitch retries."""
    return _retry_time(attempts, delivery)


def longest_wait(delivery: Delivery) -> float:
    """The longest time between two attempts, of a queue or of a recipient."""
    return max(delivery.glitch_retry_seconds, *delivery.retry_seconds)


def delay_notice_at(envelope: Envelope, state: RecipientState, now: float, delivery: Delivery) -> float:
    """When the sender is told that a recipient's mail is late. Holds do not count as waiting."""
    return envelope.received_at + delivery.delay_notice_seconds + held_seconds(state, now)


def expires_at(envelope: Envelope, state: RecipientState, now: float, delivery: Delivery) -> float:
    """When a recipient fails because its mail waited too long. Holds do not count as waiting."""
    return envelope.received_at + delivery.expire_seconds + held_seconds(state, now)


def held_seconds(state: RecipientState, now: float) -> float:
    """How long a recipient's clocks stood still up to `now`, the present hold included."""
    if state.hold is Hold.NONE:
        return state.held_seconds
    return state.held_seconds + max(0.0, now - state.held_since)


def _retry_time(number: int, delivery: Delivery) -> float:
    times = delivery.retry_seconds
    return times[min(number, len(times)) - 1]
