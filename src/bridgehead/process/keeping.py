"""Keeping a child process alive: run it, and run it again when it ends, with pauses that grow."""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Awaitable, Callable
from typing import Final

log: Final = logging.getLogger(__name__)

PAUSES_SECONDS: Final = (0.1, 1.0, 5.0, 15.0, 60.0)
"""Wait before a child is started again; the last repeats."""
HEALTHY_SECONDS: Final = 60.0
"""A child that ran so long starts again at the first pause."""


async def keep(name: str, run: Callable[[], Awaitable[int]], stopping: asyncio.Event) -> None:
    """Call `run`, which returns a child's exit status, again and again until the server stops."""
    failures = 0
    while not stopping.is_set():
        began = time.monotonic()
        status = await run()
        if stopping.is_set():
            return
        if time.monotonic() - began > HEALTHY_SECONDS:
            failures = 0
        pause = PAUSES_SECONDS[min(failures, len(PAUSES_SECONDS) - 1)]
        failures += 1
        log.error(
            "%s ended with status %d; it is started again in %g s",
            name,
            status,
            pause,
            extra={"event": "child-ended"},
        )
        await _wait(stopping, pause)


async def _wait(stopping: asyncio.Event, seconds: float) -> None:
    try:
        async with asyncio.timeout(seconds):
            await stopping.wait()
    except TimeoutError:
        return
