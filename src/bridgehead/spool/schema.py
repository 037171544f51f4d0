"""The layout of a partition: tables, rows, and how a change becomes a row.

`message` holds an id, the sealed entry (envelope and what is known of the body) and the body, last, so that a scan of
entries does not touch the pages of bodies. A second table for bodies was measured: 20 % more time for insert and
removal of a message of 4 KB, and no faster scan. So were pages of 8, 16 and 32 KB: 20 to 40 % slower.

Each blob of ours is sealed: its CRC-32, then MessagePack. New fields of the records are appended with defaults.

Why the view `change`: Python gives up its interpreter lock once for each statement, and an event loop that is busy
takes up to 5 ms to give it back. A row for each change, all in one `INSERT` into this view, makes a whole batch one
statement and one transaction, in the order of the changes. Against BEGIN, `executemany` and COMMIT, 25 messages took
6 ms instead of 124 ms beside a busy event loop, for 1 microsecond more of a message's 15.
"""

from __future__ import annotations

import sqlite3
import zlib
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from enum import IntEnum
from functools import cache
from pathlib import Path
from typing import Final

import msgspec

from bridgehead.core.envelope import Envelope, MessageId
from bridgehead.core.error import MachineError
from bridgehead.core.recipient_state import RecipientState
from bridgehead.spool.contract import StoredEntry

VERSION: Final = 1
_VERSION_EVER: Final = 1000
"""No layout gets a number beyond: such a one is damage."""
PAGE_BYTES: Final = 4096
WAL_PAGES_MAX: Final = 16_000
"""Where SQLite itself checkpoints within a commit: never, while `Writer` does so after 8 MB."""
_READER_CACHE_KIB: Final = 1024

_TABLES: Final = f"""
    PRAGMA page_size = {PAGE_BYTES};
    PRAGMA auto_vacuum = INCREMENTAL;
    PRAGMA journal_mode = WAL;
    BEGIN IMMEDIATE;
    CREATE TABLE message (id INTEGER PRIMARY KEY, entry BLOB NOT NULL, body BLOB);
    CREATE TABLE recipient_state (
        message INTEGER NOT NULL, ordinal INTEGER NOT NULL, state BLOB NOT NULL, PRIMARY KEY (message, ordinal)
    ) WITHOUT ROWID;
    PRAGMA user_version = {VERSION};
    COMMIT;
"""

_CHANGE_VIEW: Final = """
    CREATE TEMP VIEW change AS SELECT 0 AS message, 0 AS act, 0 AS ordinal, NULL AS content, NULL AS body;
    CREATE TEMP TRIGGER inserted INSTEAD OF INSERT ON change WHEN NEW.act = 1 BEGIN
        INSERT INTO message VALUES (NEW.message, NEW.content, NEW.body);
    END;
    CREATE TEMP TRIGGER updated INSTEAD OF INSERT ON change WHEN NEW.act = 2 BEGIN
        INSERT OR REPLACE INTO recipient_state SELECT NEW.message, NEW.ordinal, NEW.content
        WHERE EXISTS (SELECT 1 FROM message WHERE id = NEW.message);
    END;
    CREATE TEMP TRIGGER removed INSTEAD OF INSERT ON change WHEN NEW.act = 3 BEGIN
        DELETE FROM message WHERE id = NEW.message;
        DELETE FROM recipient_state WHERE message = NEW.message;
    END;
"""


class Act(IntEnum):
    """What a row of the view `change` asks for."""

    NOTHING = 0
    """Fills a statement up to its size."""
    INSERT = 1
    UPDATE = 2
    REMOVE = 3


COLUMNS: Final = 5
"""Of the view `change`: message, act, ordinal, content, body."""
_BLANK: Final = (0, Act.NOTHING.value, 0, None, None)
_STATEMENT_ROWS: Final = (1, 2, 3, 4, 6, 8, 12, 16, 24, 32, 48, 64, 96, 128, 192, 256)
"""Sizes of prepared statements: a statement for each number of rows would fill the cache."""
STATEMENT_ROWS_MAX: Final = _STATEMENT_ROWS[-1]


class Entry(msgspec.Struct, frozen=True, array_like=True):
    """All that is stored of a message but its body and the states of its recipients."""

    envelope: Envelope
    size: int
    """Octets of the body."""
    checksum: int
    """CRC-32 of the body."""
    file: str = ""
    """Name of the body's file; empty: the body is in the row."""


_encode = msgspec.msgpack.Encoder().encode
_decode_entry = msgspec.msgpack.Decoder(Entry).decode
_decode_state = msgspec.msgpack.Decoder(RecipientState).decode


class DamagedError(MachineError):
    """A blob is not what was written; its owner sets it aside."""


def seal(record: Entry | RecipientState) -> bytes:
    """A record as it is stored."""
    encoded = _encode(record)
    return zlib.crc32(encoded).to_bytes(4, "big") + encoded


def open_entry(blob: object) -> Entry:
    """The entry that `seal` wrote; `DamagedError` if it is not whole."""
    try:
        return _decode_entry(_checked(blob))
    except msgspec.DecodeError as error:
        raise DamagedError(str(error)) from error


