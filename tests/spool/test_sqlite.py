"""The SQLite spool keeps the contract, whatever the disk does to it."""

from __future__ import annotations

import asyncio
import resource
import sqlite3
import subprocess
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from bridgehead.core.envelope import MessageId
from bridgehead.spool.contract import Insert, Remove
from bridgehead.spool.sqlite import SqliteSpool
from tests.spool.contract import OpenSpool, SpoolContract, committed, content_of, envelope, insert, loaded, result_of
from tests.spool.disks import FailingDisk
from tests.spool.places import reopened


class TestSqliteSpool(SpoolContract):
    """The contract."""

    @pytest.fixture
    def open_spool(self, tmp_path: Path) -> OpenSpool:
        return lambda: SqliteSpool(tmp_path, 0)


async def test_a_write_that_fails_fails_its_submission_and_the_next_ones_hold(tmp_path: Path) -> None:
    """The batch fails, then the first submission by itself; the others succeed by themselves."""
    spool = SqliteSpool(tmp_path, 0, FailingDisk({2, 3}, sqlite3.OperationalError("disk I/O error")))
    await committed(spool, insert(1))
    results: list[str] = []
    for number in (2, 3, 4):
        spool.submit([insert(number)], lambda error, number=number: results.append(f"{number} {error}"))  # type: ignore[misc]  # default binds now
    await committed(spool)
    assert results[0] == "2 disk I/O error"
    spool, ids = await reopened(spool, tmp_path)
    assert [f"{number} None" for number in ids[1:]] == [result for result in results if result.endswith("None")]
    await spool.close()


async def test_a_spool_that_was_started_begins_no_thread_when_mail_comes(tmp_path: Path) -> None:
    spool = SqliteSpool(tmp_path, 0)
    assert list(spool.recover()) == []
    spool.start()
    before = set(threading.enumerate())
    writer = spool.new_body()
    writer.write(b"x" * 1_000_000)
    await committed(spool, Insert(MessageId(1), envelope(), writer.finish()))
    stored = await loaded(spool, 1)
    assert stored.body.path is not None, "a file, which a thread of its own reads"
    assert set(threading.enumerate()) == before
    await spool.close()


async def test_statistics_tell_of_a_disk_that_refuses_until_it_takes_a_write(tmp_path: Path) -> None:
    spool = SqliteSpool(tmp_path, 0, FailingDisk({3}, sqlite3.OperationalError("disk I/O error")))
    await committed(spool, insert(1))
    assert await result_of(spool, [insert(1)]) is not None  # there already: by no fault of the disk
    assert (spool.statistics().faults, spool.statistics().present_fault) == (0, "")
    assert await result_of(spool, [insert(2)]) is not None
    assert await result_of(spool, []) is None  # writes nothing, and proves nothing
    assert (spool.statistics().faults, spool.statistics().present_fault) == (1, "disk I/O error")
    await committed(spool, insert(2))
    assert (spool.statistics().faults, spool.statistics().present_fault) == (1, "")
    await spool.close()


async def test_a_full_disk_refuses_new_mail_and_takes_it_again_later(tmp_path: Path) -> None:
    spool = SqliteSpool(tmp_path, 0)
    await committed(spool, insert(1))
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (300_000, hard))
    try:
        results = [await result_of(spool, [insert(number, b"x" * 100_000)]) for number in range(2, 8)]
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
    assert any(results)
    await committed(spool, insert(9))
    spool, ids = await reopened(spool, tmp_path)
    assert ids == [1, *(number for number, error in enumerate(results, 2) if error is None), 9]
    assert spool.statistics().damaged == 0
    await spool.close()


@pytest.fixture
def small_volume(tmp_path: Path) -> Iterator[Path]:
    folder = tmp_path / "volume"
    folder.mkdir()
    mount = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", "size=4m", "tmpfs", str(folder)], capture_output=True, check=False
    )
    if mount.returncode:
        pytest.skip("only root can mount a small file system")
    yield folder
    subprocess.run(["umount", "--lazy", str(folder)], check=True)


async def test_the_spool_goes_on_by_itself_once_a_full_volume_has_room_again(small_volume: Path) -> None:
    spool = SqliteSpool(small_volume, 0)
    filler = small_volume / "filler"
    filler.write_bytes(b"x" * 1_000_000)
    accepted = []
    for number in range(1, 100):
        if await result_of(spool, [insert(number, b"x" * 100_000)]) is not None:
            break
        accepted.append(number)
    assert 5 < len(accepted) < 60
    filler.unlink()
    await committed(spool, *(Remove(MessageId(number)) for number in accepted[:5]))
    await committed(spool, insert(1000))
    spool, ids = await reopened(spool, small_volume)
    assert ids == [*accepted[5:], 1000]
    for number in ids:
        assert content_of((await loaded(spool, number)).body)
    await spool.close()


async def test_a_done_that_raises_does_not_silence_the_others(tmp_path: Path) -> None:
    spool = SqliteSpool(tmp_path, 0)
    seen: list[str] = []
    asyncio.get_running_loop().set_exception_handler(lambda _, context: seen.append(context["message"]))

    def defect(_: Exception | None) -> None:
        raise RuntimeError("a defect")

    spool.submit([insert(1)], defect)
    await committed(spool, insert(2))
    assert seen == ["a spool submission's done raised"]
    await spool.close()
