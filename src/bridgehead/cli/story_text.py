"""How a message's story looks: a line for each event, and under a routing decision a line for each connector.

Pure functions over events as tracking keeps them. Events of a later version may have steps and fields that are not
known here: their word is shown and the fields that are known.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from datetime import datetime
from typing import TYPE_CHECKING, Final

import msgspec

from bridgehead.cli.queue_text import sender_text
from bridgehead.cli.text import count, duration, moment, plain, size
from bridgehead.core.explanation import rule_in_words
from bridgehead.core.routing import SMART_HOSTS, Decision, Held, Route, Routed, Unreachable, Unroutable
from bridgehead.core.tracking import Step

if TYPE_CHECKING:
    from bridgehead.control.trace import Story, TracedEvent

_COLUMN: Final = max(map(len, Step))


def story_text(story: Story) -> str:
    """A head with id, sender and Message-ID, then the events in order of time."""
    sender = next((event["sender"] for event in story.events if "sender" in event), None)
    message_id = next((event["message_id"] for event in story.events if event.get("message_id")), "")
    head = [story.queue_id or "(no message)"]
    if sender is not None:
        head.append(f"from {sender_text(str(sender))}")
    if message_id:
        head.append(plain(str(message_id)))
    return "  ".join(head) + "\n" + events_text(story.events, indent="  ")


def events_text(events: Iterable[TracedEvent], indent: str) -> str:
    """`"  2026-11-24 08:46:31  delivered  bob@… by "ISP" to mx1.example: 250 2.0.0 ok"`, a line each."""
    lines: list[str] = []
    for event in events:
        step = plain(str(event.get("event", "")))
        words = plain(event_text(event))
        lines.append(f"{indent}{moment(_seconds(event.get('ts')))}  {step:<{_COLUMN}}  {words}".rstrip())
        margin = indent + " " * (len(moment(1)) + 2 + _COLUMN + 2)
        lines += [margin + line for line in decision_lines(event.get("decision"))]
    return "\n".join(lines) + "\n" if lines else ""


def event_text(event: Mapping[str, object]) -> str:
    """What happened, without time and step: `'bob@fabrikam.com by "ISP" to mx1.example: 250 2.0.0 ok'`."""
    parts = [_recipients(event), _origin(event), _way(event)]
    text = " ".join(part for part in parts if part)
    reply = " ".join(str(event[name]) for name in ("code", "enhanced", "reply") if event.get(name))
    why = "; ".join(part for part in (reply, str(event.get("reason", ""))) if part)
    text = f"{text}: {why}" if text and why else text or why
    if event.get("attempt"):
        text += f"; attempt {event['attempt']}"
    if event.get("next_attempt"):
        text += f"; next attempt at {moment(_seconds(event['next_attempt']))}"
    if event.get("event") == Step.DELIVERED:
        text += f"; after {_delay(event)}"
    return text


def decision_lines(kept: object) -> list[str]:
    """A routing decision in words: what came of it, then each connector that was looked at, and by which rule."""
    try:
        decision = msgspec.convert(kept, Decision)
    except msgspec.ValidationError:
        return []  # none, or of a later version
    looked_at = (
        f'"{one.connector}" ({one.pattern}, cost {one.cost}): {rule_in_words(one.rule)}'
        for one in decision.considered
    )
    return [plain(line) for line in (_result(decision), *looked_at)]


def _result(decision: Decision) -> str:
    match decision.result:
        case Routed(()):
            return "Goes nowhere."  # no version of ours writes this
        case Routed(routes):
            route = routes[0]
            several = f", 1 of {len(routes)}, evenly" if len(routes) > 1 else ""
            return f"Goes to {_next_hop(route)}, from {route.bridgehead}, total cost {route.total_cost}{several}."
        case Unreachable():
            return "Every connector that serves it is down; it waits for one of them."
        case Held():
            return "No connector serves it, and such mail is held."
        case Unroutable(reply):
            return f"Nothing takes it: {reply}"


def _next_hop(route: Route) -> str:
    if route.next_hop != SMART_HOSTS:
        return route.next_hop
    return f'the smart hosts of "{route.connector or route.bridgehead}"'


def _recipients(event: Mapping[str, object]) -> str:
    if event.get("recipient"):
        return str(event["recipient"])
    number = event.get("recipients")
    return count(number, "recipient") if isinstance(number, int) and number else ""


def _origin(event: Mapping[str, object]) -> str:
    """Who handed it to us, of a message that was received or refused."""
    if event.get("event") not in (Step.RECEIVED, Step.REFUSED):
        return ""
    client = str(event.get("client") or "this machine")
    user = f" (account {event['user']})" if event.get("user") else ""
    at = f" at {event['virtual_server']}" if event.get("virtual_server") else ""
    octets = event.get("size")
    length = f", {size(octets)}" if isinstance(octets, int) and octets else ""
    return f"from {client}{user}{at}{length}"


def _way(event: Mapping[str, object]) -> str:
    connector = f'by "{event["connector"]}"' if event.get("connector") else ""
    host = f"to {event['host']}" if event.get("host") else ""
    tls = f"({event['tls']})" if event.get("tls") else ""
    return " ".join(part for part in (connector, host, tls) if part)


def _delay(event: Mapping[str, object]) -> str:
    """How long it took, of a delivery."""
    milliseconds = event.get("delay_ms", 0)
    number = milliseconds if isinstance(milliseconds, int | float) else 0
    return f"{number:.0f} ms" if number < 1000 else duration(number / 1000)


def _seconds(instant: object) -> float:
    """The time of an event, written `"2026-11-24T08:46:31.250Z"`; 0 where it cannot be read."""
    try:
        return datetime.fromisoformat(str(instant)).timestamp()
    except ValueError:
        return 0.0
