"""Queue ids: 63-bit integers that order by arrival, and their short written form.

Layout, high bits first: 42 bits of milliseconds since the epoch (good until the year 2109), 13 bits that count
within a millisecond, 8 bits of the partition that made it. Arrival time can be read back from the id, so the
queue in memory needs no time of arrival of its own.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import lru_cache
from typing import Final

from bridgehead.core.envelope import MessageId

PARTITIONS_MAX: Final = 256
_DIGITS: Final = "0123456789ABCDEFGHJKMNPQRSTVWXYZ"  # Crockford's base 32: no I, L, O, U to misread
_VALUES: Final = {digit: value for value, digit in enumerate(_DIGITS)}
_WRITTEN_LENGTH: Final = 13
RESERVED_SECONDS: Final = 60
"""Ids of so long are reserved at once. After a kill ids run ahead of the clock by no more."""
_RESERVED: Final = RESERVED_SECONDS * 1000 << 13
_PAIRS: Final = tuple(high + low for high in _DIGITS for low in _DIGITS)
"""All pairs of digits."""
_FAMILIAR_MAX: Final = 256
"""Ids whose written form is remembered: that of a message is needed several times within moments."""


class QueueIds:
    """Hands out ids for one partition; never the same twice, never backwards, even if the clock jumps back.

    Owned by one worker. `latest` is the highest id that may have been given before. `reserve` makes an id durable
    that is ahead of those given until it is called again: with it ids stay unique over restarts, too.
    """

    def __init__(
        self, partition: int, latest: int = 0, reserve: Callable[[MessageId], None] = lambda _: None
    ) -> None:
        if not 0 <= partition < PARTITIONS_MAX:
            raise ValueError(f"partition must be 0..{PARTITIONS_MAX - 1}, not {partition}")
        self._partition = partition
        self._last = latest >> 8
        self._reserved = 0
        self._reserve = reserve

    @property
    def latest(self) -> MessageId:
        """The last id that was given."""
        return MessageId(self._last << 8 | self._partition)

    def next(self, now: float) -> MessageId:
        """The next id at `now` (seconds since the epoch)."""
        self._last = max(self._last + 1, int(now * 1000) << 13)
        if self._last > self._reserved:
            self._reserved = self._last + _RESERVED
            self._reserve(MessageId(self._reserved << 8 | self._partition))
        return MessageId(self._last << 8 | self._partition)


def arrival_seconds(message_id: int) -> float:
    """When the message with this id arrived, in seconds since the epoch, to the millisecond."""
    return (message_id >> 21) / 1000


def earliest_at(seconds: float) -> MessageId:
    """The smallest id that a message arriving at `seconds` can have: a bound for range queries."""
    return MessageId(int(seconds * 1000) << 21)


@lru_cache(_FAMILIAR_MAX)
def write(message_id: int) -> str:
    """The form shown to people and in Received lines: 13 characters, `"3CTQ8WM5ZK002"`; sorts like the number."""
    pairs = _PAIRS
    return (
        _DIGITS[message_id >> 60]
        + pairs[message_id >> 50 & 1023]
        + pairs[message_id >> 40 & 1023]
        + pairs[message_id >> 30 & 1023]
        + pairs[message_id >> 20 & 1023]
        + pairs[message_id >> 10 & 1023]
        + pairs[message_id & 1023]
    )


def read(text: str) -> MessageId | None:
    """The id behind a written form, either case; `None` where it is none."""
    if len(text) != _WRITTEN_LENGTH:
        return None
    value = 0
    for character in text.upper():
        digit = _VALUES.get(character)
        if digit is None:
            return None
        value = value << 5 | digit
    return MessageId(value) if value < 1 << 63 else None
