"""What these tests share with those of the real peers."""

from __future__ import annotations

from tests.peers.conftest import shared_directory

__all__ = ["shared_directory"]
