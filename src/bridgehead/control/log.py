"""Log lines on standard error: JSON where it is no terminal, readable where it is one.

Two kinds of line share one shape, `ts, level, event, ...`: tracking events (written by `control.tracking`) and what
the program says of itself through `logging`. There the text is constant, what varies is passed in `extra`:
`log.warning("connector is down", extra={"event": "connector-down", "connector": name})`.

Secrets never reach a logger. Peers' text is printable before it gets here; JSON escapes what is left, and the
readable form replaces it.
"""

from __future__ import annotations

import logging
import os
import sys
import time
from typing import Final

import msgspec

from bridgehead.core.reply import printable
from bridgehead.core.tracking import TrackingEvent

FIELDS: Final = (
    "event",
    "trace_id",
    "queue_id",
    "message_id",
    "virtual_server",
    "client",
    "sender",
    "recipient",
    "connector",
    "next_hop",
    "host",
    "reason",
)
"""What a log record may carry in `extra`; anything else in it is left out."""
PIPE_LINE_MAX: Final = 4096
"""Octets that several processes may write to one pipe without being mixed up (POSIX PIPE_BUF on Linux)."""

_encode: Final = msgspec.json.Encoder().encode
_LEFT_OUT: Final = frozenset({"ts", "event", "level", "decision"})


def set_up(*, json: bool | None = None, level: int = logging.INFO) -> None:
    """Send this process's log records to standard error. `json`: `None` asks whether that is a terminal."""
    output = logging.StreamHandler(sys.stderr)
    output.setFormatter(JsonFormatter() if is_json(json) else ReadableFormatter())
    root = logging.getLogger()
    root.handlers[:] = [output]
    root.setLevel(level)


def is_json(wish: bool | None) -> bool:
    """Whether lines are JSON: as wished, else where standard error is no terminal."""
    return wish if wish is not None else not os.isatty(2)


def timestamp(seconds: float) -> str:
    """ISO 8601 in UTC with milliseconds: `"2026-03-01T09:30:00.250Z"`."""
    milliseconds = int(seconds * 1000)
    whole = time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime(milliseconds // 1000))
    return f"{whole}.{milliseconds % 1000:03}Z"


class JsonFormatter(logging.Formatter):
    """One JSON object a line."""

    def format(self, record: logging.LogRecord) -> str:
        """`{"ts": …, "level": "warning", "event": "connector-down", "text": "connector is down", …}`."""
        shape: dict[str, object] = {
            "ts": timestamp(record.created),
            "level": record.levelname.lower(),
            "event": "log",
        }
        shape |= _extra(record)
        shape["text"] = record.getMessage()
        if record.exc_info:
            shape["exception"] = self.formatException(record.exc_info)
        return _encode(shape).decode()


class ReadableFormatter(logging.Formatter):
    """For a person at a terminal."""

    def format(self, record: logging.LogRecord) -> str:
        """`09:30:00.250 WARNING connector is down connector="Internet via ISP"`."""
        extra = _extra(record)
        extra.pop("event", None)
        parts = [_clock(record.created), record.levelname.lower(), record.getMessage(), *_pairs(extra)]
        text = printable(" ".join(parts), PIPE_LINE_MAX)
        return f"{text}\n{self.formatException(record.exc_info)}" if record.exc_info else text


class EventLines:
    """Tracking events as lines. Holds the second it wrote last, as many events share one; used by one thread."""

    def __init__(self, *, json: bool) -> None:
        self._json = json
        self._second = -1
        self._written = b""

    def encode(self, event: TrackingEvent) -> tuple[bytes, bytes]:
        """The event as JSON, and as the log line, line end included."""
        encoded = self._encoded(event)
        return encoded, encoded + b"\n" if self._json else readable(event).encode("utf-8", "replace") + b"\n"

    def _encoded(self, event: TrackingEvent) -> bytes:
        # `ts` is the first field: what follows the first comma is all the rest, and always there.
        encoded = _encode(event)
        rest = encoded[encoded.index(b",") :]
        if event.next_attempt:
            written = timestamp(event.next_attempt).encode()
            rest = rest.replace(
                b'"next_attempt":' + _encode(event.next_attempt), b'"next_attempt":"' + written + b'"'
            )
        second, millisecond = divmod(int(event.ts * 1000), 1000)
        if second != self._second:
            self._second = second
            self._written = timestamp(second)[:-4].encode()
        level = b',"level":"info"' if event.level == "info" else b""
        return b'{"ts":"%s%03dZ"%s%s' % (self._written, millisecond, level, rest)


def readable(event: TrackingEvent) -> str:
    """`09:30:00.250 delivered queue_id=3CTQ8WM5ZK002 recipient=bob@fabrikam.com host=… reply="250 ok"`."""
    fields: dict[str, object] = {
        name: value
        for name, default in zip(event.__struct_fields__, _defaults(), strict=True)
        if (value := getattr(event, name)) != default and name not in _LEFT_OUT and name != "step"
    }
    if event.next_attempt:
        fields["next_attempt"] = timestamp(event.next_attempt)
    level = [event.level] if event.level != "info" else []
    return printable(" ".join([_clock(event.ts), *level, event.step.value, *_pairs(fields)]), PIPE_LINE_MAX)


def _defaults() -> tuple[object, ...]:
    required = len(TrackingEvent.__struct_fields__) - len(TrackingEvent.__struct_defaults__)
    return (None,) * required + TrackingEvent.__struct_defaults__


def _extra(record: logging.LogRecord) -> dict[str, object]:
    return {name: value for name in FIELDS if (value := record.__dict__.get(name))}


def _pairs(fields: dict[str, object]) -> list[str]:
    """`["host=mx1", 'reply="mailbox full"']`: quoted where there is a space."""
    texts = [(name, f"{value}".replace("\n", " ")) for name, value in fields.items()]
    return [f'{name}="{text}"' if " " in text or not text else f"{name}={text}" for name, text in texts]


def _clock(seconds: float) -> str:
    return timestamp(seconds)[11:-1]
