"""Gives undeliverable mail back: DSNs to senders, badmail where there is nobody to tell.

A DSN is a message like any other, accepted in the same durable submission that marks its recipients as settled, so a
crash can neither lose nor double it. What has the null reverse path is never answered (RFC 5321 4.5.5): it is kept as
a file for a week, for the operator.
"""

from __future__ import annotations

import contextlib
import os
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import msgspec

from bridgehead.core import queue_id
from bridgehead.core.dsn import REPORTS_MAX, ReportingMta, compose, octets_wanted
from bridgehead.core.dsn_text import Report
from bridgehead.core.envelope import Envelope, MessageId
from bridgehead.spool.contract import (
    BODY_IN_ROW_MAX,
    Body,
    BodyWriter,
    Change,
    Insert,
    Spool,
    StoredMessage,
)

BADMAIL_SECONDS: Final = 7 * 86_400.0
"""How long badmail is kept."""
_COPY_OCTETS: Final = 1024 * 1024
_SUFFIX: Final = ".eml"


class HandBack:
    """Makes the DSNs about a message."""

    def __init__(
        self,
        reporting: Callable[[], ReportingMta],
        new_id: Callable[[], MessageId],
        clock: Callable[[], float],
    ) -> None:
        self._reporting = reporting
        self._new_id = new_id
        self._clock = clock

    def inserts(self, message: StoredMessage, reports: tuple[Report, ...]) -> list[Insert]:
        """DSNs for these reports, all of them about `message`, ready to be submitted."""
        return [
            self._insert(message, reports[start : start + REPORTS_MAX])
            for start in range(0, len(reports), REPORTS_MAX)
        ]

    def _insert(self, message: StoredMessage, reports: tuple[Report, ...]) -> Insert:
        message_id = self._new_id()
        original = first_octets(message.body, octets_wanted(message.envelope, message.body.size))
        dsn = compose(self._reporting(), message_id, message.envelope, reports, original=original, now=self._clock())
        return Insert(message_id, dsn.envelope, Body(len(dsn.content), dsn.content))


def with_large_bodies_in_files(changes: Sequence[Change], spool: Spool) -> Sequence[Change]:
    """The changes, bodies of DSNs that are too large for a row put into files (`BODY_IN_ROW_MAX`).

    `OSError` if the disk refuses; then no file is left. Costs a write of at most some 1.5 MB, without an fsync.
    """
    if not [1 for change in changes if isinstance(change, Insert) and change.body.size > BODY_IN_ROW_MAX]:
        return changes
    filed: list[Change] = []
    writers: list[BodyWriter] = []
    try:
        for change in changes:
            content = change.body.content if isinstance(change, Insert) else None
            if not isinstance(change, Insert) or content is None or len(content) <= BODY_IN_ROW_MAX:
                filed.append(change)
                continue
            writers.append(spool.new_body())
            writers[-1].write(content)
            filed.append(Insert(change.message_id, change.envelope, writers[-1].finish()))
    except OSError:
        for writer in writers:
            writer.discard()
        raise
    return filed


class BadmailEntry(msgspec.Struct, frozen=True):
    """One message nobody could be told of."""

    queue_id: str
    kept_at: float
    size: int
    envelope: Envelope
    reason: str


@dataclass(frozen=True, slots=True)
class Badmail:
    """The folder `badmail`: a file for the message, and beside it one that says what it was."""

    folder: Path

    def keep(self, message: StoredMessage, reason: str, now: float) -> None:
        """Write the message, durably. Costs an fsync on the event loop, which badmail is rare enough for."""
        self.folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        name = queue_id.write(message.message_id)
        entry = BadmailEntry(name, now, message.body.size, message.envelope, reason)
        for path, pieces in (
            (self.folder / f"{name}.json", iter([msgspec.json.encode(entry)])),
            (self.folder / f"{name}{_SUFFIX}", _pieces(message.body)),
        ):
            _write_durably(path, pieces)
            os.utime(path, (now, now))  # `prune` goes by it
        descriptor = os.open(self.folder, os.O_RDONLY)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)

    def entries(self) -> Iterator[BadmailEntry]:
        """What is kept, oldest first; a file that does not read as one of ours is left out."""
        for path in sorted(self.folder.glob("*.json")):
            with contextlib.suppress(OSError, msgspec.MsgspecError):
                yield msgspec.json.decode(path.read_bytes(), type=BadmailEntry)

    def count(self) -> int:
        """How many messages are kept."""
        return sum(1 for _ in self.folder.glob(f"*{_SUFFIX}"))

    def prune(self, now: float) -> None:
        """Delete what is older than a week."""
        for path in [*self.folder.glob(f"*{_SUFFIX}"), *self.folder.glob("*.json")]:
            with contextlib.suppress(FileNotFoundError):
                if path.stat().st_mtime < now - BADMAIL_SECONDS:
                    path.unlink()


def first_octets(body: Body, count: int) -> bytes:
    """The beginning of a body, wherever it is; empty if its file is gone."""
    if body.content is not None:
        return body.content[:count]
    try:
        with Path(str(body.path)).open("rb") as file:
            return file.read(count)
    except OSError:
        return b""


def _pieces(body: Body) -> Iterator[bytes]:
    if body.content is not None:
        yield body.content
        return
    with Path(str(body.path)).open("rb") as file:
        while piece := file.read(_COPY_OCTETS):
            yield piece


def _write_durably(path: Path, pieces: Iterator[bytes]) -> None:
    with path.open("wb") as file:
        file.writelines(pieces)
        file.flush()
        os.fsync(file.fileno())
