"""What this package shares: the real peers of `tests.peers`, and disks that are recorded and fail."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest

from tests.faults.disk_layer import build
from tests.peers.conftest import authority, certificate, new_bridgehead, sink

__all__ = ["authority", "certificate", "new_bridgehead", "sink"]


@pytest.fixture(scope="session")
def layer(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The library that records what goes to the disk, and fails it."""
    return build(tmp_path_factory.mktemp("disk_layer"))


@pytest.fixture
def folder() -> Iterator[Path]:
    """In memory where the machine has that: thousands of trees are written and opened."""
    memory = Path("/dev/shm")
    with TemporaryDirectory(dir=memory if memory.is_dir() else None) as name:
        yield Path(name)
