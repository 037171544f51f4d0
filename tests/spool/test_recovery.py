"""What is damaged is set aside; the rest is there."""

from __future__ import annotations

from pathlib import Path

import pytest

from bridgehead.core.envelope import MessageId
from bridgehead.spool.contract import Remove, Update
from bridgehead.spool.sqlite import SqliteSpool
from tests.spool.contract import CONTENT, RETRYING, committed, content_of, insert, loaded
from tests.spool.places import LARGE, body_files, large_insert, notes, reopened, sql


@pytest.mark.parametrize(
    ("name", "statement"),
    [
        (
            "an entry with a changed octet",
            "UPDATE message SET entry = CAST(substr(entry, 1, 9) || x'00' || substr(entry, 11) AS BLOB)",
        ),
        ("an entry that is text", "UPDATE message SET entry = 'text'"),
        ("an entry that is a number", "UPDATE message SET entry = 7"),
        ("an entry cut short", "UPDATE message SET entry = substr(entry, 1, 30)"),
        ("an empty entry", "UPDATE message SET entry = x''"),
    ],
    ids=lambda value: value if " message " not in value else "",
)
async def test_a_damaged_entry_is_set_aside_at_start(tmp_path: Path, name: str, statement: str) -> None:
    spool = SqliteSpool(tmp_path, 0)
    await committed(spool, insert(1), insert(2), insert(3))
    await spool.close()
    sql(tmp_path, f"{statement} WHERE id = 2")
    spool = SqliteSpool(tmp_path, 0)
    assert [entry.message_id for entry in spool.recover()] == [1, 3], name
    assert spool.statistics().damaged == 1
    assert len(notes(tmp_path)) == 1
    assert [path.read_bytes() for path in (tmp_path / "damaged").rglob("body")] == [CONTENT]
    spool, ids = await reopened(spool, tmp_path)
    assert ids == [1, 3]
    assert spool.statistics().damaged == 0
    await spool.close()


async def test_a_damaged_state_is_set_aside_with_its_message(tmp_path: Path) -> None:
    spool = SqliteSpool(tmp_path, 0)
    await committed(spool, insert(1), insert(2), Update(MessageId(2), {0: RETRYING}))
    await spool.close()
    sql(tmp_path, "UPDATE recipient_state SET state = CAST(state || x'00' AS BLOB)")
    spool = SqliteSpool(tmp_path, 0)
    assert [entry.message_id for entry in spool.recover()] == [1]
    assert spool.statistics().damaged == 1
    await spool.close()


async def test_a_damaged_body_is_set_aside_when_it_is_loaded(tmp_path: Path) -> None:
    spool = SqliteSpool(tmp_path, 0)
    await committed(spool, insert(1), insert(2))
    await spool.close()
    sql(tmp_path, "UPDATE message SET body = x'00' WHERE id = 1")
    spool = SqliteSpool(tmp_path, 0)
    assert [entry.message_id for entry in spool.recover()] == [1, 2]
    assert await spool.load(MessageId(1)) is None
    assert spool.statistics().damaged == 1
    spool, ids = await reopened(spool, tmp_path)
    assert ids == [2]
    await spool.close()


@pytest.mark.parametrize("damage", ["missing", "shorter", "changed"])
async def test_a_damaged_body_file_is_set_aside_when_it_is_loaded(tmp_path: Path, damage: str) -> None:
    spool = SqliteSpool(tmp_path, 0)
    await committed(spool, large_insert(spool, 1), insert(2))
    await spool.close()
    (file,) = body_files(tmp_path)
    match damage:
        case "missing":
            file.unlink()
        case "shorter":
            file.write_bytes(LARGE[:-1])
        case _:
            file.write_bytes(LARGE[:-1] + b"?")
    spool = SqliteSpool(tmp_path, 0)
    assert len(list(spool.recover())) == 2
    assert await spool.load(MessageId(1)) is None
    assert await spool.load(MessageId(2)) is not None
    assert spool.statistics().damaged == 1
    kept = [path.stat().st_size for path in (tmp_path / "damaged").rglob("body")]
    assert kept == {"missing": [], "shorter": [len(LARGE) - 1], "changed": [len(LARGE)]}[damage]
    spool, ids = await reopened(spool, tmp_path)
    assert ids == [2]
    assert body_files(tmp_path) == []
    await spool.close()


async def filled(state_dir: Path, count: int) -> None:
    spool = SqliteSpool(state_dir, 0)
    await committed(spool, *(insert(number << 40, b"%d" % number * 500) for number in range(1, count + 1)))
    await committed(spool, Update(MessageId(3 << 40), {0: RETRYING}))
    await spool.close()


