"""What sessions need from the worker they run in: collaborators in one frozen value, and the doors behind them."""

from __future__ import annotations

import asyncio
import logging
import ssl
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Final, Protocol

from bridgehead.core.envelope import MessageId
from bridgehead.core.leases import Limits
from bridgehead.core.organization import Organization
from bridgehead.core.tracking import Emit, Step, TrackingEvent
from bridgehead.inbound.credentials import CredentialCheck
from bridgehead.inbound.draft_memory import DraftMemory
from bridgehead.spool.contract import Insert, Spool, StoredMessage

SESSIONS_MAX: Final = 20_000
"""Sessions of one worker where nothing else is said; the worker passes what its file descriptors allow."""

_log: Final = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class InForce:
    """The configuration at one moment, as far as sessions are concerned. Replaced whole."""

    organization: Organization
    tls: Mapping[str, ssl.SSLContext] = field(default_factory=dict)
    """Server contexts by key of the virtual server, for those with a certificate."""


class SessionLeases(Protocol):
    """The session limits of a virtual server over all workers: `process.lease_client.LeaseClient`."""

    async def try_acquire(self, limits: Limits) -> int | None:
        """A ticket if there is room now, else `None`."""
        ...

    def release(self, ticket: int) -> None:
        """Give it back."""
        ...


class ClientNames(Protocol):
    """Looks up who a client is."""

    async def verified_names(self, address: str) -> tuple[str, ...]:
        """PTR names that resolve back to the address, in normal form; empty: none, or DNS cannot say now."""
        ...


@dataclass(frozen=True, slots=True)
class Reception:
    """Everything around the sessions of one worker. Only the worker makes one."""

    spool: Spool
    current: Callable[[], InForce]
    next_id: Callable[[], MessageId]
    clock: Callable[[], float]
    """Seconds since the epoch."""
    accepted: Callable[[StoredMessage], None]
    """Takes over a message that is durable; its 250 is on its way."""
    emit: Emit
    tasks: asyncio.TaskGroup
    """Where handshakes, look-ups and credential checks run."""
    credentials: CredentialCheck
    leases: SessionLeases
    names: ClientNames | None = None
    """`None`: clients have no names (then domains in client lists match nobody)."""
    has_room: Callable[[], bool] = lambda: True
    """Whether there is enough free disk for new mail."""
    sessions_max: int = SESSIONS_MAX
    draft_memory: DraftMemory = field(default_factory=DraftMemory)
    """What all messages that are still arriving may hold."""

    def hand_over(self, insert: Insert, queue_id: str, tls: str = "") -> None:
        """Tell of a message that is durable, and pass it on. Never raises: the next start finds it on the disk."""
        envelope = insert.envelope
        try:
            self.emit(
                TrackingEvent(
                    ts=self.clock(),
                    step=Step.RECEIVED,
                    trace_id=envelope.trace_id,
                    queue_id=queue_id,
                    message_id=envelope.message_id,
                    virtual_server=envelope.virtual_server,
                    client=envelope.client,
                    user=envelope.user,
                    sender=envelope.reverse_path,
                    recipient=envelope.recipients[0].address if len(envelope.recipients) == 1 else "",
                    recipients=len(envelope.recipients),
                    size=envelope.size,
                    tls=tls,
                )
            )
            self.accepted(StoredMessage(insert.message_id, envelope, insert.body))
        except Exception:  # noqa: BLE001 - the root of a callback: the spool has other messages to answer for
            _log.exception("a stored message was not handed over", extra={"queue_id": queue_id})
