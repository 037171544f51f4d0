"""The life of a spool whose disk is recorded: `python -m tests.faults.power_loss_victim SCENE FOLDER SEED`.

Writes to `FOLDER/marks`, one JSON value a line: `["submit", [CHANGE, ...]]` before each submission, where a change is
`["i", ID, CHECKSUM]`, `["u", ID, ORDINAL, ATTEMPTS]` or `["r", ID]`, and `["durable"]` when its `done` was called.
The spool is in `FOLDER/state`.
"""

from __future__ import annotations

import asyncio
import json
import shutil
import sqlite3
import sys
import zlib
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path
from random import Random
from typing import Any, Final

import pytest

from bridgehead.core.envelope import MessageId
from bridgehead.core.error import MachineError
from bridgehead.core.recipient_state import RecipientState
from bridgehead.spool import body_files, writer
from bridgehead.spool.adopt import adopt
from bridgehead.spool.contract import Change, Insert, Remove, Update
from bridgehead.spool.disk import Disk, Value
from bridgehead.spool.sqlite import SqliteSpool
from tests.spool.contract import committed, envelope

IN_ROW_MAX: Final = 6_000
"""Smaller than in earnest, so that the record stays small."""
SIZES: Final = (10, 900, 4_000, IN_ROW_MAX + 700, 9_000)
CHECKPOINT_BYTES: Final = 60_000
STEPS: Final = 14


