"""Large submissions, and a file that shrinks again."""

from __future__ import annotations

import asyncio
import sqlite3
import time
from pathlib import Path

import pytest

from bridgehead.core.envelope import MessageId
from bridgehead.core.recipient_state import RecipientState
from bridgehead.spool import writer
from bridgehead.spool.contract import Remove, Update
from bridgehead.spool.sqlite import SqliteSpool
from tests.spool.contract import committed, content_of, insert, loaded, result_of


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
