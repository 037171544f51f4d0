"""Where is this message? Searching the tracking stores of all workers, beside a running server or without one.

Newest first through all events since an instant; SQLite keeps lines in which every wanted word occurs somewhere, and
only those are decoded and compared. A story is all events of one queue id; an event without one is a story by itself.
"""

from __future__ import annotations

import heapq
import json
import sqlite3
from collections.abc import Iterator
from contextlib import ExitStack, closing
from dataclasses import dataclass
from pathlib import Path
from typing import Final, TypeAlias

from bridgehead.control.tracking_store import earliest_id
from bridgehead.core import queue_id as queue_ids
from bridgehead.spool.schema import connect_reader

STORIES_MAX: Final = 100
CANDIDATES_MAX: Final = 100_000
"""Messages that match some but not yet all criteria: what a search keeps in memory."""

TracedEvent: TypeAlias = dict[str, object]
"""As in the log: `{"ts": "2026-03-01T09:30:00.250Z", "level": "info", "event": "received", …}`."""
NULL_SENDER: Final = "<>"
_Found: TypeAlias = tuple[int, str, bytes]


@dataclass(frozen=True, slots=True)
class Search:
    """What is looked for. A part of an address or word is enough, case is ignored; what is empty is not asked for."""

    sender: str = ""
    """`"<>"`: the null reverse path."""
    recipient: str = ""
    message_id: str = ""
    """A queue id, or a part of the Message-ID header's value."""
    text: str = ""
    """Anywhere in an event."""
    since: float = 0.0
    """Seconds since the epoch."""
    limit: int = STORIES_MAX
    """Stories, the newest."""


@dataclass(frozen=True, slots=True)
class Story:
    """What happened to one message."""

    queue_id: str
    """Empty where none was given: refused before there was a message."""
    events: tuple[TracedEvent, ...]
    dsns: tuple[str, ...] = ()
    """Queue ids of the DSNs that were sent about it."""


def search(state_dir: Path, wanted: Search) -> Iterator[Story]:
    """The newest stories that match, oldest of them first. Reads files; not for the event loop."""
    with ExitStack() as stack:
        stores = [stack.enter_context(closing(store)) for store in _open_stores(state_dir)]
        if queue_ids.read(wanted.message_id) is not None:
            story = _story(stores, wanted.message_id.upper())
            if story.events:
                yield story
            return
        for queue_id, event in reversed(_matching(stores, wanted)):
            yield _story(stores, queue_id) if queue_id else Story("", (event,))


def _matching(stores: list[sqlite3.Connection], wanted: Search) -> list[tuple[str, TracedEvent]]:
    """Queue ids whose events together fulfil all criteria, newest first; an event without one must do so alone."""
    criteria = _criteria(wanted)
    missing: dict[str, set[str]] = {}
    """Criteria not yet fulfilled, by queue id."""
    found: dict[str, TracedEvent] = {}
    for number, queue_id, line in _candidates(stores, list(criteria.values()), wanted.since):
        key = queue_id or f" {number}"
        if key in found:
            continue
        event = _decoded(line)
        left = missing.setdefault(key, set(criteria))
        left -= {name for name, needle in criteria.items() if _fulfils(name, needle, event, line)}
        if not left:
            found[key] = event
        if len(found) >= wanted.limit or len(missing) > CANDIDATES_MAX:
            break
    return [("" if key.startswith(" ") else key, event) for key, event in found.items()]


def _criteria(wanted: Search) -> dict[str, str]:
    """What is asked for, by field."""
    asked = {
        "sender": wanted.sender,
        "recipient": wanted.recipient,
        "message_id": wanted.message_id,
        "text": wanted.text,
    }
    return {name: needle for name, needle in asked.items() if needle}


def _candidates(stores: list[sqlite3.Connection], needles: list[str], since: float) -> Iterator[_Found]:
    """Events in which any of the needles occurs somewhere, newest first; all where there is none."""
    conditions = " OR ".join(["CAST(event AS TEXT) LIKE ? ESCAPE '!'"] * len(needles)) or "1"
    query = f"SELECT id, queue_id, event FROM event WHERE id >= ? AND ({conditions}) ORDER BY id DESC"
    values = (earliest_id(since), *map(_pattern, needles))
    yield from heapq.merge(*(store.execute(query, values) for store in stores), key=lambda found: -found[0])


def _pattern(needle: str) -> str:
    """A LIKE pattern for text inside JSON."""
    if needle == NULL_SENDER:
        return '%"sender":""%'
    escaped = json.dumps(needle, ensure_ascii=False)[1:-1]
    for special in "!%_":
        escaped = escaped.replace(special, f"!{special}")
    return f"%{escaped}%"


def _fulfils(name: str, needle: str, event: TracedEvent, line: bytes) -> bool:
    if name == "text":
        return needle.lower() in line.decode("utf-8", "replace").lower()
    if name == "sender" and needle == NULL_SENDER:
        return event.get("sender") == ""
    return needle.lower() in str(event.get(name, "")).lower()


def _story(stores: list[sqlite3.Connection], queue_id: str) -> Story:
    rows: list[_Found] = []
    for store in stores:
        rows += store.execute("SELECT id, queue_id, event FROM event WHERE queue_id = ?", (queue_id,))
    events = tuple(_decoded(line) for _, _, line in sorted(rows))
    last_words = [str(event.get("reason", "")).rpartition(" ")[2] for event in events if event["event"] == "dsn"]
    return Story(queue_id, events, tuple(word for word in last_words if queue_ids.read(word) is not None))


def _decoded(line: bytes) -> TracedEvent:
    event: TracedEvent = json.loads(line)
    return event


def _open_stores(state_dir: Path) -> Iterator[sqlite3.Connection]:
    for path in sorted((state_dir / "tracking").glob("w*.db")):
        store = connect_reader(path, holds_mail=False)
        store.text_factory = str
        yield store
