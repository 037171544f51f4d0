"""What an operator may do with waiting mail: list, show, retry, hold, release, reroute, delete, bounce.

Every verb works on a selection and counts first, if asked. What is being sent at the moment is left alone and counted
as busy. A verb returns when all that it changed is durable.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Iterator
from enum import StrEnum
from math import inf
from typing import Final, assert_never

import msgspec

from bridgehead.core.envelope import MessageId
from bridgehead.core.recipient_state import FRESH, Hold
from bridgehead.core.reply import Reply
from bridgehead.outbound.dispatcher import Dispatcher
from bridgehead.outbound.entry import Attempt, Entry, waiting_ordinals
from bridgehead.outbound.listing import (
    QueueState,
    Row,
    Selection,
    Whereabouts,
    absence,
    row,
    waiting,
    why_held,
    words_of,
)
from bridgehead.outbound.loader import READ_AT_ONCE
from bridgehead.outbound.placement import ORDERED, RETURNED
from bridgehead.outbound.queue import Queue
from bridgehead.outbound.statistics import state_of_entry
from bridgehead.outbound.verdict import Circumstances, Verdict, of_bounce, of_deletion, of_hold, of_release
from bridgehead.spool.contract import Spool, StoredMessage

ROWS_MAX: Final = 100_000
"""Rows of one listing."""
UNDER_WAY_MAX: Final = 1000
"""Changes submitted and not yet durable: they share commits without filling memory."""


class Verb(StrEnum):
    """What can be done."""

    RETRY = "retry"
    """Try now, whatever the retry times and the link say."""
    HOLD = "hold"
    RELEASE = "release"
    """End a hold of any kind; the mail takes the way there is now."""
    REROUTE = "reroute"
    """Decide the way anew and take it now, also where it is a weaker one; ends holds too."""
    DELETE = "delete"
    """Settle without telling anybody."""
    BOUNCE = "bounce"
    """Fail, with a DSN to the sender."""


class Affected(msgspec.Struct, frozen=True):
    """What a verb did, or in a dry run would do."""

    messages: int = 0
    recipients: int = 0
    busy: int = 0
    """Entries left alone because they are being sent."""


class Operations:
    """The verbs of `queue` on the mail of one worker."""

    def __init__(self, dispatcher: Dispatcher, spool: Spool, clock: Callable[[], float]) -> None:
        self._dispatcher = dispatcher
        self._spool = spool
        self._clock = clock

    async def rows(self, selection: Selection, rows_max: int = ROWS_MAX) -> tuple[Row, ...]:
        """The rows of a selection in order of arrival, at most `rows_max`. Reads each message from the spool."""
        rows: list[Row] = []
        async for message, entry, queue in self._messages(selection):
            found = self._row(message, entry, queue, selection)
            if found is not None:
                rows.append(found)
                if len(rows) >= min(rows_max, ROWS_MAX):
                    break
        return tuple(rows)

    async def show(self, message_id: MessageId) -> tuple[Row, ...]:
        """The rows of one message; empty if it does not wait here."""
        return await self.rows(Selection(frozenset((message_id,))))

    async def count(self, selection: Selection, verb: Verb | None = None) -> Affected:
        """What a verb would do to a selection: `release` concerns held mail alone, the others all of it."""
        messages: set[MessageId] = set()
        recipients = busy = 0
        async for message, entry, queue in self._messages(selection):
            chosen = _chosen(message, entry, selection, verb)
            if chosen and entry in queue.active:
                busy += 1
            elif chosen:
                messages.add(message.message_id)
                recipients += len(chosen)
        return Affected(len(messages), recipients, busy)

    async def perform(self, verb: Verb, selection: Selection) -> Affected:
        """Do it; returns when it is durable."""
        messages: set[MessageId] = set()
        recipients = busy = 0
        under_way = asyncio.Semaphore(UNDER_WAY_MAX)
        woken: dict[Queue, set[Entry]] = {}
        async for message, entry, queue in self._messages(selection):
            chosen = _chosen(message, entry, selection, verb)
            if not chosen:
                continue
            if entry in queue.active:
                busy += 1
                continue
            messages.add(message.message_id)
            recipients += len(chosen)
            if verb is Verb.RETRY:
                woken.setdefault(queue, set()).add(entry)
                continue
            if under_way.locked():
                self._dispatcher.recorder.submit_gathered(inf)
            await under_way.acquire()
            await self._change(verb, queue, entry, chosen, under_way.release)
        for queue, entries in woken.items():
            self._retry(queue, entries)
        self._dispatcher.recorder.submit_gathered(inf)  # whoever ordered this waits for it
        for _ in range(UNDER_WAY_MAX):
            await under_way.acquire()
        return Affected(len(messages), recipients, busy)

    async def _change(
        self, verb: Verb, queue: Queue, entry: Entry, ordinals: list[int], done: Callable[[], None]
    ) -> None:
        """Claim an entry, change these recipients of it, put it back; `done` once that is durable."""
        if self._dispatcher.index.queue_of(entry) is not queue or entry in queue.active:
            done()  # its turn came while we waited for others
            return
        self._dispatcher.claim(queue, entry)
        attempt = await self._dispatcher.read(queue, entry)
        if attempt is None:
            done()
            return
        ordinals = [one for one in ordinals if not attempt.state(one).standing.is_settled]
        verdict = self._verdict(verb, queue, attempt, ordinals)
        occasion = ORDERED if verb in {Verb.RELEASE, Verb.REROUTE} else RETURNED

        def follow() -> None:
            if occasion is ORDERED:
                queue.refusal = None
                self._dispatcher.aging.released(attempt.message.message_id)
            self._dispatcher.finish(queue, attempt, occasion)
            done()

        self._dispatcher.recorder.record(attempt, verdict, follow)

    def _verdict(self, verb: Verb, queue: Queue, attempt: Attempt, ordinals: list[int]) -> Verdict:
        at = Circumstances(self._clock(), queue.key.connector, queue.delivery)
        match verb:
            case Verb.HOLD:
                return of_hold(attempt, ordinals, Hold.FROZEN, at, "held by an operator")
            case Verb.RELEASE | Verb.REROUTE:
                return of_release(attempt, ordinals, at, f"{verb} by an operator")
            case Verb.DELETE:
                return of_deletion(attempt, ordinals, at)
            case Verb.BOUNCE:
                return of_bounce(attempt, ordinals, at)
            case Verb.RETRY:
                return Verdict({})
            case _:
                assert_never(verb)

    def _retry(self, queue: Queue, entries: set[Entry]) -> None:
        queue.waiting.hasten({entry for entry in entries if entry not in queue.waiting.held})
        queue.refusal = None
        queue.try_now()

    async def _messages(self, selection: Selection) -> AsyncIterator[tuple[StoredMessage, Entry, Queue]]:
        """Every entry that may be meant, with its message, in order of arrival."""
        for number, message_id in enumerate(self._candidates(selection), 1):
            if number % READ_AT_ONCE == 0:
                await asyncio.sleep(0)  # a backlog may hold a million, and mail must flow meanwhile
            found = [
                (entry, queue)
                for entry, queue in self._dispatcher.index.entries_of(message_id)
                if selection.connector in (None, queue.key.connector)
            ]
            message = await self._spool.load(message_id) if found else None
            if message is None:
                self._forget_held(found)
            if message is None or not selection.includes(message.envelope):
                continue
            for entry, queue in found:
                yield message, entry, queue

    def _forget_held(self, found: list[tuple[Entry, Queue]]) -> None:
        """Their message was set aside as damaged: what waits finds out in its turn, and what is held has none."""
        for entry, queue in found:
            if entry in queue.waiting.held:
                queue.waiting.take(entry)
                self._dispatcher.index.remove(entry)

    def _candidates(self, selection: Selection) -> Iterator[MessageId]:
        messages = self._dispatcher.index.messages
        if selection.message_ids:
            return iter(sorted(selection.message_ids & messages.keys()))
        return iter(list(messages))

    def _row(self, message: StoredMessage, entry: Entry, queue: Queue, selection: Selection) -> Row | None:
        chosen = set(_chosen(message, entry, selection))
        if not chosen:
            return None
        recipients = [one for one in message.envelope.recipients if one.ordinal in chosen]
        state = state_of_entry(queue, entry, self._dispatcher.link_state)
        due = max((message.states.get(one, FRESH).next_attempt for one in chosen), default=0.0)
        if state in {QueueState.READY, QueueState.RETRY, QueueState.UNREACHABLE}:
            if queue.is_backing_off:
                due = max(due, self._dispatcher.clocks.wall_time_of(queue.retry_at))
            elif state is QueueState.READY and due > self._clock():
                state = QueueState.RETRY
        trouble = queue.trouble if queue.is_backing_off else queue.refusal
        reply = trouble.reply if trouble is not None else Reply(0, "", "")
        reason = words_of(reply.code, reply.enhanced, reply.text)
        place = Whereabouts(
            queue.key.connector,
            queue.key.next_hop,
            state,
            due if due > self._clock() else 0.0,
            reason,
            self._because(queue, entry, message.states.get(recipients[0].ordinal, FRESH).connector),
        )
        return row(message.message_id, message.envelope, message.states, recipients, place)

    def _because(self, queue: Queue, entry: Entry, waited_for: str) -> str:
        organization = self._dispatcher.organization
        hold = queue.waiting.held.get(entry, Hold.NONE)
        if hold is Hold.NONE:  # its queue may be gone, and it is not routed anew yet
            return absence(queue.key.connector, organization)
        return why_held(hold, waited_for or queue.key.connector, organization)


def _chosen(message: StoredMessage, entry: Entry, selection: Selection, verb: Verb | None = None) -> list[int]:
    """The ordinals of an entry that wait, are selected, and concern the verb."""
    ordinals = set(waiting_ordinals(entry, message.envelope.recipients))
    return [
        one.ordinal
        for one in waiting(message.envelope, message.states)
        if one.ordinal in ordinals
        and selection.includes_recipient(one)
        and (verb is not Verb.RELEASE or message.states.get(one.ordinal, FRESH).hold is not Hold.NONE)
    ]
