"""A spool that cannot be written is told once, and once more when it can be written again, without any mail."""

from __future__ import annotations

import itertools
import sqlite3
from pathlib import Path

from bridgehead.core.envelope import MessageId
from bridgehead.process.spool_watch import TRIAL_SECONDS, SpoolWatch, Watched
from bridgehead.spool.disk import Disk
from bridgehead.spool.sqlite import SqliteSpool
from tests.spool.contract import committed, insert, result_of
from tests.spool.disks import FailingDisk
from tests.spool.places import reopened

FULL = sqlite3.OperationalError("database or disk is full")


class Watching:
    """A spool on a disk, its watch, and what that told."""

    def __init__(self, folder: Path, disk: Disk) -> None:
        self.spool = SqliteSpool(folder, 0, disk)
        self.told: list[str] = []
        self.now = 1_790_000_000.0
        numbers = itertools.count(1000)
        self.watch = SpoolWatch(
            Watched(self.spool, lambda: MessageId(next(numbers)), lambda: self.now, self.told.append)
        )

    async def passes(self, seconds: float = TRIAL_SECONDS) -> None:
        """Time in which a trial is due, and is over."""
        self.now += seconds
        self.watch.look()
        while self.watch._is_trying:  # no other sign of its end
            await result_of(self.spool, [])
        self.watch.look()


async def test_watch_tells_nothing_of_a_spool_that_is_written(tmp_path: Path) -> None:
    watching = Watching(tmp_path, Disk())
    await committed(watching.spool, insert(1))
    await watching.passes()
    assert watching.told == []
    assert watching.spool.statistics().commits == 1  # nothing was tried
    await watching.spool.close()


async def test_watch_tries_until_the_disk_takes_it_and_leaves_nothing_behind(tmp_path: Path) -> None:
    disk = FailingDisk(set(range(2, 100)), FULL)
    watching = Watching(tmp_path, disk)
    await committed(watching.spool, insert(1))
    assert await result_of(watching.spool, [insert(2)]) is FULL
    await watching.passes()
    await watching.passes()
    assert watching.told == ["database or disk is full"]
    disk.failing.clear()
    await watching.passes()
    assert watching.told == ["database or disk is full", ""]
    assert watching.spool.statistics().messages == 1
    spool, ids = await reopened(watching.spool, tmp_path)
    assert ids == [1]
    assert not list((tmp_path / "spool").glob("*.bodies/*"))
    await spool.close()


async def test_watch_does_not_try_more_often_than_every_few_seconds(tmp_path: Path) -> None:
    disk = FailingDisk(set(range(100)), FULL)
    watching = Watching(tmp_path, disk)
    assert await result_of(watching.spool, [insert(1)]) is FULL
    await watching.passes()
    tried = disk.writes
    await watching.passes(TRIAL_SECONDS / 2)
    assert disk.writes == tried
    await watching.passes(TRIAL_SECONDS)
    assert disk.writes > tried
    await watching.spool.close()


async def test_watch_tries_on_where_the_clock_was_set_back(tmp_path: Path) -> None:
    disk = FailingDisk(set(range(100)), FULL)
    watching = Watching(tmp_path, disk)
    assert await result_of(watching.spool, [insert(1)]) is FULL
    await watching.passes()
    disk.failing.clear()
    await watching.passes(-5 * 3600.0)
    assert watching.told[-1] == ""
    await watching.spool.close()


async def test_watch_goes_on_where_not_even_a_body_can_be_begun(tmp_path: Path) -> None:
    watching = Watching(tmp_path, FailingDisk({1}, FULL))
    assert await result_of(watching.spool, [insert(1)]) is FULL
    (tmp_path / "spool" / "p0.bodies").rename(tmp_path / "away")
    await watching.passes()
    await watching.passes()
    assert watching.told == ["database or disk is full", "No such file or directory"]
    (tmp_path / "away").rename(tmp_path / "spool" / "p0.bodies")
    await watching.passes()
    assert watching.told[-1] == ""
    await watching.spool.close()
