"""Records come back as they were sealed, and nothing else passes for one."""

from __future__ import annotations

import sqlite3
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bridgehead.core.recipient_state import Hold, RecipientState, Standing
from bridgehead.spool.schema import (
    COLUMNS,
    STATEMENT_ROWS_MAX,
    DamagedError,
    Entry,
    blanks_for,
    change_statement,
    connect_owner,
    connect_reader,
    open_entry,
    open_state,
    seal,
)
from tests.spool.contract import envelope

ENTRY = Entry(envelope("bob@fabrikam.com", "carol@fabrikam.com"), 4042, 0xFFFFFFFF, "p0-1-1.body")


@given(
    st.builds(
        RecipientState,
        standing=st.sampled_from(Standing),
        attempts=st.integers(0, 1 << 62),
        next_attempt=st.floats(allow_nan=False),
        hold=st.sampled_from(Hold),
        delay_noticed=st.booleans(),
        text=st.text(),
    )
)
def test_a_state_comes_back_as_it_was(state: RecipientState) -> None:
    assert open_state(seal(state)) == state


def test_an_entry_comes_back_as_it_was() -> None:
    assert open_entry(seal(ENTRY)) == ENTRY


def test_an_entry_of_an_earlier_version_lacks_fields_and_is_read() -> None:
    """Fields are only ever appended, with defaults: the file's name was once not there."""
    assert open_entry(seal(Entry(envelope(), 1, 2))).file == ""


@given(st.binary(max_size=200))
def test_arbitrary_bytes_are_damaged(blob: bytes) -> None:
    with pytest.raises(DamagedError):
        open_entry(blob)
    with pytest.raises(DamagedError):
        open_state(blob + b"?")


@given(st.integers(0, len(seal(ENTRY)) - 1), st.integers(1, 255))
def test_any_changed_octet_is_noticed(position: int, difference: int) -> None:
    blob = bytearray(seal(ENTRY))
    blob[position] ^= difference
    with pytest.raises(DamagedError):
        open_entry(bytes(blob))


def test_a_sealed_record_of_another_kind_is_damaged() -> None:
    with pytest.raises(DamagedError):
        open_entry(seal(RecipientState()))


def test_any_number_of_rows_is_filled_up_to_a_prepared_statement() -> None:
    statements = set()
    for rows in range(1, STATEMENT_ROWS_MAX + 1):
        blanks = blanks_for(rows)
        statement = change_statement(rows + len(blanks) // COLUMNS)
        assert statement.count("?") == rows * COLUMNS + len(blanks)
        assert len(blanks) // COLUMNS <= rows // 2
        statements.add(statement)
    assert len(statements) <= 16


def test_the_owner_waits_for_the_disk_at_each_commit(tmp_path: Path) -> None:
    connection = connect_owner(tmp_path / "p0.db")
    pragmas = {
        name: connection.execute(f"PRAGMA {name}").fetchone()[0]
        for name in ("journal_mode", "synchronous", "secure_delete", "auto_vacuum", "page_size")
    }
    assert pragmas == {
        "journal_mode": b"wal",
        "synchronous": 2,
        "secure_delete": 0,
        "auto_vacuum": 2,
        "page_size": 4096,
    }
    connection.close()


def test_a_reader_cannot_write_and_does_not_create(tmp_path: Path) -> None:
    with pytest.raises(sqlite3.OperationalError):
        connect_reader(tmp_path / "p0.db")
    assert list(tmp_path.iterdir()) == []
    connect_owner(tmp_path / "p0.db").close()
    reader = connect_reader(tmp_path / "p0.db")
    with pytest.raises(sqlite3.OperationalError, match="readonly"):
        reader.execute("DELETE FROM message")
    reader.close()
