"""`kill -9` under load, again and again on the same spool: no promise is broken."""

from __future__ import annotations

import random
import subprocess
import sys
import zlib
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from bridgehead.core.envelope import MessageId
from bridgehead.spool.sqlite import SqliteSpool
from tests.spool.contract import content_of, loaded

ROOT = Path(__file__).parents[2]


@dataclass
class Promises:
    """What the victims printed."""

    checksums: dict[int, int] = field(default_factory=dict)
    attempts: dict[int, int] = field(default_factory=dict)
    removing: set[int] = field(default_factory=set)
    removed: set[int] = field(default_factory=set)

    def note(self, line: str) -> None:
        """One line; the last may be cut short by the kill."""
        match line.split():
            case ["i", number, checksum] if line.endswith("\n"):
                self.checksums[int(number)] = int(checksum)
            case ["u", number, attempts] if line.endswith("\n"):
                self.attempts[int(number)] = int(attempts)
            case ["r", number] if line.endswith("\n"):
                self.removing.add(int(number))
            case ["R", number] if line.endswith("\n"):
                self.removed.add(int(number))
            case _:
                pass


def kill_one(state_dir: Path, seed: int, lines: int, promises: Promises) -> None:
    """Run a victim until it printed so many lines, then kill it."""
    with subprocess.Popen(
        [sys.executable, "-m", "tests.spool.victim", str(state_dir), str(seed)],
        stdout=subprocess.PIPE,
        cwd=ROOT,
        text=True,
    ) as victim:
        assert victim.stdout is not None
        for _ in range(lines):
            promises.note(victim.stdout.readline())
        victim.kill()
        for line in victim.stdout:
            promises.note(line)


async def check(state_dir: Path, promises: Promises) -> None:
    spool = SqliteSpool(state_dir, 0)
    entries = {entry.message_id: entry for entry in spool.recover()}
    there = set(map(int, entries))
    assert promises.checksums.keys() - promises.removing - there == set(), "promised, and lost"
    assert there & promises.removed == set(), "removed, and back again"
    large = 0
    for number, entry in entries.items():
        body = (await loaded(spool, number)).body
        large += body.path is not None
        if number in promises.checksums:
            assert zlib.crc32(content_of(body)) == promises.checksums[number]
        state = entry.states.get(0)
        assert (state.attempts if state else 0) >= promises.attempts.get(number, 0)
    assert spool.statistics().damaged == 0
    assert len(list((state_dir / "spool" / "p0.bodies").iterdir())) == large
    assert await spool.load(MessageId(1)) is None
    await spool.close()


async def kill_often(state_dir: Path, seed: int, kills: int) -> None:
    print(f"seed {seed}")
    draw = random.Random(seed)
    promises = Promises()
    for number in range(kills):
        kill_one(state_dir, seed + number, draw.randrange(1, 400), promises)
        await check(state_dir, promises)
    assert len(promises.checksums) > 50


async def test_kill_breaks_no_promise(tmp_path: Path) -> None:
    await kill_often(tmp_path, 20_240, 3)


@pytest.mark.slow
@pytest.mark.timeout(600)
async def test_many_kills_break_no_promise(tmp_path: Path) -> None:
    await kill_often(tmp_path, random.randrange(1 << 30), 60)
