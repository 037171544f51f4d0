"""A listener whose clients begin with TLS (RFC 8314 3.3): no more handshakes than `handshakes` has room for.

The event loop's own server would take any number of connections into a handshake, and none would be a session yet:
a few thousand clients that never finish theirs would leave no descriptor for mail. So connections are accepted here,
one by one, and what is over a bound is closed at once.
"""

from __future__ import annotations

import asyncio
import logging
import socket
from typing import Final

from bridgehead.core.client import client_at
from bridgehead.inbound.handshakes import HANDSHAKE_SECONDS, Handshakes
from bridgehead.inbound.reception import Reception
from bridgehead.inbound.session import Session
from bridgehead.inbound.sessions import Sessions

ACCEPT_PAUSE_SECONDS: Final = 0.1
"""After a connection that could not be accepted: no descriptor was free."""

_log: Final = logging.getLogger(__name__)


class TlsDoor:
    """Accepts on one socket, which belongs to this object. Used on the event loop of its worker alone."""

    def __init__(
        self, bound: socket.socket, reception: Reception, sessions: Sessions, handshakes: Handshakes, key: str
    ) -> None:
        """`bound` listens already; `key` is the virtual server's."""
        bound.setblocking(False)
        self._bound = bound
        self._reception = reception
        self._sessions = sessions
        self._handshakes = handshakes
        self._key = key
        self._tasks: set[asyncio.Task[None]] = set()
        accepting = reception.tasks.create_task(self._accept())
        accepting.add_done_callback(lambda _: bound.close())
        self._tasks.add(accepting)

    def close(self) -> None:
        """Accept nothing more, and hang up on whoever is still shaking hands; sessions go on."""
        for task in tuple(self._tasks):
            task.cancel()

    async def _accept(self) -> None:
        loop = asyncio.get_running_loop()
        while True:
            try:
                connection, address = await loop.sock_accept(self._bound)
            except OSError:
                await asyncio.sleep(ACCEPT_PAUSE_SECONDS)
                continue
            client = client_at(address[0].partition("%")[0]).text
            # The tasks are those of the handshakes under way, and this one.
            if self._sessions.has_room_for(len(self._tasks)) and self._handshakes.begin(client):
                task = self._reception.tasks.create_task(self._shake_hands(connection, client))
                self._tasks.add(task)
                task.add_done_callback(self._tasks.discard)
            else:
                connection.close()
            # A connection that waits already is accepted without a turn of the event loop; others have theirs here.
            await asyncio.sleep(0)

    async def _shake_hands(self, connection: socket.socket, client: str) -> None:
        """Make a session of a connection, with the certificate in force."""
        try:
            context = self._reception.current().tls.get(self._key)
            if context is None:
                connection.close()
                return
            await asyncio.get_running_loop().connect_accepted_socket(
                self._session, connection, ssl=context, ssl_handshake_timeout=HANDSHAKE_SECONDS
            )
        except (OSError, EOFError) as error:
            self._handshakes.failed(self._key, client, error)
        except Exception:  # noqa: BLE001 - the root of a task: nothing may leave it, a TaskGroup would end the worker
            _log.exception("TLS handshake failed", extra={"client": client})
        finally:
            self._handshakes.end(client)

    def _session(self) -> Session:
        return Session(self._reception, self._sessions, self._handshakes, self._key, implicit_tls=True)
