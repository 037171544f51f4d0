"""The power goes at every step of a spool's life: what was promised is there, whole, and nothing else.

`power_loss_victim` lives on a recorded disk. After each event of the record, trees that may have survived (see
`power_loss`) are made real and opened. A failure names the seeds, and the last events before the loss.

The long form: `BRIDGEHEAD_POWER_LOSS_LIVES=100 .venv/bin/pytest -s -m slow tests/faults/test_power_loss.py`, from
another seed on with `BRIDGEHEAD_POWER_LOSS_SEED=1000`.
"""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator, Sequence
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest

from tests.faults.disk_layer import Entry, Kind, build, record
from tests.faults.power_loss import Fate, Tree, Volume, list_entry, write_tree
from tests.faults.power_loss_promises import Promises, found_in
from tests.faults.power_loss_victim import CARELESS

pytestmark = [pytest.mark.peer, pytest.mark.timeout(900)]

VICTIM = "tests.faults.power_loss_victim"
SEEDS = (1, 2, 3)
LIVES = int(os.environ.get("BRIDGEHEAD_POWER_LOSS_LIVES", "1"))
FSYNCS = 60
"""Of a life."""
SHOWN = 12
"""Events before a loss that a failure shows."""


@pytest.fixture(scope="session")
def layer(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The library that records."""
    return build(tmp_path_factory.mktemp("disk_layer"))


def losses(
    volume: Volume, promises: Promises, entries: Sequence[Entry], torn: int
) -> Iterator[tuple[int, str, Tree]]:
    """After each event: its number, how a tree came about, and the tree; `promises` are those of that moment.

    `torn`: how many random trees for each event; with none, only what changes something for a disk that loses all
    that was not synced is looked at. A tree that was given just before is not given again.
    """
    given: dict[str, Tree] = {}
    for number, entry in enumerate(entries, 1):
        volume.apply(entry)
        if entry.kind is Kind.MARK:
            promises.note(entry.content)
        promises.is_disk_good &= entry.kind is not Kind.SYNC_FAILED
        fates = [(fate, 0) for fate in (Fate.LOST, Fate.KEPT, Fate.NAMES)]
        if not torn:
            fates = [] if entry.kind in {Kind.WRITE, Kind.CREATE} else fates[:2]
        fates += [(Fate.TORN, number * torn + seed) for seed in range(torn)]
        for fate, seed in fates:
            tree = volume.survivors(fate, seed)
            if entry.kind is Kind.MARK or given.get(fate.name) != tree:
                given[fate.name] = tree
                yield number, f"{fate.name} {seed}", tree


@pytest.fixture
def folder() -> Iterator[Path]:
    """In memory where the machine has that: thousands of trees are written and opened."""
    memory = Path("/dev/shm")
    with TemporaryDirectory(dir=memory if memory.is_dir() else None) as name:
        yield Path(name)


async def live_and_lose(layer: Path, folder: Path, scene: str, seed: int, torn: int = 1, fail: str = "") -> int:
    """A life with one seed, and every loss of it; returns how many trees were opened.

    `fail`: what fails on the way, `"fsync 7"`.
    """
    root = folder / "victim"
    root.mkdir()
    volume, promises = Volume(root), Promises()
    faults = folder / "faults"
    faults.mkdir(exist_ok=True)
    (faults / fail).touch()
    entries = record(layer, root, VICTIM, scene, str(root), str(seed), fail=faults)
    shutil.rmtree(root)
    shutil.rmtree(faults)
    count = 0
    for number, name, tree in losses(volume, promises, entries, torn):
        count += 1
        survived = folder / "survived"
        write_tree(tree, survived)
        try:
            found = await found_in(survived / "state")
            assert found in promises.allowed(), "what is found is not what was promised"
        except BaseException as error:
            events = "\n".join(map(list_entry, entries[max(0, number - SHOWN) : number]))
            error.add_note(f"seed {seed}, event {number}, {name}; the last events were\n{events}")
            raise
        shutil.rmtree(survived)
    assert len(promises.submitted) > 15
    return count


@pytest.mark.parametrize("seed", SEEDS)
async def test_power_loss_at_every_step_of_a_life_keeps_every_promise(layer: Path, folder: Path, seed: int) -> None:
    print(f"{await live_and_lose(layer, folder, 'live', seed)} trees")


@pytest.mark.slow
async def test_power_loss_at_every_step_of_many_lives_keeps_every_promise(layer: Path, folder: Path) -> None:
    first = int(os.environ.get("BRIDGEHEAD_POWER_LOSS_SEED", str(SEEDS[-1] + 1)))
    for seed in range(first, first + LIVES):
        print(f"seed {seed}: {await live_and_lose(layer, folder, 'live', seed, 3)} trees")


async def lose_after_failed_fsync(layer: Path, folder: Path, number: int) -> None:
    try:
        await live_and_lose(layer, folder, "live-hard", number, 0, f"fsync {number}")
    except BaseException as error:
        error.add_note(f"fsync {number} failed")
        raise


@pytest.mark.parametrize("number", [3, 9, 13, 16, 24, 26, 50])
async def test_power_loss_after_a_failed_fsync_keeps_every_promise(layer: Path, folder: Path, number: int) -> None:
    """What was not written when an fsync failed is never written, and no later success makes up for it."""
    await lose_after_failed_fsync(layer, folder, number)


@pytest.mark.slow
async def test_power_loss_after_any_failed_fsync_keeps_every_promise(layer: Path, folder: Path) -> None:
    for number in range(1, FSYNCS, 1 if LIVES > 1 else 20):
        await lose_after_failed_fsync(layer, folder, number)


@pytest.mark.parametrize("forgotten", CARELESS)
async def test_power_loss_tests_find_a_spool_that_does_not_sync(layer: Path, folder: Path, forgotten: str) -> None:
    with pytest.raises((AssertionError, FileNotFoundError)):
        await live_and_lose(layer, folder, forgotten, 1)
