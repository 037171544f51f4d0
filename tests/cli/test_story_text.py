"""How events and decisions read."""

from __future__ import annotations

import json
from collections.abc import Iterator

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from bridgehead.cli.story_text import decision_lines, event_text, events_text, story_text
from bridgehead.control.log import EventLines
from bridgehead.control.trace import Story
from bridgehead.core.reply import Reply
from bridgehead.core.routing import Decision, Held, Routed, Unreachable, Unroutable
from tests.cli.calling import in_time_zone
from tests.cli.tracked import EVENTS, ONE, STORY


@pytest.fixture(autouse=True)
def time_zone() -> Iterator[None]:
    """Times are in UTC."""
    with in_time_zone("UTC"):
        yield


def test_story_is_told_event_by_event() -> None:
    lines = EventLines(json=True)
    assert story_text(Story(ONE, tuple(json.loads(lines.encode(event)[0]) for event in EVENTS))) == STORY


@pytest.mark.parametrize(
    ("event", "text"),
    [
        ({"event": "refused", "client": "192.0.2.7", "code": 550, "reply": "no"}, "from 192.0.2.7: 550 no"),
        ({"event": "failed", "recipient": "b@b", "code": 550, "reason": "expired"}, "b@b: 550; expired"),
        ({"event": "dsn", "reason": "failure 01"}, "failure 01"),
        ({"event": "delivered", "recipient": "b@b", "delay_ms": 12}, "b@b; after 12 ms"),
        ({"event": "teleported", "recipient": "b@b", "warp": 9}, "b@b"),
        ({}, ""),
    ],
)
def test_event_reads(event: dict[str, object], text: str) -> None:
    assert event_text(event) == text


@pytest.mark.parametrize(
    ("decision", "lines"),
    [
        (Decision(Held()), ["No connector serves it, and such mail is held."]),
        (Decision(Unreachable(())), ["Every connector that serves it is down; it waits for one of them."]),
        (Decision(Unroutable(Reply(550, "5.4.4", "No route"))), ["Nothing takes it: 550 5.4.4 No route"]),
    ],
)
def test_decision_reads(decision: Decision, lines: list[str]) -> None:
    assert decision_lines(msgspec.json.decode(msgspec.json.encode(decision))) == lines


@pytest.mark.parametrize("kept", [None, 3, {}, {"result": {"type": "beamed"}}, {"result": {"type": "routed"}}])
def test_decision_of_a_later_version_is_left_out(kept: object) -> None:
    assert decision_lines(kept) == []


def test_decision_without_a_route_is_told_all_the_same() -> None:
    assert decision_lines(msgspec.to_builtins(Decision(Routed(())))) == ["Goes nowhere."]


@pytest.mark.parametrize(("number", "words"), [(0, ""), (1, "1 recipient"), (2, "2 recipients")])
def test_recipients_are_counted_in_words(number: int, words: str) -> None:
    assert event_text({"event": "dsn", "recipients": number}) == words


FIELDS = st.sampled_from(
    ["ts", "event", "recipient", "recipients", "size", "code", "attempt", "next_attempt", "decision"]
)
VALUES = st.none() | st.booleans() | st.integers() | st.text() | st.lists(st.integers()) | st.floats()


@given(st.lists(st.dictionaries(FIELDS, VALUES | st.sampled_from(["received", "delivered"]))))
def test_any_event_is_shown_on_lines_that_a_terminal_survives(events: list[dict[str, object]]) -> None:
    assert events_text(events, "").replace("\n", "").isprintable()
