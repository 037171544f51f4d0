"""Tracking events as they are written: one JSON line that says what is known and leaves out what is not."""

from __future__ import annotations

import json

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from bridgehead.core.tracking import Step, TrackingEvent


def written(event: TrackingEvent) -> dict[str, object]:
    found = json.loads(msgspec.json.encode(event))
    assert isinstance(found, dict)
    return found


def test_an_event_that_knows_little_says_little() -> None:
    assert written(TrackingEvent(ts=1.5, step=Step.DAMAGED)) == {"ts": 1.5, "event": "damaged"}


def test_a_line_names_its_fields_as_the_log_does() -> None:
    event = TrackingEvent(ts=1.5, step=Step.DELIVERED, queue_id="0", recipient="b@example.org", code=250, attempt=1)
    assert written(event) == {
        "ts": 1.5,
        "event": "delivered",
        "queue_id": "0",
        "recipient": "b@example.org",
        "code": 250,
        "attempt": 1,
    }


def test_the_null_reverse_path_is_told_from_a_sender_that_is_not_said() -> None:
    assert written(TrackingEvent(ts=0.0, step=Step.DSN, sender=""))["sender"] == ""
    assert "sender" not in written(TrackingEvent(ts=0.0, step=Step.DSN))


def test_only_another_level_than_info_is_said() -> None:
    assert "level" not in written(TrackingEvent(ts=0.0, step=Step.HELD))
    assert written(TrackingEvent(ts=0.0, step=Step.HELD, level="error"))["level"] == "error"


def test_a_decision_stands_in_the_line_as_an_object() -> None:
    event = TrackingEvent(ts=0.0, step=Step.ROUTED, decision=msgspec.Raw(b'{"result":"routed"}'))
    assert written(event)["decision"] == {"result": "routed"}


def test_an_event_is_one_line() -> None:
    event = TrackingEvent(ts=0.0, step=Step.DEFERRED, reply="two\nlines\r\n", reason="\u2028")
    assert b"\n" not in msgspec.json.encode(event)


@pytest.mark.parametrize("step", Step)
def test_a_step_is_one_lower_case_word(step: Step) -> None:
    assert step.value == step.name.lower()
    assert step.value.isalpha()


EVENTS = st.builds(
    TrackingEvent,
    ts=st.floats(0, 1e10),
    step=st.sampled_from(Step),
    level=st.sampled_from(["info", "warning", "error"]),
    sender=st.none() | st.text(max_size=10),
    recipient=st.text(max_size=10),
    recipients=st.integers(0, 9),
    reply=st.text(max_size=20),
    next_attempt=st.floats(0, 1e10),
)


@given(EVENTS)
def test_what_is_written_is_read(event: TrackingEvent) -> None:
    assert msgspec.json.decode(msgspec.json.encode(event), type=TrackingEvent) == event
