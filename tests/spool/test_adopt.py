"""Adoption moves every message once, however often it is cut short."""

from __future__ import annotations

import asyncio
import shutil
import sqlite3
from pathlib import Path

import pytest

from bridgehead.core.envelope import MessageId
from bridgehead.core.error import MachineError
from bridgehead.spool import adopt as adoption
from bridgehead.spool.adopt import adopt
from bridgehead.spool.contract import BODY_IN_ROW_MAX, Insert, StoredEntry, Update
from bridgehead.spool.partition import partitions
from bridgehead.spool.sqlite import SqliteSpool
from tests.spool.contract import FROZEN, RETRYING, committed, content_of, envelope, insert, loaded
from tests.spool.disks import CrashDisk, PowerLossError

LARGE = b"0123456789abcdef" * (BODY_IN_ROW_MAX // 16 + 1)
MESSAGES = range(2, 8)
"""Of the orphan; 4 and 6 have files."""


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


async def test_all_messages_move_and_the_orphan_is_gone(tmp_path: Path) -> None:
    expected = await fill(tmp_path)
    assert partitions(tmp_path) == [0, 3]
    assert adopt(tmp_path, 0, 3) == len(MESSAGES)
    assert partitions(tmp_path) == [0]
    assert await entries(tmp_path, 0) == expected
    assert len(list((tmp_path / "spool" / "p0.bodies").iterdir())) == 2
    assert not (tmp_path / "spool" / "p3.bodies").exists()


async def test_the_number_can_be_used_again(tmp_path: Path) -> None:
    await fill(tmp_path)
    adopt(tmp_path, 0, 3)
    assert await entries(tmp_path, 3) == []


async def test_a_partition_in_use_is_not_adopted(tmp_path: Path) -> None:
    await fill(tmp_path)
    alive = SqliteSpool(tmp_path, 3)
    with pytest.raises(MachineError, match="in use"):
        adopt(tmp_path, 0, 3)
    await alive.close()
    adopt(tmp_path, 0, 3)


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
            adopt(state_dir, 0, 3, disk)
            is_finished = True
        except PowerLossError:
            is_finished = False
            for path in set(bodies.iterdir()) - disk.synced_names:
                path.unlink()
            (state_dir / "spool" / "p3.bodies").mkdir(exist_ok=True)
            adopt(state_dir, 0, 3)
        assert await entries(state_dir, 0) == expected
        assert 3 not in partitions(state_dir)
        if is_finished:
            assert disk.steps > 10
            return
    pytest.fail("adoption has more steps than the test tries")


async def test_a_damaged_message_of_an_orphan_moves_as_it_is_and_is_set_aside_then(tmp_path: Path) -> None:
    expected = await fill(tmp_path)
    connection = sqlite3.connect(tmp_path / "spool" / "p3.db")
    with connection:
        connection.execute("UPDATE message SET entry = x'00' WHERE id = 4")
    connection.close()
    adopt(tmp_path, 0, 3)
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
    moved = adopt(tmp_path, 0, 1)
    assert 280 < moved < 300
    spool = SqliteSpool(tmp_path, 0)
    assert len(list(spool.recover())) == moved
    await spool.close()
    await asyncio.sleep(0)
