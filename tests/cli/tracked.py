"""The story of one message as tracking keeps it, for the tests of `trace` and `queue show`."""

from __future__ import annotations

from pathlib import Path

from bridgehead.control.log import EventLines
from bridgehead.control.tracking_store import TrackingStore
from bridgehead.core import queue_id
from bridgehead.core.routing import Considered, Decision, Route, Routed, Rule, decision_json
from bridgehead.core.tracking import Step, TrackingEvent
from tests.cli.waiting import ARRIVED, FIRST

ONE = queue_id.write(FIRST)
DECISION = Decision(
    Routed(
        (Route("ISP", "BRIDGE01/Default", "smart-hosts", 1), Route("ISP 2", "BRIDGE01/Default", "smart-hosts", 1))
    ),
    (
        Considered("ISP", "*", 1, Rule.KEPT),
        Considered("ISP 2", "*", 1, Rule.KEPT),
        Considered("Slow", "*", 10, Rule.COSTLIER),
        Considered("Small", "*", 1, Rule.SIZE),
    ),
)
EVENTS = (
    TrackingEvent(
        ts=ARRIVED,
        step=Step.RECEIVED,
        queue_id=ONE,
        message_id="<1@contoso.com>",
        virtual_server="BRIDGE01/Default",
        client="192.0.2.7",
        user="app",
        sender="alice@contoso.com",
        recipients=2,
        size=12_288,
    ),
    TrackingEvent(
        ts=ARRIVED + 0.01,
        step=Step.ROUTED,
        queue_id=ONE,
        sender="alice@contoso.com",
        recipients=2,
        connector="ISP",
        decision=decision_json(DECISION),
    ),
    TrackingEvent(
        ts=ARRIVED + 1,
        step=Step.DEFERRED,
        queue_id=ONE,
        sender="alice@contoso.com",
        recipient="bob@fabrikam.com",
        connector="ISP",
        host="mx.isp.example [192.0.2.10]",
        code=451,
        enhanced="4.7.1",
        reply="grey\x1b[2Jlisted",
        attempt=1,
        next_attempt=ARRIVED + 601,
    ),
    TrackingEvent(
        ts=ARRIVED + 601,
        step=Step.DELIVERED,
        queue_id=ONE,
        sender="alice@contoso.com",
        recipient="bob@fabrikam.com",
        connector="ISP",
        host="mx.isp.example [192.0.2.10]",
        tls="TLSv1.3",
        code=250,
        enhanced="2.0.0",
        reply="ok",
        attempt=2,
        delay_ms=601_000,
    ),
    TrackingEvent(
        ts=ARRIVED + 700,
        step=Step.HELD,
        queue_id=ONE,
        sender="alice@contoso.com",
        recipient="carol@fabrikam.com",
        connector="ISP",
        reason="held by an operator",
    ),
)
STORY = f"""\
{ONE}  from alice@contoso.com  <1@contoso.com>
  2026-09-21 14:13:20  received   2 recipients from 192.0.2.7 (account app) at BRIDGE01/Default, 12.0 KiB
  2026-09-21 14:13:20  routed     2 recipients by "ISP"
                                  Goes to the smart hosts of "ISP", from BRIDGE01/Default, total cost 1, \
1 of 2, evenly.
                                  "ISP" (*, cost 1): Takes it.
                                  "ISP 2" (*, cost 1): Takes it.
                                  "Slow" (*, cost 10): Another connector costs less.
                                  "Small" (*, cost 1): It takes only smaller messages.
  2026-09-21 14:13:21  deferred   bob@fabrikam.com by "ISP" to mx.isp.example [192.0.2.10]: 451 4.7.1 \
grey?[2Jlisted; attempt 1; next attempt at 2026-09-21 14:23:21
  2026-09-21 14:23:21  delivered  bob@fabrikam.com by "ISP" to mx.isp.example [192.0.2.10] (TLSv1.3): 250 2.0.0 ok; \
attempt 2; after 10 min 1 s
  2026-09-21 14:25:00  held       carol@fabrikam.com by "ISP": held by an operator
"""
"""What it looks like in UTC."""


def write_events(state_dir: Path, *events: TrackingEvent, worker: int = 0) -> None:
    """Put events into the store of a worker."""
    lines = EventLines(json=True)
    store = TrackingStore(state_dir, worker)
    store.add([(event.ts, event.queue_id, lines.encode(event)[0]) for event in events])
    store.close()
