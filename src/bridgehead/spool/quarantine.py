"""What is damaged is set aside here: whole, with a note that a person can read. Nothing is ever thrown away.

Where the disk does not give all of a file, the copy has zeros in its place, and the file itself is kept beside it
under a second name (`p0.db.unread`): another day, or another machine, may read more of it.
"""

from __future__ import annotations

import json
import logging
import os
import shutil
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

from bridgehead.core import queue_id
from bridgehead.spool.disk import Disk, copy_readable

log: Final = logging.getLogger(__name__)

UNREAD: Final = ".unread"
"""Behind the name of a file that could not be read to its end."""


@dataclass(slots=True)
class Quarantine:
    """The folder `state_dir/damaged`. Owned by one spool; `count` grows with each entry set aside."""

    folder: Path
    count: int = field(default=0)

    def add(self, message_id: int, reason: str, parts: Mapping[str, bytes], file: Path | None = None) -> None:
        """Keep what is left of a message: `{"entry": b"...", "body": b"..."}`, and its body's file."""
        name = queue_id.write(message_id) if message_id > 0 else f"{message_id}"
        with self._new_folder(name, reason) as place:
            for part, content in parts.items():
                (place / part).write_bytes(content)
            if file is not None and file.exists():
                _keep(file, place / "body")

    def add_files(self, name: str, reason: str, paths: list[Path]) -> Path:
        """Keep copies of whole files; returns the folder they are in."""
        with self._new_folder(name, reason) as place:
            for path in paths:
                _keep(path, place / path.name)
        return place

    @contextmanager
    def _new_folder(self, name: str, reason: str) -> Iterator[Path]:
        """A folder with a note, made durable once it is filled; gone again where the disk does not let it be filled.

        A start that fails is made again and again, and must not leave a folder each time.
        """
        place = self.folder / f"{name}-{time.time_ns():x}"
        place.mkdir(mode=0o700, parents=True)
        try:
            note = {"what": name, "reason": reason, "set_aside_at": time.time()}
            (place / "note.json").write_text(json.dumps(note) + "\n", encoding="utf-8")
            yield place
            self._sync(place)
        except OSError:
            shutil.rmtree(place, ignore_errors=True)
            raise
        self.count += 1
        log.error("%s is damaged and was set aside in %s: %s", name, place, reason, extra={"event": "damaged"})

    def _sync(self, place: Path) -> None:
        """Make it durable: what is kept here may be removed elsewhere now."""
        disk = Disk()
        for path in (*place.iterdir(), place, self.folder, self.folder.parent):
            disk.sync_file(path)


def _keep(file: Path, copy: Path) -> None:
    missing = copy_readable(file, copy)
    if missing:
        unread = copy.with_name(copy.name + UNREAD)
        os.link(file, unread)
        log.error(
            "%d octets of %s cannot be read; it is kept as %s", missing, file, unread, extra={"event": "unread"}
        )
