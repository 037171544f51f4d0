"""Gathers what the sender of one message must be told, so that many recipients make few DSNs.

Recipients of a message that go to many hosts fail one after the other within seconds. What is known of them waits
here for a moment, in memory, and becomes durable together with one DSN on all of them. Where others of the message
are being tried still, it waits for them too, for up to a minute. Until then nothing was written: a crash forgets that
these recipients failed, they are tried again, and fail again. So only what may be forgotten waits here: never a
delivery.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Final

import msgspec

from bridgehead.core.dsn import REPORTS_MAX
from bridgehead.core.envelope import MessageId
from bridgehead.core.recipient_state import Standing
from bridgehead.outbound.entry import Attempt
from bridgehead.outbound.verdict import Verdict

GATHER_SECONDS: Final = 5.0
"""How long a report waits for others: most hosts answer within that, and no sender minds."""
GATHER_SECONDS_MAX: Final = 60.0
"""How long while others of the message are being tried: some hosts take that long to answer."""
GATHERED_MAX: Final = 256
"""Messages of which something waits here: their bodies stay in memory meanwhile, 64 MiB at most."""


class Recording(msgspec.Struct, frozen=True):
    """A verdict on some recipients of a message that is to be made durable."""

    attempt: Attempt
    verdict: Verdict
    then: Callable[[], None]

    @property
    def settled(self) -> int:
        """How many recipients it settles."""
        return len([1 for state in self.verdict.states.values() if state.standing.is_settled])

    @property
    def may_wait(self) -> bool:
        """Whether it may be forgotten: forgetting a delivery would repeat it."""
        return all(state.standing is not Standing.DELIVERED for state in self.verdict.states.values())


@dataclass(slots=True)
class _Gathered:
    """What waits of one message."""

    due: float
    until: float
    """When it waits no longer, whoever is being tried."""
    recordings: list[Recording] = field(default_factory=list)


class Gathering:
    """Recordings that wait, by message. Mutable; owned by the recorder."""

    def __init__(self) -> None:
        self._by_message: dict[MessageId, _Gathered] = {}
        """In order of `due`: whatever is put here last waits `GATHER_SECONDS` from then on."""
        self._is_closed = False

    def __bool__(self) -> bool:
        return bool(self._by_message)

    def add(self, recording: Recording, now: float) -> bool:
        """Let it wait, if there is room."""
        attempt = recording.attempt
        message_id = attempt.message.message_id
        gathered = self._by_message.get(message_id)
        if self._is_closed or (gathered is None and len(self._by_message) >= GATHERED_MAX):
            return False
        if gathered is None:
            gathered = self._by_message[message_id] = _Gathered(now + GATHER_SECONDS, now + GATHER_SECONDS_MAX)
        else:
            attempt.message = gathered.recordings[0].attempt.message  # one copy of the body serves all
        gathered.recordings.append(recording)
        return True

    def settled(self, message_id: MessageId) -> int:
        """How many recipients of a message will be settled by what waits."""
        gathered = self._by_message.get(message_id)
        return 0 if gathered is None else sum(one.settled for one in gathered.recordings)

    def is_full(self, message_id: MessageId) -> bool:
        """Whether what waits of a message fills a DSN."""
        gathered = self._by_message.get(message_id)
        reports = 0 if gathered is None else sum(len(one.verdict.reports) for one in gathered.recordings)
        return reports >= REPORTS_MAX

    def take(self, message_id: MessageId) -> list[Recording]:
        """What waits of a message, in its order; it does not wait any longer."""
        gathered = self._by_message.pop(message_id, None)
        return [] if gathered is None else gathered.recordings

    def take_due(self, now: float, is_awaited: Callable[[list[Recording]], bool]) -> Iterator[list[Recording]]:
        """What waited long enough, message by message; `is_awaited`: there may be more to gather soon."""
        while self._by_message:
            message_id, gathered = next(iter(self._by_message.items()))
            if gathered.due > now:
                return
            recordings = self.take(message_id)
            if now + GATHER_SECONDS <= gathered.until and is_awaited(recordings):
                gathered.due = now + GATHER_SECONDS
                self._by_message[message_id] = gathered
            else:
                yield recordings

    def close(self) -> None:
        """Let nothing wait from now on; take what does."""
        self._is_closed = True
