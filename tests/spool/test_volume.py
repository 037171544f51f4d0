"""Room, and what a power cut leaves."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from bridgehead.spool.volume import free_bytes, is_volatile


def test_free_bytes_are_those_of_the_file_system_even_before_the_folder_exists(tmp_path: Path) -> None:
    status = os.statvfs(tmp_path)
    for path in (tmp_path, tmp_path / "not" / "yet" / "there"):
        assert abs(free_bytes(path) - status.f_bavail * status.f_frsize) < status.f_blocks * status.f_frsize // 100


@pytest.mark.skipif(not Path("/dev/shm").is_mount(), reason="this machine has no tmpfs there")
def test_a_tmpfs_is_volatile_and_a_disk_is_not() -> None:
    assert is_volatile(Path("/dev/shm"))
    assert is_volatile(Path("/dev/shm/not/yet/there"))
    assert not is_volatile(Path("/proc"))
