"""What `tests/spool/contract.py` cannot ask of one store: both stores have its shape, and its values are values."""

from __future__ import annotations

from pathlib import Path
from typing import get_args

import msgspec
import pytest

from bridgehead.core.envelope import Envelope, MessageId
from bridgehead.core.recipient_state import FRESH
from bridgehead.spool import contract
from bridgehead.spool.body_files import BodyFiles
from bridgehead.spool.contract import (
    BODY_IN_ROW_MAX,
    COMMIT_BUCKETS_SECONDS,
    Body,
    BodyWriter,
    Change,
    Insert,
    Remove,
    Spool,
    StoredMessage,
    Update,
)
from bridgehead.spool.disk import Disk
from bridgehead.spool.memory import MemorySpool
from bridgehead.spool.sqlite import SqliteSpool

NUMBER = MessageId(1)
ENVELOPE = Envelope("a@example.org", (), 5, 0.0, "A/B")


def methods_of(protocol: type[object]) -> set[str]:
    return {name for name in vars(protocol) if not name.startswith("_")}


@pytest.mark.parametrize("store", [MemorySpool, SqliteSpool])
def test_every_store_has_the_methods_of_a_spool(store: type[Spool]) -> None:
    assert methods_of(Spool) <= set(dir(store))


@pytest.mark.parametrize("size", [0, 1, BODY_IN_ROW_MAX, BODY_IN_ROW_MAX + 1, 3 * BODY_IN_ROW_MAX])
def test_a_body_that_is_arriving_shows_its_head_up_to_the_bound_in_every_store(size: int, tmp_path: Path) -> None:
    writers: list[BodyWriter] = [MemorySpool().new_body(), BodyFiles(tmp_path, Disk()).new_body()]
    for writer in writers:
        for start in range(0, size, 100_000):
            writer.write(b"x" * min(100_000, size - start))
        assert writer.size == size
        assert min(size, BODY_IN_ROW_MAX) <= len(writer.head) <= size
        writer.discard()


def test_a_change_is_one_of_three_and_names_its_message() -> None:
    changes: list[Change] = [Insert(NUMBER, ENVELOPE, Body(5, b"hello")), Update(NUMBER, {0: FRESH}), Remove(NUMBER)]
    assert {type(change) for change in changes} == set(get_args(Change))
    assert {change.message_id for change in changes} == {NUMBER}


RECORDS = [
    value for value in vars(contract).values() if isinstance(value, type) and issubclass(value, msgspec.Struct)
]


@pytest.mark.parametrize("record", RECORDS, ids=lambda record: record.__name__)
def test_records_are_frozen(record: type[msgspec.Struct]) -> None:
    assert record.__struct_config__.frozen


def test_messages_without_states_do_not_share_one_dictionary() -> None:
    one, other = (StoredMessage(MessageId(number), ENVELOPE, Body(0, b"")) for number in (1, 2))
    assert one.states == {}
    assert one.states is not other.states


def test_buckets_of_commit_times_grow_and_cover_a_fast_and_a_dying_disk() -> None:
    assert list(COMMIT_BUCKETS_SECONDS) == sorted(set(COMMIT_BUCKETS_SECONDS))
    assert 0 < COMMIT_BUCKETS_SECONDS[0] <= 0.001
    assert COMMIT_BUCKETS_SECONDS[-1] >= 1.0
