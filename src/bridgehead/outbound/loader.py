"""Reads waiting messages from the spool: those whose turn came, and those that must be routed anew.

A fixed number of loops, whatever waits. A message that cannot be read now is tried again later; one that is gone
leaves the index. Nothing is read for sending while the disk takes no outcomes: more would be known than memory holds.
"""

from __future__ import annotations

import asyncio
import logging
from collections import deque
from collections.abc import Callable, Coroutine, Iterable
from typing import Final, TypeAlias

from bridgehead.core import queue_id
from bridgehead.outbound.entry import Attempt, Entry, message_of
from bridgehead.outbound.index import Index
from bridgehead.outbound.queue import Queue
from bridgehead.spool.contract import Spool

log: Final = logging.getLogger(__name__)

LOADERS: Final = 4
"""Messages read for sending at the same time."""
READ_AT_ONCE: Final = 20
"""Messages read, and seen to, before others get their turn: a small message is read without any wait."""
UNREADABLE_SECONDS: Final = 60.0
"""When a message that could not be read is tried again."""

Loaded: TypeAlias = Callable[[Queue, Attempt], None]


class Loader:
    """Loads active entries. `finish` takes one that was read to be routed anew. Mutable; owned by the dispatcher."""

    def __init__(
        self, spool: Spool, clock: Callable[[], float], index: Index, finish: Loaded, is_stuck: Callable[[], bool]
    ) -> None:
        """`is_stuck`: whether too many outcomes wait for the disk; `go_on` has it asked anew."""
        self._spool = spool
        self._clock = clock
        self._index = index
        self._finish = finish
        self._is_stuck = is_stuck
        self._wanted: deque[tuple[Queue, Entry, Loaded, Callable[[], None] | None]] = deque()
        self._is_wanted = asyncio.Event()
        self._unexamined: deque[Queue] = deque()
        self._is_unexamined = asyncio.Event()

    def load(self, queue: Queue, entry: Entry, loaded: Loaded, gone: Callable[[], None] | None = None) -> None:
        """Read an active entry in its turn; call `loaded`, or `gone` if there is nothing to be read."""
        self._wanted.append((queue, entry, loaded, gone))
        self._is_wanted.set()

    def go_on(self) -> None:
        """Look whether reading may go on. Call it every now and then."""
        if self._wanted:
            self._is_wanted.set()

    def examine_soon(self, queues: Iterable[Queue]) -> None:
        """Route all that waits in these queues anew, in the background; nothing of it is sent before."""
        for queue in queues:
            queue.must_be_examined()
            self._unexamined.append(queue)
        self._is_unexamined.set()

    def loops(self) -> list[Coroutine[None, None, None]]:
        """What must run for entries to be read."""
        return [*(self._load_wanted() for _ in range(LOADERS)), self._examine()]

    async def read(self, queue: Queue, entry: Entry) -> Attempt | None:
        """Read an active entry now; `None` if it is gone, or cannot be read now (then it is tried again later)."""
        try:
            message = await self._spool.load(message_of(entry))
        except Exception:  # the root of a read: whatever the disk does must not end the dispatcher
            log.exception("a message cannot be read", extra={"queue_id": queue_id.write(message_of(entry))})
            queue.active.discard(entry)
            queue.add_later(entry, self._clock() + UNREADABLE_SECONDS)
            return None
        if message is None:
            queue.active.discard(entry)
            self._index.remove(entry)
            return None
        return Attempt(entry, message, ())

    async def _load_wanted(self) -> None:
        read = 0
        while True:
            while not self._wanted or self._is_stuck():
                self._is_wanted.clear()
                await self._is_wanted.wait()
            queue, entry, loaded, gone = self._wanted.popleft()
            attempt = await self.read(queue, entry)
            if attempt is not None:
                loaded(queue, attempt)
            elif gone is not None:
                gone()
            read += 1
            if read % READ_AT_ONCE == 0:
                await asyncio.sleep(0)

    async def _examine(self) -> None:
        """One message after the other: the configuration changed, mail must still flow meanwhile."""
        while True:
            while not self._unexamined:
                self._is_unexamined.clear()
                await self._is_unexamined.wait()
            queue = self._unexamined.popleft()
            examined = 0
            while (entry := queue.waiting.pop_unexamined()) is not None:
                queue.active.add(entry)
                attempt = await self.read(queue, entry)
                if attempt is not None:
                    self._finish(queue, attempt)
                examined += 1
                if examined % READ_AT_ONCE == 0:
                    await asyncio.sleep(0)
