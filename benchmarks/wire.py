"""A connection of the load sender or sink: lines in, octets out, TLS from any moment on. No coroutine, no stream."""

from __future__ import annotations

import asyncio
import ssl
from typing import cast

READ_MAX = 1 << 18


class Wire(asyncio.Protocol):
    """Whoever derives from it gets `received` with plain octets and calls `write`; TLS lies between, once started."""

    transport: asyncio.Transport

    def __init__(self) -> None:
        """In the clear at first."""
        self._tls: ssl.SSLObject | None = None
        self._incoming = ssl.MemoryBIO()
        self._outgoing = ssl.MemoryBIO()
        self._is_shaking = False

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Keep the transport."""
        self.transport = cast("asyncio.Transport", transport)  # uvloop's derives from none of asyncio's

    def start_tls(self, context: ssl.SSLContext, *, server: bool) -> None:
        """Begin the handshake; `secured` is called at its end."""
        self._tls = context.wrap_bio(self._incoming, self._outgoing, server_side=server)
        self._is_shaking = True
        self._shake()

    def write(self, octets: bytes) -> None:
        """Send."""
        if self._tls is None:
            self.transport.write(octets)
        else:
            self._tls.write(octets)
            self._flush()

    def data_received(self, data: bytes) -> None:
        """From the socket, plain or not."""
        if self._tls is None:
            self.received(data)
            return
        self._incoming.write(data)
        if self._is_shaking and not self._shake():
            return
        while self._tls is not None:
            try:
                plain = self._tls.read(READ_MAX)
            except ssl.SSLWantReadError:
                break
            except ssl.SSLZeroReturnError:
                self.transport.close()
                break
            if not plain:
                break
            self.received(plain)
        self._flush()

    def _shake(self) -> bool:
        assert self._tls is not None
        try:
            self._tls.do_handshake()
        except ssl.SSLWantReadError:
            self._flush()
            return False
        self._is_shaking = False
        self._flush()
        self.secured()
        return True

    def _flush(self) -> None:
        if self._outgoing.pending:
            self.transport.write(self._outgoing.read())

    def received(self, data: bytes) -> None:
        """Plain octets from the peer."""
        raise NotImplementedError

    def secured(self) -> None:
        """The handshake is done."""
        raise NotImplementedError
