"""Tracking events: one frozen value for each step in a message's life (Exchange: message tracking).

An event is written once to the log as a JSON line and once to the tracking store. Fields that say nothing are
left out of both. Addresses and replies of peers are made printable by whoever creates the event.
"""

from __future__ import annotations

from collections.abc import Callable
from enum import StrEnum
from typing import Final, TypeAlias

import msgspec


class Step(StrEnum):
    """What happened."""

    RECEIVED = "received"
    REFUSED = "refused"
    ROUTED = "routed"
    DEFERRED = "deferred"
    REROUTED = "rerouted"
    DELIVERED = "delivered"
    FAILED = "failed"
    DSN = "dsn"
    BADMAIL = "badmail"
    HELD = "held"
    RELEASED = "released"
    DELETED = "deleted"
    DAMAGED = "damaged"


NO_TIME: Final = 0.0
"""The `next_attempt` of an event that has none: msgspec leaves this very object out, and no other zero."""


class TrackingEvent(msgspec.Struct, frozen=True, omit_defaults=True, kw_only=True, rename={"step": "event"}):
    """One step. `ts` is seconds since the epoch; everything but `ts` and `step` may be absent."""

    ts: float
    step: Step
    level: str = "info"
    trace_id: str = ""
    queue_id: str = ""
    message_id: str = ""
    virtual_server: str = ""
    client: str = ""
    user: str = ""
    sender: str | None = None
    """`""` is the null reverse path; `None`: not said in this event."""
    recipient: str = ""
    recipients: int = 0
    """How many, where one event stands for several."""
    size: int = 0
    connector: str = ""
    host: str = ""
    tls: str = ""
    code: int = 0
    enhanced: str = ""
    reply: str = ""
    attempt: int = 0
    next_attempt: float = NO_TIME
    reason: str = ""
    delay_ms: int = 0
    """Milliseconds since the message arrived."""
    decision: msgspec.Raw | None = None
    """The routing decision of a `ROUTED` or `REROUTED` step, as JSON (see `core.routing.Decision`)."""


Emit: TypeAlias = Callable[[TrackingEvent], None]
"""Takes an event; returns at once, never raises. Log and tracking store are behind it."""
