"""Whether there is room on the disk for new mail, asked of the file system at most once a second."""

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

    @property
    def is_enough(self) -> bool:
        """Whether new mail may be accepted."""
        return self.free >= self.reserve


class FreeSpace:
    """The guard of `[node] min_free_mb`. `monotonic` counts seconds."""

    def __init__(self, path: Path, min_free_bytes: Callable[[], int], monotonic: Callable[[], float]) -> None:
        self._path = path
        self._min_free_bytes = min_free_bytes
        self._monotonic = monotonic
        self._asked_at = float("-inf")
        self._free: int | None = None
        """`None`: the file system does not say."""

    def room(self) -> Room:
        """What is free, a second ago at most."""
        free, reserve = self._free_bytes(), self._min_free_bytes()
        return Room(free or 0, reserve if free is not None else max(reserve, 1))

    def is_enough(self) -> bool:
        """Whether new mail may be accepted: not where the file system does not even say."""
        free = self._free_bytes()
        return free is not None and free >= self._min_free_bytes()

    def _free_bytes(self) -> int | None:
        now = self._monotonic()
        if now - self._asked_at >= BELIEVED_SECONDS:
            self._asked_at = now
            try:
                self._free = free_bytes(self._path)
            except OSError:
                self._free = None
        return self._free
