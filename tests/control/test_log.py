"""Lines that machines and people read."""

from __future__ import annotations

import json
import logging
import sys

import msgspec
import pytest

from bridgehead.control.log import EventLines, JsonFormatter, ReadableFormatter, is_json, readable, timestamp
from bridgehead.core.tracking import Step, TrackingEvent

FULL = TrackingEvent(
    ts=1_790_000_000.25,
    step=Step.DEFERRED,
    level="warning",
    trace_id="t1",
    queue_id="3CTQ8WM5ZK002",
    message_id="<1@contoso.com>",
    virtual_server="B/V",
    client="192.0.2.7",
    sender="",
    recipient="bob@fabrikam.com",
    connector="Internet via ISP",
    host="mx[192.0.2.1]:25",
    tls="TLSv1.3",
    code=451,
    enhanced="4.7.1",
    reply='say "later"\nplease',
    attempt=2,
    next_attempt=1_790_000_600.5,
    reason="greylisted",
    delay_ms=12,
    decision=msgspec.Raw(b'{"connector":"x"}'),
)


@pytest.mark.parametrize(
    ("seconds", "written"),
    [
        (0.0, "1970-01-01T00:00:00.000Z"),
        (1_790_000_000.25, "2026-09-21T14:13:20.250Z"),
        (1_790_000_000.9999, "2026-09-21T14:13:20.999Z"),
    ],
)
def test_timestamps_are_utc_with_milliseconds(seconds: float, written: str) -> None:
    assert timestamp(seconds) == written


def test_an_event_is_one_json_line_with_the_documented_keys() -> None:
    row, line = EventLines(json=True).encode(FULL)
    assert line == row + b"\n"
    assert line.count(b"\n") == 1
    assert json.loads(line) == {
        "ts": "2026-09-21T14:13:20.250Z",
        "event": "deferred",
        "level": "warning",
        "trace_id": "t1",
        "queue_id": "3CTQ8WM5ZK002",
        "message_id": "<1@contoso.com>",
        "virtual_server": "B/V",
        "client": "192.0.2.7",
        "sender": "",
        "recipient": "bob@fabrikam.com",
        "connector": "Internet via ISP",
        "host": "mx[192.0.2.1]:25",
        "tls": "TLSv1.3",
        "code": 451,
        "enhanced": "4.7.1",
        "reply": 'say "later"\nplease',
        "attempt": 2,
        "next_attempt": "2026-09-21T14:23:20.500Z",
        "reason": "greylisted",
        "delay_ms": 12,
        "decision": {"connector": "x"},
    }


def test_the_second_is_written_anew_when_it_changes() -> None:
    lines = EventLines(json=True)
    times = [5.0, 5.999, 6.0, 4.001]
    written = [json.loads(lines.encode(TrackingEvent(ts=ts, step=Step.HELD))[0])["ts"] for ts in times]
    assert written == [timestamp(ts) for ts in times]


def test_a_readable_line_is_one_line_without_controls() -> None:
    text = readable(FULL)
    assert text.isprintable()
    assert text.startswith("14:13:20.250 warning deferred trace_id=t1 queue_id=3CTQ8WM5ZK002 ")
    assert 'connector="Internet via ISP"' in text
    assert 'sender=""' in text
    assert "next_attempt=2026-09-21T14:23:20.500Z" in text
    assert "\x1b" not in readable(TrackingEvent(ts=1.0, step=Step.REFUSED, reply="\x1b[31mred"))


def test_fields_that_say_nothing_are_left_out() -> None:
    assert readable(TrackingEvent(ts=0.0, step=Step.HELD)) == "00:00:00.000 held"
    row, _ = EventLines(json=False).encode(TrackingEvent(ts=0.0, step=Step.HELD))
    assert json.loads(row) == {"ts": "1970-01-01T00:00:00.000Z", "level": "info", "event": "held"}


def record(message: str, **extra: object) -> logging.LogRecord:
    made = logging.makeLogRecord({"name": "x", "levelname": "WARNING", "msg": message, "created": 1_790_000_000.25})
    made.__dict__.update(extra)
    return made


def test_a_log_record_has_the_shape_of_an_event() -> None:
    line = JsonFormatter().format(record("connector is down", event="connector-down", connector="ISP", secret="no"))
    assert json.loads(line) == {
        "ts": "2026-09-21T14:13:20.250Z",
        "level": "warning",
        "event": "connector-down",
        "connector": "ISP",
        "text": "connector is down",
    }


def test_a_readable_record_shows_text_and_fields() -> None:
    text = ReadableFormatter().format(record("connector is down", event="connector-down", reason="no answer\x07"))
    assert text == '14:13:20.250 warning connector is down reason="no answer?"'


def test_a_stack_trace_stays_within_the_json_line() -> None:
    made = record("unexpected")
    try:
        raise RuntimeError("a defect")
    except RuntimeError:
        made.exc_info = sys.exc_info()
    line = JsonFormatter().format(made)
    assert "\n" not in line
    assert "RuntimeError: a defect" in json.loads(line)["exception"]
    assert "RuntimeError: a defect" in ReadableFormatter().format(made)


def test_a_wish_for_json_goes_before_the_terminal() -> None:
    assert is_json(True)
    assert not is_json(False)
