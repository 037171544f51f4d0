"""When badmail is deleted: a week by the clock on the wall, once that clock is believed.

A clock that jumps ahead by years makes everything a week old at once. So nothing is deleted for some hours after the
start, and after the wall clock went further than the monotonic one: in that time it is set right, or it is right.
"""

from __future__ import annotations

from typing import Final

from bridgehead.outbound.aging import JUMP_SECONDS
from bridgehead.outbound.clocks import Clocks
from bridgehead.outbound.hand_back import Badmail

LOOK_SECONDS: Final = 3600.0
"""How late badmail is deleted."""
BELIEVED_SECONDS: Final = 6 * 3600.0
"""How long the clock on the wall has to go as the monotonic one does: a server that starts every day prunes still."""


class Pruning:
    """Prunes badmail now and then. Mutable; owned by the dispatcher."""

    def __init__(self, badmail: Badmail, clocks: Clocks) -> None:
        self._badmail = badmail
        self._clocks = clocks
        self._wall_then, self._steady_then = clocks.wall(), clocks.steady()
        self._look_at = self._steady_then + BELIEVED_SECONDS

    def look(self) -> None:
        """Delete what is old, if it is time to. Call it every now and then."""
        wall, steady = self._clocks.wall(), self._clocks.steady()
        if (wall - self._wall_then) - (steady - self._steady_then) > JUMP_SECONDS:
            self._look_at = steady + BELIEVED_SECONDS
        self._wall_then, self._steady_then = wall, steady
        if steady >= self._look_at:
            self._look_at = steady + LOOK_SECONDS
            self._badmail.prune(wall)
