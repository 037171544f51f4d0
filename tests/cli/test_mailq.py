"""`bridgehead mailq`: the listing that scripts read."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import msgspec
import pytest

from bridgehead.cli import state_folder, waiting_mail
from bridgehead.cli.mailq import mailq_text
from bridgehead.core import queue_id
from bridgehead.core.recipient_state import RecipientState
from bridgehead.outbound.listing import QueueState, Row
from bridgehead.spool.read_only import ReadOnlySpool
from tests.cli.calling import Called, called, called_beside, configuration, in_time_zone
from tests.cli.waiting import FIRST, SECOND, THIRD, envelope, fill_spool, row

ONE, TWO, THREE = (queue_id.write(number) for number in (FIRST, SECOND, THIRD))


@pytest.fixture(autouse=True)
def environment(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[None]:
    """Times are in UTC, and no other server of this machine is found."""
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    monkeypatch.setattr(state_folder, "SYSTEM_FOLDER", tmp_path / "system")
    with in_time_zone("UTC"):
        yield


def test_listing_has_the_shape_of_postfix() -> None:
    rows = [
        row(FIRST, "bob@fabrikam.com", "carol@fabrikam.com"),
        row(FIRST, "eve@proseware.com", state=QueueState.READY, reason=""),
        row(SECOND, "dave@partner.example", state=QueueState.FROZEN, reason="held by an operator", sender=""),
        row(THIRD, "bob@fabrikam.com", state=QueueState.ACTIVE, reason="x" * 90),
    ]
    assert mailq_text(rows) == (
        "----Queue ID----- --Size-- ---Arrival Time---- --Sender/Recipient------\n"
        f"{ONE}        12288 Mon Sep 21 14:13:20 alice@contoso.com\n"
        "                                                      (451 4.7.1 greylisted)\n"
        "                                               bob@fabrikam.com\n"
        "                                               carol@fabrikam.com\n"
        "                                               eve@proseware.com\n"
        "\n"
        f"{TWO}!       12288 Mon Sep 21 14:13:20 MAILER-DAEMON\n"
        "                                                       (held by an operator)\n"
        "                                               dave@partner.example\n"
        "\n"
        f"{THREE}*       12288 Mon Sep 21 14:13:20 alice@contoso.com\n"
        f"({'x' * 90})\n"
        "                                               bob@fabrikam.com\n"
        "\n"
        "-- 36 Kbytes in 3 Requests.\n"
    )


def test_empty_queue_is_said_to_be_empty() -> None:
    assert mailq_text([]) == "Mail queue is empty\n"


async def test_server_is_asked_for_everything(tmp_path: Path) -> None:
    config = configuration(tmp_path)
    rows = msgspec.json.decode(msgspec.json.encode([row(FIRST)]))
    answers = {"queue.list": rows}
    done, asked = await called_beside(tmp_path / "state", answers, "mailq", "--config", config)
    assert (done.code, done.err) == (0, "")
    assert done.out == mailq_text(msgspec.convert(rows, list[Row]))
    assert asked[0].arguments["limit"] == waiting_mail.ROWS_MAX
    as_json, _ = await called_beside(tmp_path / "state", answers, "mailq", "-v", "--json", "--config", config)
    assert json.loads(as_json.out)["rows"] == rows


def test_spool_is_read_where_no_server_runs(tmp_path: Path) -> None:
    config = configuration(tmp_path)
    deferred = RecipientState(attempts=1, connector="ISP", code=451, text="busy")
    fill_spool(tmp_path / "state", [(FIRST, envelope("bob@fabrikam.com"), {0: deferred})])
    done = called("mailq", "--config", config)
    assert done.code == 0
    assert done.out.splitlines()[1:4] == [
        f"{ONE}        12288 Mon Sep 21 14:13:20 alice@contoso.com",
        "                                                                  (451 busy)",
        "                                               bob@fabrikam.com",
    ]


def test_no_server_and_no_spool_is_temporary(tmp_path: Path) -> None:
    done = called("mailq", "--config", configuration(tmp_path))
    assert (done.code, done.out) == (75, "")
    assert done.err.startswith("mailq: no server answers on ")


def test_missing_configuration_is_named(tmp_path: Path) -> None:
    done = called("mailq", "--config", tmp_path / "none.toml")
    assert done == Called(78, "", f"mailq: {tmp_path}/none.toml cannot be read: No such file or directory\n")


def test_spool_that_may_not_be_read_is_not_permitted(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def forbidden(*_: object) -> None:
        raise PermissionError

    config = configuration(tmp_path)
    (tmp_path / "state/spool").mkdir()
    monkeypatch.setattr(ReadOnlySpool, "entries", forbidden)
    done = called("mailq", "--config", config)
    assert done.code == 77
    assert done.err == (
        f"mailq: this account may not read {tmp_path}/state/spool: try again as root, or as the user that serves\n"
    )


def test_help_shows_an_example() -> None:
    assert "Example: mailq | grep -c fabrikam.com" in called("mailq", "--help").out
