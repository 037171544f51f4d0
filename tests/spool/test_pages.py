"""Pages read one by one hold the rows that SQLite finds, whatever size those have; arbitrary octets hold none."""

from __future__ import annotations

import shutil
from contextlib import closing
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bridgehead.spool.pages import Pages
from bridgehead.spool.schema import PAGE_BYTES, connect_owner

IDS = st.one_of(st.integers(1, 200), st.integers(1, (1 << 63) - 1))
SIZES = st.one_of(st.integers(0, 300), st.sampled_from([3900, 4061, 4062, 4063, 8150, 8152, 20_000]))
ROWS = st.dictionaries(IDS, st.tuples(SIZES, st.one_of(st.none(), SIZES)), max_size=40)


def read(path: Path) -> tuple[list[tuple[int, bytes, bytes | None]], list[tuple[int, int, bytes]]]:
    with closing(Pages(path)) as pages:
        return sorted(pages.messages()), sorted(pages.states())


@settings(max_examples=30, deadline=None)
@given(rows=ROWS, removed=st.sets(IDS), is_settled=st.booleans())
def test_pages_hold_the_rows_that_sqlite_finds(
    tmp_path_factory: pytest.TempPathFactory,
    rows: dict[int, tuple[int, int | None]],
    removed: set[int],
    is_settled: bool,
) -> None:
    """In the database, or in its log, which is read as a start after a crash would read it."""
    folder = tmp_path_factory.mktemp("pages")
    connection = connect_owner(folder / "p0.db")
    for number, (entry, body) in rows.items():
        values = (number, b"e" * entry, None if body is None else b"b" * body)
        connection.execute("INSERT INTO message VALUES (?, ?, ?)", values)
        connection.execute("INSERT INTO recipient_state VALUES (?, ?, ?)", (number, number % 5, b"s" * entry))
    connection.executemany(
        "DELETE FROM message WHERE id = ?", [(number,) for number in removed | set(list(rows)[::3])]
    )
    if is_settled:
        connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")
    messages = connection.execute("SELECT id, entry, body FROM message ORDER BY id").fetchall()
    states = connection.execute("SELECT message, ordinal, state FROM recipient_state").fetchall()
    assert read(folder / "p0.db") == (messages, sorted(states))
    connection.close()
    shutil.rmtree(folder)


@settings(max_examples=60, deadline=None)
@given(content=st.lists(st.binary(max_size=200), max_size=6), kind=st.sampled_from([2, 5, 10, 13]), log=st.binary())
def test_arbitrary_octets_are_no_rows_and_no_error(
    tmp_path_factory: pytest.TempPathFactory, content: list[bytes], kind: int, log: bytes
) -> None:
    folder = tmp_path_factory.mktemp("pages")
    path = folder / "p0.db"
    path.write_bytes(b"".join((bytes([kind]) + one).ljust(PAGE_BYTES, one[-1:] or b"\0") for one in content) + log)
    (folder / "p0.db-wal").write_bytes(log)
    messages, states = read(path)
    assert len(messages) + len(states) <= len(content) * PAGE_BYTES
    shutil.rmtree(folder)


def test_a_log_counts_up_to_its_last_whole_transaction(tmp_path: Path) -> None:
    connection = connect_owner(tmp_path / "p0.db")
    for number in (1, 2, 3):
        connection.execute("INSERT INTO message VALUES (?, x'11', NULL)", (number,))
    log = (tmp_path / "p0.db-wal").read_bytes()
    shutil.copy(tmp_path / "p0.db", tmp_path / "copy.db")
    (tmp_path / "copy.db-wal").write_bytes(log[:-1])
    assert [row[0] for row in read(tmp_path / "copy.db")[0]] == [1, 2]
    (tmp_path / "copy.db-wal").write_bytes(log)
    assert [row[0] for row in read(tmp_path / "copy.db")[0]] == [1, 2, 3]
    connection.close()


def test_a_log_with_a_gap_counts_behind_it_but_for_one_frame(tmp_path: Path) -> None:
    """Each transaction here is one frame, and each message larger than half a page."""
    connection = connect_owner(tmp_path / "p0.db")
    connection.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchone()
    for number in range(1, 9):
        connection.execute("INSERT INTO message VALUES (?, x'11', zeroblob(3000))", (number,))
    log = bytearray((tmp_path / "p0.db-wal").read_bytes())
    shutil.copy(tmp_path / "p0.db", tmp_path / "copy.db")
    whole = {row[0] for row in read(tmp_path / "p0.db")[0]}
    middle = len(log) // 2 // PAGE_BYTES * PAGE_BYTES
    log[middle : middle + PAGE_BYTES] = bytes(PAGE_BYTES)
    (tmp_path / "copy.db-wal").write_bytes(log)
    before = {row[0] for row in read(tmp_path / "copy.db")[0]}
    with closing(Pages(tmp_path / "copy.db", log_has_gaps=True)) as pages:
        behind = {row[0] for row in pages.messages()}
    assert whole == set(range(1, 9))
    assert 8 not in before
    assert before | {8} <= behind
    connection.close()
