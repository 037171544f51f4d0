"""Reading the spool without owning it: beside a running server, or with none. For `queue list` and `queue show`."""

from __future__ import annotations

import sqlite3
import zlib
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

from bridgehead.core.envelope import MessageId
from bridgehead.spool.contract import Body, StoredEntry, StoredMessage
from bridgehead.spool.partition import partition_path, partitions
from bridgehead.spool.recovery import scan
from bridgehead.spool.schema import DamagedError, connect_reader, open_entry, open_states, stored_entry


class ReadOnlySpool:
    """All partitions of a state folder. What is damaged is left out and counted in `damaged`."""

    def __init__(self, state_dir: Path) -> None:
        self._state_dir = state_dir
        self.damaged = 0

    def entries(self) -> Iterator[StoredEntry]:
        """Every message, partition by partition, in order of arrival within each.

        Some 200 may come twice where a takeover was cut short and no server has run since.
        """
        for number in partitions(self._state_dir):
            try:
                with closing(connect_reader(partition_path(self._state_dir, number))) as connection:
                    yield from self._entries_of(connection)
            except sqlite3.DatabaseError:
                self.damaged += 1

    def load(self, message_id: MessageId) -> StoredMessage | None:
        """A message with its body, or `None`."""
        for number in partitions(self._state_dir):
            path = partition_path(self._state_dir, number)
            try:
                with closing(connect_reader(path)) as connection:
                    found = read_message(connection, message_id, path.with_suffix(".bodies"))
            except (sqlite3.DatabaseError, DamagedError):
                self.damaged += 1
                continue
            if found is not None:
                return found[0]
        return None

    def _entries_of(self, connection: sqlite3.Connection) -> Iterator[StoredEntry]:
        for message_id, blob, states in scan(connection):
            try:
                yield stored_entry(message_id, blob, states)[0]
            except DamagedError:
                self.damaged += 1


def read_message(
    connection: sqlite3.Connection, message_id: MessageId, bodies: Path
) -> tuple[StoredMessage, int] | None:
    """A message and the checksum of its body; `None` if it is not there. A body's file is named, not read.

    `DamagedError` or `sqlite3.DatabaseError` if it cannot be read as it was written.
    """
    # States first: a message that is removed between the two is then not found, never found fresh.
    states = connection.execute("SELECT ordinal, state FROM recipient_state WHERE message = ?", (message_id,))
    sealed = dict(states.fetchall())
    row = connection.execute("SELECT entry, body FROM message WHERE id = ?", (message_id,)).fetchone()
    if row is None:
        return None
    entry = open_entry(row[0])
    content: object = row[1]
    if entry.file:
        body = Body(entry.size, None, bodies / entry.file)
    elif not isinstance(content, bytes) or zlib.crc32(content) != entry.checksum:
        raise DamagedError("the body's checksum does not match")
    else:
        body = Body(entry.size, content)
    return StoredMessage(message_id, entry.envelope, body, open_states(sealed)), entry.checksum
