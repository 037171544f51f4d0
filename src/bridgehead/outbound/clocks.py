"""The two clocks of the queue: waits are measured by one that never jumps, instants are told by the one on the wall.

What people and the disk see is wall time: when mail arrived, when it is tried next, when it expires. Somebody may set
that clock by hours. What is in memory and only waits (back-off, retry, idle connection, resubmission) goes by the
steady clock, so that it waits neither hours longer nor no time at all.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Clocks:
    """Both clocks."""

    wall: Callable[[], float]
    """Seconds since the epoch."""
    steady: Callable[[], float]
    """Seconds since some moment before the start; they only grow, and nobody sets them."""

    def wall_time_of(self, instant: float) -> float:
        """What the wall clock, as it is set now, shows at an instant of the steady one."""
        return self.wall() + instant - self.steady()

    def instant_of(self, wall_time: float, seconds_max: float) -> float:
        """The steady clock's instant at which the wall clock, as it is set now, shows `wall_time`.

        At most `seconds_max` from now: a time that was written down before the clock was set back waits no longer.
        """
        return self.steady() + min(wall_time - self.wall(), seconds_max)
