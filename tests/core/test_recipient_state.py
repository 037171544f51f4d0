"""How far a recipient has come: what is settled, what is stored, and what older versions stored."""

from __future__ import annotations

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from bridgehead.core.recipient_state import FRESH, Hold, RecipientState, Standing

SETTLED = {Standing.WAITING: False, Standing.DELIVERED: True, Standing.FAILED: True}


@pytest.mark.parametrize("standing", Standing)
def test_delivered_and_failed_are_settled(standing: Standing) -> None:
    assert standing.is_settled is SETTLED[standing]


def test_the_numbers_that_are_stored_stay() -> None:
    assert {standing.name: int(standing) for standing in Standing} == {"WAITING": 0, "DELIVERED": 1, "FAILED": 2}
    assert {hold.name: int(hold) for hold in Hold} == {"NONE": 0, "FROZEN": 1, "CREDENTIAL": 2, "CONFIGURATION": 3}


def test_the_order_of_stored_fields_stays() -> None:
    assert RecipientState.__struct_fields__[:12] == (
        "standing",
        "attempts",
        "next_attempt",
        "hold",
        "held_since",
        "held_seconds",
        "delay_noticed",
        "connector",
        "host",
        "code",
        "enhanced",
        "text",
    )


def test_a_fresh_recipient_waits_untried_and_may_go_at_once() -> None:
    assert RecipientState(Standing.WAITING, 0, 0.0, Hold.NONE) == FRESH
    assert not FRESH.standing.is_settled
    assert not FRESH.delay_noticed
    assert (FRESH.connector, FRESH.code, FRESH.text) == ("", 0, "")


def test_a_state_of_a_version_with_fewer_fields_is_read() -> None:
    written = msgspec.msgpack.encode([2, 3])
    assert msgspec.msgpack.decode(written, type=RecipientState) == RecipientState(Standing.FAILED, 3)


def test_a_standing_nobody_knows_is_damage_and_not_a_guess() -> None:
    with pytest.raises(msgspec.ValidationError):
        msgspec.msgpack.decode(msgspec.msgpack.encode([9]), type=RecipientState)


STATES = st.builds(
    RecipientState,
    st.sampled_from(Standing),
    st.integers(0, 1000),
    st.floats(0, 1e10),
    st.sampled_from(Hold),
    st.floats(0, 1e10),
    st.floats(0, 1e7),
    st.booleans(),
    st.text(max_size=10),
    st.text(max_size=10),
    st.integers(0, 599),
    st.text(max_size=10),
    st.text(max_size=50),
)


@given(STATES)
def test_what_is_written_is_read(state: RecipientState) -> None:
    assert msgspec.msgpack.decode(msgspec.msgpack.encode(state), type=RecipientState) == state
