"""Whether there is room on the disk for new mail, asked of the file system at most once a second."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Final

from bridgehead.spool.volume import free_bytes

BELIEVED_SECONDS: Final = 1.0
"""A second of mail at full speed is some 50 MB, less than the reserve that `min_free_mb` keeps."""


class FreeSpace:
    """The guard of `[node] min_free_mb`. `monotonic` counts seconds."""

    def __init__(self, path: Path, min_free_bytes: Callable[[], int], monotonic: Callable[[], float]) -> None:
        self._path = path
        self._min_free_bytes = min_free_bytes
        self._monotonic = monotonic
        self._asked_at = float("-inf")
        self._is_enough = True

    def is_enough(self) -> bool:
        """Whether new mail may be accepted."""
        now = self._monotonic()
        if now - self._asked_at >= BELIEVED_SECONDS:
            self._asked_at = now
            try:
                self._is_enough = free_bytes(self._path) >= self._min_free_bytes()
            except OSError:
                self._is_enough = False
        return self._is_enough
