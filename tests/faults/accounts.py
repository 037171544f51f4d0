"""What got a 250 against what arrived, one message at a time.

Every message has an id of its own. `balance` finds what was lost, what nobody ever sent, and each copy too many. A
copy too many is explained by facts that must hold together:

* the connection over which the copy before it came ended within a moment of that copy's 250: it was cut, or it had
  carried its last message, said QUIT, and a process was killed within that moment;
* by then the server's log had not told that copy's delivery, which it does as soon as the outcome is on disk.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from math import inf
from typing import Any, Final, Protocol

from tests.peers.child import wait_until
from tests.peers.sender import Account
from tests.peers.sink import Received

MOMENT_SECONDS: Final = 2.0
"""How long an answer may be under way to the disk of a busy machine; it usually takes milliseconds."""


class Books(Protocol):
    """What a `Sink` wrote down."""

    received: list[Received]
    cuts: dict[int, float]
    goodbyes: dict[int, float]


@dataclass(frozen=True, slots=True)
class Duplicate:
    """One copy too many."""

    identity: bytes
    to_cut: float
    """Seconds from the 250 of the copy before it to the cut of that copy's connection; infinite: it was not cut."""
    to_goodbye: float
    """To its QUIT, in the same way."""
    to_kill: float
    """To the next time that a process was killed."""
    deliveries_told: int
    """How often the log says that this message was delivered."""

    @property
    def is_explained(self) -> bool:
        """Whether the final reply of the copy before was lost: it came to nobody who could keep it."""
        is_cut = self.to_cut <= MOMENT_SECONDS
        is_killed_behind_quit = self.to_goodbye <= MOMENT_SECONDS and self.to_kill <= MOMENT_SECONDS
        return (is_cut or is_killed_behind_quit) and self.deliveries_told <= 1

    def __str__(self) -> str:
        after = {"cut": self.to_cut, "QUIT": self.to_goodbye, "kill": self.to_kill}
        facts = [f"{name} {seconds * 1000:.1f} ms after its 250" for name, seconds in after.items() if seconds < inf]
        verdict = "explained" if self.is_explained else "NOT EXPLAINED"
        return f"{self.identity.decode()}: {', '.join(facts)}, told {self.deliveries_told} time(s): {verdict}"


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
    *,
    kills: Sequence[float] = (),
) -> Balance:
    """Wait until everything accepted has arrived, at most `seconds`; then compare.

    `events` are the log lines of the server, which say what was recorded as delivered; `kills` are the moments at
    which processes were killed, by the monotonic clock.
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
            _duplicate(sink, copy, kills, told[identity.decode()])
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


def _duplicate(sink: Books, copy: Received, kills: Sequence[float], told: int) -> Duplicate:
    """Another copy came after `copy`."""
    cut, goodbye = (ends.get(copy.connection, inf) - copy.at for ends in (sink.cuts, sink.goodbyes))
    # A reply may still leave while the process that it is for dies.
    to_kill = min((kill - copy.at for kill in kills if kill > copy.at - MOMENT_SECONDS), default=inf)
    return Duplicate(copy.header(b"Message-ID"), cut, goodbye, to_kill, told)
