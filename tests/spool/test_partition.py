"""One owner, and nobody else may look."""

from __future__ import annotations

import resource
from pathlib import Path

import pytest

from bridgehead.core.error import MachineError
from bridgehead.spool.sqlite import SqliteSpool
from tests.spool.contract import committed
from tests.spool.places import body_files, large_insert, sql


async def test_a_second_owner_is_refused_until_the_first_lets_go(tmp_path: Path) -> None:
    first = SqliteSpool(tmp_path, 0)
    with pytest.raises(MachineError, match="in use by another process"):
        SqliteSpool(tmp_path, 0)
    other_partition = SqliteSpool(tmp_path, 1)
    await other_partition.close()
    await first.close()
    await SqliteSpool(tmp_path, 0).close()


async def test_nobody_else_can_look_into_the_spool(tmp_path: Path) -> None:
    spool = SqliteSpool(tmp_path, 0)
    await committed(spool, large_insert(spool, 1))
    assert (tmp_path / "spool").stat().st_mode & 0o777 == 0o700
    assert body_files(tmp_path)[0].stat().st_mode & 0o777 == 0o600
    await spool.close()


async def test_a_folder_that_cannot_be_used_is_the_machines_fault(tmp_path: Path) -> None:
    (tmp_path / "spool").write_text("a file where a folder should be")
    with pytest.raises(MachineError, match="cannot use"):
        SqliteSpool(tmp_path, 0)


async def test_a_disk_without_room_for_the_map_of_the_log_has_a_remedy(tmp_path: Path) -> None:
    await SqliteSpool(tmp_path, 0).close()
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (1024, limits[1]))  # of each file; it is refused as by a full disk
    try:
        with pytest.raises(MachineError, match=r"no room for .*p0\.db to be opened, .* make room"):
            SqliteSpool(tmp_path, 0)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)
    await SqliteSpool(tmp_path, 0).close()


async def test_a_database_of_a_later_version_is_left_alone(tmp_path: Path) -> None:
    await SqliteSpool(tmp_path, 0).close()
    sql(tmp_path, "PRAGMA user_version = 99")
    with pytest.raises(MachineError, match="later version"):
        SqliteSpool(tmp_path, 0)
