"""Every asynchronous test of this folder runs on both event loops."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping

import uvloop


def pytest_asyncio_loop_factories() -> Mapping[str, Callable[[], asyncio.AbstractEventLoop]]:
    """The loop of the standard library, and the one that serves in production."""
    return {"asyncio": asyncio.new_event_loop, "uvloop": uvloop.new_event_loop}
