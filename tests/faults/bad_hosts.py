"""Next hops that misbehave, each on a port of its own, all on one event loop in a thread of the test.

What a host does is a script over one connection. `mend` makes ordinary servers of all, on the same ports; what comes
from then on is kept apart.
"""

from __future__ import annotations

import asyncio
import contextlib
import socket
import ssl
import threading
from collections import Counter
from collections.abc import Mapping
from types import TracebackType
from typing import Final, Self

from tests.outbound.scripted_server import GoneError, Peer, Script, ScriptedServer, polite
from tests.peers.connections import Connections, stop_accepting

ADDRESS: Final = "127.0.0.2"
LINE_BYTES_MAX: Final = 1 << 20


class BadHosts:
    """Hosts by name; use it as a context manager."""

    def __init__(self, scripts: Mapping[str, Script | None]) -> None:
        """`None` as a script: nothing listens there, and connections are refused."""
        self.seen = {name: ScriptedServer() for name in scripts}
        """What came before `mend`."""
        self.later = {name: ScriptedServer() for name in scripts}
        """What came after it."""
        self._scripts = scripts
        self._sockets = {name: _bound() for name in scripts}
        self._connections = Connections()
        self._servers: list[asyncio.Server] = []
        self._loop = asyncio.new_event_loop()
        self._ready = threading.Event()
        self._mended = asyncio.Event()
        self._stopped = asyncio.Event()
        self._thread = threading.Thread(target=self._run, name="bad hosts", daemon=True)

    def __enter__(self) -> Self:
        self._thread.start()
        assert self._ready.wait(10), "the bad hosts did not start"
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        for event in (self._mended, self._stopped):
            self._loop.call_soon_threadsafe(event.set)
        self._thread.join(10)
        for bound in self._sockets.values():
            bound.close()

    def port(self, name: str) -> int:
        """Of one host."""
        port: int = self._sockets[name].getsockname()[1]
        return port

    def mend(self) -> None:
        """From now on every host takes what it is given, over new connections; those that are open are cut."""
        self._loop.call_soon_threadsafe(self._mended.set)

    def _run(self) -> None:
        with contextlib.closing(self._loop):
            self._loop.run_until_complete(self._serve())

    async def _serve(self) -> None:
        for name, script in self._scripts.items():
            if script is not None:
                await self._listen(name)
        self._ready.set()
        await self._mended.wait()
        await self._connections.cut()
        for name, script in self._scripts.items():
            if script is None:
                await self._listen(name)
        await self._stopped.wait()
        for server in self._servers:
            await stop_accepting(server)
        await self._connections.cut()

    async def _listen(self, name: str) -> None:
        async def play(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            script = self._scripts[name]
            is_mended = self._mended.is_set() or script is None
            server = self.later[name] if is_mended else self.seen[name]
            server.connections += 1
            with (
                self._connections.present(writer),
                contextlib.suppress(GoneError, OSError, ssl.SSLError, asyncio.CancelledError),
            ):
                await (polite() if is_mended or script is None else script)(Peer(reader, writer, server))

        self._servers.append(await asyncio.start_server(play, sock=self._sockets[name], limit=LINE_BYTES_MAX))


def copies(server: ScriptedServer) -> Counter[bytes]:
    """Messages that came whole, by Message-ID, whether the host said 250 to them or not."""
    return Counter(
        content.partition(b"\r\nMessage-ID: ")[2].partition(b"\r\n")[0] for content in tuple(server.messages)
    )


def _bound() -> socket.socket:
    bound = socket.socket()
    bound.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    bound.bind((ADDRESS, 0))
    return bound
