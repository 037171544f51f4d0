"""Large bodies are files that live as long as the rows that name them."""

from __future__ import annotations

from pathlib import Path

import pytest

from bridgehead.core.envelope import MessageId
from bridgehead.spool.contract import Insert, Remove
from bridgehead.spool.sqlite import SqliteSpool
from tests.spool.contract import committed, content_of, envelope, loaded, result_of
from tests.spool.disks import FailingDisk
from tests.spool.places import LARGE, body_files, large_insert, reopened


async def test_the_file_of_a_large_body_goes_after_its_message(tmp_path: Path) -> None:
    spool = SqliteSpool(tmp_path, 0)
    await committed(spool, large_insert(spool, 1))
    stored = await loaded(spool, 1)
    assert stored.body.content is None
    assert [stored.body.path] == body_files(tmp_path)
    spool, ids = await reopened(spool, tmp_path)
    assert ids == [1]
    assert content_of((await loaded(spool, 1)).body) == LARGE
    await committed(spool, Remove(MessageId(1)))
    await spool.close()
    assert body_files(tmp_path) == []


async def test_a_message_removed_in_the_submission_that_inserts_it_leaves_no_file(tmp_path: Path) -> None:
    spool = SqliteSpool(tmp_path, 0)
    await committed(spool, large_insert(spool, 1), Remove(MessageId(1)))
    await spool.close()
    assert body_files(tmp_path) == []


async def test_a_failed_insert_takes_its_file_away(tmp_path: Path) -> None:
    spool = SqliteSpool(tmp_path, 0, FailingDisk({1, 2}, OSError("disk full")))
    assert isinstance(await result_of(spool, [large_insert(spool, 1)]), OSError)
    assert isinstance(await result_of(spool, [large_insert(spool, 2)]), OSError)
    await committed(spool, large_insert(spool, 3))
    spool, ids = await reopened(spool, tmp_path)
    assert ids == [3]
    assert len(body_files(tmp_path)) == 1
    await spool.close()


async def test_recover_removes_files_that_no_row_names_and_no_others(tmp_path: Path) -> None:
    spool = SqliteSpool(tmp_path, 0)
    await committed(spool, large_insert(spool, 1))
    kept = body_files(tmp_path)
    (tmp_path / "spool" / "p0.bodies" / "p0-1-1.body").write_bytes(b"left by a crash")
    spool, ids = await reopened(spool, tmp_path)
    assert ids == [1]
    assert body_files(tmp_path) == kept
    await spool.close()


async def test_a_body_may_be_inserted_once_only(tmp_path: Path) -> None:
    """Two messages that name one file would lose it with the first removal."""
    spool = SqliteSpool(tmp_path, 0)
    change = large_insert(spool, 1)
    await committed(spool, change)
    with pytest.raises(ValueError, match="submitted before"):
        spool.submit([Insert(MessageId(2), envelope(), change.body)])
    await spool.close()
