"""Tests of the wire run on both event loops; those of the queue need no socket and run on one.

Where time itself is what a test looks at, its loop's time is a number (`tests.simulation.virtual_loop`).
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping

import pytest
import uvloop

from tests.simulation.virtual_loop import VirtualLoop

ON_BOTH_LOOPS = {"test_smtp_channel.py", "test_smtp_channel_content.py", "test_connect.py", "test_dialer.py"}
ON_VIRTUAL_TIME = {"test_pulse.py"}


def pytest_asyncio_loop_factories(item: pytest.Item) -> Mapping[str, Callable[[], asyncio.AbstractEventLoop]]:
    """The loops by name."""
    if item.path.name in ON_BOTH_LOOPS:
        return {"asyncio": asyncio.new_event_loop, "uvloop": uvloop.new_event_loop}
    if item.path.name in ON_VIRTUAL_TIME:
        return {"virtual": VirtualLoop}
    return {"asyncio": asyncio.new_event_loop}
