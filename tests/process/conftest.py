"""Whole servers as child processes, as the tests with real peers start them."""

from __future__ import annotations

from tests.peers.conftest import new_bridgehead, sink

__all__ = ["new_bridgehead", "sink"]
