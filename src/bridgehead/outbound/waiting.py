"""The entries of one queue that wait: ready, for a later attempt, held, or to be routed anew.

Taking an entry out of the middle leaves a mark instead of searching for it, so that expiring a million messages is
not quadratic. An entry is in at most one of the four places.
"""

from __future__ import annotations

import heapq
from collections import deque
from collections.abc import Iterator
from itertools import chain, islice
from operator import itemgetter
from typing import Final

from bridgehead.core.recipient_state import Hold
from bridgehead.outbound.entry import Entry

_SCATTER: Final = 0x9E3779B1
"""Multiples of it, taken by any small number, follow no pattern that mail would (Knuth's multiplicative hash)."""


class Waiting:
    """Entries in order of their turn. Mutable; owned by one `Queue`."""

    __slots__ = ("_gone", "_later", "_ready", "held", "unexamined")

    def __init__(self) -> None:
        self._ready: deque[Entry] = deque()
        self._later: list[tuple[float, Entry]] = []
        self._gone: set[Entry] = set()
        self.held: dict[Entry, Hold] = {}
        """What stands still, and why."""
        self.unexamined: deque[Entry] = deque()
        """What must be routed anew before it may be sent."""

    def __len__(self) -> int:
        """All entries but the held ones."""
        return len(self._ready) + len(self._later) + len(self.unexamined) - len(self._gone)

    @property
    def ready_count(self) -> int:
        """Entries whose turn it is; some that are marked as gone may count, but none where nothing is left at all."""
        return min(len(self._ready), len(self))

    def add_ready(self, entry: Entry) -> None:
        """Last in the line."""
        if entry in self._gone:
            self.tidy()
        self._ready.append(entry)

    def return_ready(self, entry: Entry) -> None:
        """First in the line: it was taken out and not sent."""
        self._ready.appendleft(entry)

    def add_later(self, entry: Entry, due: float) -> None:
        """Ready at `due`."""
        if entry in self._gone:
            self.tidy()
        heapq.heappush(self._later, (due, entry))

    def pop_ready(self) -> Entry | None:
        """The entry whose turn it is."""
        while self._ready:
            entry = self._ready.popleft()
            if not self._gone or entry not in self._gone:
                return entry
            self._gone.discard(entry)
        return None

    def pop_unexamined(self) -> Entry | None:
        """The next entry to be routed anew."""
        while self.unexamined:
            entry = self.unexamined.popleft()
            if entry not in self._gone:
                return entry
            self._gone.discard(entry)
        return None

    def next_due(self) -> float | None:
        """When the first of the later entries becomes ready."""
        return self._later[0][0] if self._later else None

    def make_ready(self, now: float) -> None:
        """Move what is due into the line."""
        while self._later and self._later[0][0] <= now:
            entry = heapq.heappop(self._later)[1]
            if entry in self._gone:
                self._gone.discard(entry)
            else:
                self._ready.append(entry)

    def hasten(self, entries: set[Entry]) -> None:
        """Make these ready now, whatever their time."""
        self.tidy()
        hastened = sorted(entry for _, entry in self._later if entry in entries)
        self._later = [one for one in self._later if one[1] not in entries]
        heapq.heapify(self._later)
        self._ready.extend(hastened)

    def take(self, entry: Entry) -> None:
        """Take out an entry that is here, wherever it is."""
        if self.held.pop(entry, None) is None:
            self._gone.add(entry)

    def must_be_examined(self) -> None:
        """Everything that could move is to be routed anew; what a person holds, or a credential, stays."""
        self.tidy()
        self.unexamined.extend(self._ready)
        self._ready.clear()
        self.unexamined.extend(entry for _, entry in sorted(self._later))
        self._later.clear()
        unroutable = [entry for entry, hold in self.held.items() if hold is Hold.CONFIGURATION]
        for entry in unroutable:
            del self.held[entry]
        self.unexamined.extend(unroutable)

    def sample(self, count: int) -> list[Entry]:
        """At most `count` of the entries that are not held, one somewhere in each of equal stretches of them.

        Mail often comes in a regular pattern, so the places do not. Costs some 10 ns an entry.
        """
        entries = chain(self._ready, map(itemgetter(1), self._later), self.unexamined)
        stretch = max(1, -(-(len(self) + len(self._gone)) // max(1, count)))
        chosen: list[Entry] = []
        passed = 0
        for turn in range(count):
            place = turn * stretch + turn * _SCATTER % stretch
            entry = next(islice(entries, place - passed, None), None)
            if entry is None:
                break
            passed = place + 1
            chosen.append(entry)
        return [entry for entry in chosen if entry not in self._gone]

    def first_ready(self) -> Iterator[Entry]:
        """The entry at the head of the line, which is the oldest but for a few that came back to the end."""
        return islice((entry for entry in self._ready if entry not in self._gone), 1)

    def later(self) -> Iterator[Entry]:
        """What waits for a later attempt, or to be routed anew."""
        yield from (entry for _, entry in self._later if entry not in self._gone)
        yield from (entry for entry in self.unexamined if entry not in self._gone)

    def later_count(self) -> int:
        """Entries that wait for a later attempt, or to be routed anew."""
        return max(0, len(self) - len(self._ready))

    def tidy(self) -> None:
        """Drop the entries that were marked as gone: now the counts are exact."""
        if self._gone:
            self._ready = deque(entry for entry in self._ready if entry not in self._gone)
            self._later = [one for one in self._later if one[1] not in self._gone]
            heapq.heapify(self._later)
            self.unexamined = deque(entry for entry in self.unexamined if entry not in self._gone)
            self._gone.clear()
