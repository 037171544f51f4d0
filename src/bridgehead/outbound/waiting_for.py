"""How much mail waits for some connectors, with a sample of it: enough to say where all of it would go without them.

Bounded, whatever waits: queues are counted, not messages, and of a backlog some messages are read that lie evenly
spread over it, one for each domain. What is not whole says so.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Collection, Iterable
from dataclasses import dataclass, field
from typing import Final

import msgspec

from bridgehead.core.envelope import Envelope, MessageId, Recipient
from bridgehead.core.recipient_state import FRESH, Hold
from bridgehead.outbound.entry import Entry, message_of, waiting_ordinals
from bridgehead.outbound.listing import waiting
from bridgehead.outbound.queue import Queue
from bridgehead.outbound.router import Router
from bridgehead.spool.contract import StoredEntry, StoredMessage

LOOKS_MAX: Final = 1000
"""Messages that a worker reads for one question, shared evenly by the connectors that mail waits for."""
LOOKS_MIN: Final = 10
"""Messages read for each connector, however many there are."""
LOOKS_AT_ONCE: Final = 50
"""Messages read before others get their turn: a millisecond."""
DOMAINS_MAX: Final = 100
"""Domains of one connector."""
ENTRIES_MAX: Final = 50_000
"""Messages read of a spool without a server: half a second."""
_STANDS: Final = frozenset((Hold.FROZEN, Hold.CREDENTIAL))


class Sample(msgspec.Struct, frozen=True):
    """One waiting recipient of a domain."""

    message_id: MessageId
    envelope: Envelope
    """Its recipients are left out."""
    recipient: Recipient
    strength: tuple[int, int] | None = None
    """How specific its way is, and how strong its TLS level (`Router.strength`); `None`: not known any more."""


class WaitingFor(msgspec.Struct, frozen=True):
    """What waits for one connector."""

    connector: str
    messages: int = 0
    """A message that waits in parts counts once for each."""
    held: int = 0
    """Of these: frozen, or held for a credential. They stay where they are until somebody acts."""
    samples: tuple[Sample, ...] = ()
    """One for each domain that was found among the others."""
    is_whole: bool = True
    """Nothing was left out: every message was counted, and looked at for its domains."""


def added(parts: Iterable[WaitingFor]) -> tuple[WaitingFor, ...]:
    """What several workers say, by connector."""
    sums: dict[str, WaitingFor] = {}
    for part in parts:
        known = sums.get(part.connector, WaitingFor(part.connector))
        samples = {one.recipient.domain: one for one in (*part.samples, *known.samples)}
        sums[part.connector] = WaitingFor(
            part.connector,
            known.messages + part.messages,
            known.held + part.held,
            tuple(samples.values())[:DOMAINS_MAX],
            known.is_whole and part.is_whole and len(samples) <= DOMAINS_MAX,
        )
    return tuple(sums.values())


@dataclass(slots=True)
class _Found:
    """What was found of one connector so far."""

    messages: int = 0
    held: int = 0
    samples: dict[str, Sample] = field(default_factory=dict)
    is_whole: bool = True

    def wants(self, domain: str) -> bool:
        """Whether a sample of the domain is still wanted."""
        if domain in self.samples:
            return False
        if len(self.samples) >= DOMAINS_MAX:
            self.is_whole = False
            return False
        return True

    def result(self, connector: str) -> WaitingFor:
        return WaitingFor(connector, self.messages, self.held, tuple(self.samples.values()), self.is_whole)


# Of a running server


async def waiting_for(
    connectors: Collection[str],
    queues: Iterable[Queue],
    router: Router,
    load: Callable[[MessageId], Awaitable[StoredMessage | None]],
) -> tuple[WaitingFor, ...]:
    """What waits in these queues for these connectors, those without mail left out; counted at the call."""
    by_connector: dict[str, list[Queue]] = {}
    for queue in queues:
        if queue.key.connector in connectors and _count(queue):
            by_connector.setdefault(queue.key.connector, []).append(queue)
    looks = max(LOOKS_MIN, LOOKS_MAX // max(1, len(by_connector)))
    chosen = {name: _choose(found, looks) for name, found in by_connector.items()}
    results = {name: _counted(found, chosen[name]) for name, found in by_connector.items()}
    for name, entries in chosen.items():
        for number, entry in enumerate(entries, 1):
            message = await load(message_of(entry))
            if message is not None:
                _take(results[name], name, (message, entry), router)
            if number % LOOKS_AT_ONCE == 0:
                await asyncio.sleep(0)
    return tuple(found.result(name) for name, found in results.items())


def _count(queue: Queue) -> int:
    return len(queue.waiting) + len(queue.waiting.held) + len(queue.active)


def _counted(queues: list[Queue], chosen: list[Entry]) -> _Found:
    found = _Found()
    for queue in queues:
        found.messages += _count(queue)
        found.held += sum(hold in _STANDS for hold in queue.waiting.held.values())
    found.is_whole = len(chosen) == sum(len(queue.waiting) for queue in queues)
    return found


def _choose(queues: list[Queue], looks: int) -> list[Entry]:
    """Entries of every queue, so many as its share is, evenly spread over it."""
    total = sum(len(queue.waiting) for queue in queues)
    chosen: list[Entry] = []
    for queue in queues:
        share = max(1, looks * len(queue.waiting) // max(1, total))
        chosen += queue.waiting.sample(min(share, looks - len(chosen)))
        if len(chosen) >= looks:
            break
    return chosen


def _take(found: _Found, connector: str, message: tuple[StoredMessage, Entry], router: Router) -> None:
    stored, entry = message
    ordinals = set(waiting_ordinals(entry, stored.envelope.recipients))
    for recipient in waiting(stored.envelope, stored.states):
        state = stored.states.get(recipient.ordinal, FRESH)
        if recipient.ordinal in ordinals and state.hold is Hold.NONE and found.wants(recipient.domain):
            strength = router.strength((stored.message_id, stored.envelope), recipient, connector)
            found.samples[recipient.domain] = _sample(stored.message_id, stored.envelope, recipient, strength)


# Of a spool without a server


def waiting_on_disk(entries: Iterable[StoredEntry], is_gone: Callable[[str], bool]) -> tuple[WaitingFor, ...]:
    """What waits for connectors that are gone. Mail that was never tried, nor held, names none: it is not among it.

    At most `ENTRIES_MAX` entries are read.
    """
    results: dict[str, _Found] = {}
    is_cut = False
    for number, entry in enumerate(entries):
        if number == ENTRIES_MAX:
            is_cut = True
            break
        _take_entry(results, entry, is_gone)
    for found in results.values():
        found.is_whole = found.is_whole and not is_cut
    return tuple(found.result(name) for name, found in sorted(results.items()))


def _take_entry(results: dict[str, _Found], entry: StoredEntry, is_gone: Callable[[str], bool]) -> None:
    """Count a message once for each connector that its recipients wait for."""
    stands: dict[str, bool] = {}
    for recipient in waiting(entry.envelope, entry.states):
        state = entry.states.get(recipient.ordinal, FRESH)
        name = state.connector
        if not name or state.hold is Hold.CONFIGURATION or not is_gone(name):
            continue
        stands[name] = stands.get(name, True) and state.hold in _STANDS
        found = results.setdefault(name, _Found())
        if state.hold is Hold.NONE and found.wants(recipient.domain):
            found.samples[recipient.domain] = _sample(entry.message_id, entry.envelope, recipient, None)
    for name, is_held in stands.items():
        results[name].messages += 1
        results[name].held += is_held


def _sample(
    message_id: MessageId, envelope: Envelope, recipient: Recipient, strength: tuple[int, int] | None
) -> Sample:
    return Sample(message_id, msgspec.structs.replace(envelope, recipients=()), recipient, strength)
