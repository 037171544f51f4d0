"""Adoption moves every message once, however often it is cut short."""

from __future__ import annotations

import asyncio
import shutil
import sqlite3
from collections import Counter
from collections.abc import Callable
from contextlib import closing
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from bridgehead.core.envelope import MessageId
from bridgehead.core.error import MachineError
from bridgehead.spool import adopt as adoption
from bridgehead.spool.adopt import adopt
from bridgehead.spool.contract import BODY_IN_ROW_MAX, Insert, Remove, StoredEntry, Update
from bridgehead.spool.disk import Disk
from bridgehead.spool.partition import partitions
from bridgehead.spool.sqlite import SqliteSpool
from bridgehead.spool.takeover import marks
from tests.spool.contract import FROZEN, RETRYING, committed, content_of, envelope, insert, loaded
from tests.spool.disks import CrashDisk, PowerLossError

LARGE = b"0123456789abcdef" * (BODY_IN_ROW_MAX // 16 + 1)
MESSAGES = range(2, 8)
"""Of the orphan; 4 and 6 have files."""
STEPS_TO_BOTH = 6
"""Of the disk: mark, its name, two links, their names, the rows in their new place."""
PARTITIONS = 4
NEVER = 10_000
KILLED_AT = st.sampled_from([3, 8, 11, NEVER]) | st.integers(1, 30)
"""Step of the disk. A partition of a few small messages moves in eight: mark, its name, rows in their new place, rows
gone, three files gone, mark gone."""
Start = tuple[int, list[int]]
"""Number of workers, and when each of them is killed."""
START = st.integers(1, PARTITIONS).flatmap(
    lambda workers: st.tuples(st.just(workers), st.lists(KILLED_AT, min_size=workers, max_size=workers))
)


async def fill(state_dir: Path) -> list[StoredEntry]:
    """Message 1 in partition 0; several, with states, in partition 3. Returns what must be found afterwards."""
    own = SqliteSpool(state_dir, 0)
    await committed(own, insert(1), Update(MessageId(1), {1: FROZEN}))
    await own.close()
    orphan = SqliteSpool(state_dir, 3)
    for number in MESSAGES:
        change = insert(number)
        if number in {4, 6}:
            body = orphan.new_body()
            body.write(LARGE)
            change = Insert(change.message_id, envelope(f"large{number}@fabrikam.com"), body.finish())
        await committed(orphan, change)
    await committed(orphan, Update(MessageId(5), {0: RETRYING}))
    await orphan.close()
    return await entries(state_dir, 0) + await entries(state_dir, 3)


async def entries(state_dir: Path, partition: int) -> list[StoredEntry]:
    """What a partition holds, each body whole."""
    spool = SqliteSpool(state_dir, partition)
    found = list(spool.recover())
    for entry in found:
        content = content_of((await loaded(spool, entry.message_id)).body)
        assert content == (LARGE if entry.message_id in {4, 6} else insert(entry.message_id).body.content)
    assert spool.statistics().damaged == 0
    await spool.close()
    return found


def rows(state_dir: Path, partition: int) -> set[int]:
    """Ids of what is in a partition that may be opened by nobody."""
    with closing(sqlite3.connect(state_dir / "spool" / f"p{partition}.db")) as connection:
        return {number for (number,) in connection.execute("SELECT id FROM message")}


async def test_all_messages_move_and_the_orphan_is_gone(tmp_path: Path) -> None:
    expected = await fill(tmp_path)
    assert partitions(tmp_path) == [0, 3]
    assert adopt(tmp_path, 0, 1) == {3: len(MESSAGES)}
    assert partitions(tmp_path) == [0]
    assert await entries(tmp_path, 0) == expected
    assert len(list((tmp_path / "spool" / "p0.bodies").iterdir())) == 2
    assert not (tmp_path / "spool" / "p3.bodies").exists()
    assert not list((tmp_path / "spool").glob("*.into"))


async def test_the_number_can_be_used_again(tmp_path: Path) -> None:
    await fill(tmp_path)
    adopt(tmp_path, 0, 1)
    assert await entries(tmp_path, 3) == []


async def test_a_partition_in_use_is_not_adopted(tmp_path: Path) -> None:
    await fill(tmp_path)
    alive = SqliteSpool(tmp_path, 3)
    with pytest.raises(MachineError, match="in use"):
        adopt(tmp_path, 0, 1)
    await alive.close()
    adopt(tmp_path, 0, 1)


@pytest.mark.parametrize("after", [False, True], ids=["before", "after"])
async def test_adoption_interrupted_at_any_step_is_completed_by_the_next(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, after: bool
) -> None:
    monkeypatch.setattr(adoption, "_BATCH", 2)
    expected = await fill(tmp_path / "filled")
    for crash_at in range(1, 60):
        state_dir = tmp_path / str(crash_at)
        shutil.copytree(tmp_path / "filled", state_dir)
        bodies = state_dir / "spool" / "p0.bodies"
        disk = CrashDisk(crash_at, after=after)
        try:
            adopt(state_dir, 0, 1, disk)
            is_finished = True
        except PowerLossError:
            is_finished = False
            for path in set(bodies.iterdir()) - disk.synced_names:
                path.unlink()
            (state_dir / "spool" / "p3.bodies").mkdir(exist_ok=True)
            adopt(state_dir, 0, 1)
        assert await entries(state_dir, 0) == expected
        assert 3 not in partitions(state_dir)
        if is_finished:
            assert disk.steps > 10
            return
    pytest.fail("adoption has more steps than the test tries")


async def test_a_partition_that_moves_is_nobody_elses_until_all_has_moved(tmp_path: Path) -> None:
    """As where a server is killed within it, and started with as many workers as before."""
    expected = await fill(tmp_path)
    with pytest.raises(PowerLossError):
        adopt(tmp_path, 0, 1, CrashDisk(STEPS_TO_BOTH, after=True))
    assert rows(tmp_path, 0) & rows(tmp_path, 3) == set(MESSAGES), "both have them"
    assert adopt(tmp_path, 3, 4) == {}
    with pytest.raises(MachineError, match=r"p3\.db moves into p0\.db"):
        SqliteSpool(tmp_path, 3)
    assert adopt(tmp_path, 0, 4) == {3: len(MESSAGES)}
    assert await entries(tmp_path, 0) == expected
    assert await entries(tmp_path, 3) == []


async def test_a_worker_takes_over_nothing_that_has_become_anothers_meanwhile(tmp_path: Path) -> None:
    """One is at it for minutes; another one begins with what is its own, and ends within it."""
    await fill_each(tmp_path)
    with pytest.raises(PowerLossError):
        adopt(tmp_path, 0, 1, CrashDisk(3, after=True))
    assert marks(tmp_path) == {1: 0}

    def other() -> None:
        with pytest.raises(PowerLossError):
            adopt(tmp_path, 1, 2, CrashDisk(3, after=True))

    assert adopt(tmp_path, 0, 2, Interposed("p2.into", other)) == {1: 4, 2: 4}
    assert marks(tmp_path) == {3: 1}
    assert adopt(tmp_path, 1, 2) == {3: 4}
    assert (rows(tmp_path, 0), rows(tmp_path, 1)) == (set(range(1, 13)), set(range(13, 17)))


async def test_a_worker_that_is_left_over_takes_nothing_from_those_of_the_next_server(tmp_path: Path) -> None:
    """A killed supervisor's worker, alone of its kind, goes on until it notices."""
    await fill_each(tmp_path)

    def next_server() -> None:
        with pytest.raises(PowerLossError):
            adopt(tmp_path, 1, 2, CrashDisk(3, after=True))

    assert adopt(tmp_path, 0, 1, Interposed("p2.into", next_server)) == {1: 4, 2: 4}
    assert marks(tmp_path) == {3: 1}
    assert adopt(tmp_path, 0, 2) == {}
    assert adopt(tmp_path, 1, 2) == {3: 4}
    assert (rows(tmp_path, 0), rows(tmp_path, 1)) == (set(range(1, 13)), set(range(13, 17)))


async def test_a_partition_that_cannot_be_opened_is_not_marked(tmp_path: Path) -> None:
    """As many workers as before leave it to its own, and the others send their mail."""
    await fill(tmp_path)
    path = tmp_path / "spool" / "p3.db"
    path.unlink()
    path.mkdir()
    with pytest.raises(MachineError, match="cannot open"):
        adopt(tmp_path, 0, 1)
    assert adopt(tmp_path, 0, 4) == {}


@given(st.lists(START, min_size=1, max_size=4), START)
@example([(2, [NEVER, 3]), (1, [8])], (2, []))
@settings(max_examples=40, deadline=None)
def test_each_message_is_sent_once_however_often_a_server_is_killed_and_its_workers_change(
    starts: list[Start], last: Start
) -> None:
    """Every worker takes over what is its own to take, with a crash or not, and sends all that it then has."""
    with TemporaryDirectory() as folder:
        state_dir = Path(folder)
        asyncio.run(fill_each(state_dir))
        sent: Counter[int] = Counter()
        for workers, crashes in starts:
            for own, crash_at in zip(range(workers), crashes, strict=False):
                asyncio.run(live(state_dir, own, workers, crash_at, sent))
        for _ in range(2):  # a worker whose partition moves starts when another one is through
            for own in range(last[0]):
                asyncio.run(live(state_dir, own, last[0], NEVER, sent))
        assert sent == dict.fromkeys(range(1, 4 * PARTITIONS + 1), 1)
        assert partitions(state_dir) == list(range(last[0]))


class Interposed(Disk):
    """Has somebody else act before a mark is written."""

    def __init__(self, name: str, act: Callable[[], None]) -> None:
        self._name = name
        self._act = act

    def write_line(self, path: Path, line: str) -> None:
        if path.name == self._name:
            self._act()
        super().write_line(path, line)


async def fill_each(state_dir: Path) -> None:
    """Four messages in each partition."""
    for number in range(PARTITIONS):
        spool = SqliteSpool(state_dir, number)
        await committed(spool, *(insert(4 * number + each) for each in range(1, 5)))
        await spool.close()


async def live(state_dir: Path, own: int, workers: int, crash_at: int, sent: Counter[int]) -> None:
    """A worker's life: to its death at that step of a takeover, or till it has sent everything."""
    try:
        adopt(state_dir, own, workers, CrashDisk(crash_at, after=True))
        spool = SqliteSpool(state_dir, own)
    except (PowerLossError, MachineError):
        return
    found = [entry.message_id for entry in spool.recover()]
    sent.update(found)
    await committed(spool, *map(Remove, found))
    await spool.close()


async def test_a_damaged_message_of_an_orphan_moves_as_it_is_and_is_set_aside_then(tmp_path: Path) -> None:
    expected = await fill(tmp_path)
    connection = sqlite3.connect(tmp_path / "spool" / "p3.db")
    with connection:
        connection.execute("UPDATE message SET entry = x'00' WHERE id = 4")
    connection.close()
    adopt(tmp_path, 0, 1)
    spool = SqliteSpool(tmp_path, 0)
    assert list(spool.recover()) == [entry for entry in expected if entry.message_id != 4]
    assert spool.statistics().damaged == 1
    await spool.close()
    kept = [path.stat().st_size for path in (tmp_path / "damaged").rglob("*.body")]
    assert kept == [len(LARGE)], "its body's file is kept, though nothing names it any more"


async def test_a_damaged_orphan_is_salvaged_first(tmp_path: Path) -> None:
    orphan = SqliteSpool(tmp_path, 1)
    await committed(orphan, *(insert(number << 40, b"%d" % number * 500) for number in range(1, 301)))
    await orphan.close()
    path = tmp_path / "spool" / "p1.db"
    content = bytearray(path.read_bytes())
    content[100 * 4096 : 101 * 4096] = b"\xff" * 4096
    path.write_bytes(content)
    moved = adopt(tmp_path, 0, 1)[1]
    assert 280 < moved < 300
    spool = SqliteSpool(tmp_path, 0)
    assert len(list(spool.recover())) == moved
    await spool.close()
    await asyncio.sleep(0)
