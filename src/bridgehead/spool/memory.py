"""The spool in memory: the fake that tests use, held to the same contract tests as the real one.

It forgets everything when the process ends, so it is never used for mail. "Durable" here means committed: in
automatic mode a commit follows on the next turn of the event loop; in manual mode nothing is durable until `commit`
is called. `crash` gives what a restart would find.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TypeAlias, assert_never

from bridgehead.core.envelope import Envelope, MessageId
from bridgehead.core.recipient_state import RecipientState
from bridgehead.spool.contract import (
    BODY_IN_ROW_MAX,
    Body,
    Change,
    Done,
    Insert,
    Remove,
    SpoolStatistics,
    StoredEntry,
    StoredMessage,
    Update,
)


@dataclass(slots=True)
class _Row:
    """One durable message. Changed by `MemorySpool.commit` alone."""

    envelope: Envelope
    body: Body
    states: Mapping[int, RecipientState] = field(default_factory=dict)


_Rows: TypeAlias = dict[MessageId, _Row]
_Submission: TypeAlias = tuple[Sequence[Change], Done | None]


class MemorySpool:
    """A `Spool` without a disk. Bodies of any size stay in memory (`Body.content`)."""

    def __init__(self, *, manual: bool = False, rows: _Rows | None = None) -> None:
        """`manual`: nothing becomes durable before `commit` is called."""
        self._manual = manual
        self._rows: _Rows = {} if rows is None else rows
        self._waiting: deque[_Submission] = deque()
        self._failures: deque[Exception] = deque()
        self._scheduled = False
        self._closed = False
        self._commits = 0

    def new_body(self) -> MemoryBodyWriter:
        """Begin to receive a body."""
        return MemoryBodyWriter()

    def submit(self, changes: Sequence[Change], done: Done | None = None) -> None:
        """Hand over changes that become durable together."""
        if self._closed:
            raise RuntimeError("the spool is closed")
        self._waiting.append((tuple(changes), done))
        if not self._manual and not self._scheduled:
            self._scheduled = True
            asyncio.get_running_loop().call_soon(self._commit_scheduled)

    async def load(self, message_id: MessageId) -> StoredMessage | None:
        """Read a message as it is durable now."""
        await asyncio.sleep(0)
        row = self._rows.get(message_id)
        if row is None:
            return None
        return StoredMessage(message_id, row.envelope, row.body, dict(row.states))

    def recover(self) -> Iterator[StoredEntry]:
        """Every durable message, in order of arrival."""
        for message_id, row in sorted(self._rows.items()):
            yield StoredEntry(message_id, row.envelope, dict(row.states))

    def statistics(self) -> SpoolStatistics:
        """Counts since the spool was opened."""
        return SpoolStatistics(len(self._rows), self._commits, 0.0, 0)

    async def close(self) -> None:
        """Make everything durable that was submitted; no `submit` may follow."""
        self.commit()
        self._closed = True
        await asyncio.sleep(0)

    # The rest is for tests.

    def commit(self, count: int | None = None) -> None:
        """Make the oldest `count` submissions durable (all that wait now, if left out) and call their `done`."""
        for _ in range(len(self._waiting) if count is None else count):
            if not self._waiting:
                return
            changes, done = self._waiting.popleft()
            error = self._write(changes)
            if done is not None:
                done(error)

    def fail_next(self, error: Exception) -> None:
        """The next submission to be committed fails with `error`, as on a full disk. Calls add up."""
        self._failures.append(error)

    def crash(self) -> MemorySpool:
        """What a restart would open: the durable messages only. This spool must not be used again."""
        self._closed = True
        self._waiting.clear()
        rows = {key: _Row(row.envelope, row.body, dict(row.states)) for key, row in self._rows.items()}
        return MemorySpool(manual=self._manual, rows=rows)

    def _commit_scheduled(self) -> None:
        self._scheduled = False
        self.commit()

    def _write(self, changes: Sequence[Change]) -> Exception | None:
        """Apply all changes or none."""
        if self._failures:
            return self._failures.popleft()
        staged: dict[MessageId, _Row | None] = {}
        try:
            for change in changes:
                if change.message_id not in staged:
                    staged[change.message_id] = self._rows.get(change.message_id)
                staged[change.message_id] = _apply(change, staged[change.message_id])
        except ValueError as error:
            return error
        self._commits += 1
        for message_id, row in staged.items():
            if row is None:
                self._rows.pop(message_id, None)
            else:
                self._rows[message_id] = row
        return None


class MemoryBodyWriter:
    """A body that is still arriving, all of it in memory."""

    def __init__(self) -> None:
        self._content = bytearray()

    @property
    def size(self) -> int:
        """Octets written so far."""
        return len(self._content)

    @property
    def head(self) -> bytes:
        """The first octets, `BODY_IN_ROW_MAX` of them at most."""
        return bytes(self._content[:BODY_IN_ROW_MAX])

    def write(self, data: bytes) -> None:
        """Append."""
        self._content += data

    def finish(self) -> Body:
        """No more comes."""
        return Body(len(self._content), bytes(self._content))

    def discard(self) -> None:
        """Forget what was written."""
        self._content.clear()


def _apply(change: Change, row: _Row | None) -> _Row | None:
    """The row after the change; `None`: none. `ValueError` for a message that is there already."""
    match change:
        case Insert():
            if row is not None:
                raise ValueError(f"message {change.message_id} is in the spool already")
            return _Row(change.envelope, change.body)
        case Update():
            return None if row is None else _Row(row.envelope, row.body, {**row.states, **change.states})
        case Remove():
            return None
        case _:
            assert_never(change)
