"""The waiting mail, from a server or from its spool."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any

import msgspec
import pytest

from bridgehead.cli.waiting_mail import ROWS_MAX, UnreadableError, list_mail, load_message
from bridgehead.control.control_socket import ControlError, ControlServer, NotRunningError, Request
from bridgehead.outbound.listing import EVERYTHING
from bridgehead.spool.read_only import ReadOnlySpool
from tests.cli.calling import Scripted
from tests.cli.waiting import FIRST, SECOND, THIRD, envelope, fill_spool, row


async def listed(state_dir: Path, answers: dict[str, Any], rows_max: int) -> tuple[Any, list[Request]]:
    """What `list_mail` makes of a server's answers."""
    scripted = Scripted(answers, [])
    server = ControlServer(state_dir, scripted.respond)
    await server.start()
    try:
        return await asyncio.to_thread(list_mail, state_dir, EVERYTHING, rows_max), scripted.asked
    finally:
        server.close()


def rows(*numbers: int) -> Any:
    """Rows as they come over the socket."""
    return msgspec.json.decode(msgspec.json.encode([row(one) for one in (FIRST, SECOND, THIRD)[: len(numbers)]]))


async def test_rows_of_all_workers_come_in_order_of_arrival(tmp_path: Path) -> None:
    answer = list(reversed(rows(1, 2, 3)))
    listing, asked = await listed(tmp_path, {"queue.list": answer}, 10)
    assert listing.rows == (row(FIRST), row(SECOND), row(THIRD))
    assert (listing.more, listing.is_cut, listing.is_live) == (0, False, True)
    assert len(asked) == 1


async def test_what_is_not_shown_is_counted_by_a_dry_run(tmp_path: Path) -> None:
    counted = {"messages": 6, "recipients": 9, "busy": 1}
    listing, asked = await listed(tmp_path, {"queue.list": rows(1, 2, 3), "queue.retry dry_run": counted}, 2)
    assert (len(listing.rows), listing.more, listing.is_cut) == (2, 5, True)
    assert all(one.verb == "queue.list" or one.arguments["dry_run"] for one in asked)


async def test_a_server_is_never_asked_for_more_than_it_gives(tmp_path: Path) -> None:
    _, asked = await listed(tmp_path, {"queue.list": []}, 10**9)
    assert asked[0].arguments["limit"] == ROWS_MAX


async def test_a_refusal_is_no_reason_to_read_the_spool(tmp_path: Path) -> None:
    fill_in_thread = asyncio.to_thread(fill_spool, tmp_path, [(FIRST, envelope("bob@fabrikam.com"), {})])
    await fill_in_thread
    with pytest.raises(ControlError, match="no worker is ready"):
        await listed(tmp_path, {"queue.list": "no worker is ready"}, 10)


def test_spool_is_read_in_order_and_what_is_left_out_is_counted(tmp_path: Path) -> None:
    fill_spool(tmp_path, [(SECOND, envelope("bob@fabrikam.com"), {})])
    fill_spool(tmp_path, [(one, envelope("bob@fabrikam.com"), {}) for one in (FIRST, THIRD)], partition=1)
    listing = list_mail(tmp_path, EVERYTHING, 2)
    assert [one.queue_id for one in listing.rows] == [row(FIRST).queue_id, row(SECOND).queue_id]
    assert (listing.more, listing.is_cut, listing.is_live, listing.damaged) == (1, True, False, 0)


def test_damaged_partition_is_counted(tmp_path: Path) -> None:
    fill_spool(tmp_path, [(FIRST, envelope("bob@fabrikam.com"), {})])
    (tmp_path / "spool/p1.db").write_bytes(b"no database" * 1000)
    listing = list_mail(tmp_path, EVERYTHING, 10)
    assert (len(listing.rows), listing.damaged) == (1, 1)


def test_without_server_and_spool_there_is_nothing_to_ask(tmp_path: Path) -> None:
    with pytest.raises(NotRunningError):
        list_mail(tmp_path, EVERYTHING, 10)


def test_message_is_loaded_with_its_content(tmp_path: Path) -> None:
    fill_spool(tmp_path, [(FIRST, envelope("bob@fabrikam.com"), {})])
    message = load_message(tmp_path, FIRST)
    assert message is not None
    assert (message.envelope, (message.body.content or b"")[-6:]) == (envelope("bob@fabrikam.com"), b"body\r\n")
    assert load_message(tmp_path, SECOND) is None


def test_spool_that_may_not_be_read_is_told_apart(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def forbidden(*_: object) -> None:
        raise PermissionError

    (tmp_path / "spool").mkdir()
    monkeypatch.setattr(ReadOnlySpool, "entries", forbidden)
    monkeypatch.setattr(ReadOnlySpool, "load", forbidden)
    with pytest.raises(UnreadableError, match="this account may not read"):
        list_mail(tmp_path, EVERYTHING, 10)
    assert load_message(tmp_path, FIRST) is None
