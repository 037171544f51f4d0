"""The power goes at every step of a spool's life: what was promised is there, whole, and nothing else.

`power_loss_victim` lives on a recorded disk. After each event of the record, trees that may have survived (see
`power_loss`) are made real and opened. A failure names the seeds, and the last events before the loss.

The long form: `BRIDGEHEAD_POWER_LOSS_LIVES=100 .venv/bin/pytest -s -m slow tests/faults/test_power_loss.py`, from
another seed on with `BRIDGEHEAD_POWER_LOSS_SEED=1000`.
"""

from __future__ import annotations

import os
import shutil
from pathlib import Path

import pytest

from tests.faults.disk_layer import record
from tests.faults.power_loss import Volume, write_tree
from tests.faults.power_loss_promises import Promises, events_before, found_in, losses
from tests.faults.power_loss_victim import CARELESS

pytestmark = [pytest.mark.peer, pytest.mark.timeout(900)]

VICTIM = "tests.faults.power_loss_victim"
SEEDS = (1, 2)
LIVES = int(os.environ.get("BRIDGEHEAD_POWER_LOSS_LIVES", "1"))
FSYNCS = 60
"""Of a life."""


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
            error.add_note(f"seed {seed}, {name}\n{events_before(entries, number)}")
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


@pytest.mark.parametrize("number", [3, 9, 13, 24, 50])
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
