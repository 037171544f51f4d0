"""The real disk does what its callers rely on when they do a step a second time."""

from __future__ import annotations

import sqlite3
from pathlib import Path

import pytest

from bridgehead.spool.disk import Disk, Faults


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


FAULTS = {
    "of the database": (sqlite3.OperationalError("disk I/O error"), "disk I/O error"),
    "of a file": (OSError(28, "No space left on device", "/var/x.body"), "No space left on device"),
    "without words": (OSError(), "OSError"),
}


@pytest.mark.parametrize(("error", "words"), FAULTS.values(), ids=FAULTS.keys())
def test_faults_are_counted_and_the_present_one_is_told_until_a_write_is_taken(error: Exception, words: str) -> None:
    faults = Faults()
    faults.failed(error)
    assert (faults.count, faults.present) == (1, words)
    faults.worked()
    assert (faults.count, faults.present) == (1, "")


def test_a_submission_that_contradicts_the_spool_is_no_fault_of_the_disk() -> None:
    faults = Faults()
    faults.failed(sqlite3.IntegrityError("UNIQUE constraint failed"))
    assert (faults.count, faults.present) == (0, "")
