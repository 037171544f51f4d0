"""Where every waiting recipient is: the one map from message to queue, and the fresh messages kept in memory.

A message is in the index from its acceptance until its last recipient is settled. Nearly always all of its waiting
recipients share a queue, and the index holds that queue alone; else it holds a `Split`. The map is in order of
arrival, which the sweep for late mail relies on.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable
from typing import Final

from bridgehead.core.envelope import MessageId, Recipient
from bridgehead.outbound.entry import Attempt, Entry, Part, message_of, waiting_ordinals
from bridgehead.outbound.queue import Queue
from bridgehead.spool.contract import BODY_IN_ROW_MAX, StoredMessage

FRESH_OCTETS_MAX: Final = 64 * 1024 * 1024
"""Octets of bodies of accepted messages that stay in memory until their first attempt; more are read back."""


class Split:
    """A message whose recipients wait in several queues. Mutable; changed by `Index` alone."""

    __slots__ = ("parts", "unsettled")

    def __init__(self, unsettled: int) -> None:
        self.parts: dict[Part, Queue] = {}
        self.unsettled = unsettled
        """Recipients that are not settled by what was submitted so far."""


class Index:
    """All messages of this partition that wait or are being sent. Mutable; owned by the dispatcher."""

    def __init__(self) -> None:
        self.messages: dict[MessageId, Queue | Split] = {}
        self._fresh: dict[MessageId, tuple[StoredMessage, list[Queue]]] = {}
        """With the queues under which it stands in `_fresh_of`."""
        self._fresh_of: dict[Queue, dict[MessageId, StoredMessage]] = {}
        """In order of arrival. One whose part left the queue may stand here until it is forgotten."""
        self._fresh_octets = 0

    def entries_of(self, message_id: MessageId) -> list[tuple[Entry, Queue]]:
        """Where a message is; empty for one that is not here."""
        place = self.messages.get(message_id)
        if place is None:
            return []
        if isinstance(place, Split):
            return list(place.parts.items())
        return [(message_id, place)]

    def queue_of(self, entry: Entry) -> Queue | None:
        """The queue of an entry, `None` once it is gone."""
        place = self.messages.get(message_of(entry))
        if isinstance(place, Split):
            return place.parts.get(entry) if isinstance(entry, Part) else None
        return place if not isinstance(entry, Part) else None

    def put(
        self, message_id: MessageId, old: Entry | None, groups: Iterable[tuple[Queue, tuple[int, ...]]]
    ) -> list[Entry]:
        """Replace an entry (`None`: the message is new here) by one for each group of ordinals.

        All groups together are the unsettled recipients of the entry, and they are not empty.
        """
        groups = list(groups)
        entries = self._put(message_id, old, groups)
        if message_id in self._fresh:
            for queue, _ in groups:
                self._note_fresh(message_id, queue)
        return entries

    def _put(
        self, message_id: MessageId, old: Entry | None, groups: list[tuple[Queue, tuple[int, ...]]]
    ) -> list[Entry]:
        place = self.messages.get(message_id)
        if not isinstance(place, Split):
            if len(groups) == 1:
                self.messages[message_id] = groups[0][0]
                return [message_id]
            place = self.messages[message_id] = Split(sum(len(ordinals) for _, ordinals in groups))
        elif isinstance(old, Part):
            del place.parts[old]
            self._forget_fresh(message_id)
            if not place.parts and len(groups) == 1:
                self.messages[message_id] = groups[0][0]
                return [message_id]
        entries: list[Entry] = []
        for queue, ordinals in groups:
            part = Part(message_id, ordinals)
            place.parts[part] = queue
            entries.append(part)
        return entries

    def absorb(self, old: Entry, queue: Queue) -> tuple[int, ...]:
        """Take out the other parts of a message that are ready in `queue`, to go in one transaction with `old`."""
        place = self.messages.get(message_of(old))
        if not isinstance(place, Split):
            return ()
        joined: tuple[int, ...] = ()
        for part in [
            part for part, found in place.parts.items() if found is queue and part.is_ready and part is not old
        ]:
            if part not in queue.active and part not in queue.waiting.held:
                queue.waiting.take(part)
                del place.parts[part]
                joined += part.ordinals
        return joined

    def remove(self, entry: Entry) -> None:
        """All recipients of an entry are settled, durably."""
        message_id = message_of(entry)
        place = self.messages.get(message_id)
        if isinstance(place, Split) and isinstance(entry, Part):
            place.parts.pop(entry, None)
            if place.parts:
                return
        self._forget_fresh(message_id)
        self.messages.pop(message_id, None)

    def settles_message(self, attempt: Attempt, count: int) -> bool:
        """Count `count` more recipients as settled; whether that was the last of the message."""
        place = self.messages.get(attempt.message.message_id)
        if isinstance(place, Split):
            place.unsettled -= count
            return place.unsettled == 0
        recipients = attempt.message.envelope.recipients
        if len(recipients) == 1:
            return count == 1
        return all(attempt.state(recipient.ordinal).standing.is_settled for recipient in recipients)

    def unsettled_count(self, attempt: Attempt) -> int:
        """How many recipients of the message are not settled by what was submitted so far."""
        place = self.messages.get(attempt.message.message_id)
        if isinstance(place, Split):
            return place.unsettled
        return sum(not attempt.state(one.ordinal).standing.is_settled for one in attempt.message.envelope.recipients)

    def has_company(self, attempt: Attempt) -> bool:
        """Whether other recipients of the message may be under way, in this attempt or in others."""
        if attempt.rest or attempt.outstanding > 1:
            return True
        return isinstance(self.messages.get(attempt.message.message_id), Split)

    def is_awaited(self, message_id: MessageId, but: Collection[Entry]) -> bool:
        """Whether entries of the message, other than these, are being tried or are about to be."""
        place = self.messages.get(message_id)
        return isinstance(place, Split) and any(
            part in queue.active or (part.is_ready and not queue.is_backing_off)
            for part, queue in place.parts.items()
            if part not in but
        )

    # Fresh messages in memory -------------------------------------------------------------------------------

    def keep(self, message: StoredMessage) -> None:
        """Keep a fresh message for its first attempt, if there is room; a large one is read from its file."""
        octets = len(message.body.content or b"")
        is_small = message.body.content is not None and octets <= BODY_IN_ROW_MAX
        if is_small and self._fresh_octets + octets <= FRESH_OCTETS_MAX:
            self._fresh[message.message_id] = (message, [])
            self._fresh_octets += octets
            for _, queue in self.entries_of(message.message_id):
                self._note_fresh(message.message_id, queue)

    def take_fresh(self, entry: Entry) -> StoredMessage | None:
        """A message that is in memory; a whole one is not kept any longer, one in parts until it leaves the index."""
        if isinstance(entry, Part):
            found = self._fresh.get(entry.message_id)
            return None if found is None else found[0]
        return self._forget_fresh(entry)

    def drop_fresh(self, message_id: MessageId) -> None:
        """Keep it no longer."""
        self._forget_fresh(message_id)

    def drop_all_fresh(self) -> None:
        """Keep none: what was routed by another organization or link state is read back and routed anew."""
        self._fresh.clear()
        self._fresh_of.clear()
        self._fresh_octets = 0

    def fresh_in(self, queue: Queue) -> list[StoredMessage]:
        """What is in memory and waits in `queue`, in order of arrival; costs what it returns."""
        return [
            message
            for message_id, message in self._fresh_of.get(queue, {}).items()
            if any(found is queue for _, found in self.entries_of(message_id))
        ]

    def recipients_in(self, queue: Queue, message: StoredMessage) -> list[Recipient]:
        """The recipients of a fresh message that wait in `queue`."""
        recipients = message.envelope.recipients
        entries = [entry for entry, found in self.entries_of(message.message_id) if found is queue]
        return [recipients[ordinal] for entry in entries for ordinal in waiting_ordinals(entry, recipients)]

    def _forget_fresh(self, message_id: MessageId) -> StoredMessage | None:
        found = self._fresh.pop(message_id, None)
        if found is None:
            return None
        message, queues = found
        self._fresh_octets -= len(message.body.content or b"")
        for queue in queues:
            waiting = self._fresh_of[queue]
            del waiting[message_id]
            if not waiting:
                del self._fresh_of[queue]
        return message

    def _note_fresh(self, message_id: MessageId, queue: Queue) -> None:
        message, queues = self._fresh[message_id]
        waiting = self._fresh_of.setdefault(queue, {})
        if message_id not in waiting:
            waiting[message_id] = message
            queues.append(queue)
