"""Makes verdicts durable, and lets follow from them what follows: events, DSNs, the next step of the message.

Nothing is said or done before the spool says that the change is on disk. What the disk refuses is submitted again
until it is taken: the outcome is known, forgetting it would deliver or report a message twice. A removal may find
room where a report found none, so a message stays in the spool until every report on it is on disk.
"""

from __future__ import annotations

import logging
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from math import inf
from typing import Final

from bridgehead.core import queue_id
from bridgehead.core.envelope import NULL_PATH, Envelope, MessageId
from bridgehead.core.recipient_state import RecipientState, Standing
from bridgehead.core.tracking import Emit, Step, TrackingEvent
from bridgehead.outbound.clocks import Clocks
from bridgehead.outbound.entry import Attempt
from bridgehead.outbound.gathering import Gathering, Recording
from bridgehead.outbound.hand_back import Badmail, HandBack, with_large_bodies_in_files
from bridgehead.outbound.index import Index
from bridgehead.outbound.statistics import Results
from bridgehead.outbound.verdict import Verdict
from bridgehead.spool.contract import Change, Insert, Remove, Spool, StoredMessage, Update

log: Final = logging.getLogger(__name__)

RESUBMIT_SECONDS: Final = 1.0
"""How long to wait after the disk refused a submission."""
UNTAKEN_MAX: Final = 20_000
"""Outcomes that the disk does not take, some KB each: what waits stays in the spool then, until it takes them."""
UNTAKEN_OCTETS_MAX: Final = 64 * 1024 * 1024
"""Bodies that stay in memory with them."""


@dataclass(frozen=True, slots=True)
class Records:
    """Where things are written."""

    spool: Spool
    emit: Emit
    hand_back: HandBack
    badmail: Badmail
    clocks: Clocks


