"""The soak in its short form, and how it judges: `python -m tests.faults.soak` is the long one."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.faults.processes import IS_LONG
from tests.faults.soak import Report, Sample, soak

SECONDS = 1200.0 if IS_LONG else 16.0


def report(*, memory: float = 0.0, files: float = 0.0, lag: float = 0.0) -> Report:
    """Twenty minutes, and what grows by so much a minute."""
    samples = [
        Sample(second, int(100e6 + memory * second / 60), 60, int(20 + files * second / 60), int(lag * second / 60))
        for second in range(0, 1200, 10)
    ]
    return Report(500.0, samples=samples)


def test_a_run_in_which_nothing_grows_keeps_every_promise() -> None:
    assert report().broken() == []


@pytest.mark.parametrize(
    ("found", "words"),
    [
        (report(memory=3e6), "memory grows by 2.9 MiB a minute"),
        (report(memory=9e6), "memory grew by"),
        (report(files=20), "files more"),
        (report(lag=300), "the queue grows"),
    ],
    ids=["memory, slowly", "memory", "files", "queue"],
)
def test_what_grows_is_told(found: Report, words: str) -> None:
    assert any(words in sentence for sentence in found.broken())


def test_what_is_lost_or_doubled_or_refused_is_told() -> None:
    found = report()
    found.lost, found.doubled, found.foreign, found.refused = 1, 2, 3, 4
    assert [sentence.split()[0] for sentence in found.broken()] == ["1", "2", "3", "4"]


@pytest.mark.peer
@pytest.mark.slow
@pytest.mark.timeout(1800)
def test_a_run_at_half_of_what_the_machine_takes_with_restarts_keeps_every_promise(tmp_path: Path) -> None:
    found = soak(tmp_path / "bridgehead", SECONDS)
    print(f"\n{found}")
    assert found.broken() == []
    assert found.accepted > 100
