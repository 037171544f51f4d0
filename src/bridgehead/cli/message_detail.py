"""All that is known of one waiting message: what the queue says, what the spool holds, what tracking remembers."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterable
from dataclasses import dataclass
from itertools import groupby
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import msgspec

from bridgehead.cli.waiting_mail import load_message
from bridgehead.core import queue_id
from bridgehead.core.header import header_value
from bridgehead.outbound.hand_back import first_octets

if TYPE_CHECKING:
    from bridgehead.control.trace import Story
    from bridgehead.outbound.listing import Row
    from bridgehead.spool.contract import StoredMessage

HEADER_OCTETS: Final = 64 * 1024
"""Read of a message to find its header fields."""
HEADER_FIELDS: Final = ("From", "To", "Cc", "Subject", "Date")


@dataclass(frozen=True, slots=True)
class Detail:
    """One message."""

    queue_id: str
    rows: tuple[Row, ...]
    """Where its recipients wait."""
    message: StoredMessage | None
    """`None`: gone meanwhile, or not readable for this account."""
    header: dict[str, str]
    """`HEADER_FIELDS` that it has, as written: encoded words are not decoded."""
    story: Story | None

    def as_values(self) -> dict[str, Any]:
        """For JSON. Recipients that are settled are in `states` alone."""
        envelope = self.message.envelope if self.message else None
        states = self.message.states if self.message else {}
        return {
            "queue_id": self.queue_id,
            "envelope": _named(envelope) if envelope else None,
            "header": self.header,
            "waiting": self.rows,
            "states": {str(ordinal): _named(state) for ordinal, state in states.items()},
            "events": self.story.events if self.story else (),
        }


def details_of(state_dir: Path, rows: Iterable[Row]) -> list[Detail]:
    """The messages of a listing. Reads the spool and the tracking stores of this machine."""
    return [_detail(state_dir, written, tuple(group)) for written, group in groupby(rows, lambda row: row.queue_id)]


def _detail(state_dir: Path, written: str, rows: tuple[Row, ...]) -> Detail:
    message_id = queue_id.read(written)
    message = load_message(state_dir, message_id) if message_id is not None else None
    head = first_octets(message.body, HEADER_OCTETS) if message else b""
    header = {name: value for name in HEADER_FIELDS if (value := header_value(head, name))}
    return Detail(written, rows, message, header, _story(state_dir, written))


def _story(state_dir: Path, written: str) -> Story | None:
    from bridgehead.control.trace import Search, search

    try:
        return next(search(state_dir, Search(message_id=written)), None)
    except sqlite3.Error:
        return None  # what is shown is about the queue; `trace` says what is wrong with tracking


def _named(record: msgspec.Struct) -> dict[str, Any]:
    """Fields by name, also where the spool keeps them as an array."""
    named = msgspec.structs.asdict(record)
    if "recipients" in named:
        named["recipients"] = [msgspec.structs.asdict(one) for one in named["recipients"]]
    return named