async def test_a_damaged_page_costs_its_messages_only(tmp_path: Path) -> None:
    await filled(tmp_path, 400)
    database = tmp_path / "spool" / "p0.db"
    content = bytearray(database.read_bytes())
    for page in (60, 61, 150):
        content[page * 4096 : page * 4096 + 4096] = b"\xff" * 4096
    database.write_bytes(content)
    spool = SqliteSpool(tmp_path, 0)
    entries = {entry.message_id: entry for entry in spool.recover()}
    assert 380 < len(entries) < 400
    assert list(entries) == sorted(entries)
    assert entries[MessageId(3 << 40)].states == {0: RETRYING}
    assert spool.statistics().damaged >= 1
    assert any(path.read_bytes() == bytes(content) for path in (tmp_path / "damaged").rglob("p0.db"))
    for number in entries:
        assert content_of((await loaded(spool, number)).body) == b"%d" % (number >> 40) * 500
    await committed(spool, insert(1))
    await spool.close()


async def test_damage_met_in_use_sets_the_message_aside_and_salvages_at_the_next_start(tmp_path: Path) -> None:
    """The chain of pages of one large row is broken; entries can still be read."""
    spool = SqliteSpool(tmp_path, 0)
    await committed(spool, insert(1), insert(2, b"y" * 200_000), insert(3))
    await spool.close()
    database = tmp_path / "spool" / "p0.db"
    content = database.read_bytes()
    page = content.index(b"y" * 4092) // 4096 + 5
    database.write_bytes(content[: page * 4096] + b"\xff" * 4096 + content[page * 4096 + 4096 :])
    spool = SqliteSpool(tmp_path, 0)
    assert [entry.message_id for entry in spool.recover()] == [1, 2, 3]
    assert await spool.load(MessageId(2)) is None
    spool, ids = await reopened(spool, tmp_path)
    assert ids == [1, 3]
    assert spool.statistics().damaged >= 1
    await committed(spool, insert(4))
    spool, ids = await reopened(spool, tmp_path)
    assert ids == [1, 3, 4]
    assert spool.statistics().damaged == 0
    await spool.close()


@pytest.mark.parametrize("content", [b"this is no database" * 1000, b"SQLite format 3\0" + b"\xee" * 5000])
async def test_a_file_that_is_no_database_is_set_aside_whole(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "spool").mkdir()
    (tmp_path / "spool" / "p0.db").write_bytes(content)
    spool = SqliteSpool(tmp_path, 0)
    assert list(spool.recover()) == []
    assert spool.statistics().damaged == 1
    assert [path.read_bytes() for path in (tmp_path / "damaged").rglob("p0.db")] == [content]
    await committed(spool, insert(1))
    await spool.close()


async def test_a_salvage_cut_short_before_the_exchange_is_finished_at_the_next_start(tmp_path: Path) -> None:
    """The fresh database is complete, the damaged one not yet replaced."""
    await filled(tmp_path, 5)
    place = tmp_path / "spool"
    (place / "p0.db").rename(place / "p0.ready")
    (place / "p0.db").write_bytes(b"damaged")
    (place / "p0.db-wal").write_bytes(b"damaged")
    spool = SqliteSpool(tmp_path, 0)
    assert len(list(spool.recover())) == 5
    assert spool.statistics().damaged == 0
    await spool.close()


async def test_the_body_file_of_a_damaged_entry_is_set_aside_with_it(tmp_path: Path) -> None:
    """Nobody can read any more which file it was: all that no readable entry names are kept."""
    spool = SqliteSpool(tmp_path, 0)
    await committed(spool, large_insert(spool, 1), large_insert(spool, 2))
    await spool.close()
    sql(tmp_path, "UPDATE message SET entry = substr(entry, 1, 30) WHERE id = 2")
    spool = SqliteSpool(tmp_path, 0)
    assert [entry.message_id for entry in spool.recover()] == [1]
    assert [path.read_bytes() for path in (tmp_path / "damaged").rglob("*.body")] == [LARGE]
    assert len(body_files(tmp_path)) == 1
    await spool.close()


async def test_body_files_are_set_aside_with_a_database_that_names_them_no_more(tmp_path: Path) -> None:
    spool = SqliteSpool(tmp_path, 0)
    await committed(spool, large_insert(spool, 1))
    await spool.close()
    (tmp_path / "spool" / "p0.db").write_bytes(b"no database at all" * 1000)
    spool = SqliteSpool(tmp_path, 0)
    assert list(spool.recover()) == []
    assert [path.read_bytes() for path in (tmp_path / "damaged").rglob("*.body")] == [LARGE]
    await spool.close()


async def test_what_is_submitted_while_a_partition_is_read_is_written_when_all_is_read(tmp_path: Path) -> None:
    """The queue takes out at once what it finds settled, while damage may still be found behind it."""
    spool = SqliteSpool(tmp_path, 0)
    await committed(spool, *(insert(number) for number in range(1, 6)))
    await spool.close()
    sql(tmp_path, "UPDATE message SET entry = substr(entry, 1, 30) WHERE id = 4")
    spool = SqliteSpool(tmp_path, 0)
    done: list[Exception | None] = []
    for entry in spool.recover():
        if entry.message_id in {1, 5}:
            spool.submit([Remove(entry.message_id)], done.append)
    assert len(notes(tmp_path)) == 1
    spool, ids = await reopened(spool, tmp_path)
    assert (ids, done) == ([2, 3], [None, None])
    await spool.close()
