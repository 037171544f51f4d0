"""The waiting mail: asked of the running server, or read from the spool where none runs."""

from __future__ import annotations

import heapq
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import msgspec

from bridgehead.cli.selection import arguments_of
from bridgehead.control.control_socket import NotRunningError, call
from bridgehead.core.envelope import MessageId
from bridgehead.core.error import MachineError
from bridgehead.outbound.listing import Row, Selection, rows_without_server
from bridgehead.spool.contract import StoredMessage
from bridgehead.spool.read_only import ReadOnlySpool

ROWS_MAX: Final = 100_000
"""Rows that a server gives at most; each is some hundred octets."""
OFFLINE: Final = "no server runs on {folder}: this is read from its spool, states are derived"


@dataclass(frozen=True, slots=True)
class Listing:
    """Rows in order of arrival."""

    rows: tuple[Row, ...]
    more: int
    """Messages of the selection that are not among the rows."""
    is_cut: bool
    """There is more than the rows tell, be it of the last message."""
    is_live: bool
    """From a running server; otherwise states are derived from the spool."""
    damaged: int = 0
    """Entries that could not be read, where there is no server."""


class UnreadableError(MachineError):
    """This account may neither ask the server nor read the spool."""

    def __init__(self, folder: Path) -> None:
        super().__init__(f"this account may not read {folder}: try again as root, or as the user that serves")


def list_mail(state_dir: Path, selection: Selection, rows_max: int) -> Listing:
    """What waits of a selection, the oldest first, at most `rows_max` rows.

    `MachineError` where there is neither a server nor a spool that may be read.
    """
    rows_max = min(rows_max, ROWS_MAX)
    try:
        return _from_server(state_dir, selection, rows_max)
    except NotRunningError:
        try:
            if not (state_dir / "spool").is_dir():
                raise
            return _from_spool(state_dir, selection, rows_max)
        except PermissionError as error:
            raise UnreadableError(state_dir / "spool") from error


def load_message(state_dir: Path, message_id: MessageId) -> StoredMessage | None:
    """Envelope, content and recorded states of a message; `None`: not there, or not readable for this account."""
    try:
        return ReadOnlySpool(state_dir).load(message_id)
    except PermissionError:
        return None


def _from_server(state_dir: Path, selection: Selection, rows_max: int) -> Listing:
    arguments = arguments_of(selection)
    # Each worker gives so many of its own, the oldest first: the oldest of all are among them.
    answer = call(state_dir, "queue.list", **arguments, limit=min(rows_max + 1, ROWS_MAX))
    found = sorted(msgspec.convert(answer, list[Row]), key=_order)
    rows = tuple(found[:rows_max])
    if len(found) <= rows_max:
        return Listing(rows, 0, is_cut=False, is_live=True)
    counted = call(state_dir, "queue.retry", **arguments, dry_run=True)
    total = counted["messages"] + counted["busy"]
    return Listing(rows, max(0, total - _messages(rows)), is_cut=True, is_live=True)


def _from_spool(state_dir: Path, selection: Selection, rows_max: int) -> Listing:
    spool = ReadOnlySpool(state_dir)
    count = 0
    seen: set[str] = set()

    def counted() -> Iterator[Row]:
        nonlocal count
        for row in rows_without_server(spool.entries(), selection, time.time()):
            count += 1
            seen.add(row.queue_id)
            yield row

    rows = tuple(heapq.nsmallest(rows_max, counted(), key=_order))
    return Listing(rows, len(seen) - _messages(rows), count > len(rows), is_live=False, damaged=spool.damaged)


def _messages(rows: tuple[Row, ...]) -> int:
    return len({row.queue_id for row in rows})


def _order(row: Row) -> tuple[str, str, float]:
    return row.queue_id, row.connector, row.next_attempt
