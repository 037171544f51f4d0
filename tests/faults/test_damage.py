"""A page or a body file of a spool with thousands of messages is damaged: the rest goes on, nothing is silent.

What may be missing is what lay on that page. Everything that is there is as it was written. What was set aside is in
`damaged/`, counted, and a second start has nothing more to set aside.
"""

from __future__ import annotations

import asyncio
import shutil
import sqlite3
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from random import Random

import pytest

from bridgehead.core.envelope import MessageId
from bridgehead.core.recipient_state import RecipientState
from bridgehead.spool.contract import Body, Change, Insert, Remove, SpoolLostError, Update
from bridgehead.spool.sqlite import SqliteSpool
from bridgehead.spool.verify import verify
from tests.faults.damage import Holds, damage, flip_some, flip_start, garbage, pages, zero
from tests.spool.contract import committed, content_of, envelope, insert, loaded, result_of
from tests.spool.places import notes

MESSAGES = 3_000
SIZES = (100, 1_500, 4_000, 9_000)
SEED = 11
A_PAGE = 12
"""More messages than lie on one page."""

MISSING_MAX = {
    Holds.HEADER: 0,
    Holds.POINTERS: 0,
    Holds.MESSAGE_ROOT: 0,
    Holds.MESSAGE_BRANCH: 0,
    Holds.MESSAGES: A_PAGE,
    Holds.BODY: 1,
    Holds.STATE_ROOT: A_PAGE,
    Holds.STATES: A_PAGE,
    Holds.FREE: 0,
}


@dataclass(frozen=True)
class Spooled:
    """A spool, and what is in it."""

    state_dir: Path
    bodies: dict[int, bytes]
    roots: dict[str, int]

    @property
    def database(self) -> Path:
        return self.state_dir / "spool" / "p0.db"


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Spooled:
    """Thousands of messages of all sizes, half of them tried, some gone already."""
    state_dir = tmp_path_factory.mktemp("damage") / "state"
    bodies = asyncio.run(fill(state_dir))
    with closing(sqlite3.connect(state_dir / "spool" / "p0.db")) as connection:
        roots = dict(connection.execute("SELECT name, rootpage FROM sqlite_schema WHERE rootpage > 0"))
    return Spooled(state_dir, bodies, roots)


async def fill(state_dir: Path) -> dict[int, bytes]:
    draw = Random(SEED)
    spool = SqliteSpool(state_dir, 0)
    bodies: dict[int, bytes] = {}
    for number in range(1, MESSAGES + 1):
        message_id = number << 20
        bodies[message_id] = content = draw.randbytes(draw.choice(SIZES))
        changes: list[Change] = [Insert(MessageId(message_id), envelope("b@x.example"), Body(len(content), content))]
        if number % 2:
            changes.append(Update(MessageId(message_id), {0: RecipientState(attempts=number)}))
        spool.submit(changes)
    gone = list(bodies)[1000:1100]
    await committed(spool, *[Remove(MessageId(number)) for number in gone])
    await spool.close()
    for number in gone:
        del bodies[number]
    return bodies


@pytest.fixture
def spooled(made: Spooled, folder: Path) -> Spooled:
    """A copy to be damaged."""
    shutil.copytree(made.state_dir, folder / "state")
    return Spooled(folder / "state", made.bodies, made.roots)


async def whole_in(spooled: Spooled) -> tuple[set[int], int]:
    """Start, and load everything: ids of what is as it was written, and how much was set aside."""
    spool = SqliteSpool(spooled.state_dir, 0)
    whole = set()
    for entry in list(spool.recover()):
        stored = await spool.load(entry.message_id)
        if stored is not None:
            assert content_of(stored.body) == spooled.bodies[entry.message_id]
            assert all(state.attempts << 20 == entry.message_id for state in stored.states.values())
            whole.add(int(entry.message_id))
    await committed(spool, insert(7))
    await committed(spool, Remove(MessageId(7)))
    await spool.close()
    return whole, spool.statistics().damaged


@pytest.mark.slow
@pytest.mark.parametrize("harm", [flip_some, flip_start, zero, garbage])
@pytest.mark.parametrize("holds", list(Holds), ids=lambda holds: holds.name)
async def test_a_damaged_page_takes_no_more_than_what_lay_on_it(spooled: Spooled, holds: Holds, harm: object) -> None:
    draw = Random(f"{SEED} {holds} {harm.__name__}")  # type: ignore[attr-defined]  # a function
    number = draw.choice(pages(spooled.database.read_bytes(), spooled.roots)[holds])
    damage(spooled.database, number, harm, draw)  # type: ignore[arg-type]
    was_whole = verify(spooled.state_dir, 0).is_whole
    whole, set_aside = await whole_in(spooled)
    missing = len(spooled.bodies) - len(whole)
    assert missing <= MISSING_MAX[holds], f"page {number}"
    assert set_aside > 0 or missing == 0
    assert missing == 0 or not was_whole, "verify knew"
    assert len(notes(spooled.state_dir)) == set_aside
    again, _ = await whole_in(spooled)
    assert again == whole


async def test_damage_met_by_the_writer_ends_the_worker_and_the_next_start_salvages(spooled: Spooled) -> None:
    losses: list[SpoolLostError] = []
    spool = SqliteSpool(spooled.state_dir, 0, lost=losses.append)
    draw = Random(SEED)
    for number in pages(spooled.database.read_bytes(), spooled.roots)[Holds.MESSAGES]:
        damage(spooled.database, number, garbage, draw)
    error = await result_of(spool, [Remove(MessageId(number)) for number in spooled.bodies])
    assert isinstance(error, SpoolLostError)
    assert isinstance(losses[0].defect, sqlite3.DatabaseError)
    await spool.close()
    assert (spooled.state_dir / "spool" / "p0.suspect").exists()
    _, set_aside = await whole_in(spooled)
    assert set_aside > 0
    assert not (spooled.state_dir / "spool" / "p0.suspect").exists()


@pytest.mark.parametrize("harm", ["cut", "flipped", "empty", "gone"])
async def test_a_damaged_body_file_is_set_aside_when_its_message_is_due(tmp_path: Path, harm: str) -> None:
    spool = SqliteSpool(tmp_path, 0)
    for number in (1, 2):
        body = spool.new_body()
        body.write(b"0123456789" * 30_000)
        await committed(spool, Insert(MessageId(number), envelope(), body.finish()))
    path = (await loaded(spool, 1)).body.path
    assert path is not None
    content = bytearray(path.read_bytes())
    content[150_000] ^= 1
    match harm:
        case "cut":
            path.write_bytes(content[:200_000])
        case "flipped":
            path.write_bytes(content)
        case "empty":
            path.write_bytes(b"")
        case _:
            path.unlink()
    assert await spool.load(MessageId(1)) is None
    assert content_of((await loaded(spool, 2)).body) == b"0123456789" * 30_000
    assert spool.statistics().damaged == 1
    assert notes(tmp_path) == ["the body's file is missing or was changed"]
    await spool.close()
    again = SqliteSpool(tmp_path, 0)
    assert [entry.message_id for entry in again.recover()] == [2]
    await again.close()
