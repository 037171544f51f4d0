"""What marks promise, and whether a tree that survived a power loss keeps it.

Submissions are atomic and become durable in order. So a spool holds what the first k of them left, where k is at
least the number whose `done` was called before the power went, and at most the number that had been submitted.
"""

from __future__ import annotations

import json
import zlib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TypeAlias

from bridgehead.spool.sqlite import SqliteSpool
from tests.faults.disk_layer import Entry, Kind
from tests.faults.power_loss import Fate, Tree, Volume, digest_of, list_entry
from tests.spool.contract import committed, content_of, insert

Messages: TypeAlias = Mapping[int, tuple[int, Mapping[int, int]]]
"""By message id: the checksum of the body, and attempts by ordinal of a recipient."""
SHOWN = 12
"""Events before a loss that a failure shows."""
PROBE = 1 << 40
"""Id of a message that is sent through a spool that was opened again."""


@dataclass(slots=True)
class Promises:
    """What was submitted and what was promised so far, taken from marks."""

    submitted: list[list[list[Any]]] = field(default_factory=list)
    durable: int = 0
    failed: int = 0
    is_disk_good: bool = True
    """Else some of what is on its way may have failed, unheard."""
    _settled: list[Messages] = field(default_factory=lambda: [{}])
    """What a spool may hold if nothing is on its way. More than one thing, where a submission failed."""
    _rest: bytes = b""

    def note(self, text: bytes) -> None:
        """Marks, in any pieces."""
        *lines, self._rest = (self._rest + text).split(b"\n")
        for line in lines:
            match json.loads(line):
                case ["submit", changes]:
                    self.submitted.append(changes)
                case ["durable"]:
                    self._settled = [_after(held, self._next()) for held in self._settled]
                    self.durable += 1
                case ["failed"]:
                    self._settled = _with_or_without(self._settled, self._next())
                    self.failed += 1
                case other:
                    raise AssertionError(f"a victim said {other}")

    def allowed(self) -> list[Messages]:
        """What a spool may hold now: submissions on their way hold or not, and none before those ahead of it."""
        allowed, latest = self._settled, self._settled
        for changes in self.submitted[self.durable + self.failed :]:
            if not self.is_disk_good:
                allowed = _with_or_without(allowed, changes)
            else:
                latest = [_after(held, changes) for held in latest]
                allowed = [*allowed, *latest]
        return allowed

    def _next(self) -> list[list[Any]]:
        return self.submitted[self.durable + self.failed]


def losses(
    volume: Volume, promises: Promises, entries: Sequence[Entry], torn: int
) -> Iterator[tuple[int, str, Tree]]:
    """After each event: its number, how a tree came about, and the tree; `promises` are those of that moment.

    `torn`: how many random trees for each event; with none, only what changes something for a disk that loses all
    that was not synced is looked at. A tree is given once for what is promised at that moment.
    """
    given: set[bytes] = set()
    for number, entry in enumerate(entries, 1):
        volume.apply(entry)
        if entry.kind is Kind.MARK:
            promises.note(entry.content)
        if entry.kind in {Kind.MARK, Kind.SYNC_FAILED}:
            given.clear()  # something else is promised
        promises.is_disk_good &= entry.kind is not Kind.SYNC_FAILED
        fates = [(fate, 0) for fate in (Fate.LOST, Fate.KEPT, Fate.NAMES)]
        if not torn:
            fates = [] if entry.kind in {Kind.WRITE, Kind.CREATE} else fates[:2]
        fates += [(Fate.TORN, number * torn + seed) for seed in range(torn)]
        for fate, seed in fates:
            tree = volume.survivors(fate, seed)
            digest = digest_of(tree)
            if digest not in given:
                given.add(digest)
                yield number, f"{fate.name} {seed}", tree


def events_before(entries: Sequence[Entry], number: int) -> str:
    """The last events before a loss, for a person."""
    events = "\n".join(map(list_entry, entries[max(0, number - SHOWN) : number]))
    return f"event {number}; the last events were\n{events}"


async def found_in(state_dir: Path, damaged: int = 0, partition: int = 0) -> Messages:
    """All messages of a spool as a start finds them; the spool must be whole, and take another message.

    `damaged`: how much may have been set aside, at this start and before.
    """
    spool = SqliteSpool(state_dir, partition)
    found: dict[int, tuple[int, Mapping[int, int]]] = {}
    large = 0
    for entry in list(spool.recover()):
        stored = await spool.load(entry.message_id)
        assert stored is not None, f"message {entry.message_id} is damaged"
        assert dict(stored.states) == dict(entry.states)
        large += stored.body.path is not None
        states = {ordinal: state.attempts for ordinal, state in stored.states.items()}
        found[int(entry.message_id)] = (zlib.crc32(content_of(stored.body)), states)
    await committed(spool, insert(PROBE))
    await spool.close()
    assert spool.statistics().damaged <= damaged
    assert damaged or not (state_dir / "damaged").exists()
    assert len(list((state_dir / "spool" / f"p{partition}.bodies").iterdir())) == large
    return found


def _with_or_without(held: list[Messages], changes: list[list[Any]]) -> list[Messages]:
    found = list(held)
    for one in held:
        after = _after(one, changes)
        if after not in found:
            found.append(after)
    return found


def _after(before: Messages, changes: list[list[Any]]) -> Messages:
    after = dict(before)
    for change in changes:
        match change:
            case ["i", number, checksum]:
                after[number] = (checksum, {})
            case ["u", number, attempts] if number in after:
                checksum, states = after[number]
                after[number] = (checksum, {**states, **{int(ordinal): count for ordinal, count in attempts.items()}})
            case ["r", number]:
                after.pop(number, None)
            case _:
                pass
    return after
