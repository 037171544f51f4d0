"""What a spool promises: the contract that every store keeps and `tests/spool/contract.py` checks.

1. A change is durable when `done(None)` is called for its submission: it survives `kill -9` and power loss.
2. A submission is atomic: all of its changes hold after a crash, or none.
3. Submissions become durable in the order in which they were made. `done` is called on the event loop, in that
   order, once; with an exception if the store could not write, and then nothing of the submission holds. With a
   `SpoolLostError` it may hold: a restart shows.
4. What is damaged is set aside and counted; it neither stops `recover` nor disappears.
5. One process owns a partition; a second one is refused when it opens it.
6. An `Insert` of a message that is there already fails. An `Update` or `Remove` of one that is not there does
   nothing: an operator may have deleted it while an attempt ran.
7. `load` and `recover` show what is durable, never more.

Order of writes for a body kept in a file: file, fsync of the file, fsync of its folder, then the row that names it.
For a removal: the row goes first, durably, then the file; `recover` removes files that no row names.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Final, Protocol, TypeAlias

import msgspec

from bridgehead.core.envelope import Envelope, MessageId
from bridgehead.core.error import BridgeheadError
from bridgehead.core.recipient_state import RecipientState

BODY_IN_ROW_MAX = 256 * 1024
"""Octets of a body that is kept in its row; larger ones are files, so that memory does not grow with size."""


class Body(msgspec.Struct, frozen=True, gc=False):
    """The content of a message, Received line included, lines ended by CRLF, not dot-stuffed."""

    size: int
    content: bytes | None
    """All of it, where it is small."""
    path: Path | None = None
    """The file that holds it, where it is large; readable until the message is removed."""


class Insert(msgspec.Struct, frozen=True, gc=False):
    """Accept a message. Its recipients are fresh."""

    message_id: MessageId
    envelope: Envelope
    body: Body


class Update(msgspec.Struct, frozen=True, gc=False):
    """Replace the state of some recipients of a message, by ordinal."""

    message_id: MessageId
    states: Mapping[int, RecipientState]


class Remove(msgspec.Struct, frozen=True, gc=False):
    """Take a message out: all of its recipients are settled, or an operator deleted it."""

    message_id: MessageId


Change: TypeAlias = Insert | Update | Remove
Done: TypeAlias = Callable[[Exception | None], None]


class SpoolLostError(BridgeheadError):
    """What writes the spool met a defect of ours, or damage: nothing is made durable, and the process has to end."""

    def __init__(self, path: Path, defect: Exception) -> None:
        super().__init__(f"nothing writes {path} any more ({type(defect).__name__}: {defect}): this worker ends")
        self.path = path
        self.defect = defect


class StoredMessage(msgspec.Struct, frozen=True, gc=False):
    """A message as read back: the immutable envelope and body, and the states that are not fresh."""

    message_id: MessageId
    envelope: Envelope
    body: Body
    states: Mapping[int, RecipientState] = {}


class StoredEntry(msgspec.Struct, frozen=True, gc=False):
    """A message at start-up, without its body."""

    message_id: MessageId
    envelope: Envelope
    states: Mapping[int, RecipientState]


class BodyWriter(Protocol):
    """A body that is still arriving. Small ones stay in memory, larger ones stream to a file."""

    @property
    def size(self) -> int:
        """Octets written so far."""
        ...

    @property
    def head(self) -> bytes:
        """The first octets, at least `min(size, BODY_IN_ROW_MAX)` of them: enough to look at the header."""
        ...

    def write(self, data: bytes) -> None:
        """Append; `OSError` if the disk refuses (the caller answers 452 4.3.1 and discards)."""
        ...

    def finish(self) -> Body:
        """No more comes; the result goes into an `Insert`. Not yet durable."""
        ...

    def discard(self) -> None:
        """Forget what was written. May be called at any time before the `Insert`, also twice."""
        ...


class Spool(Protocol):
    """One partition of the durable store. All methods are called on the event loop of the worker that owns it."""

    def new_body(self) -> BodyWriter:
        """Begin to receive a body."""
        ...

    def submit(self, changes: Sequence[Change], done: Done | None = None) -> None:
        """Hand over changes that become durable together; returns at once. `done` as the contract says."""
        ...

    async def load(self, message_id: MessageId) -> StoredMessage | None:
        """Read a message; `None` if it is not there (removed, or set aside as damaged)."""
        ...

    def recover(self) -> Iterator[StoredEntry]:
        """Every message of the partition in order of arrival. Called once, at start, before any `submit`.

        Whoever takes an entry may submit what it calls for: that becomes durable once all has been read.
        """
        ...

    def statistics(self) -> SpoolStatistics:
        """Counts since the spool was opened."""
        ...

    async def close(self) -> None:
        """Wait until all that was submitted is durable, then let go of the partition."""
        ...


COMMIT_BUCKETS_SECONDS: Final = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5)
"""Upper bounds of the histogram of commit times; one more bucket holds the rest."""


class SpoolStatistics(msgspec.Struct, frozen=True, gc=False):
    """What a spool has done."""

    messages: int
    """Recovered and inserted, less removed; removing what is not there makes it too small."""
    commits: int
    commit_seconds: float
    """Sum over all commits."""
    damaged: int
    """Entries set aside."""
    commit_buckets: tuple[int, ...] = ()
    """Commits within each of `COMMIT_BUCKETS_SECONDS`, and beyond; not cumulative."""
    faults: int = 0
    """Writes that the disk refused."""
    present_fault: str = ""
    """Why the latest write was refused, `"disk I/O error"`; empty: it was taken."""
