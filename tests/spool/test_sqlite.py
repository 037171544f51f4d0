"""The SQLite spool keeps the contract; what only a disk can do to it."""

from __future__ import annotations

from pathlib import Path

import pytest

from bridgehead.core.error import MachineError
from bridgehead.spool.sqlite import SqliteSpool
from tests.spool.contract import OpenSpool, SpoolContract


class TestSqliteSpool(SpoolContract):
    """The contract."""

    @pytest.fixture
    def open_spool(self, tmp_path: Path) -> OpenSpool:
        return lambda: SqliteSpool(tmp_path, 0)


async def test_a_second_owner_is_refused_until_the_first_lets_go(tmp_path: Path) -> None:
    first = SqliteSpool(tmp_path, 0)
    with pytest.raises(MachineError, match="in use by another process"):
        SqliteSpool(tmp_path, 0)
    other_partition = SqliteSpool(tmp_path, 1)
    await other_partition.close()
    await first.close()
    await SqliteSpool(tmp_path, 0).close()
