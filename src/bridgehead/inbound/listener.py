"""Accepts connections on the sockets that the supervisor bound, and ends the sessions when the time has come.

Stopping has four steps: stop listening, ask the sessions to finish, wait with a limit, close what is left.
"""

from __future__ import annotations

import asyncio
import socket
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

from bridgehead.inbound.handshakes import Handshakes
from bridgehead.inbound.reception import Reception
from bridgehead.inbound.session import Session
from bridgehead.inbound.sessions import Sessions
from bridgehead.inbound.tls_door import TlsDoor

BACKLOG: Final = 1024
CLOSE_SECONDS: Final = 2.0
"""What sessions that were closed by force get to send their last reply."""


@dataclass(frozen=True, slots=True)
class Door:
    """One listening socket, by what it is for; equal doors are the same one."""

    virtual_server: str
    """Key."""
    address: str
    port: int
    implicit_tls: bool = False


class InboundServer:
    """All listeners and sessions of one worker. Used on its event loop alone.

    A changed configuration needs nothing here unless listeners come or go: sessions ask for the one in force.
    """

    def __init__(self, reception: Reception) -> None:
        self._reception = reception
        self._sessions = Sessions(reception.sessions_max)
        self._handshakes = Handshakes()
        self._servers: dict[Door, asyncio.Server | TlsDoor] = {}

    @property
    def doors(self) -> frozenset[Door]:
        """Where connections are accepted at present."""
        return frozenset(self._servers)

    def session_counts(self) -> Mapping[str, int]:
        """Open sessions by virtual server; those without one are not there."""
        return self._sessions.counts()

    async def listen(self, door: Door, bound: socket.socket) -> None:
        """Accept connections on a socket that listens already; it belongs to this object from now on."""
        surroundings = self._reception, self._sessions, self._handshakes, door.virtual_server
        if door.implicit_tls:
            self._servers[door] = TlsDoor(bound, *surroundings)
            return
        self._servers[door] = await asyncio.get_running_loop().create_server(
            lambda: Session(*surroundings, implicit_tls=False),
            sock=bound,
            backlog=BACKLOG,
        )

    def forget(self, door: Door) -> None:
        """Stop accepting on a listener that left the configuration; its sessions finish as they like."""
        server = self._servers.pop(door, None)
        if server is not None:
            server.close()

    def stop_listening(self) -> None:
        """Accept no more connections anywhere."""
        for door in tuple(self._servers):
            self.forget(door)

    async def drain(self, seconds: float) -> None:
        """Stop listening; let messages that are on their way end within `seconds`, then close every session."""
        self.stop_listening()
        empty = asyncio.Event()
        self._sessions.stop(empty.set)
        try:
            async with asyncio.timeout(seconds):
                await empty.wait()
        except TimeoutError:
            self._sessions.close()
            try:
                async with asyncio.timeout(CLOSE_SECONDS):
                    await empty.wait()
            except TimeoutError:
                self._sessions.abort()
        finally:
            self._handshakes.close()
