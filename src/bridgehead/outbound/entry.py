"""What waits in a queue: a message, or a part of one; and what is kept while it is being sent.

Waiting mail must be cheap: an entry is a bare message id where all waiting recipients of the message go the same way,
which is nearly always, and a `Part` where they do not. Envelope and body are in the spool until its turn comes.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TypeAlias

from bridgehead.core.envelope import MessageId, Recipient
from bridgehead.core.recipient_state import FRESH, RecipientState
from bridgehead.spool.contract import StoredMessage


class Part:
    """Some recipients of a message that wait apart from the others. Identity is the object, order that of arrival."""

    __slots__ = ("is_ready", "message_id", "ordinals")

    def __init__(self, message_id: MessageId, ordinals: tuple[int, ...]) -> None:
        self.message_id = message_id
        self.ordinals = ordinals
        self.is_ready = False
        """Put into its queue as ready: if it still waits there, others may join it."""

    def __lt__(self, other: Entry) -> bool:
        return self.message_id < message_of(other)

    def __gt__(self, other: Entry) -> bool:
        return self.message_id > message_of(other)


Entry: TypeAlias = MessageId | Part


def message_of(entry: Entry) -> MessageId:
    """The message an entry belongs to."""
    return entry.message_id if isinstance(entry, Part) else entry


class Attempt:
    """An entry that is being sent, from loading it to the last durable outcome. Changed by dispatcher and queue."""

    __slots__ = ("entry", "is_second_chance", "message", "outstanding", "rest", "states")

    def __init__(self, entry: Entry, message: StoredMessage, recipients: tuple[Recipient, ...]) -> None:
        self.entry = entry
        self.message = message
        self.rest = recipients
        """Not yet given to a channel."""
        self.outstanding = 0
        """Transactions under way, or whose outcome is not durable yet."""
        self.states: dict[int, RecipientState] = dict(message.states)
        """As they will be once all that was submitted is durable."""
        self.is_second_chance = False
        """Whether a kept connection was lost under it before: that is forgiven once."""

    def state(self, ordinal: int) -> RecipientState:
        """The state of a recipient."""
        return self.states.get(ordinal, FRESH)


def waiting_ordinals(entry: Entry, recipients: Sequence[Recipient]) -> Sequence[int]:
    """The ordinals an entry stands for, settled ones of a whole message included."""
    return entry.ordinals if isinstance(entry, Part) else range(len(recipients))
