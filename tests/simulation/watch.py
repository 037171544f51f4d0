"""What a worker sends, watched: each transaction is written into the ledger, and must be one that may be sent."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, cast

from bridgehead.core.organization import TlsLevel
from bridgehead.outbound.contract import (
    AttemptDone,
    Attempted,
    Channel,
    Destination,
    Dialer,
    Transaction,
    Unavailable,
)
from bridgehead.outbound.smtp_channel import SmtpChannel
from tests.simulation.network import End

if TYPE_CHECKING:
    from tests.simulation.worker import Worker


class WatchedChannel:
    """A channel whose transactions are written into the ledger."""

    def __init__(self, channel: SmtpChannel, worker: Worker, destination: Destination) -> None:
        self._channel = channel
        self._worker = worker
        self._destination = destination
        self._number = cast("End", channel._transport).number if channel._transport is not None else -1

    @property
    def host(self) -> str:
        """As in `Channel`."""
        return self._channel.host

    def send(self, transaction: Transaction, done: AttemptDone) -> None:
        """As in `Channel`."""
        worker, ledger = self._worker, self._worker.ledger
        ledger.sending(worker.name, worker.life, self._number, transaction)
        connector = self._destination.connector
        if connector is not None:
            found = worker.organization.connector(connector.name)
            if found is None or not found.enabled:
                ledger.fail(f"{worker.name} sends by {connector.name}, which is disabled or gone")
            end = cast("End | None", self._channel._transport)
            if connector.security.tls is TlsLevel.REQUIRE and end is not None and not end.is_secured:
                ledger.fail(f"{worker.name} sends by {connector.name} in the clear, which must not be")

        def ended(attempted: Attempted) -> None:
            ledger.ended(self._number, attempted)
            done(attempted)

        self._channel.send(transaction, ended)

    def close(self) -> None:
        """As in `Channel`."""
        self._channel.close()

    def abort(self) -> None:
        """As in `Channel`."""
        self._channel.abort()


class WatchedDialer:
    """The real dialer, and what comes of it watched."""

    def __init__(self, dialer: Dialer, worker: Worker) -> None:
        self.dialer: Dialer = dialer
        self._worker = worker

    async def open(self, destination: Destination, closed: Callable[[], None]) -> Channel | Unavailable:
        """As in `Dialer`."""
        connector, worker = destination.connector, self._worker
        if connector is not None and worker.organization.connector(connector.name) != connector:
            worker.ledger.fail(f"{worker.name} opens by {connector.name} as a former configuration had it")
        result = await self.dialer.open(destination, closed)
        if isinstance(result, Unavailable):
            self._worker.ledger.note(f"{self._worker.name} cannot reach {destination.key}: {result.attempts}")
            return result
        assert isinstance(result, SmtpChannel)
        return WatchedChannel(result, self._worker, destination)
