"""What workers answer for their own mail becomes one answer."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest

from bridgehead.core.statistics import Statistics
from bridgehead.outbound.waiting_for import WaitingFor
from bridgehead.process.merging import MERGES

CASES: list[tuple[str, list[Any], Any]] = [
    ("queue.list", [[{"queue_id": "A"}], [], [{"queue_id": "B"}]], [{"queue_id": "A"}, {"queue_id": "B"}]),
    ("queue.retry", [{"messages": 1, "busy": 0}, {"messages": 2, "busy": 1}], {"messages": 3, "busy": 1}),
    ("queue.delete", [{"messages": 0}], {"messages": 0}),
]


@pytest.mark.parametrize(("verb", "parts", "whole"), CASES, ids=[verb for verb, _, _ in CASES])
def test_merging_makes_one_answer_of(verb: str, parts: list[Any], whole: Any) -> None:
    assert MERGES[verb](parts) == whole


def test_merging_adds_statistics_up() -> None:
    parts = [msgspec.to_builtins(Statistics(received=number)) for number in (3, 4)]
    assert MERGES["statistics"](parts) == Statistics(received=7)


def test_merging_adds_up_what_waits_for_a_connector() -> None:
    parts = [msgspec.to_builtins([WaitingFor("ISP", number)]) for number in (3, 4)]
    assert MERGES["queue.waiting_for"]([*parts, []]) == (WaitingFor("ISP", 7),)
