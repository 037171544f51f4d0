"""Messages that just became durable, so that sending one that just arrived reads nothing back.

Bounded by octets, oldest out first; a message leaves when any change of it is submitted.
"""

from __future__ import annotations

from typing import Final

from bridgehead.core.envelope import MessageId
from bridgehead.spool.contract import StoredMessage

OCTETS_MAX: Final = 4 * 1024 * 1024
_MESSAGE_OCTETS: Final = 1024
"""What a message takes beside its body, about."""


class Recent:
    """A cache of durable messages, by id. Owned by one spool."""

    def __init__(self) -> None:
        self._messages: dict[MessageId, StoredMessage] = {}
        self._octets = 0

    def get(self, message_id: MessageId) -> StoredMessage | None:
        """The message, if it is here."""
        return self._messages.get(message_id)

    def add(self, message: StoredMessage) -> None:
        """Remember a message that became durable; older ones may have to go."""
        self._messages[message.message_id] = message
        self._octets += message.body.size + _MESSAGE_OCTETS
        while self._octets > OCTETS_MAX:
            self.drop(next(iter(self._messages)))

    def drop(self, message_id: MessageId) -> None:
        """Forget a message."""
        message = self._messages.pop(message_id, None)
        if message is not None:
            self._octets -= message.body.size + _MESSAGE_OCTETS
