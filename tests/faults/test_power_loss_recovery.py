"""The power goes again while a spool recovers, takes over another one, or is salvaged: nothing is lost by it."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path
from random import Random

import pytest

from bridgehead.spool.adopt import adopt
from tests.faults.disk_layer import record
from tests.faults.power_loss import Fate, Tree, Volume, write_tree
from tests.faults.power_loss_promises import Messages, Promises, events_before, found_in, losses
from tests.faults.power_loss_victim import prepare

pytestmark = [pytest.mark.peer, pytest.mark.timeout(600)]

VICTIM = "tests.faults.power_loss_victim"
SEED = 5


async def lose_again(
    layer: Path, folder: Path, start: Tree, scene: str, look: Callable[[Path], object]
) -> list[Messages]:
    """Play a scene on a tree, lose power after each of its events, and `look` at what is found then, once each."""
    root = folder / "victim"
    write_tree(start, root)
    volume = Volume(root)
    entries = record(layer, root, VICTIM, scene, str(root), str(SEED))
    shutil.rmtree(root)
    found: list[Messages] = []
    for number, name, tree in losses(volume, Promises(), entries, 1):
        survived = folder / "survived"
        write_tree(tree, survived)
        try:
            messages = await look(survived / "state")  # type: ignore[misc]
        except BaseException as error:
            error.add_note(f"{name}, {events_before(entries, number)}")
            raise
        if messages not in found:
            found.append(messages)
        shutil.rmtree(survived)
    return found


def tree_of(folder: Path) -> Tree:
    """All that is in a folder."""
    return Volume(folder).survivors(Fate.KEPT, 0)


async def test_power_loss_while_a_partition_is_adopted_loses_and_doubles_nothing(layer: Path, folder: Path) -> None:
    root = folder / "before"
    await prepare(root, 0, 5)
    await prepare(root, 1, 12)
    start = tree_of(root)
    assert adopt(root / "state", 0, 1) == {1: 12}
    expected = await found_in(root / "state")
    assert len(expected) == 17, "and the files of both"

    async def look(state_dir: Path) -> Messages:
        """What two workers find, each of what is its own, where partition 1 has its worker again."""
        adopt(state_dir, 0, 2)
        adopt(state_dir, 1, 2)
        found, others = await found_in(state_dir), await found_in(state_dir, partition=1)
        assert not found.keys() & others.keys()
        return {**found, **others}

    assert await lose_again(layer, folder, start, "adopt", look) == [expected]


@pytest.mark.parametrize("page", ["first", "middle"])
async def test_power_loss_while_a_spool_is_salvaged_loses_nothing_more(layer: Path, folder: Path, page: str) -> None:
    root = folder / "before"
    await prepare(root, 0, 24)
    database = root / "state" / "spool" / "p0.db"
    content = bytearray(database.read_bytes())
    start = 100 if page == "first" else len(content) // 2 // 4096 * 4096
    content[start : start + 1000] = Random(SEED).randbytes(1000)
    database.write_bytes(content)
    damaged = tree_of(root)

    async def look(state_dir: Path) -> Messages:
        return await found_in(state_dir, damaged=9)

    expected = await look(root / "state")
    assert len(expected) >= (0 if page == "first" else 12)
    assert await lose_again(layer, folder, damaged, "recover", look) == [expected]


async def test_power_loss_while_a_spool_recovers_from_a_power_loss_changes_nothing(layer: Path, folder: Path) -> None:
    root = folder / "before"
    root.mkdir()
    volume = Volume(root)
    promises = Promises()
    entries = record(layer, root, VICTIM, "live", str(root), str(SEED))
    torn = [found for found in losses(volume, promises, entries, 1) if found[1].startswith("TORN")]
    for number, name, tree in Random(SEED).sample(torn, 3):
        first = folder / "first"
        write_tree(tree, first)
        expected = await found_in(first / "state")
        shutil.rmtree(first)
        found = await lose_again(layer, folder, tree, "recover", found_in)
        assert found == [expected], f"{name}, {events_before(entries, number)}"
