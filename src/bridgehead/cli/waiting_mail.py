"""The waiting mail, and what a file would mean for it: asked of the running server, or read from its spool."""

from __future__ import annotations

import heapq
import sqlite3
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import msgspec

from bridgehead.cli.selection import arguments_of
from bridgehead.control.control_socket import ControlError, NotRunningError, call
from bridgehead.core.envelope import MessageId
from bridgehead.core.error import MachineError
from bridgehead.core.link_state import LinkState
from bridgehead.outbound.departure import Departure, departures, leaving
from bridgehead.outbound.listing import Row, Selection, rows_without_server
from bridgehead.outbound.router import Router
from bridgehead.outbound.waiting_for import WaitingFor, waiting_on_disk
from bridgehead.spool.contract import StoredMessage
from bridgehead.spool.read_only import ReadOnlySpool

if TYPE_CHECKING:
    from bridgehead.control.configuration.load import Configuration
    from bridgehead.core.organization import Organization

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


@dataclass(frozen=True, slots=True)
class Foresight:
    """What a configuration that is not in force yet would mean for the mail that waits."""

    source: str
    """Who was asked: `server`, `spool` (there is no server), or `nobody`."""
    departures: tuple[Departure, ...] = ()
    trouble: str = ""
    """Why it is not known."""


def foresee(configuration: Configuration) -> Foresight:
    """What becomes of mail that waits for connectors which this configuration does not use; never raises."""
    state_dir = Path(configuration.node.state_dir)
    try:
        return _from_server_by(configuration, call(state_dir, "server"))
    except NotRunningError:
        pass
    except ControlError as error:
        return Foresight("server", trouble=str(error))
    try:
        return _from_spool_by(configuration)
    except PermissionError:
        return Foresight("nobody", trouble=str(UnreadableError(state_dir)))
    except (OSError, sqlite3.Error) as error:
        return Foresight("nobody", trouble=str(error))


def _from_server_by(configuration: Configuration, server: Any) -> Foresight:
    known = server["connectors"]
    names = leaving([(one["name"], one["enabled"]) for one in known], configuration.organization)
    if not names:
        return Foresight("server")
    down = {one["name"]: one["down_since"] for one in known if not one["up"]}
    links = LinkState(down, frozenset(one["name"] for one in known if one["suspect"]))
    router = Router(configuration.node.server, configuration.organization, links)
    answer = call(Path(configuration.node.state_dir), "queue.waiting_for", connectors=names)
    return Foresight("server", departures(names, msgspec.convert(answer, list[WaitingFor]), router))


def _from_spool_by(configuration: Configuration) -> Foresight:
    state_dir = Path(configuration.node.state_dir)
    if not (state_dir / "spool").is_dir():
        return Foresight("nobody")
    enabled = {one.name for one in configuration.organization.connectors if one.enabled}
    found = waiting_on_disk(ReadOnlySpool(state_dir).entries(), lambda name: name not in enabled)
    router = Router(configuration.node.server, configuration.organization)
    return Foresight("spool", departures([one.connector for one in found], found, router))


def list_mail(
    state_dir: Path, selection: Selection, rows_max: int, organization: Organization | None = None
) -> Listing:
    """What waits of a selection, the oldest first, at most `rows_max` rows.

    `organization`: of the file, where it is known, to say what of it keeps mail if there is no server.

    `MachineError` where there is neither a server nor a spool that may be read.
    """
    rows_max = min(rows_max, ROWS_MAX)
    try:
        return _from_server(state_dir, selection, rows_max)
    except NotRunningError:
        try:
            if not (state_dir / "spool").is_dir():
                raise
            return _from_spool(state_dir, selection, rows_max, organization)
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


def _from_spool(state_dir: Path, selection: Selection, rows_max: int, organization: Organization | None) -> Listing:
    spool = ReadOnlySpool(state_dir)
    count = 0
    seen: set[str] = set()

    def counted() -> Iterator[Row]:
        nonlocal count
        for row in rows_without_server(spool.entries(), selection, time.time(), organization):
            count += 1
            seen.add(row.queue_id)
            yield row

    rows = tuple(heapq.nsmallest(rows_max, counted(), key=_order))
    return Listing(rows, len(seen) - _messages(rows), count > len(rows), is_live=False, damaged=spool.damaged)


def _messages(rows: tuple[Row, ...]) -> int:
    return len({row.queue_id for row in rows})


def _order(row: Row) -> tuple[str, str, float]:
    return row.queue_id, row.connector, row.next_attempt
