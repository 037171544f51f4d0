"""The mutable half of a message: how far each recipient has come.

A recipient without a stored state is fresh: ready, never tried. Each change is one durable write; a recipient
is settled exactly once (`DELIVERED` or `FAILED`, never back).
"""

from __future__ import annotations

from enum import IntEnum
from typing import Final

import msgspec


class Standing(IntEnum):
    """Where a recipient stands. The queue's own states (ready, active, retry...) are derived, not stored."""

    WAITING = 0
    DELIVERED = 1
    FAILED = 2

    @property
    def is_settled(self) -> bool:
        """Whether nothing more will happen for the recipient."""
        return self is not _WAITING


_WAITING: Final = Standing.WAITING


class Hold(IntEnum):
    """Why a waiting recipient stands still; its clocks (delay notice, expiry) stand still too."""

    NONE = 0
    FROZEN = 1
    """By an operator, or by a configuration change that would have sent it a weaker way."""
    CREDENTIAL = 2
    """The next hop refused our credentials (530, 535, 538): no attempt mends that."""
    CONFIGURATION = 3
    """No route any more after a change of configuration (unreachable by configuration)."""


class RecipientState(msgspec.Struct, frozen=True, array_like=True):
    """What is stored of one recipient that is no longer fresh."""

    standing: Standing = Standing.WAITING
    attempts: int = 0
    """Finished attempts at message level; counts the retry schedule."""
    next_attempt: float = 0.0
    """Seconds since the epoch; 0: as soon as possible."""
    hold: Hold = Hold.NONE
    held_since: float = 0.0
    """When the present hold began; 0 without one."""
    held_seconds: float = 0.0
    """Length of earlier holds together: expiry and delay notice are later by so much."""
    delay_noticed: bool = False
    """The delay DSN was sent (once only), or none is due for this recipient."""
    connector: str = ""
    """Connector of the last attempt, for listings."""
    host: str = ""
    code: int = 0
    """Reply code of the last attempt, 0 where the fault was none of a reply."""
    enhanced: str = ""
    text: str = ""
    """Why it waits or failed: the peer's words made printable, or ours."""


FRESH = RecipientState()
"""The state of a recipient that has none stored."""
