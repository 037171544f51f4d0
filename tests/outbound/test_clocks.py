"""The two clocks, and how an instant of one is told by the other."""

from __future__ import annotations

import pytest

from bridgehead.outbound.clocks import Clocks
from tests.outbound.fake_channel import Clock


def clocks(wall: float, steady: float) -> Clocks:
    return Clocks(Clock(wall), Clock(steady))


def test_an_instant_of_the_steady_clock_has_the_wall_time_that_will_be_shown_then() -> None:
    assert clocks(wall=1_000_000.0, steady=50.0).wall_time_of(80.0) == 1_000_030.0


@pytest.mark.parametrize(
    ("wall_time", "instant"),
    [(1_000_030.0, 80.0), (1_000_000.0, 50.0), (999_990.0, 40.0), (1_018_000.0, 650.0)],
    ids=["in a while", "now", "over", "written down before the clock was set back by hours"],
)
def test_a_wall_time_is_an_instant_that_is_never_further_away_than_a_wait_may_be(
    wall_time: float, instant: float
) -> None:
    assert clocks(wall=1_000_000.0, steady=50.0).instant_of(wall_time, seconds_max=600.0) == instant
