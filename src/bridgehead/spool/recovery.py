"""Reading a partition at start, and saving what can be read of a damaged one.

A scan reads ids, entries and states in order of arrival, never bodies. Where SQLite says "malformed", or the disk
answers a read with an error, the database is set aside whole and `salvage` copies into a fresh one each message that
can be read still, by SQLite or by `pages`. A database of which the disk gives nothing is left as it is.
"""

from __future__ import annotations

import errno
import os
import sqlite3
import zlib
from collections import deque
from collections.abc import Iterable, Iterator, Sequence
from contextlib import closing
from pathlib import Path
from typing import Final, TypeAlias, TypeVar

from bridgehead.spool.disk import Disk, Value, gives_anything, is_damage
from bridgehead.spool.pages import Pages
from bridgehead.spool.quarantine import UNREAD, Quarantine
from bridgehead.spool.schema import DamagedError, connect_owner, connect_reader, open_entry

ScannedRow: TypeAlias = tuple[int, bytes, dict[int, bytes]]
"""Message id, sealed entry, sealed states by ordinal."""

_T = TypeVar("_T")
_BATCH: Final = 200
_ID_MAX: Final = (1 << 63) - 1
_GAP_MIN: Final = 1 << 21
"""A gap of ids that is not searched any further: what can arrive within a millisecond (see `core.queue_id`)."""
_PROBES_MAX: Final = 4_000
"""A few seconds of searching at most; wide gaps are found with the first dozens."""


def scan(connection: sqlite3.Connection, after: int = -1) -> Iterator[ScannedRow]:
    """Every message beyond the id `after`; `sqlite3.DatabaseError` where the file is damaged."""
    messages = connection.execute("SELECT id, entry FROM message WHERE id > ? ORDER BY id", (after,))
    states = connection.execute(
        "SELECT message, ordinal, state FROM recipient_state WHERE message > ? ORDER BY message, ordinal", (after,)
    )
    state = states.fetchone()
    for message_id, entry in messages:
        own: dict[int, bytes] = {}
        while state is not None and state[0] <= message_id:
            if state[0] == message_id:
                own[state[1]] = state[2]
            state = states.fetchone()
        yield message_id, entry, own


def open_or_salvage(path: Path, quarantine: Quarantine) -> sqlite3.Connection:
    """Open a partition for writing; a damaged one that cannot be opened is set aside, and a fresh one begun."""
    if _ready(path).exists():
        _take_over(path)
    try:
        return connect_owner(path)
    except sqlite3.DatabaseError as error:
        if not is_damage(error):
            raise
        return salvage(path, quarantine, str(error))


def salvage(path: Path, quarantine: Quarantine, reason: str) -> sqlite3.Connection:
    """Set a copy of the database aside, replace it by a fresh one with all that can be read, and open that.

    A crash at any point leaves either the damaged database, to be salvaged again, or the fresh one, complete.
    `OSError` where the disk gives nothing: then it is the disk that has to be mended, not the database.
    """
    if not gives_anything(path):
        raise OSError(errno.EIO, os.strerror(errno.EIO))
    files = [file for file in (path, path.with_name(path.name + "-wal")) if file.exists()]
    aside = quarantine.add_files(path.stem, f"damaged database: {reason}", files)
    building = path.with_suffix(".fresh")
    for suffix in ("", "-wal", "-shm"):
        building.with_name(building.name + suffix).unlink(missing_ok=True)
    fresh = connect_owner(building)
    try:
        _copy_all(aside, path.name, fresh, quarantine)
    finally:
        fresh.close()
    building.rename(_ready(path))
    Disk().sync_folder(path.parent)
    _take_over(path)
    return connect_owner(path)


def _ready(path: Path) -> Path:
    return path.with_suffix(".ready")


def _take_over(path: Path) -> None:
    """Put the salvaged database in place of the damaged one, whose log must not be applied to it."""
    for suffix in ("-wal", "-shm"):
        path.with_name(path.name + suffix).unlink(missing_ok=True)
    Disk().sync_folder(path.parent)
    _ready(path).rename(path)
    Disk().sync_folder(path.parent)


def _copy_all(aside: Path, name: str, fresh: sqlite3.Connection, quarantine: Quarantine) -> None:
    """What SQLite reaches, and then what only its pages show.

    A log with gaps is not for SQLite, which would take the database as it was before the first of them, with messages
    that have long been sent.
    """
    has_gaps = (aside / f"{name}-wal{UNREAD}").exists()
    fresh.execute("BEGIN IMMEDIATE")
    copied = set() if has_gaps else _copy_from_sqlite(aside / name, fresh)
    with closing(Pages(aside / name, log_has_gaps=has_gaps)) as pages:
        _copy_from_pages(pages, fresh, copied, quarantine)
    fresh.execute("COMMIT")


