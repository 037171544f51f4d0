"""Badmail: what nobody could be told of."""

from __future__ import annotations

from pathlib import Path

from bridgehead.core.envelope import Envelope, MessageId, Recipient
from bridgehead.outbound.hand_back import BADMAIL_SECONDS, Badmail, first_octets
from bridgehead.spool.contract import Body, StoredMessage

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
