"""What is damaged is set aside here: whole, with a note that a person can read. Nothing is ever thrown away."""

from __future__ import annotations

import json
import logging
import shutil
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

from bridgehead.core import queue_id
from bridgehead.spool.disk import Disk

log: Final = logging.getLogger(__name__)


@dataclass(slots=True)
class Quarantine:
    """The folder `state_dir/damaged`. Owned by one spool; `count` grows with each entry set aside."""

    folder: Path
    count: int = field(default=0)

    def add(self, message_id: int, reason: str, parts: Mapping[str, bytes], file: Path | None = None) -> None:
        """Keep what is left of a message: `{"entry": b"...", "body": b"..."}`, and its body's file."""
        name = queue_id.write(message_id) if message_id > 0 else f"{message_id}"
        place = self._new_folder(name, reason)
        for part, content in parts.items():
            (place / part).write_bytes(content)
        if file is not None and file.exists():
            shutil.copyfile(file, place / "body")
        self._sync(place)

    def add_files(self, name: str, reason: str, paths: list[Path]) -> Path:
        """Keep copies of whole files; returns the folder they are in."""
        place = self._new_folder(name, reason)
        for path in paths:
            shutil.copyfile(path, place / path.name)
        self._sync(place)
        return place

    def _new_folder(self, name: str, reason: str) -> Path:
        self.count += 1
        place = self.folder / f"{name}-{time.time_ns():x}"
        place.mkdir(mode=0o700, parents=True)
        note = {"what": name, "reason": reason, "set_aside_at": time.time()}
        (place / "note.json").write_text(json.dumps(note) + "\n", encoding="utf-8")
        log.error("%s is damaged and was set aside in %s: %s", name, place, reason, extra={"event": "damaged"})
        return place

    def _sync(self, place: Path) -> None:
        """Make it durable: what is kept here may be removed elsewhere now."""
        disk = Disk()
        for path in (*place.iterdir(), place, self.folder, self.folder.parent):
            disk.sync_file(path)
