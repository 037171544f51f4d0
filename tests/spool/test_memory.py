"""The fake keeps the contract, and shows crashes."""

from __future__ import annotations

import pytest

from bridgehead.core.envelope import MessageId
from bridgehead.spool.contract import Remove
from bridgehead.spool.memory import MemorySpool
from tests.spool.contract import OpenSpool, SpoolContract, committed, insert


class TestMemorySpool(SpoolContract):
    """The contract."""

    @pytest.fixture
    def open_spool(self) -> OpenSpool:
        latest = [MemorySpool()]

        def open_again() -> MemorySpool:
            latest[0] = latest[0].crash()
            return latest[0]

        return open_again


def ids(spool: MemorySpool) -> list[MessageId]:
    return [entry.message_id for entry in spool.recover()]


async def test_in_manual_mode_a_crash_keeps_only_what_was_committed() -> None:
    spool = MemorySpool(manual=True)
    results: list[Exception | None] = []
    spool.submit([insert(1), insert(2)], results.append)
    spool.submit([insert(3), Remove(MessageId(1))], results.append)
    assert ids(spool.crash()) == []
    spool = MemorySpool(manual=True)
    spool.submit([insert(1), insert(2)], results.append)
    spool.submit([insert(3), Remove(MessageId(1))], results.append)
    spool.commit(1)
    assert results == [None]
    assert ids(spool.crash()) == [1, 2]


async def test_a_failure_that_was_asked_for_fails_one_submission() -> None:
    spool = MemorySpool()
    spool.fail_next(OSError("disk full"))
    with pytest.raises(OSError, match="disk full"):
        await committed(spool, insert(1))
    await committed(spool, insert(2))
    assert ids(spool) == [2]
