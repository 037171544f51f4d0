"""What got a 250 against what arrived, one message at a time.

Every message has an id of its own. `balance` finds what was lost, what nobody ever sent, and each copy too many; a
copy too many is explained only by three facts together: the connection over which the one before it came ended
without QUIT, that copy had its 250 within the last moments of that connection, and the server's log had not told its
delivery by then, which it does as soon as the outcome is on disk.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from typing import Any, Final, Protocol

from tests.peers.child import wait_until
from tests.peers.sender import Account
from tests.peers.sink import Received

MOMENT_SECONDS: Final = 1.0
"""How long an answer may be under way to the disk of a busy machine; it usually takes milliseconds."""


class Books(Protocol):
    """What a `Sink` wrote down."""

    received: list[Received]
    cuts: dict[int, float]


@dataclass(frozen=True, slots=True)
class Duplicate:
    """One copy too many."""

    identity: bytes
    seconds: float
    """From the 250 of the copy before it to the end of that copy's connection; negative: it ended in order."""
    deliveries_told: int
    """How often the log says that this message was delivered."""

    @property
    def is_explained(self) -> bool:
        """Whether the final reply of the copy before was lost: it came to nobody who could keep it."""
        return 0 <= self.seconds <= MOMENT_SECONDS and self.deliveries_told <= 1

    def __str__(self) -> str:
        end = f"cut {self.seconds * 1000:.1f} ms after its 250" if self.seconds >= 0 else "on a connection not cut"
        told = f"told as delivered {self.deliveries_told} time(s)"
        return f"{self.identity.decode()}: {end}, {told}: {'explained' if self.is_explained else 'NOT EXPLAINED'}"


@dataclass(frozen=True, slots=True)
class Balance:
    """The result; `check` is what a test asserts."""

    accepted: int
    lost: tuple[bytes, ...]
    strangers: tuple[bytes, ...]
    """Arrived, though they were neither accepted nor left without an answer: refused, or invented."""
    duplicates: tuple[Duplicate, ...]

    def check(self) -> None:
        """Fail unless nothing is lost, nothing is foreign, and every duplicate is explained."""
        assert not self.lost, f"{len(self.lost)} of {self.accepted} lost: {self.lost[:10]}"
        assert not self.strangers, f"arrived but never accepted: {self.strangers[:10]}"
        unexplained = [str(one) for one in self.duplicates if not one.is_explained]
        assert not unexplained, "\n".join(unexplained)

    def check_exactly_once(self) -> None:
        """The same, and no copy too many at all."""
        self.check()
        assert not self.duplicates, "\n".join(map(str, self.duplicates))

    def __str__(self) -> str:
        """For the output of a run: a line, and one more for each duplicate."""
        head = f"{self.accepted} accepted, {len(self.lost)} lost, {len(self.duplicates)} duplicates"
        return "\n".join([head, *(f"  {one}" for one in self.duplicates)])


def balance(
    sinks: Sequence[Books],
    accounts: Sequence[Account],
    events: Iterable[Mapping[str, Any]] = (),
    seconds: float = 60.0,
) -> Balance:
    """Wait until everything accepted has arrived, at most `seconds`, and until nothing more comes; then compare.

    `events` are the log lines of the server, which say what was recorded as delivered.
    """
    accepted = {identity for account in accounts for identity in account.accepted}
    missing = set(accepted)
    positions = [0] * len(sinks)

    def is_complete() -> bool:
        """Look at what came since the last look only: the sinks work in this process too."""
        for number, sink in enumerate(sinks):
            new = sink.received[positions[number] :]
            positions[number] += len(new)
            missing.difference_update(message.header(b"Message-ID") for message in new)
        return not missing

    with suppress(AssertionError):  # the balance says what is missing
        wait_until(is_complete, "all that was accepted at the sink", seconds)
    copies = _copies(sinks)
    unanswered = {identity for account in accounts for identity in account.unanswered}
    told = Counter(str(event.get("message_id")) for event in events if event.get("event") == "delivered")
    return Balance(
        accepted=len(accepted),
        lost=tuple(sorted(accepted - copies.keys())),
        strangers=tuple(sorted(copies.keys() - accepted - unanswered)),
        duplicates=tuple(
            Duplicate(identity, _seconds_to_cut(sink, copy), told[identity.decode()])
            for identity, several in copies.items()
            for sink, copy in several[:-1]
        ),
    )


def arrived(sinks: Sequence[Books]) -> set[bytes]:
    """The ids of all messages at the sinks."""
    return {message.header(b"Message-ID") for sink in sinks for message in tuple(sink.received)}


def _copies(sinks: Sequence[Books]) -> dict[bytes, list[tuple[Books, Received]]]:
    """Every copy of every message, in the order in which they came."""
    copies: defaultdict[bytes, list[tuple[Books, Received]]] = defaultdict(list)
    for sink in sinks:
        for message in tuple(sink.received):
            copies[message.header(b"Message-ID")].append((sink, message))
    for several in copies.values():
        several.sort(key=lambda copy: copy[1].at)
    return copies


def _seconds_to_cut(sink: Books, copy: Received) -> float:
    cut = sink.cuts.get(copy.connection)
    return -1.0 if cut is None else cut - copy.at
