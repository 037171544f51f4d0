"""The real disk does what its callers rely on when they do a step a second time."""

from __future__ import annotations

from pathlib import Path

import pytest

from bridgehead.spool.disk import Disk


def test_link_and_unlink_may_be_repeated(tmp_path: Path) -> None:
    source, target = tmp_path / "a", tmp_path / "b"
    source.write_bytes(b"body")
    disk = Disk()
    disk.link(source, target)
    disk.link(source, target)
    disk.unlink(source)
    disk.unlink(source)
    assert target.read_bytes() == b"body"


def test_files_and_folders_are_synced_and_what_is_missing_is_an_error(tmp_path: Path) -> None:
    disk = Disk()
    (tmp_path / "a").write_bytes(b"body")
    disk.sync_file(tmp_path / "a")
    disk.sync_folder(tmp_path)
    with pytest.raises(FileNotFoundError):
        disk.sync_file(tmp_path / "b")
