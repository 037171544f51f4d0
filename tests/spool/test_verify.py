"""Everything in a partition is read; what is damaged is told, and set aside when asked; the rest stays."""

from __future__ import annotations

from pathlib import Path

import pytest

from bridgehead.core.envelope import MessageId
from bridgehead.core.error import MachineError
from bridgehead.spool.sqlite import SqliteSpool
from bridgehead.spool.verify import Findings, salvage, verify
from tests.spool.contract import CONTENT, committed, insert
from tests.spool.places import LARGE, body_files, large_insert, notes, sql


async def fill(state_dir: Path) -> None:
    """Messages 1 and 2 with bodies in rows, 3 and 4 with bodies in files."""
    spool = SqliteSpool(state_dir, 0)
    await committed(spool, insert(1), insert(2), large_insert(spool, 3), large_insert(spool, 4))
    await spool.close()


def reasons(findings: Findings) -> dict[int, str]:
    return {int(one.message_id): one.reason for one in findings.damaged}


async def test_a_whole_partition_is_said_to_be_whole(tmp_path: Path) -> None:
    await fill(tmp_path)
    found = verify(tmp_path, 0)
    assert found.is_whole
    assert (found.messages, found.octets) == (4, 2 * len(CONTENT) + 2 * len(LARGE))
    assert salvage(tmp_path, 0) == (found, 0)


async def test_damage_in_rows_and_files_is_told_and_nothing_changes(tmp_path: Path) -> None:
    await fill(tmp_path)
    sql(tmp_path, "UPDATE message SET body = CAST(body || x'00' AS BLOB) WHERE id = 1")
    first, second = body_files(tmp_path)
    first.unlink()
    second.write_bytes(LARGE[:-1] + b"?")
    for _ in range(2):
        found = verify(tmp_path, 0)
        assert reasons(found) == {
            1: "the body's checksum does not match",
            3: "the body's file is missing",
            4: "the body's file was changed",
        }
        assert found.messages == 1
    assert not (tmp_path / "damaged").exists()


async def test_salvage_sets_all_damage_aside_and_keeps_the_rest(tmp_path: Path) -> None:
    await fill(tmp_path)
    sql(tmp_path, "UPDATE message SET entry = x'0000000001' WHERE id = 2")
    changed = LARGE[:-1] + b"?"
    body_files(tmp_path)[1].write_bytes(changed)
    found, set_aside = salvage(tmp_path, 0)
    assert (found.is_whole, found.messages, set_aside) == (True, 2, 2)
    assert sorted(notes(tmp_path)) == ["checksum does not match", "the body's file was changed"]
    assert {path.read_bytes() for path in (tmp_path / "damaged").rglob("body")} == {CONTENT, changed}
    spool = SqliteSpool(tmp_path, 0)
    assert [entry.message_id for entry in spool.recover()] == [1, 3]
    assert len(body_files(tmp_path)) == 1
    await spool.close()


async def test_salvage_sets_the_body_file_of_a_damaged_entry_aside(tmp_path: Path) -> None:
    """Which one it was nobody can read any more, so all that no entry names are kept before a start removes them."""
    await fill(tmp_path)
    sql(tmp_path, "UPDATE message SET entry = x'0000000001' WHERE id = 3")
    found, _ = salvage(tmp_path, 0)
    assert (found.is_whole, found.messages) == (True, 3)
    assert [path.read_bytes() for path in (tmp_path / "damaged").rglob("*.body")] == [LARGE]


async def test_a_partition_that_a_server_uses_is_verified_but_not_salvaged(tmp_path: Path) -> None:
    spool = SqliteSpool(tmp_path, 0)
    await committed(spool, insert(1))
    assert verify(tmp_path, 0).messages == 1
    with pytest.raises(MachineError, match="in use by another process"):
        salvage(tmp_path, 0)
    assert await spool.load(MessageId(1)) is not None
    await spool.close()


async def test_what_is_no_database_at_all_is_told_and_set_aside_whole(tmp_path: Path) -> None:
    await fill(tmp_path)
    database = tmp_path / "spool" / "p0.db"
    database.write_bytes(b"x" * 8192)
    assert verify(tmp_path, 0).faults == ("file is not a database",)
    found, set_aside = salvage(tmp_path, 0)
    assert (found.is_whole, found.messages, set_aside) == (True, 0, 2), "the database, and the bodies it named"
    assert [path.read_bytes() for path in (tmp_path / "damaged").rglob("p0.db")] == [b"x" * 8192]
    assert [path.read_bytes() for path in (tmp_path / "damaged").rglob("*.body")] == [LARGE, LARGE]
