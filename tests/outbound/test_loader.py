"""Reading what waits: in turn, a few at a time, and whatever the disk does nothing is lost and nothing stops."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from itertools import pairwise

import pytest

from bridgehead.core.envelope import MessageId
from bridgehead.core.recipient_state import Hold
from bridgehead.outbound.entry import Attempt, Entry, Part
from bridgehead.outbound.index import Index
from bridgehead.outbound.loader import LOADERS, READ_AT_ONCE, UNREADABLE_SECONDS, Loader
from bridgehead.outbound.queue import Queue
from bridgehead.spool.contract import Insert, StoredMessage
from bridgehead.spool.memory import MemorySpool
from tests.outbound.back_room import NOW, message, still_queue
from tests.outbound.fake_channel import Clock


class Disk(MemorySpool):
    """A spool whose reads wait where the test says so, and fail for what it names."""

    def __init__(self) -> None:
        super().__init__()
        self.broken: set[int] = set()
        self.gate = asyncio.Event()
        self.gate.set()
        self.reading = 0
        self.reading_most = 0

    async def load(self, message_id: MessageId) -> StoredMessage | None:
        self.reading += 1
        self.reading_most = max(self.reading, self.reading_most)
        await self.gate.wait()
        self.reading -= 1
        if message_id in self.broken:
            raise OSError("input/output error")
        return await super().load(message_id)


@dataclass
class Room:
    """A loader, its disk, and what came of it."""

    disk: Disk
    index: Index
    queue: Queue
    loader: Loader
    loaded: list[Entry] = field(default_factory=list)
    gone: list[Entry] = field(default_factory=list)
    examined: list[Entry] = field(default_factory=list)
    is_stuck: bool = False

    def active(self, entry: Entry) -> Entry:
        """An entry that somebody took out of its queue."""
        self.queue.active.add(entry)
        return entry

    def load(self, entry: Entry) -> None:
        def loaded(_: Queue, found: Attempt) -> None:
            self.loaded.append(found.entry)

        self.loader.load(self.queue, self.active(entry), loaded, lambda: self.gone.append(entry))

    def put(self, *numbers: int) -> None:
        """Messages that are in the spool and in the index."""
        for number in numbers:
            found = message(number)
            self.disk.submit([Insert(found.message_id, found.envelope, found.body)])
            self.index.put(found.message_id, None, [(self.queue, (0,))])


async def settle() -> None:
    for _ in range(50):
        await asyncio.sleep(0)


@asynccontextmanager
async def room() -> AsyncIterator[Room]:
    index, queue, disk = Index(), still_queue(), Disk()
    found: list[Room] = []

    def finish(_: Queue, attempt: Attempt) -> None:
        found[0].examined.append(attempt.entry)

    loader = Loader(disk, Clock(NOW), index, finish, lambda: found[0].is_stuck)
    found.append(Room(disk, index, queue, loader))
    async with asyncio.TaskGroup() as tasks:
        loops = [tasks.create_task(loop) for loop in loader.loops()]
        yield found[0]
        for loop in loops:
            loop.cancel()


async def test_what_is_wanted_is_read_in_turn() -> None:
    async with room() as here:
        here.put(1, 2, 3)
        await settle()
        for number in (3, 1, 2):
            here.load(MessageId(number))
        await settle()
        assert here.loaded == [3, 1, 2]
        assert here.queue.active == {1, 2, 3}, "what was read stays active: its reader decides"


async def test_nothing_is_read_while_outcomes_wait_for_the_disk() -> None:
    async with room() as here:
        here.put(1, 2)
        here.is_stuck = True
        here.load(MessageId(1))
        here.load(MessageId(2))
        for _ in range(3):
            here.loader.go_on()
            await settle()
        assert here.loaded == []
        here.is_stuck = False
        here.loader.go_on()
        await settle()
        assert here.loaded == [1, 2]


async def test_a_part_is_read_by_its_message() -> None:
    async with room() as here:
        here.put(1)
        await settle()
        part = Part(MessageId(1), (0,))
        here.load(part)
        await settle()
        assert here.loaded == [part]


async def test_only_so_many_are_read_at_the_same_time() -> None:
    async with room() as here:
        numbers = range(1, 3 * LOADERS)
        here.put(*numbers)
        await settle()
        here.disk.gate.clear()
        for number in numbers:
            here.load(MessageId(number))
        await settle()
        assert here.disk.reading_most == LOADERS
        here.disk.gate.set()
        await settle()
        assert sorted(here.loaded, key=lambda entry: entry) == list(numbers)


async def test_a_message_that_is_gone_leaves_the_index_and_its_queue() -> None:
    async with room() as here:
        here.index.put(MessageId(1), None, [(here.queue, (0,))])
        here.load(MessageId(1))
        await settle()
        assert (here.loaded, here.gone) == ([], [1])
        assert here.index.queue_of(MessageId(1)) is None
        assert not here.queue.active


async def test_a_message_that_cannot_be_read_is_tried_again_and_others_are_read(
    caplog: pytest.LogCaptureFixture,
) -> None:
    async with room() as here:
        here.put(1, 2)
        await settle()
        here.disk.broken.add(1)
        with caplog.at_level(logging.ERROR):
            for number in [1] * LOADERS + [2]:
                here.load(MessageId(number))
            await settle()
        assert here.loaded == [2], "no loop ended for the sake of a broken message"
        assert here.gone == [1] * LOADERS
        assert here.index.queue_of(MessageId(1)) is here.queue
        assert here.queue.waiting.next_due() == NOW + UNREADABLE_SECONDS
        assert here.queue.active == {2}
    assert "cannot be read" in caplog.text


async def test_all_that_may_move_is_examined_and_nothing_is_sent_before() -> None:
    async with room() as here:
        here.put(1, 2, 3, 4, 5)
        waiting = here.queue.waiting
        waiting.add_ready(MessageId(2))
        waiting.add_ready(MessageId(3))
        waiting.add_later(MessageId(1), NOW + 60)
        waiting.held.update({MessageId(4): Hold.FROZEN, MessageId(5): Hold.CONFIGURATION})
        here.loader.examine_soon([here.queue])
        assert waiting.pop_ready() is None
        await settle()
        assert here.examined == [2, 3, 1, 5]
        assert waiting.held == {4: Hold.FROZEN}
        assert here.queue.active == {1, 2, 3, 5}


async def test_a_backlog_is_examined_without_keeping_others_waiting(monkeypatch: pytest.MonkeyPatch) -> None:
    async def at_once(message_id: MessageId) -> StoredMessage:
        return message(message_id)

    async with room() as here:
        monkeypatch.setattr(here.disk, "load", at_once)
        numbers = range(1, 5 * READ_AT_ONCE + 1)
        here.put(*numbers)
        for number in numbers:
            here.queue.waiting.add_ready(MessageId(number))
        here.loader.examine_soon([here.queue])
        seen = []
        while len(here.examined) < len(numbers):
            await asyncio.sleep(0)
            seen.append(len(here.examined))
            assert len(here.queue.waiting) + len(here.examined) == len(numbers)  # none is ever between two places
        assert seen[-4:] == [READ_AT_ONCE * turn for turn in (2, 3, 4, 5)]


async def test_a_backlog_is_loaded_without_keeping_others_waiting(monkeypatch: pytest.MonkeyPatch) -> None:
    """As when a changed configuration releases what was held for credentials."""

    async def at_once(message_id: MessageId) -> StoredMessage:
        return message(message_id)

    async with room() as here:
        monkeypatch.setattr(here.disk, "load", at_once)
        numbers = range(1, 5 * LOADERS * READ_AT_ONCE + 1)
        here.put(*numbers)
        for number in numbers:
            here.load(MessageId(number))
        seen = [0]
        while len(here.loaded) < len(numbers):
            await asyncio.sleep(0)
            seen.append(len(here.loaded))
        assert max(after - before for before, after in pairwise(seen)) <= LOADERS * READ_AT_ONCE


async def test_a_broken_message_does_not_stop_the_examination() -> None:
    async with room() as here:
        here.put(1, 2)
        here.disk.broken.add(1)
        for number in (1, 2):
            here.queue.waiting.add_ready(MessageId(number))
        here.loader.examine_soon([here.queue])
        await settle()
        assert here.examined == [2]
        assert here.queue.waiting.next_due() == NOW + UNREADABLE_SECONDS


async def test_mail_is_sent_while_other_mail_is_examined() -> None:
    async with room() as here:
        here.put(1, 2)
        await settle()
        here.queue.waiting.add_ready(MessageId(1))
        here.disk.gate.clear()
        here.loader.examine_soon([here.queue])
        await settle()
        here.load(MessageId(2))
        await settle()
        assert here.disk.reading == 2
        here.disk.gate.set()
        await settle()
        assert (here.examined, here.loaded) == ([1], [2])


async def test_a_queue_that_was_examined_can_be_examined_again() -> None:
    async with room() as here:
        here.put(1)
        for _ in range(2):
            here.queue.active.discard(MessageId(1))
            here.queue.waiting.add_ready(MessageId(1))
            here.loader.examine_soon([here.queue])
            await settle()
        assert here.examined == [1, 1]
