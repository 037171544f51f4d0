"""A channel that speaks SMTP: sockets, deadlines and flow control around `smtp.client`.

The first part of a conversation (greeting, EHLO, TLS, AUTH) is a coroutine of `outbound.connect` that waits with
`wait_event`. From `carry` on everything is driven by callbacks, and no task exists per channel or message.

Whatever ends the connection, a transaction in flight is settled in one place, `connection_lost`. One timer for a
channel looks at the deadline of the present step; only whole replies and blocks taken by the peer move it.
"""

from __future__ import annotations

import asyncio
import ssl
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass
from typing import cast

from bridgehead.core.error import ProtocolError
from bridgehead.core.outcome import Deferred, Failed, Outcome, Scope
from bridgehead.core.reply import Reply
from bridgehead.net.tls import ClientTls, describe
from bridgehead.outbound.content import Blocks, Conversion, Converted, fit, open_blocks, unreadable
from bridgehead.outbound.contract import AttemptDone, Attempted, Transaction
from bridgehead.outbound.timeouts import Timeouts
from bridgehead.smtp.client import ClientConnection
from bridgehead.smtp.client_event import Closed, ContentWanted, Event, TransactionEnded
from bridgehead.spool.contract import Body


@dataclass(frozen=True, slots=True)
class ChannelTerms:
    """What a channel is bound by."""

    timeouts: Timeouts
    messages_max: int
    """Transactions of one connection; 0: no bound of ours."""


