"""Messages, entries and queues by themselves, without a dispatcher around them."""

from __future__ import annotations

from collections.abc import Coroutine, Mapping
from dataclasses import dataclass, field

from bridgehead.core.envelope import Envelope, MessageId, Recipient
from bridgehead.core.outcome import Deferred, Failed
from bridgehead.core.recipient_state import RecipientState
from bridgehead.outbound.allowance import LocalAllowance
from bridgehead.outbound.contract import Attempted, QueueKey
from bridgehead.outbound.destination import destination_of
from bridgehead.outbound.entry import Attempt, Entry
from bridgehead.outbound.opening import Wire
from bridgehead.outbound.queue import Queue
from bridgehead.spool.contract import Body, StoredMessage
from tests.outbound.fake_channel import Clock, FakeDialer
from tests.outbound.post_office import HERE, organization

NOW = 1_790_000_000.0
TEXT = b"Subject: hello\r\n\r\nhello\r\n"


def message(
    number: int,
    *addresses: str,
    sender: str = "alice@contoso.com",
    notify: int = -1,
    states: Mapping[int, RecipientState] | None = None,
) -> StoredMessage:
    """A message that arrived at `NOW`; to bob@fabrikam.com where nobody is named."""
    recipients = tuple(
        Recipient(ordinal, address, address.partition("@")[2], notify)
        for ordinal, address in enumerate(addresses or ("bob@fabrikam.com",))
    )
    envelope = Envelope(sender, recipients, len(TEXT), NOW, HERE, trace_id="trace", message_id="<1@x>")
    return StoredMessage(MessageId(number), envelope, Body(len(TEXT), TEXT), states or {})


def attempt(found: StoredMessage, entry: Entry | None = None) -> Attempt:
    """An attempt at all recipients of a message."""
    return Attempt(found.message_id if entry is None else entry, found, found.envelope.recipients)


@dataclass
class Owner:
    """What a queue asks of its dispatcher, written down."""

    fresh: dict[Entry, Attempt] = field(default_factory=dict)
    wanted: list[Entry] = field(default_factory=list)
    ended: list[tuple[Attempt, Attempted]] = field(default_factory=list)
    condemned: list[tuple[Entry, Deferred | Failed]] = field(default_factory=list)
    troubles: list[Deferred] = field(default_factory=list)
    dials: list[bool] = field(default_factory=list)
    alarms: list[float] = field(default_factory=list)

    def take_fresh(self, entry: Entry) -> Attempt | None:
        """As in `QueueOwner`."""
        return self.fresh.pop(entry, None)

    def load(self, _queue: Queue, entry: Entry) -> None:
        """As in `QueueOwner`; the test calls `loaded`."""
        self.wanted.append(entry)

    def attempted(self, _queue: Queue, attempt: Attempt, attempted: Attempted) -> None:
        """As in `QueueOwner`."""
        attempt.outstanding -= 1
        self.ended.append((attempt, attempted))

    def condemn(self, _queue: Queue, entry: Entry, outcome: Deferred | Failed) -> None:
        """As in `QueueOwner`."""
        self.condemned.append((entry, outcome))

    def backed_off(self, _queue: Queue, outcome: Deferred) -> None:
        """As in `QueueOwner`."""
        self.troubles.append(outcome)

    def dialled(self, _queue: Queue, *, is_success: bool) -> None:
        """As in `QueueOwner`."""
        self.dials.append(is_success)

    def wake_at(self, queue: Queue, when: float) -> None:
        """As in `QueueOwner`; the test calls `wake`."""
        queue.alarm_at = when
        self.alarms.append(when)


def still_wire(clock: Clock | None = None, dialer: FakeDialer | None = None) -> Wire:
    """A wire on which nothing ever moves."""

    def never(coroutine: Coroutine[None, None, None]) -> None:
        coroutine.close()

    return Wire(dialer or FakeDialer(), LocalAllowance(lambda _: None), never, clock or Clock(NOW))


def still_queue(next_hop: str = "fabrikam.com", owner: Owner | None = None, wire: Wire | None = None) -> Queue:
    """A queue by DNS that opens nothing by itself."""
    key = QueueKey("", HERE, next_hop)
    queue = Queue(key, owner or Owner(), wire or still_wire())
    queue.set_destination(destination_of(key, organization()))
    return queue
