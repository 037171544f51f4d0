"""The entries of one queue that wait: ready, for a later attempt, held, or to be routed anew.

Taking an entry out of the middle leaves its copy where it is, to be passed over, instead of searching for it, so that
noticing or expiring a million messages is not quadratic, also where each comes back. An entry is in at most one of
the four places; copies that do not count are in none.
"""

from __future__ import annotations

import heapq
from collections import deque
from collections.abc import Iterator
from itertools import chain, islice
from typing import Final

from bridgehead.core.recipient_state import Hold
from bridgehead.outbound.entry import Entry

_SCATTER: Final = 0x9E3779B1
"""Multiples of it, taken by any small number, follow no pattern that mail would (Knuth's multiplicative hash)."""
COPIES_MAX: Final = 1000
"""Copies that do not count are dropped when there are more of them, and more than entries that do."""


class Waiting:
    """Entries in order of their turn. Mutable; owned by one `Queue`."""

    __slots__ = ("_due", "_gone", "_gone_count", "_later", "_ready", "held", "unexamined")

    def __init__(self) -> None:
        self._ready: deque[Entry] = deque()
        self._due: dict[Entry, float] = {}
        """What waits for a later attempt, and until when."""
        self._later: list[tuple[float, Entry]] = []
        """A heap of them; what `_due` does not say does not count."""
        self._gone: dict[Entry, int] = {}
        """How many copies in `_ready` and `unexamined`, the first ones of their entry, do not count."""
        self._gone_count = 0
        self.held: dict[Entry, Hold] = {}
        """What stands still, and why."""
        self.unexamined: deque[Entry] = deque()
        """What must be routed anew before it may be sent."""

    def __len__(self) -> int:
        """All entries but the held ones."""
        return len(self._ready) + len(self._due) + len(self.unexamined) - self._gone_count

    @property
    def ready_count(self) -> int:
        """Entries whose turn it is; some that were taken out may count, but none where nothing is left at all."""
        return min(len(self._ready), len(self))

    def add_ready(self, entry: Entry) -> None:
        """Last in the line."""
        if self.unexamined and entry in self._gone:
            self.tidy()  # nobody knows in which of the two its copy is
        self._ready.append(entry)

    def return_ready(self, entry: Entry) -> None:
        """First in the line: it was taken out and not sent."""
        if entry in self._gone:
            self.tidy()
        self._ready.appendleft(entry)

    def add_later(self, entry: Entry, due: float) -> None:
        """Ready at `due`."""
        self._due[entry] = due
        heapq.heappush(self._later, (due, entry))
        if len(self._later) > 2 * len(self._due) + COPIES_MAX:
            self._later = [(due, entry) for entry, due in self._due.items()]
            heapq.heapify(self._later)

    def pop_ready(self) -> Entry | None:
        """The entry whose turn it is."""
        return self._first(self._ready)

    def pop_unexamined(self) -> Entry | None:
        """The next entry to be routed anew."""
        return self._first(self.unexamined)

    def _first(self, line: deque[Entry]) -> Entry | None:
        while line:
            entry = line.popleft()
            if not self._gone or not self._pass_over(entry):
                return entry
        return None

    def _pass_over(self, entry: Entry) -> bool:
        """Whether this copy, which leaves its place, does not count."""
        copies = self._gone.get(entry, 0)
        if not copies:
            return False
        self._gone_count -= 1
        if copies == 1:
            del self._gone[entry]
        else:
            self._gone[entry] = copies - 1
        return True

    def next_due(self) -> float | None:
        """When the first of the later entries becomes ready."""
        later = self._later
        while later:
            due, entry = later[0]
            if self._due.get(entry) == due:
                return due
            heapq.heappop(later)
        return None

    def make_ready(self, now: float) -> None:
        """Move what is due into the line."""
        while self._later and self._later[0][0] <= now:
            due, entry = heapq.heappop(self._later)
            if self._due.get(entry) == due:
                del self._due[entry]
                self.add_ready(entry)

    def hasten(self, entries: set[Entry]) -> None:
        """Make these ready now, whatever their time."""
        for entry in sorted(entry for entry in entries if entry in self._due):
            del self._due[entry]
            self.add_ready(entry)

    def take(self, entry: Entry) -> None:
        """Take out an entry that is here, wherever it is."""
        if self.held.pop(entry, None) is not None or self._due.pop(entry, None) is not None:
            return
        self._gone[entry] = self._gone.get(entry, 0) + 1
        self._gone_count += 1
        if self._gone_count > COPIES_MAX and 2 * self._gone_count > len(self._ready) + len(self.unexamined):
            self.tidy()

    def must_be_examined(self) -> None:
        """Everything that could move is to be routed anew; what a person holds, or a credential, stays."""
        self.tidy()
        self.unexamined.extend(self._ready)
        self._ready.clear()
        self.unexamined.extend(entry for _, entry in sorted((due, entry) for entry, due in self._due.items()))
        self._due.clear()
        self._later.clear()
        unroutable = [entry for entry, hold in self.held.items() if hold is Hold.CONFIGURATION]
        for entry in unroutable:
            del self.held[entry]
        self.unexamined.extend(unroutable)

    def sample(self, count: int) -> list[Entry]:
        """At most `count` of the entries that are not held, one somewhere in each of equal stretches of them.

        Mail often comes in a regular pattern, so the places do not. Costs some 10 ns an entry.
        """
        self.tidy()
        entries = chain(self._ready, self._due, self.unexamined)
        stretch = max(1, -(-len(self) // max(1, count)))
        chosen: list[Entry] = []
        passed = 0
        for turn in range(count):
            place = turn * stretch + turn * _SCATTER % stretch
            entry = next(islice(entries, place - passed, None), None)
            if entry is None:
                break
            passed = place + 1
            chosen.append(entry)
        return chosen

    def first_ready(self) -> Iterator[Entry]:
        """The entry at the head of the line, which is the oldest but for a few that came back to the end."""
        return islice((entry for entry in self._ready if entry not in self._gone), 1)

    def later(self) -> Iterator[Entry]:
        """What waits for a later attempt, or to be routed anew."""
        yield from self._due
        yield from (entry for entry in self.unexamined if entry not in self._gone)

    def later_count(self) -> int:
        """Entries that wait for a later attempt, or to be routed anew."""
        return max(0, len(self) - len(self._ready))

    def tidy(self) -> None:
        """Drop the copies that do not count: now the counts are exact."""
        if self._gone:
            self._ready = deque(entry for entry in self._ready if not self._pass_over(entry))
            self.unexamined = deque(entry for entry in self.unexamined if not self._pass_over(entry))
