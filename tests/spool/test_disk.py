"""The real disk does what its callers rely on when they do a step a second time; one that fails is read around."""

from __future__ import annotations

import errno
import os
import sqlite3
from pathlib import Path

import pytest

from bridgehead.spool.disk import Disk, Faults, copy_readable, gives_anything, is_damage, is_unreadable
from bridgehead.spool.schema import PAGE_BYTES


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


@pytest.fixture
def bad_pages(monkeypatch: pytest.MonkeyPatch) -> set[int]:
    """Pages of every file, from 0, that the disk does not give."""
    bad: set[int] = set()

    def pread(descriptor: int, count: int, position: int) -> bytes:
        page, at = divmod(position, PAGE_BYTES)
        if page in bad:
            raise OSError(errno.EIO, "Input/output error")
        first = min((one for one in bad if one > page), default=page + count)
        return read(descriptor, min(count, (first - page) * PAGE_BYTES - at), position)

    read = os.pread
    monkeypatch.setattr(os, "pread", pread)
    return bad


def test_a_copy_has_all_that_the_disk_gives_and_zeros_where_it_does_not(tmp_path: Path, bad_pages: set[int]) -> None:
    content = b"".join(bytes([number]) * PAGE_BYTES for number in range(1, 6)) + b"tail"
    (tmp_path / "file").write_bytes(content)
    assert copy_readable(tmp_path / "file", tmp_path / "copy") == 0
    assert (tmp_path / "copy").read_bytes() == content
    bad_pages.update({1, 2, 5})
    assert copy_readable(tmp_path / "file", tmp_path / "copy") == 2 * PAGE_BYTES + 4
    copied = (tmp_path / "copy").read_bytes()
    assert copied == content[:PAGE_BYTES] + bytes(2 * PAGE_BYTES) + content[3 * PAGE_BYTES : -4] + bytes(4)


def test_a_disk_gives_something_of_a_file_where_it_gives_any_of_a_few_places(
    tmp_path: Path, bad_pages: set[int]
) -> None:
    (tmp_path / "file").write_bytes(bytes(40 * PAGE_BYTES))
    bad_pages.update(range(30))
    assert gives_anything(tmp_path / "file")
    bad_pages.update(range(40))
    assert not gives_anything(tmp_path / "file")


@pytest.mark.parametrize(
    ("number", "is_read_error"),
    [
        (sqlite3.SQLITE_IOERR_READ, True),
        (sqlite3.SQLITE_IOERR_CORRUPTFS, True),
        (sqlite3.SQLITE_IOERR_WRITE, False),
        (sqlite3.SQLITE_FULL, False),
        (sqlite3.SQLITE_READONLY, False),
    ],
)
def test_an_error_is_damage_only_where_the_disk_does_not_give_what_was_written(
    number: int, is_read_error: bool
) -> None:
    error = sqlite3.OperationalError("of the disk")
    error.sqlite_errorcode = number
    assert (is_damage(error), is_unreadable(error)) == (is_read_error, is_read_error)
    assert is_damage(sqlite3.DatabaseError("database disk image is malformed"))
    assert is_unreadable(OSError(errno.EIO, "Input/output error"))
    assert not is_unreadable(OSError(errno.ENOSPC, "No space left on device"))
