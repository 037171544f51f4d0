"""What messages that are still arriving hold in memory, over all sessions of one worker.

Each session has bounds of its own (256 KiB of content, `recipients`), but there may be thousands of them. What is
asked for beyond this bound is put off with `452 4.3.1`; what was taken before is not touched.
"""

from __future__ import annotations

import logging
from typing import Final

DRAFT_MEMORY_MAX: Final = 256 << 20
"""Octets: a thousand sessions at once with as much content in memory as each may have."""

_log: Final = logging.getLogger(__name__)


class DraftMemory:
    """A count of octets with an upper bound. One a worker, used on its event loop alone."""

    __slots__ = ("_is_short", "held", "maximum")

    def __init__(self, maximum: int = DRAFT_MEMORY_MAX) -> None:
        self.maximum = maximum
        self.held = 0
        self._is_short = False

    def take(self, octets: int) -> bool:
        """Count so many more; `False`, and nothing is counted, where that would be too many."""
        held = self.held + octets
        if held > self.maximum:
            self._run_short()
            return False
        self.held = held
        return True

    def give_back(self, octets: int) -> None:
        """So many are not held any more."""
        self.held -= octets
        if self._is_short and self.held <= self.maximum // 2:
            self._is_short = False

    def _run_short(self) -> None:
        """Say so once, until half of it is free again."""
        if not self._is_short:
            self._is_short = True
            reason = f"{self.maximum >> 20} MB of content and recipients in this worker; more is put off with 452"
            _log.warning("too much mail arrives at once", extra={"event": "draft-memory-full", "reason": reason})
