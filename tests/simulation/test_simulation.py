"""Seeds of the simulation: whatever fails, no accepted mail is lost, none is sent twice without a reason, all of it
leaves in the end. `python -m tests.simulation --seed N` tells the story of one; `--seconds 600` runs many more.
"""

from __future__ import annotations

from collections import Counter

import pytest

from tests.simulation.simulation import run

QUICK = 100
THOROUGH = 1_300


def stories_of_broken_promises(seeds: range) -> list[str]:
    """Of each seed that broke one, the end of its story."""
    found = [run(seed) for seed in seeds]
    return [f"seed {one.seed}: {one.broken}\n" + "\n".join(one.story[-30:]) for one in found if one.broken]


def test_no_promise_is_broken_whatever_fails() -> None:
    assert stories_of_broken_promises(range(QUICK)) == []


@pytest.mark.slow
@pytest.mark.parametrize("part", range(6))
def test_no_promise_is_broken_by_many_seeds(part: int) -> None:
    step = (THOROUGH - QUICK) // 6
    assert stories_of_broken_promises(range(QUICK + part * step, QUICK + (part + 1) * step)) == []


def test_seed_tells_the_same_story_each_time() -> None:
    first, second = run(7), run(7)
    assert first.story == second.story
    assert len(first.story) > 20


def test_seeds_see_what_they_are_for() -> None:
    runs = [run(seed) for seed in range(20)]
    counts = sum((one.counts for one in runs), Counter[str]())
    assert counts["deliveries"] > 100
    assert counts["DSNs"] > 5
    assert counts["kills"] > 10
