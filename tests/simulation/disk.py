"""A disk that takes its time, forgets at a crash what it had not written, and is full or unreadable now and then."""

from __future__ import annotations

import asyncio
import errno
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from random import Random
from typing import Any

from bridgehead.core.envelope import MessageId
from bridgehead.outbound.hand_back import Badmail
from bridgehead.spool.contract import Change, Done, StoredEntry, StoredMessage
from bridgehead.spool.memory import MemorySpool


@dataclass
class Disk:
    """What one worker has on disk, and how the disk behaves. It survives the worker."""

    random: Random
    rows: Any = field(default_factory=dict)
    """As `MemorySpool` keeps them."""
    badmail: list[MessageId] = field(default_factory=list)
    damaged: set[MessageId] = field(default_factory=set)
    """What can be read no more as it was written."""
    set_aside: list[MessageId] = field(default_factory=list)
    is_full: bool = False
    is_unreadable: bool = False
    sync_seconds: float = 0.004


class SimulatedSpool(MemorySpool):
    """The fake spool with time between a submission, its commit and the word that it is durable.

    `durable` is told what became durable, before anybody else, and what the rows were.
    """

    def __init__(
        self, disk: Disk, durable: Callable[[Sequence[Change]], None], set_aside: Callable[[MessageId], None]
    ) -> None:
        super().__init__(manual=True, rows=disk.rows)
        self._disk = disk
        self._durable = durable
        self.told_of_damage = set_aside
        """Told of each damaged entry, once."""
        self._answers: deque[tuple[Done, Exception | None]] = deque()
        self._is_committing = False

    def submit(self, changes: Sequence[Change], done: Done | None = None) -> None:
        """As in `Spool`."""
        answer: Done = lambda error: self._answers.append((done or _nobody, error))  # noqa: E731
        super().submit(changes, answer)
        if not self._is_committing:
            self._is_committing = True
            self._later(self._commit_group)

    async def load(self, message_id: MessageId) -> StoredMessage | None:
        """As in `Spool`."""
        await asyncio.sleep(self._disk.random.random() * 0.002)
        if self._disk.is_unreadable:
            raise OSError(errno.EIO, "input/output error")
        self.set_aside([message_id])
        return await super().load(message_id)

    def recover(self) -> Iterator[StoredEntry]:
        """As in `Spool`."""
        self.set_aside(sorted(self._disk.damaged))
        return super().recover()

    def set_aside(self, ids: Sequence[MessageId]) -> None:
        """Keep those of them that are damaged where they harm nobody."""
        for message_id in ids:
            if message_id in self._disk.damaged and self._disk.rows.pop(message_id, None) is not None:
                self._disk.set_aside.append(message_id)
                self.told_of_damage(message_id)

    async def close(self) -> None:
        """As in `Spool`."""
        while self._is_committing:  # noqa: ASYNC110  what is waited for has no event
            await asyncio.sleep(self._disk.sync_seconds)
        await super().close()

    def _later(self, act: Callable[[], None]) -> None:
        seconds = self._disk.sync_seconds * (0.5 + self._disk.random.random())
        asyncio.get_running_loop().call_later(seconds, act)

    def _commit_group(self) -> None:
        """All that waits becomes durable; that anybody is told is another step, before which all can end."""
        self.commit()
        self._later(self._answer)

    def _answer(self) -> None:
        answers, self._answers = self._answers, deque()
        self._is_committing = bool(self._waiting)
        if self._is_committing:
            self._later(self._commit_group)
        for done, error in answers:
            done(error)

    def _write(self, changes: Sequence[Change]) -> Exception | None:
        if self._disk.is_full:
            return OSError(errno.ENOSPC, "no space left on device")
        error = super()._write(changes)
        if error is None:
            self._durable(changes)
        return error


def _nobody(_error: Exception | None) -> None:
    """Stands for a submission whose end interests nobody."""


class SimulatedBadmail(Badmail):
    """Badmail without files."""

    def __init__(self, disk: Disk) -> None:
        object.__setattr__(self, "folder", None)
        object.__setattr__(self, "_disk", disk)

    def keep(self, message: StoredMessage, reason: str, now: float) -> None:
        """As in `Badmail`."""
        disk: Disk = object.__getattribute__(self, "_disk")
        disk.badmail.append(message.message_id)

    def prune(self, now: float) -> None:
        """Nothing is old enough."""
