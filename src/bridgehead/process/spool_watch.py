"""Whether a worker's spool can be written: told to the supervisor at each change, and tried again until it can.

A server that is not ready gets no mail, so mail cannot be what finds out that the disk works again. Meanwhile a
message that is put in and taken out in one submission is tried now and then: it goes the way of every message, and
nobody ever sees it.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import dataclass
from math import inf
from typing import Final

from bridgehead.core.envelope import NULL_PATH, Envelope, MessageId
from bridgehead.spool.contract import BODY_IN_ROW_MAX, Insert, Remove, Spool

LOOK_SECONDS: Final = 1.0
"""How late a change is told."""
TRIAL_SECONDS: Final = 5.0
"""How often writing is tried while it fails."""
TRIAL_OCTETS: Final = BODY_IN_ROW_MAX + 1
"""So large that the trial needs a body file, too."""


@dataclass(frozen=True, slots=True)
class Watched:
    """What is watched, and by what means."""

    spool: Spool
    new_id: Callable[[], MessageId]
    clock: Callable[[], float]
    """Seconds since the epoch."""
    tell: Callable[[str], None]
    """Takes why the spool cannot be written, or empty words: it can."""


class SpoolWatch:
    """Watches one spool on its event loop."""

    def __init__(self, watched: Watched) -> None:
        self._watched = watched
        self._told = ""
        self._tried_at = -inf
        self._is_trying = False

    async def run(self) -> None:
        """Look every second, until cancelled."""
        while True:
            await asyncio.sleep(LOOK_SECONDS)
            self.look()

    def look(self) -> None:
        """Tell what changed; while nothing can be written, try to."""
        fault = self._watched.spool.statistics().present_fault
        if fault != self._told:
            self._told = fault
            self._watched.tell(fault)
        now = self._watched.clock()
        is_recent = 0 <= now - self._tried_at < TRIAL_SECONDS  # negative: the clock was set back, and says nothing
        if fault and not self._is_trying and not is_recent:
            self._tried_at = now
            self._try(now)

    def _try(self, now: float) -> None:
        body = self._watched.spool.new_body()
        try:
            body.write(bytes(TRIAL_OCTETS))
            content = body.finish()
        except OSError:  # the spool knows
            body.discard()
            return
        message_id = self._watched.new_id()
        envelope = Envelope(NULL_PATH, (), TRIAL_OCTETS, now, "")
        self._is_trying = True
        self._watched.spool.submit([Insert(message_id, envelope, content), Remove(message_id)], self._tried)

    def _tried(self, _: Exception | None) -> None:
        """The spool knows what came of it."""
        self._is_trying = False
