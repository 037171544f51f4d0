"""What is set aside can be found, read and told from its neighbours."""

from __future__ import annotations

import json
from pathlib import Path

from bridgehead.core import queue_id
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
