"""The real peers of `tests.peers`, as fixtures of this package too."""

from __future__ import annotations

from tests.peers.conftest import authority, certificate, new_bridgehead, sink

__all__ = ["authority", "certificate", "new_bridgehead", "sink"]