class Recorder:
    """Writes verdicts. `accepted` takes a DSN that is durable and wants to be delivered."""

    def __init__(self, records: Records, index: Index, accepted: Callable[[StoredMessage], None]) -> None:
        self._records = records
        self._index = index
        self._accepted = accepted
        self._gathering = Gathering()
        self._refused: list[tuple[float, Sequence[Change], Callable[[], None], int]] = []
        self._untaken = self._untaken_octets = 0
        """Submissions that were refused and are not taken yet, and the bodies that wait with them."""
        self._unreported: Counter[MessageId] = Counter()
        """Submissions under way that hold reports on a message which stays for now."""
        self._removable: set[MessageId] = set()
        """Settled messages that stay for those alone."""
        self.results = Results()
        self.kept_as_badmail = 0

    def record(self, attempt: Attempt, verdict: Verdict, then: Callable[[], None]) -> None:
        """Make a verdict durable; then write its events, hand over its DSNs, and call `then`.

        What the sender must be told may wait for a moment (`gathering`), and all of the verdict with it.
        """
        recording = Recording(attempt, verdict, then)
        if not verdict.reports and not self._gathering:
            self._write([recording])
            return
        message_id = attempt.message.message_id
        is_last = self._index.unsettled_count(attempt) <= recording.settled + self._gathering.settled(message_id)
        may_wait = recording.may_wait and not is_last and self._index.has_company(attempt)
        if verdict.reports and may_wait and self._gathering.add(recording, self._records.clocks.steady()):
            if self._gathering.is_full(message_id):
                self._write(self._gathering.take(message_id))
        elif verdict.reports or is_last:
            self._write([*self._gathering.take(message_id), recording])
        else:
            self._write([recording])

    def stop_gathering(self) -> None:
        """Let no report wait any longer: nothing may follow that it could wait for."""
        self._gathering.close()
        self.submit_gathered(inf)

    def submit_gathered(self, now: float) -> None:
        """Submit what waited for others long enough. Call it every now and then."""
        for recordings in self._gathering.take_due(now, self._is_awaited):
            self._write(recordings)

    def _is_awaited(self, gathered: Sequence[Recording]) -> bool:
        entries = {recording.attempt.entry for recording in gathered}
        return self._index.is_awaited(gathered[0].attempt.message.message_id, entries)

    def _write(self, recordings: Sequence[Recording]) -> None:
        """Make verdicts on one message durable together, with the DSNs that they lead to."""
        message = recordings[0].attempt.message
        states: dict[int, RecipientState] = {}
        events: tuple[TrackingEvent, ...] = ()
        is_settled = False
        for recording in recordings:
            attempt, verdict = recording.attempt, recording.verdict
            attempt.states.update(verdict.states)
            states.update(verdict.states)
            settled = recording.settled
            is_settled = bool(settled) and self._index.settles_message(attempt, settled)
            events = (*events, *verdict.events)
            if settled and message.envelope.reverse_path == NULL_PATH:
                events = (*events, *self._keep_badmail(message, verdict))
        message_id = message.message_id
        stays = not is_settled or message_id in self._unreported
        changes: list[Change] = []
        if not stays:
            changes.append(Remove(message_id))
        elif states:
            changes.append(Update(message_id, states))
        reports = tuple([report for recording in recordings for report in recording.verdict.reports])
        inserts = self._records.hand_back.inserts(message, reports) if reports else []
        changes.extend(inserts)
        octets = len(message.body.content or b"")
        if is_settled and stays:
            self._removable.add(message_id)
        if inserts and stays:
            self._unreported[message_id] += 1
            self.submit(changes, lambda: self._follow_report(recordings, inserts, events), octets)
        else:
            self.submit(changes, lambda: self._follow(recordings, inserts, events), octets)

    @property
    def is_full(self) -> bool:
        """Whether so much is known that the disk does not take that no more must become known: begin nothing."""
        return self._untaken >= UNTAKEN_MAX or self._untaken_octets >= UNTAKEN_OCTETS_MAX

    def submit(self, changes: Sequence[Change], then: Callable[[], None], octets: int = 0) -> None:
        """Submit changes, again and again where the disk refuses them; call `then` once they are durable.

        `octets`: of a body that stays in memory until then.
        """
        self._submit(changes, then, octets, is_first=True)

    def _submit(self, changes: Sequence[Change], then: Callable[[], None], octets: int, *, is_first: bool) -> None:
        def done(error: Exception | None) -> None:
            if is_first is (error is not None):  # it is refused for the first time, or taken at last
                sign = 1 if is_first else -1
                self._untaken += sign
                self._untaken_octets += sign * octets
            if error is None:
                then()
                return
            if is_first:
                log.error("the spool refused a change; it is submitted again", extra={"reason": str(error)})
            self._refused.append((self._records.clocks.steady() + RESUBMIT_SECONDS, changes, then, octets))

        try:
            # Anew each time: the files of a submission that was refused are gone.
            filed = with_large_bodies_in_files(changes, self._records.spool)
        except OSError as error:
            done(error)
            return
        self._records.spool.submit(filed, done)

    def submit_again(self, now: float) -> None:
        """Submit what the disk refused a while ago. Call it every now and then."""
        if self._refused and self._refused[0][0] <= now:
            refused, self._refused = self._refused, []
            for _, changes, then, octets in refused:
                self._submit(changes, then, octets, is_first=False)

    def _follow_report(
        self, recordings: Sequence[Recording], inserts: list[Insert], events: tuple[TrackingEvent, ...]
    ) -> None:
        """The same for a message that stays; with its last report it may go, if it is settled."""
        message_id = recordings[0].attempt.message.message_id
        self._unreported[message_id] -= 1
        if not self._unreported[message_id]:
            del self._unreported[message_id]
            if message_id in self._removable:
                self._removable.discard(message_id)
                self.submit([Remove(message_id)], lambda: None)
        self._follow(recordings, inserts, events)

    def _follow(
        self, recordings: Sequence[Recording], inserts: list[Insert], events: tuple[TrackingEvent, ...]
    ) -> None:
        message = recordings[0].attempt.message
        emit = self._records.emit
        for event in events:
            emit(event)
            self.results.note(event)
        for insert in inserts:
            emit(_dsn_event(message, insert, self._records.clocks.wall()))
            self._accepted(StoredMessage(insert.message_id, insert.envelope, insert.body))
        for recording in recordings:
            recording.then()

    def _keep_badmail(self, message: StoredMessage, verdict: Verdict) -> tuple[TrackingEvent, ...]:
        """Keep what failed and has nobody to be told; what was deleted or delivered is no badmail."""
        failed = [event for event in verdict.events if event.step is Step.FAILED]
        if not failed or not any(state.standing is Standing.FAILED for state in verdict.states.values()):
            return ()
        now = self._records.clocks.wall()
        reason = " ".join(part for part in (failed[0].enhanced, failed[0].reply or failed[0].reason) if part)
        try:
            self._records.badmail.keep(message, reason, now)
        except OSError:
            # The disk is full or gone: the message is lost to the operator, not to a sender. Say so.
            log.exception("badmail could not be kept")
        self.kept_as_badmail += 1
        return (_badmail_event(message.envelope, message, reason, now),)


def _dsn_event(message: StoredMessage, insert: Insert, now: float) -> TrackingEvent:
    """A DSN about `message` was accepted: `queue_id` is that of the message, the reason names the DSN."""
    return TrackingEvent(
        ts=now,
        step=Step.DSN,
        trace_id=message.envelope.trace_id,
        queue_id=queue_id.write(message.message_id),
        message_id=message.envelope.message_id,
        sender=NULL_PATH,
        recipient=message.envelope.reverse_path,
        size=insert.body.size,
        reason=f"sent as {queue_id.write(insert.message_id)}",
    )


def _badmail_event(envelope: Envelope, message: StoredMessage, reason: str, now: float) -> TrackingEvent:
    return TrackingEvent(
        ts=now,
        step=Step.BADMAIL,
        level="error",
        trace_id=envelope.trace_id,
        queue_id=queue_id.write(message.message_id),
        message_id=envelope.message_id,
        sender=envelope.reverse_path,
        size=message.body.size,
        reason=reason,
    )
