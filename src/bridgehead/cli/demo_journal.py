"""What an onlooker of the demo is told: the server's log lines as events in words, and how often each kind was seen.

Deliveries and deferrals are most of what happens: of each connector one is told now and then, all others are only
counted.
"""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final

import msgspec

from bridgehead.cli.story_text import event_text
from bridgehead.cli.text import plain, width
from bridgehead.core.tracking import Step

UP: Final = "connector-up"
DOWN: Final = "connector-down"
READY: Final = "ready"
FREQUENT_SECONDS: Final = 3.0
"""Between two deliveries, or two deferrals, of one connector that are told."""

COUNTED: Final = frozenset({*Step, UP, DOWN})
_SILENT: Final = frozenset({Step.RECEIVED, Step.ROUTED})
"""Counted only: each message brings one of both."""
_FREQUENT: Final = frozenset({Step.DELIVERED, Step.DEFERRED})
_ANSWER: Final = frozenset({"code", "reply", "reason"})
_GOES_WELL: Final = frozenset({Step.DELIVERED, Step.REROUTED})
_WORDS: Final = {UP: "is up again", DOWN: "is down: every attempt to reach a host of it failed"}


@dataclass(frozen=True, slots=True)
class Told:
    """One event in words."""

    kind: str
    """`"delivered"`, `"rerouted"`, `"connector-down"`, ..."""
    clock: str
    """`"09:30:00"`, of this machine's time zone."""
    words: str
    brief: str = ""
    """What matters most of it, where there is little room; empty: the same."""

    def __str__(self) -> str:
        return self._line(self.words)

    def line(self, columns: int) -> str:
        """The event on one line: all of it if it fits, else what matters most of it."""
        line = str(self)
        return line if width(line) <= columns else self._line(self.brief or self.words)

    def _line(self, words: str) -> str:
        return f"{self.clock}  {self.kind.removeprefix('connector-'):<9}  {words}"


class Journal:
    """Takes log lines in their order. `seen` counts every kind of event."""

    def __init__(self) -> None:
        self.seen: Counter[str] = Counter()
        self.is_ready = False
        """The server said that it listens."""
        self._told_at: dict[tuple[str, str, bool], float] = {}

    def take(self, line: bytes) -> Told | None:
        """Count what a line says; the event in words where it is worth telling."""
        try:
            event = msgspec.json.decode(line, type=dict[str, Any])
        except msgspec.DecodeError:
            return None  # a warning of the configuration, or a trace: no event
        kind = str(event.get("event", ""))
        if kind == READY:
            self.is_ready = True
        if kind not in COUNTED:
            return None
        self.seen[kind] += 1
        seconds = datetime.fromisoformat(str(event["ts"])).timestamp()
        if kind in _SILENT or (kind in _FREQUENT and self._is_told(event, seconds)):
            return None
        clock = time.strftime("%H:%M:%S", time.localtime(seconds))
        if kind in _WORDS:
            connector = f'"{event.get("connector")}"'
            return Told(kind, clock, plain(f"{connector} {_WORDS[kind]}"), plain(connector))
        return Told(kind, clock, plain(event_text(event)), plain(_brief(event)))

    def _is_told(self, event: Mapping[str, Any], now: float) -> bool:
        """Whether one of its like was told lately: same step, same connector, at the first attempt or later."""
        like = (str(event["event"]), str(event.get("connector", "")), event.get("attempt", 1) > 1)
        if now - self._told_at.get(like, 0.0) < FREQUENT_SECONDS:
            return True
        self._told_at[like] = now
        return False


def _brief(event: Mapping[str, Any]) -> str:
    """Whom it concerns, and the way where all goes well, else the answer."""
    kept = {"recipient", "recipients"}
    if event["event"] in _GOES_WELL or not event.get("recipient"):
        kept.add("connector")
    if event["event"] not in _GOES_WELL:
        kept |= _ANSWER
    return event_text({name: value for name, value in event.items() if name in kept})
