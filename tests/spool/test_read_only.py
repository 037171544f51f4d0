"""The spool can be read beside its owner and without one, and is not changed by it."""

from __future__ import annotations

import sqlite3
from pathlib import Path

from bridgehead.core.envelope import MessageId
from bridgehead.spool.contract import BODY_IN_ROW_MAX, Insert, Update
from bridgehead.spool.read_only import ReadOnlySpool
from bridgehead.spool.sqlite import SqliteSpool
from tests.spool.contract import RETRYING, committed, content_of, envelope, insert


async def test_all_partitions_are_read_beside_their_owners_and_without(tmp_path: Path) -> None:
    first, second = SqliteSpool(tmp_path, 0), SqliteSpool(tmp_path, 1)
    await committed(first, insert(1), insert(3), Update(MessageId(3), {0: RETRYING}))
    await committed(second, insert(2))
    reader = ReadOnlySpool(tmp_path)
    beside = list(reader.entries())
    assert [entry.message_id for entry in beside] == [1, 3, 2]
    assert beside[1].states == {0: RETRYING}
    await first.close()
    await second.close()
    assert list(reader.entries()) == beside
    assert reader.damaged == 0


async def test_a_message_is_loaded_from_whichever_partition_holds_it(tmp_path: Path) -> None:
    spool = SqliteSpool(tmp_path, 5)
    body = spool.new_body()
    body.write(b"x" * (BODY_IN_ROW_MAX + 1))
    await committed(spool, insert(1), Insert(MessageId(2), envelope(), body.finish()))
    await SqliteSpool(tmp_path, 0).close()
    reader = ReadOnlySpool(tmp_path)
    small, large = reader.load(MessageId(1)), reader.load(MessageId(2))
    assert small is not None
    assert large is not None
    assert small.body == insert(1).body
    assert content_of(large.body) == b"x" * (BODY_IN_ROW_MAX + 1)
    assert reader.load(MessageId(3)) is None
    await spool.close()


def test_where_there_is_no_spool_there_are_no_messages(tmp_path: Path) -> None:
    reader = ReadOnlySpool(tmp_path / "missing")
    assert list(reader.entries()) == []
    assert reader.load(MessageId(1)) is None
    assert list(tmp_path.iterdir()) == []


async def test_what_is_damaged_is_counted_and_the_rest_is_read(tmp_path: Path) -> None:
    spool = SqliteSpool(tmp_path, 0)
    await committed(spool, insert(1), insert(2))
    await spool.close()
    with sqlite3.connect(tmp_path / "spool" / "p0.db") as connection:
        connection.execute("UPDATE message SET entry = x'00' WHERE id = 1")
    connection.close()
    (tmp_path / "spool" / "p1.db").write_bytes(b"no database" * 1000)
    reader = ReadOnlySpool(tmp_path)
    assert [entry.message_id for entry in reader.entries()] == [2]
    assert reader.damaged == 2
