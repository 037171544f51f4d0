"""Whether there is room on the disk for new mail, asked of the file system at most once a second.

Once there was too little, there has to be a tenth more than the reserve: around the reserve itself mail would be
taken and refused by turns, with a line in the log each time.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from bridgehead.spool.volume import free_bytes

BELIEVED_SECONDS: Final = 1.0
"""A second of mail at full speed is some 50 MB, less than the reserve that `min_free_mb` keeps."""


@dataclass(frozen=True, slots=True)
class Room:
    """What is free, and what must stay so. Octets."""

    free: int
    """0 where the file system does not say."""
    reserve: int
    wanted: int
    """What must be free for new mail to be accepted: the reserve, or more of it where there was too little."""

    @property
    def is_enough(self) -> bool:
        """Whether new mail may be accepted."""
        return self.free >= self.wanted


class FreeSpace:
    """The guard of `[node] min_free_mb`. `monotonic` counts seconds."""

    def __init__(self, path: Path, min_free_bytes: Callable[[], int], monotonic: Callable[[], float]) -> None:
        self._path = path
        self._min_free_bytes = min_free_bytes
        self._monotonic = monotonic
        self._asked_at = float("-inf")
        self._free: int | None = None
        """`None`: the file system does not say."""
        self._was_enough = True

    def room(self) -> Room:
        """What is free, a second ago at most; too little, where the file system does not even say."""
        free, reserve = self._free_bytes(), self._min_free_bytes()
        wanted = reserve if self._was_enough else reserve + reserve // 10
        self._was_enough = free is not None and free >= wanted
        if not self._was_enough:
            wanted = max(reserve + reserve // 10, 1)
        return Room(free or 0, reserve, wanted)

    def is_enough(self) -> bool:
        """Whether new mail may be accepted."""
        return self.room().is_enough

    def _free_bytes(self) -> int | None:
        now = self._monotonic()
        if now - self._asked_at >= BELIEVED_SECONDS:
            self._asked_at = now
            try:
                self._free = free_bytes(self._path)
            except OSError:
                self._free = None
        return self._free