class SmtpChannel(asyncio.Protocol):
    """One connection to one host; a `Channel` once `carry` was called. Lives on the event loop that made it."""

    def __init__(self, connection: ClientConnection, terms: ChannelTerms) -> None:
        self.connection = connection
        self._terms = terms
        self._loop = asyncio.get_running_loop()
        self._transport: asyncio.Transport | None = None
        self._events: deque[Event] = deque()
        self._trouble: Exception | None = None
        self._waiter: asyncio.Future[None] | None = None
        self._closed: Callable[[], None] | None = None
        self._timer: asyncio.TimerHandle | None = None
        self._deadline = 0.0
        self._replies = 0
        self._messages = 0
        self._transaction: Transaction | None = None
        self._done: AttemptDone | None = None
        self._conversion: Conversion | None = None
        self._body: Body | Converted | None = None
        self._file: Blocks | None = None
        self._is_paused = False
        self._is_block_due = False
        self._is_closing = False
        self._end: tuple[Reply, Scope | None] | None = None  # why we ended the connection, if we did

    # The channel

    @property
    def host(self) -> str:
        """`"mx1.fabrikam.com[192.0.2.7]:25"`."""
        return self.connection.peer.host

    def carry(self, closed: Callable[[], None]) -> None:
        """The session stands: from now on this is a `Channel`, and `closed` is called at its end."""
        self._closed = closed
        self._replies = self.connection.replies
        if self._transport is None:  # lost since the last reply
            self._loop.call_soon(self._notify_closed)
            return
        self._wait(self._terms.timeouts.idle)
        self._tick()
        if self._trouble is not None or not self.connection.is_idle:  # or it said 421, or nonsense
            self._transport.abort()

    def send(self, transaction: Transaction, done: AttemptDone) -> None:
        """Begin a transaction, as the contract says."""
        self._transaction, self._done = transaction, done
        self._messages += 1
        if self._transport is None or not self.connection.is_idle:
            reply = Reply(0, "4.4.2", f"{self.host} had closed the connection")
            self._loop.call_soon(self._settle_all, Deferred(reply, Scope.HOST, self.host))
            return
        body = fit(transaction.body, transaction.envelope, self.connection.extensions)
        if isinstance(body, Conversion):
            self._conversion = body
            self._wait(self._terms.timeouts.command)
            self._loop.call_soon(self._convert, body)
        else:
            self._begin(transaction, body)

    def close(self) -> None:
        """QUIT as soon as nothing is in flight."""
        self._is_closing = True
        if self._done is None and self.connection.is_idle and self._transport is not None:
            try:
                self.connection.quit()
            except ProtocolError:
                self._transport.abort()
                return
            self._flush()
            self._wait(self._terms.timeouts.goodbye)

    def abort(self) -> None:
        """Drop the connection now."""
        self._break(Reply(0, "4.4.2", f"Connection to {self.host} was dropped"), Scope.HOST)

    # The session before the first message, for outbound.connect and for tests of a connector

    @property
    def certificate(self) -> bytes | None:
        """What the server showed in the handshake, in DER; `None` in the clear."""
        connection = None if self._transport is None else self._transport.get_extra_info("ssl_object")
        return None if connection is None else connection.getpeercert(binary_form=True)

    async def wait_event(self, seconds: float) -> Event:
        """Send what is due and wait for what it leads to.

        `TimeoutError` after `seconds`, `ConnectionError` if the peer closes, `ProtocolError` if it talks nonsense.
        """
        self._flush()
        async with asyncio.timeout(seconds):
            while not self._events:
                if self._trouble is not None:
                    raise self._trouble
                self._waiter = self._loop.create_future()
                try:
                    await self._waiter
                finally:
                    self._waiter = None
        return self._events.popleft()

    async def start_tls(self, tls: ClientTls, seconds: float) -> str:
        """Do the handshake; the description of the session. `OSError` (also `ssl.SSLError`) if it fails."""
        transport = self._transport
        if transport is None:
            raise ConnectionResetError("the server closed the connection")
        async with asyncio.timeout(seconds):
            try:
                secured = await self._loop.start_tls(transport, self, tls.context, server_hostname=tls.name or None)
            except ValueError as error:  # a name to verify that OpenSSL does not take
                raise ConnectionError(f"no TLS with the name {tls.name!r}: {error}") from error
        if secured is None:
            raise ConnectionResetError("the server closed the connection")
        self._transport = secured
        connection: ssl.SSLObject = secured.get_extra_info("ssl_object")
        description = describe(connection, verified=tls.verifies)
        self.connection.tls_established(description)
        return description

    def leave(self) -> None:
        """Give up a session that came to nothing: QUIT without waiting for the answer."""
        if self._transport is None:
            return
        if self.connection.is_idle:
            self._transport.write(b"QUIT\r\n")
        self._transport.close()

    # What the transport calls

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """The socket stands."""
        self._transport = cast("asyncio.Transport", transport)  # uvloop's own class is none of asyncio's

    def data_received(self, data: bytes) -> None:
        """Octets from the peer."""
        connection = self.connection
        trouble: ProtocolError | None = None
        try:
            connection.receive_data(data)
        except ProtocolError as error:
            self._trouble = trouble = error
            self._is_closing = True
        if self._closed is None:
            self._wake()
            return
        if connection.replies != self._replies:
            self._replies = connection.replies
            self._wait(self._terms.timeouts.command)
        try:
            self._see_events()
        except ProtocolError as error:
            trouble = error
        if trouble is None:
            self._flush()
        else:
            self._break_for(trouble)

    def connection_lost(self, exc: Exception | None) -> None:
        """The connection is gone, by whomever: settle what was in flight, then tell the owner."""
        self._transport = None
        self._close_file()
        if self._timer is not None:
            self._timer.cancel()
        why = f"{self.host} closed the connection" + (f": {exc}" if exc is not None else "")
        reply, scope = self._end or (Reply(0, "4.4.2", why), None)
        self.connection.fail(reply, scope)
        if self._closed is None:
            self._trouble = self._trouble or ConnectionResetError("the server closed the connection")
            self._wake()
            return
        self._see_events()
        if self._done is not None:
            self._settle_all(Deferred(reply, Scope.HOST, self.host))
        self._notify_closed()

    def pause_writing(self) -> None:
        """The peer does not read as fast as we send."""
        self._is_paused = True

    def resume_writing(self) -> None:
        """The peer took what waited."""
        self._is_paused = False
        if self._file is not None and not self._is_block_due:
            self._wait(self._terms.timeouts.block)
            self._send_block()

    # A transaction

    def _convert(self, conversion: Conversion) -> None:
        """A step of it, one for each turn of the event loop."""
        if self._conversion is not conversion or self._transaction is None:
            return  # the connection was lost meanwhile
        body = conversion.step()
        if body is None:
            self._loop.call_soon(self._convert, conversion)
            return
        self._conversion = None
        if isinstance(body, Reply):
            self._settle_all(self._unfit(body))
        elif self.connection.is_idle:
            self._begin(self._transaction, body)
        elif self._transport is not None:  # it said 421 meanwhile
            self._transport.abort()

    def _begin(self, transaction: Transaction, body: Body | Converted) -> None:
        self._body = body
        try:
            self.connection.begin(transaction.envelope, transaction.recipients, body.size)
        except ProtocolError as error:
            self._break_for(error)
            return
        self._wait(self._terms.timeouts.command)
        if not self._flush():
            self._loop.call_soon(self._see_events)  # it cannot be sent: `done` must not be called before we return

    def _see_events(self) -> None:
        while (event := self.connection.next_event()) is not None:
            match event:
                case ContentWanted():
                    self._send_content()
                case TransactionEnded(outcomes, remaining):
                    is_reusable = self._is_reusable()
                    self._finish(Attempted(outcomes, remaining, is_reusable))
                case Closed() if self._transport is not None:
                    self._transport.close()
                case _:
                    pass

    def _send_content(self) -> None:
        """354 has come."""
        body = self._body
        if body is None or self._trouble is not None:
            return  # and nonsense with it: the connection is about to go, and must not carry a whole message first
        if isinstance(body, Body) and body.content is not None:
            self.connection.send_content(body.content)
            self._wait(self._terms.timeouts.end)
            return
        try:
            self._file = open_blocks(body)
        except OSError as error:
            self._break(unreadable(error), Scope.MESSAGE)
            return
        self._send_block()

    def _send_block(self) -> None:
        """Send the next block, unless the peer is behind; one block for each turn of the event loop."""
        self._is_block_due = False
        file = self._file
        if file is None or self._is_paused or self._transport is None:
            return
        try:
            self.connection.send_block(file.read_block())
        except (OSError, EOFError) as error:
            # The connection goes, so that the peer never sees an end.
            self._break(unreadable(error), Scope.MESSAGE)
            return
        if file.has_more:
            self._wait(self._terms.timeouts.block)
            self._flush()
            if not self._is_paused:
                self._is_block_due = True
                self._loop.call_soon(self._send_block)
            return
        self._close_file()
        try:
            self.connection.end_content(file.end())
        except ProtocolError as error:
            self._break_for(error)
            return
        self._wait(self._terms.timeouts.end)
        self._flush()

    def _finish(self, attempted: Attempted) -> None:
        """Report what came of the transaction, then go on or say goodbye."""
        done, self._done, self._transaction, self._body = self._done, None, None, None
        self._conversion = None
        self._close_file()
        self._wait(self._terms.timeouts.idle)
        if done is not None:
            done(attempted)
        if self._transport is not None and self._done is None and not self.connection.is_idle:
            self._transport.abort()  # it said 421, or refused the content before its end
        elif not attempted.is_reusable or self._is_closing:
            self.close()

    def _settle_all(self, outcome: Outcome) -> None:
        """Report one outcome for all: the transaction never came to the server."""
        if self._transaction is None:
            return
        outcomes = {recipient.ordinal: outcome for recipient in self._transaction.recipients}
        self._finish(Attempted(outcomes, (), self._is_reusable()))

    def _unfit(self, reply: Reply) -> Outcome:
        """The body cannot be sent to this server: for ever, or for a reason of this machine's."""
        return Failed(reply, self.host) if reply.enhanced.startswith("5.") else Deferred(reply, Scope.MESSAGE)

    def _is_reusable(self) -> bool:
        most = self._terms.messages_max
        if self._is_closing or self._transport is None or (most and self._messages >= most):
            return False
        return self.connection.is_reusable

    # Time, ends and the transport

    def _wait(self, seconds: float) -> None:
        """A new step: this is how long it may take."""
        self._deadline = self._loop.time() + seconds

    def _tick(self) -> None:
        remaining = self._deadline - self._loop.time()
        if remaining > 0:
            self._timer = self._loop.call_later(min(remaining, self._terms.timeouts.tick), self._tick)
        elif self._done is None and self.connection.is_idle:
            self.close()
            self._timer = self._loop.call_later(self._terms.timeouts.goodbye, self._tick)
        else:
            self._break(Reply(0, "4.4.2", f"{self.host} did not answer in time"))

    def _break(self, reply: Reply, scope: Scope | None = None) -> None:
        """End the connection; `connection_lost` follows and settles with this reply."""
        if self._transport is not None and self._end is None:
            self._end = (reply, scope)
            self._is_closing = True
            self._transport.abort()

    def _break_for(self, error: ProtocolError) -> None:
        self._break(Reply(0, "4.5.0", f"{self.host} broke the protocol: {error}"))

    def _flush(self) -> bool:
        """Write what is due; whether there was anything."""
        data = self.connection.data_to_send()
        if data and self._transport is not None:
            self._transport.write(data)
        return bool(data)

    def _wake(self) -> None:
        """Hand what happened to `wait_event`."""
        while (event := self.connection.next_event()) is not None:
            self._events.append(event)
        if self._trouble is None:
            self._flush()
        if self._waiter is not None and not self._waiter.done() and (self._events or self._trouble):
            self._waiter.set_result(None)

    def _close_file(self) -> None:
        if self._file is not None:
            self._file.close()
            self._file = None

    def _notify_closed(self) -> None:
        closed, self._closed = self._closed, _nobody
        if closed is not None:
            closed()


def _nobody() -> None:
    """Stands for an owner who was told already."""
