"""One SMTP session on a transport: bytes to the conversation, replies back, flow control, deadlines, TLS.

Rules of this file:
* Callbacks, no coroutine for a message. Tasks are for what waits on the outside: TLS handshake, DNS, leases; they
  live in the TaskGroup of the worker and let no exception out.
* Replies to commands that arrived together leave together.
* Nothing is read while a question is open and input waits, nor while the client does not read our replies.
* A deadline is for a whole command, not for each of its octets; content must arrive at `OCTETS_PER_SECOND_MIN`
  (RFC 5321 4.5.3.2).
* An exception nobody expected is 451, logged, and the end of the session; its message is not accepted.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Mapping
from typing import Any, ClassVar, Final, cast

from bridgehead.core.client import Client, client_at, needs_names
from bridgehead.inbound import refusals
from bridgehead.inbound.conversation import Conversation
from bridgehead.inbound.deadline import Deadline
from bridgehead.inbound.handshakes import HANDSHAKE_SECONDS, Handshakes
from bridgehead.inbound.reception import Reception
from bridgehead.inbound.sessions import Sessions
from bridgehead.net.tls import describe
from bridgehead.smtp.event import Content, DataBegin, Event, Fault, Quit, StartTls
from bridgehead.smtp.server_state import QUESTIONS, State

ARRIVAL_SECONDS: Final = 10.0
"""For leases and the look-up of names before the greeting; a client waits 5 minutes for it (RFC 5321 4.5.3.2.1)."""
CLOSE_SECONDS: Final = 10.0
"""For the last replies to leave; then the connection is cut."""
OCTETS_PER_SECOND_MIN: Final = 500
"""Content that comes more slowly runs out of time: an honest modem was faster."""
TARPIT_AFTER: Final = 30
"""Faults of one session before each further one costs it `TARPIT_SECONDS`."""
TARPIT_SECONDS: Final = 0.5
EARLY_MAX: Final = 256 * 1024
"""Octets that may arrive under TLS before the session knows that its handshake is done: one read."""
WRITE_BUFFER_MAX: Final = 64 * 1024
"""Octets of replies that wait for the client before nothing more of its is looked at."""

_IN_CONTENT: Final = frozenset({State.DATA, State.CHUNK, State.LAST_CHUNK, State.BETWEEN_CHUNKS})
_IN_CLOSED: Final = State.CLOSED
_IN_TLS: Final = State.TLS
_log: Final = logging.getLogger(__name__)


class Session(asyncio.Protocol):
    """One connection. Owned by the event loop; `sessions` knows it from beginning to end."""

    def __init__(
        self, reception: Reception, sessions: Sessions, handshakes: Handshakes, key: str, implicit_tls: bool
    ) -> None:
        """`key` is the virtual server's."""
        self._reception = reception
        self._sessions = sessions
        self._handshakes = handshakes
        self._key = key
        self._implicit_tls = implicit_tls
        self._loop = asyncio.get_running_loop()
        self._deadline = Deadline(self._loop, self._expired)
        self._transport: asyncio.Transport | None = None
        self._conversation: Conversation
        self._ticket: int | None = None
        self._content_since = 0.0
        self._content_octets = 0
        self._early: bytes | None = None
        self._is_reading = True
        self._is_blocked = False
        self._is_punished = False
        self._is_closing = False
        self._is_ended = False

    # Called by the event loop

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Greet at once, or after what must be known first."""
        # A cast, because uvloop's transports are not derived from those of asyncio.
        transport = cast("asyncio.Transport", transport)
        client = _client_of(transport)
        try:
            self._conversation = Conversation(self._reception, self._key, client, self._resume)
        except KeyError:
            # The listener left the configuration while this connection was on its way.
            transport.abort()
            return
        self._transport = transport
        transport.set_write_buffer_limits(WRITE_BUFFER_MAX)
        self._sessions.enter(self)
        self._deadline.set(self._loop.time() + self._timeout)
        if self._implicit_tls:
            self._conversation.tls_started(_tls_of(transport))
        if self._sessions.is_full:
            self._refuse_session()
        elif self._must_ask(client):
            # uvloop reads all the same; what comes before the greeting is refused there.
            self._pause()
            self._reception.tasks.create_task(self._arrive(client))
        else:
            self._open(None)
        if self._sessions.is_stopping:
            self.stop()

    def data_received(self, data: bytes) -> None:
        """Take what the client sent, and answer what can be answered now."""
        if self._early is not None:
            self._early += data
            if len(self._early) > EARLY_MAX:
                self.abort()
            return
        try:
            self._conversation.engine.receive_data(data)
            self._run()
        except Exception:  # noqa: BLE001 - the root of a connection: nothing may reach the event loop
            self._fail()

    def eof_received(self) -> bool:
        """The client will send nothing more. An answer that is on its way is still given, in the clear only."""
        engine = self._conversation.engine
        if engine.is_asking and not engine.is_tls:
            self._conversation.stop()
            self._is_closing = True
            return True
        return False

    def connection_lost(self, exc: Exception | None) -> None:
        """Forget everything but a message that is being committed."""
        if self._transport is None:
            return
        self._transport = None
        self._deadline.cancel()
        self._conversation.drop()
        self._sessions.leave(self)
        if self._ticket is not None:
            self._reception.leases.release(self._ticket)
            self._ticket = None

    def pause_writing(self) -> None:
        """The client does not read its replies: look at nothing more of it."""
        self._is_blocked = True
        self._set_reading()

    def resume_writing(self) -> None:
        """It reads again."""
        self._is_blocked = False
        self._resume()

    # Called by the listener

    @property
    def key(self) -> str:
        """The virtual server's."""
        return self._key

    def stop(self) -> None:
        """Finish: at once where no message is on its way, else behind it."""
        self._conversation.stop()
        self._flush()

    def close(self) -> None:
        """421 and the end, whatever is going on; a message that is being committed stays."""
        self._is_closing = True
        self._conversation.engine.close(refusals.STOPPING)
        self._flush()

    def abort(self) -> None:
        """Cut the connection."""
        if self._transport is not None:
            self._transport.abort()

    # Beginning

    def _must_ask(self, client: Client) -> bool:
        server = self._conversation.virtual_server
        if server.connection.limit or server.connection.limit_per_client:
            return True
        if self._reception.names is None or not client.text:
            return False
        lists = (server.connection.clients, server.relay.clients)
        return server.delivery.reverse_dns or any(needs_names(clients) for clients in lists)

    async def _arrive(self, client: Client) -> None:
        """What a session waits for before its greeting: room, and the client's names."""
        try:
            if not await self._has_room(client):
                self._refuse_session()
                return
            self._open(await self._look_up_names(client))
        except Exception:  # noqa: BLE001 - the root of a task: nothing may leave it, a TaskGroup would end the worker
            self._fail()

    async def _has_room(self, client: Client) -> bool:
        control = self._conversation.virtual_server.connection
        if not control.limit and not control.limit_per_client:
            return True
        limits = (
            (f"sessions {self._key}", control.limit),
            (f"sessions {self._key} {client.text}", control.limit_per_client),
        )
        try:
            async with asyncio.timeout(ARRIVAL_SECONDS):
                self._ticket = await self._reception.leases.try_acquire(limits)
        except TimeoutError:
            return False
        if self._ticket is not None and self._transport is None:
            # The client left while we asked.
            self._reception.leases.release(self._ticket)
            self._ticket = None
        return self._ticket is not None

    async def _look_up_names(self, client: Client) -> tuple[str, ...] | None:
        if self._reception.names is None or not self._must_ask(client):
            return None
        try:
            async with asyncio.timeout(ARRIVAL_SECONDS):
                return await self._reception.names.verified_names(client.text)
        except TimeoutError:
            return ()

    def _open(self, names: tuple[str, ...] | None) -> None:
        if not self._conversation.engine.is_closed:  # else it was told to end while it waited for what it asked
            self._conversation.open(names)
        self._resume()

    def _refuse_session(self) -> None:
        self._is_closing = True
        self._conversation.engine.close(refusals.TOO_MANY_SESSIONS)
        self._flush()

    # TLS

    async def _start_tls(self) -> None:
        """Behind STARTTLS. Reading stands still since the command, so what arrives next is the handshake."""
        client = self._conversation.client.text
        if not self._handshakes.begin(client):
            self.abort()
            return
        try:
            await self._shake_hands()
        except (OSError, EOFError) as error:
            self._handshakes.failed(self._key, client, error)
            self.abort()
            # The event loop forgets to tell us where the handshake was not over.
            self.connection_lost(error)
        except Exception:  # noqa: BLE001 - the root of a task: nothing may leave it, a TaskGroup would end the worker
            self._fail()
        finally:
            self._handshakes.end(client)

    async def _shake_hands(self) -> None:
        context = self._conversation.in_force.tls.get(self._key)
        transport = self._transport
        if context is None or transport is None or transport.is_closing():
            self.abort()
            return
        self._early = b""
        secured = await self._loop.start_tls(
            transport, self, context, server_side=True, ssl_handshake_timeout=HANDSHAKE_SECONDS
        )
        if secured is None or secured.get_extra_info("ssl_object") is None:
            # uvloop calls a handshake done that was cut off within it, for instance because the server stops.
            raise ConnectionResetError("cut off within the handshake")
        self._secured(secured)

    def _secured(self, secured: asyncio.Transport) -> None:
        """Go on under TLS, with what the client said before we knew that the handshake was over."""
        early, self._early = self._early, None
        if self._transport is None:
            return
        self._transport = secured
        secured.set_write_buffer_limits(WRITE_BUFFER_MAX)
        self._is_reading = True
        self._conversation.tls_started(_tls_of(secured))
        if early:
            self._conversation.engine.receive_data(early)
        self._resume()

    # Running

    def _run(self) -> None:
        """Take events until there is nothing more to do now, then send all replies at once."""
        conversation = self._conversation
        engine = conversation.engine
        is_progress = False
        while not self._is_blocked and not self._is_punished and (event := engine.next_event()) is not None:
            is_progress = True
            conversation.take(event)
            act = self._ACTS.get(type(event))
            if act is not None:
                act(self, event)
        if is_progress:
            self._move_deadline(engine.state)
        self._flush()

    def _begin_content(self, _event: DataBegin) -> None:
        self._content_since, self._content_octets = self._loop.time(), 0

    def _count_content(self, event: Content) -> None:
        self._content_octets += len(event.data)

    def _quit(self, _event: Quit) -> None:
        self._is_closing = True

    def _let_shake_hands(self, _event: StartTls) -> None:
        self._pause()
        self._reception.tasks.create_task(self._start_tls())

    def _resume(self) -> None:
        """Go on: an answer is there, the client reads again, or its time in the tarpit is over."""
        if self._transport is None:
            return
        try:
            self._run()
        except Exception:  # noqa: BLE001 - the root of a callback: nothing may reach the event loop
            self._fail()

    def _flush(self) -> None:
        transport, engine = self._transport, self._conversation.engine
        if transport is None:
            return
        if self._conversation.is_stopping and self._conversation.is_finished:
            engine.close(refusals.STOPPING)
        data = engine.data_to_send()
        if data:
            transport.write(data)
        if engine.state is _IN_CLOSED or (self._is_closing and not engine.is_asking):
            self._end(transport)
        else:
            self._set_reading()

    def _end(self, transport: asyncio.Transport) -> None:
        """Close behind the last reply.

        Who may still be sending is read for a while, into nothing: the kernel answers octets that nobody reads with
        a RST, and that can take our last reply away from the client.
        """
        if self._is_ended:
            return
        self._is_ended = True
        self._conversation.drop()
        self._deadline.set(self._loop.time() + CLOSE_SECONDS)
        if self._is_closing or self._conversation.is_finished or not transport.can_write_eof():
            transport.close()
        else:
            transport.write_eof()
            self._set_reading()

    def _set_reading(self) -> None:
        """Read, unless that would only fill the buffer."""
        engine = self._conversation.engine
        is_wanted = self._is_ended or not (
            self._is_blocked or self._is_punished or (engine.state in QUESTIONS and engine.buffered)
        )
        if is_wanted is self._is_reading or engine.state is _IN_TLS or self._transport is None:
            return
        if is_wanted:
            self._is_reading = True
            self._transport.resume_reading()
        else:
            self._pause()

    def _pause(self) -> None:
        self._is_reading = False
        if self._transport is not None:
            self._transport.pause_reading()

    def _punish(self, _event: Fault) -> None:
        if self._conversation.engine.errors > TARPIT_AFTER:
            self._is_punished = True
            self._loop.call_later(TARPIT_SECONDS, self._pardon)

    def _pardon(self) -> None:
        self._is_punished = False
        self._resume()

    # Time

    @property
    def _timeout(self) -> float:
        return self._conversation.virtual_server.connection.timeout_seconds

    def _move_deadline(self, state: State) -> None:
        now = self._loop.time()
        if state in _IN_CONTENT:
            now = self._content_since + self._content_octets / OCTETS_PER_SECOND_MIN
        self._deadline.set(now + self._conversation.virtual_server.connection.timeout_seconds)

    def _expired(self) -> None:
        """The client took too long; or we do, and then it waits."""
        engine = self._conversation.engine
        if engine.is_closed or self._is_blocked or self._early is not None:
            self.abort()
        elif engine.is_asking:
            self._deadline.set(self._loop.time() + self._timeout)
        else:
            engine.close(refusals.TIMED_OUT)
            self._flush()

    # End

    def _fail(self) -> None:
        """An exception that nobody expected: a defect of ours."""
        _log.exception("session failed", extra={"client": self._conversation.client.text})
        try:
            self._conversation.drop()
            self._conversation.engine.close(refusals.OUR_FAULT)
            self._flush()
        except Exception:  # noqa: BLE001 - whatever is broken, the connection must end
            _log.exception("cannot close a session in order")
            self.abort()

    _ACTS: ClassVar[Mapping[type[Event], Callable[[Session, Any], None]]] = {
        Content: _count_content,
        DataBegin: _begin_content,
        Fault: _punish,
        Quit: _quit,
        StartTls: _let_shake_hands,
    }
    """What a session does about an event beside its answer, by type; nothing about the others."""


def _client_of(transport: asyncio.Transport) -> Client:
    """The client at the other end; one that is gone already has no address."""
    peer = transport.get_extra_info("peername")
    if not peer:
        return Client(None, "")
    return client_at(peer[0].partition("%")[0])


def _tls_of(transport: asyncio.Transport) -> str:
    """`"TLSv1.3 TLS_AES_256_GCM_SHA384"`."""
    return describe(transport.get_extra_info("ssl_object"), verified=False)