def _copy_from_sqlite(source: Path, fresh: sqlite3.Connection) -> set[int]:
    """Copy what SQLite reaches; returns the ids."""
    try:
        damaged = connect_reader(source)
    except sqlite3.DatabaseError:
        return set()
    with closing(damaged):
        return {number for number in _batched(fresh, readable_ids(damaged)) if _copy(damaged, fresh, number)}


def _copy(damaged: sqlite3.Connection, fresh: sqlite3.Connection, message_id: int) -> bool:
    """Copy one message with its states, if all of it can be read and is as it was written."""
    query = "SELECT id, entry, body FROM message WHERE id = ?"
    try:
        row = damaged.execute(query, (message_id,)).fetchone()
        query = "SELECT message, ordinal, state FROM recipient_state WHERE message = ?"
        states = damaged.execute(query, (message_id,)).fetchall()
    except sqlite3.DatabaseError:
        return False
    if row is None or not _is_whole(row[1], row[2]):
        return False
    _insert(fresh, row, states)
    return True


def _copy_from_pages(pages: Pages, fresh: sqlite3.Connection, copied: set[int], quarantine: Quarantine) -> None:
    """Copy what is not among `copied`, or set aside what is left of it.

    A state that cannot be read leaves its recipient fresh: a second copy for some is better than none.
    """
    states: dict[int, list[tuple[int, int, bytes]]] = {}
    for state in pages.states():
        if state[0] not in copied:
            states.setdefault(state[0], []).append(state)
    damaged: dict[int, dict[str, bytes]] = {}
    for row in _batched(fresh, pages.messages()):
        if row[0] in copied:
            continue
        if _is_whole(row[1], row[2]):
            copied.add(row[0])
            _insert(fresh, row, states.get(row[0], []))
        else:
            damaged[row[0]] = {"entry": row[1], "body": row[2] or b""}
    for message_id, parts in damaged.items():
        if message_id not in copied:
            quarantine.add(message_id, "what is left in the database is not what was written", parts)


def _batched(fresh: sqlite3.Connection, items: Iterable[_T]) -> Iterator[_T]:
    """The items; what is written for so many of them is one transaction."""
    for number, item in enumerate(items, 1):
        yield item
        if number % _BATCH == 0:
            fresh.execute("COMMIT")
            fresh.execute("BEGIN IMMEDIATE")


def _is_whole(entry: object, body: object) -> bool:
    """Whether the parts of a row are what was written; a body's file is looked at when it is loaded."""
    try:
        opened = open_entry(entry)
    except DamagedError:
        return False
    return bool(opened.file) or (isinstance(body, bytes) and zlib.crc32(body) == opened.checksum)


def _insert(fresh: sqlite3.Connection, row: Sequence[Value], states: Sequence[Sequence[Value]]) -> None:
    fresh.execute("INSERT OR IGNORE INTO message VALUES (?, ?, ?)", row)
    fresh.executemany("INSERT OR IGNORE INTO recipient_state VALUES (?, ?, ?)", states)


def read_parts(connection: sqlite3.Connection, message_id: int) -> dict[str, bytes]:
    """What can be read of a message, for the quarantine."""
    parts: dict[str, bytes] = {}
    for part in ("entry", "body"):
        try:
            row = connection.execute(
                f"SELECT CAST({part} AS BLOB) FROM message WHERE id = ?", (message_id,)
            ).fetchone()
        except sqlite3.DatabaseError:
            continue
        if row is not None and row[0] is not None:
            parts[part] = row[0]
    return parts


def readable_ids(connection: sqlite3.Connection) -> list[int]:
    """Ids of all messages on pages that can be read, in order.

    From the low end up to the first damaged page, from the high end down to the last one; the gap between is halved
    and searched in the same way, wide gaps first, until it is too narrow to hold another page or enough was tried.
    """
    found: set[int] = set()
    gaps = deque([(-1, _ID_MAX)])
    probes = 0
    while gaps and probes < _PROBES_MAX:
        probes += 1
        low, high = gaps.popleft()
        upward, is_whole = _until_damage(
            connection, "SELECT id FROM message WHERE id > ? AND id < ? ORDER BY id", low, high
        )
        found.update(upward)
        if is_whole:
            continue
        downward, _ = _until_damage(
            connection, "SELECT id FROM message WHERE id > ? AND id < ? ORDER BY id DESC", low, high
        )
        found.update(downward)
        low = upward[-1] if upward else low
        high = downward[-1] if downward else high
        if high - low > _GAP_MIN:
            middle = (low + high) // 2
            gaps += [(low, middle + 1), (middle, high)]
    return sorted(found)


def _until_damage(connection: sqlite3.Connection, query: str, low: int, high: int) -> tuple[list[int], bool]:
    """The ids that a query gives before it meets a damaged page, and whether it met none."""
    ids: list[int] = []
    try:
        for (message_id,) in connection.execute(query, (low, high)):
            ids.append(message_id)
    except sqlite3.DatabaseError:
        return ids, False
    return ids, True
