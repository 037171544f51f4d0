"""DSNs on their way into the spool, and badmail: what nobody could be told of."""

from __future__ import annotations

from pathlib import Path

import pytest

from bridgehead.core.envelope import Envelope, MessageId, Recipient
from bridgehead.outbound.hand_back import (
    BADMAIL_SECONDS,
    Badmail,
    first_octets,
    with_large_bodies_in_files,
)
from bridgehead.spool.contract import BODY_IN_ROW_MAX, Body, Change, Insert, Remove, StoredMessage
from bridgehead.spool.memory import MemoryBodyWriter, MemorySpool
from bridgehead.spool.sqlite import SqliteSpool

NOW = 1_790_000_000.0


def message(number: int, body: Body) -> StoredMessage:
    """A DSN of ours."""
    recipient = Recipient(0, "alice@contoso.com", "contoso.com")
    return StoredMessage(MessageId(number), Envelope("", (recipient,), body.size, NOW, "A/B", is_dsn=True), body)


def test_badmail_is_kept_counted_and_listed(tmp_path: Path) -> None:
    badmail = Badmail(tmp_path / "badmail")
    badmail.keep(message(1, Body(5, b"hello")), "5.1.1 no such user", NOW)
    (entry,) = badmail.entries()
    assert (entry.reason, entry.kept_at, entry.envelope.recipients[0].address) == (
        "5.1.1 no such user",
        NOW,
        "alice@contoso.com",
    )
    assert badmail.count() == 1
    assert (tmp_path / "badmail" / f"{entry.queue_id}.eml").read_bytes() == b"hello"


def test_a_large_body_is_copied_from_its_file(tmp_path: Path) -> None:
    path = tmp_path / "body"
    path.write_bytes(b"x" * 3_000_000)
    badmail = Badmail(tmp_path / "badmail")
    badmail.keep(message(1, Body(3_000_000, None, path)), "5.1.1", NOW)
    assert next((tmp_path / "badmail").glob("*.eml")).stat().st_size == 3_000_000
    assert first_octets(Body(3_000_000, None, path), 10) == b"x" * 10


def test_a_body_whose_file_is_gone_gives_nothing_rather_than_an_error(tmp_path: Path) -> None:
    assert first_octets(Body(10, None, tmp_path / "gone"), 10) == b""


def test_badmail_is_deleted_after_a_week(tmp_path: Path) -> None:
    badmail = Badmail(tmp_path)
    badmail.keep(message(1, Body(1, b"a")), "", NOW)
    badmail.keep(message(2, Body(1, b"b")), "", NOW + 60)
    badmail.prune(NOW + BADMAIL_SECONDS + 1)
    assert [entry.kept_at for entry in badmail.entries()] == [NOW + 60]


def test_a_damaged_entry_does_not_hide_the_others(tmp_path: Path) -> None:
    badmail = Badmail(tmp_path)
    badmail.keep(message(1, Body(1, b"a")), "", NOW)
    (tmp_path / "0.json").write_bytes(b"{")
    assert len(list(badmail.entries())) == 1


def test_without_a_folder_there_is_no_badmail(tmp_path: Path) -> None:
    badmail = Badmail(tmp_path / "none")
    assert (badmail.count(), list(badmail.entries())) == (0, [])
    badmail.prune(NOW)


def insert(number: int, size: int) -> Insert:
    stored = message(number, Body(size, b"x" * size))
    return Insert(stored.message_id, stored.envelope, stored.body)


async def test_body_too_large_for_a_row_is_put_into_a_file(tmp_path: Path) -> None:
    spool = SqliteSpool(tmp_path, 0)
    changes: list[Change] = [Remove(MessageId(9)), insert(1, BODY_IN_ROW_MAX), insert(2, BODY_IN_ROW_MAX + 1)]
    filed = with_large_bodies_in_files(changes, spool)
    assert filed[:2] == changes[:2]
    spool.submit(filed)
    await spool.close()
    (file,) = tmp_path.rglob("*.body")
    assert file.read_bytes() == b"x" * (BODY_IN_ROW_MAX + 1)


def test_changes_without_large_bodies_stay_as_they_are() -> None:
    changes: list[Change] = [Remove(MessageId(9)), insert(1, BODY_IN_ROW_MAX)]
    assert with_large_bodies_in_files(changes, MemorySpool()) is changes


class FullSpool(MemorySpool):
    """Has room for one body."""

    def __init__(self) -> None:
        super().__init__()
        self.bodies: list[MemoryBodyWriter] = []

    def new_body(self) -> MemoryBodyWriter:
        if self.bodies:
            raise OSError("disk full")
        self.bodies.append(MemoryBodyWriter())
        return self.bodies[0]


def test_no_file_is_left_where_the_disk_refuses_another() -> None:
    spool = FullSpool()
    with pytest.raises(OSError, match="disk full"):
        with_large_bodies_in_files([insert(number, BODY_IN_ROW_MAX + 1) for number in (1, 2)], spool)
    assert spool.bodies[0].size == 0