class Life:
    """One spool, from opening to closing and on."""

    def __init__(self, folder: Path, seed: int, disk: Disk | None = None) -> None:
        self.state_dir = folder / "state"
        self.draw = Random(seed)
        self.disk = disk
        self.spool = SqliteSpool(self.state_dir, 0, disk)
        self.live = {int(entry.message_id) for entry in self.spool.recover()}
        self.next_id = max(self.live, default=0) + 1
        self._marks = (folder / "marks").open("a", buffering=1)

    async def run(self) -> None:
        """Steps of every kind, several submissions at once in each."""
        for step in range(STEPS):
            if step in {5, 10}:
                await self.spool.close()
                self.spool = SqliteSpool(self.state_dir, 0, self.disk)
                self.recovered()
            await self.submit_several(self.draw.choice((1, 1, 2, 5)))
            if step == 7:
                await self.submit_all([Remove(MessageId(number)) for number in sorted(self.live)])
        await self.spool.close()

    async def submit_several(self, count: int) -> None:
        """Submit some, then wait for all; something is loaded, and a body given up, meanwhile."""
        waiting = [self.submit(self.changes()) for _ in range(count)]
        given_up = self.spool.new_body()
        given_up.write(bytes(IN_ROW_MAX + 1))
        if self.live:
            await self.spool.load(MessageId(self.draw.choice(sorted(self.live))))
        given_up.discard()
        for one in waiting:
            self.result(await one)

    async def submit_all(self, changes: Sequence[Change]) -> None:
        """One submission, waited for."""
        self.result(await self.submit(changes))

    def recovered(self) -> None:
        """Look at what a start finds."""
        assert {int(entry.message_id) for entry in self.spool.recover()} == self.live

    def result(self, error: Exception | None) -> None:
        """Look at what a submission came to."""
        assert error is None

    def submit(self, changes: Sequence[Change]) -> asyncio.Future[Exception | None]:
        """Mark and submit; the future has what `done` was called with."""
        future: asyncio.Future[Exception | None] = asyncio.get_running_loop().create_future()

        def done(error: Exception | None) -> None:
            self.mark("durable" if error is None else "failed")
            future.set_result(error)

        self.mark("submit", [described(change) for change in changes])
        for change in changes:
            if isinstance(change, Insert):
                self.live.add(int(change.message_id))
            elif isinstance(change, Remove):
                self.live.discard(int(change.message_id))
        self.spool.submit(changes, done)
        return future

    def changes(self) -> list[Change]:
        """What one submission of the server may hold: new mail, outcomes, a DSN for a failed message, a removal."""
        if not self.live or self.draw.random() < 0.5:
            return [self.insert()]
        chosen = MessageId(self.draw.choice(sorted(self.live)))
        state = RecipientState(attempts=self.draw.randrange(1, 1000))
        match self.draw.randrange(4):
            case 0:
                return [Update(chosen, {0: state, 1: state})]
            case 1:
                return [Remove(chosen), self.insert()]
            case 2:
                return [Update(chosen, {0: state}), self.insert(), self.insert()]
            case _:
                return [Remove(chosen)]

    def insert(self) -> Insert:
        """A new message, its body as it came over the wire."""
        body = self.spool.new_body()
        for _ in range(2):
            body.write(self.draw.randbytes(self.draw.choice(SIZES) // 2))
        number = self.next_id
        self.next_id += 1
        return Insert(MessageId(number), envelope("b@x.example", "c@x.example"), body.finish())

    def mark(self, *values: Any) -> None:
        """Say it in the record."""
        self._marks.write(json.dumps(values) + "\n")


def described(change: Change) -> list[Any]:
    """A change as marks show it."""
    match change:
        case Insert():
            body = change.body
            content = body.content if body.content is not None else Path(str(body.path)).read_bytes()
            return ["i", change.message_id, zlib.crc32(content)]
        case Update():
            return ["u", change.message_id, {ordinal: state.attempts for ordinal, state in change.states.items()}]
        case _:
            return ["r", change.message_id]


def shrink(patch: pytest.MonkeyPatch) -> None:
    """Smaller bounds, so that a short life passes through everything that a long one does."""
    patch.setattr(body_files, "BODY_IN_ROW_MAX", IN_ROW_MAX)
    patch.setattr(writer, "CHECKPOINT_BYTES", CHECKPOINT_BYTES)
    patch.setattr(writer, "_FREE_PAGES_KEPT", 4)
    patch.setattr(writer, "_VACUUM_PAGES", 4)


async def live(folder: Path, seed: int) -> None:
    """A whole life."""
    await Life(folder, seed).run()


async def prepare(folder: Path, partition: int, count: int) -> None:
    """A partition with so many messages, bodies in rows and in files; some recipients have a state.

    It is left as a process leaves it that is killed: much of it is in the log.
    """
    made, state_dir = folder.with_name("made"), folder / "state"
    draw = Random(count)
    with pytest.MonkeyPatch.context() as patch:
        shrink(patch)
        spool = SqliteSpool(made, partition)
        for number in range(1, count + 1):
            body = spool.new_body()
            for _ in range(2):
                body.write(draw.randbytes(draw.choice(SIZES) // 2))
            chosen = MessageId(partition * 1000 + number)
            changes: list[Change] = [Insert(chosen, envelope("b@x.example", "c@x.example"), body.finish())]
            if number % 3 == 0:
                changes.append(Update(chosen, {1: RecipientState(attempts=number)}))
            await committed(spool, *changes)
        shutil.copytree(made, state_dir, dirs_exist_ok=True, ignore=shutil.ignore_patterns("*-shm"))
        await spool.close()
    shutil.rmtree(made)


async def recover(folder: Path, _seed: int) -> None:
    """Open what is there, and close it: what a machine does after the power came back."""
    spool = SqliteSpool(folder / "state", 0)
    for _ in spool.recover():
        pass
    await spool.close()


async def adopt_other(folder: Path, _seed: int) -> None:
    """Partition 0 takes over partition 1."""
    assert adopt(folder / "state", 0, 1) == {1: 12}


class HardLife(Life):
    """A life on a disk that fails now and then: what is found at a start counts, whatever was hoped for."""

    def recovered(self) -> None:
        self.live = {int(entry.message_id) for entry in self.spool.recover()}

    def result(self, error: Exception | None) -> None:
        assert error is None or isinstance(error, OSError | sqlite3.Error), error


async def live_hard(folder: Path, seed: int) -> None:
    """A life that ends where the disk does not let a spool be opened, as a worker would, and goes on after it."""
    for _ in range(2):
        with suppress(MachineError):
            await HardLife(folder, seed).run()
            return


class CarelessDisk(Disk):
    """A disk that forgets one of the things that make mail durable."""

    def __init__(self, forgets: str) -> None:
        self._forgets = forgets

    def write(self, connection: sqlite3.Connection, statement: str, values: Sequence[Value] = ()) -> None:
        connection.execute(f"PRAGMA synchronous = {'OFF' if self._forgets == 'rows' else 'FULL'}")
        super().write(connection, statement, values)

    def sync_file(self, path: Path) -> None:
        if self._forgets != "contents":
            super().sync_file(path)

    def sync_folder(self, path: Path) -> None:
        if self._forgets != "names":
            Disk.sync_file(self, path)


async def live_carelessly(folder: Path, forgets: str) -> None:
    """A life on a disk that is used wrongly: the tests have to notice."""
    await Life(folder, 1, CarelessDisk(forgets)).run()


SCENES: Final = {"live": live, "live-hard": live_hard, "recover": recover, "adopt": adopt_other}
CARELESS: Final = ("rows", "contents", "names")


def main() -> None:
    """Entry of the process."""
    scene, folder, seed = sys.argv[1:]
    shrink(pytest.MonkeyPatch())
    if scene in CARELESS:
        asyncio.run(live_carelessly(Path(folder), scene))
    else:
        asyncio.run(SCENES[scene](Path(folder), int(seed)))


if __name__ == "__main__":
    main()
