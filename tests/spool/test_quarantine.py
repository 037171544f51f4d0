"""What is set aside can be found, read and told from its neighbours."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from bridgehead.core import queue_id
from bridgehead.spool import quarantine as module
from bridgehead.spool.quarantine import Quarantine


def test_parts_and_a_note_are_kept_under_the_messages_written_id(tmp_path: Path) -> None:
    file = tmp_path / "large.body"
    file.write_bytes(b"large")
    quarantine = Quarantine(tmp_path / "damaged")
    quarantine.add(7 << 40, "checksum", {"entry": b"e"}, file)
    (place,) = (tmp_path / "damaged").iterdir()
    assert place.name.startswith(queue_id.write(7 << 40))
    assert place.stat().st_mode & 0o777 == 0o700
    assert (place / "entry").read_bytes() == b"e"
    assert (place / "body").read_bytes() == b"large"
    assert json.loads((place / "note.json").read_text())["reason"] == "checksum"
    assert file.exists()


def test_the_same_message_may_be_set_aside_again(tmp_path: Path) -> None:
    quarantine = Quarantine(tmp_path / "damaged")
    for reason in ("first", "second"):
        quarantine.add(5, reason, {})
    assert quarantine.count == 2
    assert len(list((tmp_path / "damaged").iterdir())) == 2


def test_a_file_that_cannot_be_read_to_its_end_is_kept_itself(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    file = tmp_path / "p0.db"
    file.write_bytes(b"all of it")
    monkeypatch.setattr(module, "copy_readable", lambda _, copy: copy.write_bytes(b"all"))
    place = Quarantine(tmp_path / "damaged").add_files("p0", "disk I/O error", [file])
    file.unlink()
    assert (place / "p0.db").read_bytes() == b"all"
    assert (place / "p0.db.unread").read_bytes() == b"all of it"


def test_nothing_is_left_of_what_could_not_be_set_aside(tmp_path: Path) -> None:
    """A start that fails is made again and again."""
    quarantine = Quarantine(tmp_path / "damaged")
    with pytest.raises(FileNotFoundError):
        quarantine.add_files("p0", "no disk", [tmp_path / "none"])
    assert quarantine.count == 0
    assert list((tmp_path / "damaged").iterdir()) == []