def open_state(blob: bytes) -> RecipientState:
    """The state that `seal` wrote; `DamagedError` if it is not whole."""
    try:
        return _decode_state(_checked(blob))
    except msgspec.DecodeError as error:
        raise DamagedError(str(error)) from error


def open_states(rows: Mapping[int, bytes]) -> dict[int, RecipientState]:
    """The states of a message by ordinal."""
    return {ordinal: open_state(blob) for ordinal, blob in rows.items()}


def stored_entry(message_id: int, blob: bytes, states: Mapping[int, bytes]) -> tuple[StoredEntry, str]:
    """A message as `recover` gives it, and the name of its body's file."""
    entry = open_entry(blob)
    return StoredEntry(MessageId(message_id), entry.envelope, open_states(states)), entry.file


@cache
def change_statement(rows: int) -> str:
    """The statement that applies so many changes."""
    return "INSERT INTO change VALUES " + ",".join(["(?,?,?,?,?)"] * rows)


def blanks_for(rows: int) -> tuple[int | None, ...]:
    """Values that fill `rows` (at most `STATEMENT_ROWS_MAX`) up to the next size of a prepared statement."""
    size = next(size for size in _STATEMENT_ROWS if size >= rows)
    return _BLANK * (size - rows)


def connect_owner(path: Path) -> sqlite3.Connection:
    """The one connection that writes. Creates the partition where there is none.

    `sqlite3.DatabaseError` if the file is none of ours, or damaged.
    """
    connection = sqlite3.connect(path, isolation_level=None, check_same_thread=False, cached_statements=64)
    try:
        connection.text_factory = bytes  # nothing of ours is text: what is, is damaged, and must not fail to decode
        with _schema_checked():
            if _version(connection, path) == 0:
                connection.executescript(_TABLES)
            _look_at_tables(connection)
        connection.execute("PRAGMA synchronous = FULL")
        connection.execute("PRAGMA secure_delete = OFF")  # on by default in Debian: it writes each freed page again
        connection.execute("PRAGMA temp_store = MEMORY")
        connection.execute(f"PRAGMA wal_autocheckpoint = {WAL_PAGES_MAX}")
        connection.execute("PRAGMA cache_size = -8192")
        connection.executescript(_CHANGE_VIEW)
    except BaseException:
        connection.close()
        raise
    return connection


def connect_reader(path: Path, *, holds_mail: bool = True) -> sqlite3.Connection:
    """A connection that never writes, for use beside the owner or without one.

    `holds_mail`: it must have the tables of a spool, else `sqlite3.DatabaseError`.
    """
    # A reader without write access to the folder cannot make the shared memory that WAL needs; without an owner
    # nothing changes, so the file may be taken as it is.
    for mode in ("mode=ro", "mode=ro&immutable=1"):
        connection = sqlite3.connect(f"{path.absolute().as_uri()}?{mode}", uri=True, isolation_level=None)
        try:
            connection.text_factory = bytes
            with _schema_checked():
                connection.execute(f"PRAGMA cache_size = -{_READER_CACHE_KIB}")
                connection.execute("SELECT 1 FROM sqlite_schema").fetchone()
                if holds_mail:
                    _look_at_tables(connection)
        except sqlite3.OperationalError:
            connection.close()
            if path.with_name(path.name + "-wal").exists():
                raise
            continue
        return connection
    raise sqlite3.OperationalError(f"cannot read {path}")


@contextmanager
def _schema_checked() -> Iterator[None]:
    """A schema that is damaged has names that are no text, or lacks our tables: `sqlite3.DatabaseError` for both."""
    try:
        yield
    except UnicodeDecodeError as error:
        raise sqlite3.DatabaseError("the schema is no text") from error
    except sqlite3.OperationalError as error:
        if error.sqlite_errorcode == sqlite3.SQLITE_ERROR:  # "no such table", "unsupported file format"
            raise sqlite3.DatabaseError(str(error)) from error
        raise


def _look_at_tables(connection: sqlite3.Connection) -> None:
    """Have SQLite understand the schema, which it does at the first use of a table."""
    connection.execute("SELECT id, entry, body FROM message LIMIT 0")
    connection.execute("SELECT message, ordinal, state FROM recipient_state LIMIT 0")


def _version(connection: sqlite3.Connection, path: Path) -> int:
    """The layout's version; 0: the file is new."""
    version: int = connection.execute("PRAGMA user_version").fetchone()[0]
    if not 0 <= version <= _VERSION_EVER:
        raise sqlite3.DatabaseError(f"version {version} of the layout never was")
    if version > VERSION:
        raise MachineError(f"{path} was written by a later version of this program")
    return version


def _checked(blob: object) -> bytes:
    if not isinstance(blob, bytes):  # SQLite stores any type in any column
        raise DamagedError("not a blob")
    content = blob[4:]
    if zlib.crc32(content) != int.from_bytes(blob[:4], "big"):
        raise DamagedError("checksum does not match")
    return content
