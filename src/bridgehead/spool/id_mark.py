"""The highest queue id that may have been given, durable ahead of time: ids stay unique whatever the clock does.

state_dir/spool/p0.ids holds one id in its written form. It is written before an id beyond it is given, for a minute
of ids at a time (`core.queue_id`), and exactly at a clean end. The spool alone does not tell: what was sent has left.
It stays when its partition is adopted, like the lock: the partition may come back.
"""

from __future__ import annotations

import logging
from pathlib import Path
from typing import Final

from bridgehead.core import queue_id
from bridgehead.core.envelope import MessageId
from bridgehead.spool.disk import Disk

log: Final = logging.getLogger(__name__)


class IdMark:
    """One partition's mark. Owned by the worker that owns the partition."""

    def __init__(self, database: Path) -> None:
        """`database`: state_dir/spool/p0.db."""
        self._path = database.with_suffix(".ids")

    def read(self) -> MessageId:
        """The mark; 0 where there is none, or none that can be read."""
        try:
            return queue_id.read(self._path.read_text(encoding="ascii").strip()) or MessageId(0)
        except (OSError, UnicodeDecodeError):
            return MessageId(0)

    def write(self, message_id: MessageId) -> None:
        """Make a mark durable: two syncs, once a minute at most. Where the disk refuses, mail goes on without it."""
        try:
            Disk().write_line(self._path, queue_id.write(message_id))
        except OSError as error:
            log.warning("queue ids may repeat if the clock is set back: %s cannot be written (%s)", self._path, error)
