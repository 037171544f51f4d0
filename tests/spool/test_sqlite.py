"""The SQLite spool keeps the contract; what only a disk can do to it."""

from __future__ import annotations

import asyncio
import json
import resource
import sqlite3
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from bridgehead.core.envelope import MessageId
from bridgehead.core.error import MachineError
from bridgehead.core.recipient_state import RecipientState
from bridgehead.spool import writer
from bridgehead.spool.contract import BODY_IN_ROW_MAX, Insert, Remove, Update
from bridgehead.spool.sqlite import SqliteSpool
from tests.spool.contract import (
    CONTENT,
    RETRYING,
    OpenSpool,
    SpoolContract,
    committed,
    content_of,
    envelope,
    insert,
    loaded,
    result_of,
)
from tests.spool.disks import FailingDisk

LARGE = b"0123456789abcdef" * (BODY_IN_ROW_MAX // 16 + 1)


class TestSqliteSpool(SpoolContract):
    """The contract."""

    @pytest.fixture
    def open_spool(self, tmp_path: Path) -> OpenSpool:
        return lambda: SqliteSpool(tmp_path, 0)


def large_insert(spool: SqliteSpool, number: int) -> Insert:
    """Message `number` with a body that is too large for a row."""
    body = spool.new_body()
    body.write(LARGE)
    return Insert(MessageId(number), envelope(), body.finish())


def body_files(state_dir: Path) -> list[Path]:
    return sorted((state_dir / "spool" / "p0.bodies").iterdir())


def notes(state_dir: Path) -> list[str]:
    """The reasons in the quarantine."""
    return [json.loads(note.read_text())["reason"] for note in sorted((state_dir / "damaged").rglob("note.json"))]


def sql(state_dir: Path, statement: str, *values: object) -> None:
    """Change the database behind the spool's back."""
    connection = sqlite3.connect(state_dir / "spool" / "p0.db")
    with connection:
        connection.execute(statement, values)
    connection.close()


async def reopened(spool: SqliteSpool, state_dir: Path) -> tuple[SqliteSpool, list[MessageId]]:
    """Close, open again, recover."""
    await spool.close()
    again = SqliteSpool(state_dir, 0)
    return again, [entry.message_id for entry in again.recover()]


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


async def test_a_database_of_a_later_version_is_left_alone(tmp_path: Path) -> None:
    await SqliteSpool(tmp_path, 0).close()
    sql(tmp_path, "PRAGMA user_version = 99")
    with pytest.raises(MachineError, match="later version"):
        SqliteSpool(tmp_path, 0)


# ---- files of large bodies


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


# ---- faults of the disk


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


async def test_a_submission_larger_than_a_statement_is_still_atomic(tmp_path: Path) -> None:
    spool = SqliteSpool(tmp_path, 0)
    await committed(spool, insert(1))
    many = {ordinal: RecipientState(attempts=ordinal) for ordinal in range(1000)}
    error = await result_of(spool, [Update(MessageId(1), many), insert(1)])
    assert isinstance(error, sqlite3.IntegrityError)
    assert (await loaded(spool, 1)).states == {}
    await committed(spool, Update(MessageId(1), many))
    assert (await loaded(spool, 1)).states == many
    await spool.close()


# ---- damage


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


# ---- size


async def test_the_file_shrinks_when_a_backlog_has_drained(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(writer, "_FREE_PAGES_KEPT", 10)
    monkeypatch.setattr(writer, "_VACUUM_PAGES", 100)
    monkeypatch.setattr(writer, "_IDLE_SECONDS", 0.001)
    spool = SqliteSpool(tmp_path, 0)
    database = tmp_path / "spool" / "p0.db"
    await committed(spool, *(insert(number, b"x" * 10_000) for number in range(1, 201)))
    await committed(spool, *(Remove(MessageId(number)) for number in range(2, 201)))
    until = time.monotonic() + 10
    while database.stat().st_size > 700_000 and time.monotonic() < until:
        await committed(spool)
        await asyncio.sleep(0.002)
    assert database.stat().st_size <= 700_000
    assert content_of((await loaded(spool, 1)).body) == b"x" * 10_000
    await spool.close()
