"""Reading all of a partition, bodies too, and setting aside what is damaged: `bridgehead spool verify` and `salvage`.

A start reads entries and states, and a body when it is sent. This reads everything, so it takes as long as the disk
needs for that. `verify` changes nothing and may run beside a server; `salvage` owns the partition while it runs.
"""

from __future__ import annotations

import sqlite3
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from bridgehead.core.envelope import MessageId
from bridgehead.spool.body_files import checksum_of
from bridgehead.spool.contract import Body
from bridgehead.spool.disk import Disk, is_damage, is_unreadable
from bridgehead.spool.partition import Partition, partition_path
from bridgehead.spool.read_only import read_message
from bridgehead.spool.recovery import read_parts, readable_ids
from bridgehead.spool.schema import DamagedError, connect_reader

FAULTS_MAX: Final = 20
"""Faults of a database that are told; it is salvaged for the first of them."""


@dataclass(frozen=True, slots=True)
class DamagedMessage:
    """A message that is not what was written."""

    message_id: MessageId
    reason: str
    file: Path | None = None
    """What is left of its body's file."""


@dataclass(frozen=True, slots=True)
class Findings:
    """What there is in a partition."""

    path: Path
    messages: int
    """Those that are whole."""
    octets: int
    """Of their bodies."""
    faults: tuple[str, ...]
    """What SQLite says of the database as a whole: messages may be out of reach."""
    damaged: tuple[DamagedMessage, ...]

    @property
    def is_whole(self) -> bool:
        """Whether nothing is damaged."""
        return not self.faults and not self.damaged


def verify(state_dir: Path, number: int) -> Findings:
    """Read a partition. `sqlite3.OperationalError` or `OSError` where it cannot be read now."""
    path = partition_path(state_dir, number)
    try:
        with closing(connect_reader(path)) as connection:
            return _look(connection, path)
    except sqlite3.DatabaseError as error:  # no database, from its first octet on
        if not is_damage(error):
            raise
        return Findings(path, 0, 0, (str(error),), ())


def salvage(state_dir: Path, number: int) -> tuple[Findings, int]:
    """Set aside what is damaged; returns what is there then, and how many things were set aside.

    `MachineError` where a server owns the partition, or the disk refuses.
    """
    partition = Partition(state_dir, number)
    try:
        connection = partition.connect()
        try:
            findings = _look(connection, partition.path)
            if findings.faults:
                connection = partition.salvage(connection, findings.faults[0])
                findings = _look(connection, partition.path)
            if findings.damaged:
                partition.keep_unnamed_bodies(connection)
            for damaged in findings.damaged:
                _set_aside(connection, partition, damaged)
            if findings.damaged:
                findings = _look(connection, partition.path)
        finally:
            connection.close()
        return findings, partition.quarantine.count
    finally:
        partition.release()


def _look(connection: sqlite3.Connection, path: Path) -> Findings:
    faults = _faults(connection)
    bodies = path.with_suffix(".bodies")
    messages = octets = 0
    damaged: list[DamagedMessage] = []
    for message_id in map(MessageId, readable_ids(connection)):
        try:
            found = read_message(connection, message_id, bodies)
            if found is None:
                continue  # it was sent meanwhile
            body, checksum = found[0].body, found[1]
            _check_file(body, checksum)
        except (DamagedError, sqlite3.DatabaseError) as error:
            if isinstance(error, sqlite3.Error) and not is_damage(error):
                raise
            if _is_there(connection, message_id):
                damaged.append(DamagedMessage(message_id, str(error), _file_of(connection, message_id, bodies)))
            continue
        messages += 1
        octets += body.size
    return Findings(path, messages, octets, faults, tuple(damaged))


def _faults(connection: sqlite3.Connection) -> tuple[str, ...]:
    try:
        rows = connection.execute(f"PRAGMA integrity_check({FAULTS_MAX})").fetchall()
    except sqlite3.DatabaseError as error:
        if not is_damage(error):
            raise
        return (str(error),)
    return tuple(text for (row,) in rows if (text := row.decode()) != "ok")


def _check_file(body: Body, checksum: int) -> None:
    if body.path is None:
        return
    try:
        if checksum_of(body.path) == checksum:
            return
    except FileNotFoundError as error:
        raise DamagedError("the body's file is missing") from error
    except OSError as error:
        if not is_unreadable(error):
            raise
        raise DamagedError("the body's file cannot be read") from error
    raise DamagedError("the body's file was changed")


def _file_of(connection: sqlite3.Connection, message_id: MessageId, bodies: Path) -> Path | None:
    try:
        found = read_message(connection, message_id, bodies)
    except (DamagedError, sqlite3.DatabaseError):
        return None
    return found[0].body.path if found is not None else None


def _is_there(connection: sqlite3.Connection, message_id: MessageId) -> bool:
    """Whether a message waits still; where that cannot be read, it does."""
    try:
        return connection.execute("SELECT 1 FROM message WHERE id = ?", (message_id,)).fetchone() is not None
    except sqlite3.DatabaseError:
        return True


def _set_aside(connection: sqlite3.Connection, partition: Partition, damaged: DamagedMessage) -> None:
    number = damaged.message_id
    partition.quarantine.add(number, damaged.reason, read_parts(connection, number), damaged.file)
    connection.execute("BEGIN IMMEDIATE")
    connection.execute("DELETE FROM message WHERE id = ?", (number,))
    connection.execute("DELETE FROM recipient_state WHERE message = ?", (number,))
    connection.execute("COMMIT")
    if damaged.file is not None:
        Disk().unlink(damaged.file)
