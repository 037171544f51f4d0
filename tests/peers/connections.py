"""The connections of a server that a test runs on an event loop of its own: when it ends, none is left behind.

What a loop leaves open is collected at some later moment, and its warning fails the test that runs then.
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Final
from weakref import WeakSet

TURNS: Final = 10
"""Of the event loop: more than lie between accepting a connection and its task, or its end and a closed socket."""


class Connections:
    """Who is connected. Used on the server's event loop alone."""

    def __init__(self) -> None:
        self._tasks: set[asyncio.Task[object]] = set()
        self._transports: WeakSet[asyncio.WriteTransport] = WeakSet()

    @contextmanager
    def present(self, writer: asyncio.StreamWriter) -> Iterator[None]:
        """The task that runs this serves a connection meanwhile, and closes it then."""
        task = asyncio.current_task()
        assert task is not None
        self._tasks.add(task)
        self._transports.add(writer.transport)
        try:
            yield
        finally:
            self._tasks.discard(task)
            writer.close()

    async def cut(self) -> None:
        """End all of them, those that were accepted and have no task yet too, whatever waits to be written."""
        await _turns()
        tasks = set(self._tasks)
        for task in tasks:
            task.cancel()
        if tasks:
            await asyncio.wait(tasks)
        for transport in self._transports:
            transport.abort()
        await _turns()


async def stop_accepting(server: asyncio.Server) -> None:
    """Close a server so that every connection that it has accepted is there to be cut.

    `close` alone loses those that were accepted within the last turns: asyncio then refuses to make their transport,
    and leaves the socket open.
    """
    loop = asyncio.get_running_loop()
    for listening in server.sockets:
        loop.remove_reader(listening)
    await _turns()
    server.close()


async def _turns() -> None:
    for _ in range(TURNS):
        await asyncio.sleep(0)
