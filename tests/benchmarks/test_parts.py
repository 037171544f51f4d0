"""P14: the processor time of a message by part."""

from __future__ import annotations

from collections import Counter
from pathlib import Path

import pytest

import bridgehead
from benchmarks.parts import Reading, microseconds
from benchmarks.sampled.sitecustomize import part_of

PACKAGE = Path(bridgehead.__file__).parent


@pytest.mark.parametrize(
    ("module", "part"),
    [
        ("inbound/session.py", "accept"),
        ("smtp/server.py", "accept"),
        ("spool/sqlite.py", "commit"),
        ("core/routing.py", "route"),
        ("outbound/dispatcher.py", "queue"),
        ("outbound/smtp_channel.py", "deliver"),
        ("smtp/client.py", "deliver"),
        ("control/tracking.py", "tracking"),
        ("core/reply.py", ""),
    ],
)
def test_a_module_belongs_to_a_part_or_to_whoever_called_it(module: str, part: str) -> None:
    assert (PACKAGE / module).exists()
    assert part_of(str(PACKAGE / module)) == part


def test_modules_of_others_belong_to_no_part() -> None:
    assert part_of("/usr/lib/python3/asyncio/events.py") == ""


def test_samples_divide_the_main_threads_time_and_other_threads_count_whole() -> None:
    before = Reading(Counter(accept=100), Counter(), Counter(MainThread=1_000_000_000, spool=0), 2.0)
    after = Reading(
        Counter(accept=400, deliver=100),
        Counter(),
        Counter(MainThread=1_400_000_000, spool=100_000_000, tracking=50_000_000),
        2.6,
    )
    found = microseconds(before, after, 1_000)
    assert found["accept"] == pytest.approx(300)
    assert found["deliver"] == pytest.approx(100)
    assert found["commit thread"] == pytest.approx(100)
    assert found["log and tracking thread"] == pytest.approx(50)
    assert found["total"] == pytest.approx(600)
    assert found["rest"] == pytest.approx(50)
