"""A spool on disk as tests look at it from outside."""

from __future__ import annotations

import json
import sqlite3
from pathlib import Path

from bridgehead.core.envelope import MessageId
from bridgehead.spool.contract import BODY_IN_ROW_MAX, Insert
from bridgehead.spool.sqlite import SqliteSpool
from tests.spool.contract import envelope

LARGE = b"0123456789abcdef" * (BODY_IN_ROW_MAX // 16 + 1)
"""A body that is too large for a row."""


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
