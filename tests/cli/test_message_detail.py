"""All that is known of one message."""

from __future__ import annotations

from pathlib import Path

import msgspec

from bridgehead.cli.message_detail import details_of
from bridgehead.core.recipient_state import RecipientState
from tests.cli.tracked import EVENTS, ONE, write_events
from tests.cli.waiting import FIRST, SECOND, envelope, fill_spool, row


def test_queue_spool_and_tracking_are_put_together(tmp_path: Path) -> None:
    fill_spool(tmp_path, [(FIRST, envelope("bob@fabrikam.com"), {0: RecipientState(attempts=3, code=451)})])
    write_events(tmp_path, *EVENTS)
    first, second = details_of(tmp_path, [row(FIRST), row(FIRST, connector="ISP 2"), row(SECOND)])
    assert (first.queue_id, len(first.rows)) == (ONE, 2)
    assert first.header == {
        "From": "Alice <alice@contoso.com>",
        "To": "bob@fabrikam.com",
        "Subject": "=?utf-8?B?5Lu25ZCN?= ?[2J",
        "Date": "Tue, 24 Nov 2026 08:00:00 +0000",
    }
    assert first.story is not None
    assert len(first.story.events) == len(EVENTS)
    assert (second.message, second.header, second.story) == (None, {}, None)


def test_values_name_every_field(tmp_path: Path) -> None:
    fill_spool(tmp_path, [(FIRST, envelope("bob@fabrikam.com"), {0: RecipientState(attempts=3, code=451)})])
    (detail,) = details_of(tmp_path, [row(FIRST)])
    values = msgspec.json.decode(msgspec.json.encode(detail.as_values()))
    assert values["envelope"]["reverse_path"] == "alice@contoso.com"
    assert values["envelope"]["recipients"][0]["address"] == "bob@fabrikam.com"
    assert (values["states"]["0"]["attempts"], values["waiting"][0]["queue_id"]) == (3, ONE)


def test_damaged_tracking_does_not_hide_the_queue(tmp_path: Path) -> None:
    (tmp_path / "tracking").mkdir()
    (tmp_path / "tracking/w0.db").write_bytes(b"no database" * 1000)
    (detail,) = details_of(tmp_path, [row(FIRST)])
    assert detail.story is None
