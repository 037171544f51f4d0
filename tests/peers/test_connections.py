"""Servers of tests end without leaving a connection behind, however far it had come."""

from __future__ import annotations

import asyncio
import contextlib
import gc
import socket
import warnings

import pytest

from tests.peers.connections import TURNS, Connections, stop_accepting


@pytest.mark.parametrize("turns", range(TURNS))
def test_a_connection_that_comes_as_the_server_ends_is_closed(turns: int) -> None:
    """Some turns of the loop lie between accepting it and its task; the server may end at each of them."""

    async def serve() -> None:
        connections = Connections()

        async def session(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            with connections.present(writer), contextlib.suppress(asyncio.CancelledError):
                await reader.read()

        server = await asyncio.start_server(session, "127.0.0.1", 0)
        with socket.create_connection(server.sockets[0].getsockname()):
            for _ in range(turns):
                await asyncio.sleep(0)
            await stop_accepting(server)
            await connections.cut()

    with warnings.catch_warnings(record=True) as found:
        warnings.simplefilter("always")
        asyncio.run(serve())
        gc.collect()
    assert [str(warning.message) for warning in found] == []
