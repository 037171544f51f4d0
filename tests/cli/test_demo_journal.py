"""What an onlooker of the demo is told of the server's log."""

from __future__ import annotations

import json
from typing import Any

import pytest

from bridgehead.cli.demo_journal import Journal, Told
from tests.cli.calling import in_time_zone


def line(event: str, second: int = 0, **fields: Any) -> bytes:
    """A log line."""
    return json.dumps({"ts": f"2026-03-01T09:30:{second:02}.250Z", "event": event, **fields}).encode() + b"\n"


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        (
            line("delivered", recipient="b@b.example", connector="ISP", host="mx", code=250, delay_ms=4),
            '09:30:00  delivered  b@b.example by "ISP" to mx: 250; after 4 ms',
        ),
        (line("rerouted", recipient="b@b.example", connector="ISP"), '09:30:00  rerouted   b@b.example by "ISP"'),
        (
            line("connector-down", connector="ISP"),
            '09:30:00  down       "ISP" is down: every attempt to reach a host of it failed',
        ),
        (line("connector-up", connector="ISP"), '09:30:00  up         "ISP" is up again'),
        (line("failed", recipient="b@b.example", reply="\x1b[2J"), "09:30:00  failed     b@b.example: ?[2J"),
    ],
)
def test_an_event_is_told_in_words(given: bytes, expected: str) -> None:
    with in_time_zone("UTC"):
        assert str(Journal().take(given)) == expected


LONG: dict[str, Any] = {
    "connector": "ISP",
    "host": "mx.example",
    "code": 550,
    "enhanced": "5.1.1",
    "reply": "No such user",
    "attempt": 1,
}


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        (line("delivered", recipient="b@b.example", delay_ms=4, **LONG), 'delivered  b@b.example by "ISP"'),
        (line("failed", recipient="b@b.example", **LONG), "failed     b@b.example: 550 No such user"),
        (line("deferred", recipients=2, reason="no answer", **LONG), None),
        (line("connector-down", connector="ISP"), 'down       "ISP"'),
        (
            line("refused", recipient="b@b.example", client="::1", code=550, reply="No"),
            "refused    b@b.example: 550 No",
        ),
    ],
)
def test_where_there_is_little_room_what_matters_is_told(given: bytes, expected: str | None) -> None:
    told = Journal().take(given)
    assert told is not None
    assert told.line(200) == str(told)
    expected = expected or 'deferred   2 recipients by "ISP": 550 No such user; no answer'
    assert told.line(len(str(told)) - 1) == f"{told.clock}  {expected}"


@pytest.mark.parametrize("given", [line("received"), line("routed"), line("reload"), b"a warning\n", b"\xff\n", b""])
def test_what_each_message_brings_and_what_is_no_event_is_not_told(given: bytes) -> None:
    assert Journal().take(given) is None


def test_frequent_events_of_one_connector_are_told_now_and_then_and_all_are_counted() -> None:
    journal = Journal()
    told = [
        isinstance(journal.take(line("delivered", second, connector=connector, attempt=attempt)), Told)
        for second, connector, attempt in [(0, "A", 1), (1, "A", 1), (1, "B", 1), (2, "A", 2), (4, "A", 1)]
    ]
    assert told == [True, False, True, True, True]
    assert journal.seen == {"delivered": 5}


def test_the_server_is_ready_once_it_says_so() -> None:
    journal = Journal()
    journal.take(line("received"))
    assert not journal.is_ready
    journal.take(line("ready"))
    assert journal.is_ready
