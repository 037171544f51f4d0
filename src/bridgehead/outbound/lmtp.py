"""Delivery to a mail store by LMTP (RFC 2033): `lmtp:HOST:PORT`, `lmtp:/path/of/socket`.

The conversation is that of SMTP but for LHLO and a final reply for each recipient, so the channel is an
`SmtpChannel`. The store is a neighbour that the operator named: no MX, no TLS, no AUTH. Any trouble before the first
message is the host's, and the mail waits.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable

from bridgehead.core.error import ProtocolError
from bridgehead.core.outcome import Deferred, Scope
from bridgehead.core.reply import Reply
from bridgehead.outbound.connect import Wiring
from bridgehead.outbound.contract import Channel, Destination, Unavailable
from bridgehead.outbound.smtp_channel import ChannelTerms, SmtpChannel
from bridgehead.outbound.timeouts import Timeouts
from bridgehead.smtp.client import ClientConnection
from bridgehead.smtp.client_event import Greeted, Refused, TraceKind


class LmtpDialer:
    """The `Dialer` for LMTP. Owned by one worker."""

    def __init__(self, wiring: Wiring) -> None:
        self._wiring = wiring

    async def open(self, destination: Destination, closed: Callable[[], None]) -> Channel | Unavailable:
        """Connect and greet, as the contract says."""
        wiring = self._wiring
        host = str(destination.local)
        connection = ClientConnection(destination.virtual_server.fqdn, host, lmtp=True, trace=wiring.trace)
        timeouts = wiring.timeouts.at_most(destination.virtual_server.delivery.connection_timeout_seconds)
        channel = SmtpChannel(connection, ChannelTerms(timeouts, destination.messages_per_connection))
        trouble = await self._open(channel, destination, timeouts)
        if trouble is None:
            channel.carry(closed)
            return channel
        return Unavailable(Deferred(trouble, Scope.HOST, host, is_connect_failure=True), (f"{host}: {trouble}",))

    async def _open(self, channel: SmtpChannel, destination: Destination, timeouts: Timeouts) -> Reply | None:
        """Connect and greet; why not, if not. Never raises but for cancellation."""
        is_open = False
        try:
            async with asyncio.timeout(timeouts.connect):
                await self._connect(channel, destination)
            event = await channel.wait_event(timeouts.greeting)
            is_open = isinstance(event, Greeted)
        except TimeoutError:
            return Reply(0, "4.4.1", "timed out")
        except OSError as error:
            return Reply(0, "4.4.1", (error.strerror or str(error)).lower())
        except ProtocolError as error:
            return Reply(0, "4.5.0", str(error))
        finally:
            if not is_open:
                channel.leave()
        if isinstance(event, Refused):
            return event.reply
        return None if is_open else Reply(0, "4.5.0", f"{type(event).__name__} instead of a greeting")

    async def _connect(self, channel: SmtpChannel, destination: Destination) -> None:
        assert destination.local is not None
        target = destination.local.target
        if self._wiring.trace is not None:
            self._wiring.trace(TraceKind.DIAL, str(destination.local))
        loop = asyncio.get_running_loop()
        if target.startswith("/"):
            await loop.create_unix_connection(lambda: channel, target)
        else:
            host, _, port = target.rpartition(":")
            await loop.create_connection(lambda: channel, host.strip("[]"), int(port))
