"""What supervisor and worker say to each other, and how it is framed.

They share a Unix socket pair, made before the worker is started. A frame is four octets of length (big endian)
and one msgpack message. Listening sockets travel beside it on a second pair, as file descriptors (`SCM_RIGHTS`),
always before the `Configure` that names them. The organization is pickled: both ends are the same program, and
nobody else can write to the pair.
"""

from __future__ import annotations

import asyncio
import struct
from collections.abc import Callable
from typing import Final, TypeAlias, cast

import msgspec

FRAME_MAX: Final = 256 * 1024 * 1024
"""Octets of one message: an organization with 100,000 address spaces takes some 30 MB."""
_LENGTH: Final = struct.Struct("!I")


class Listening(msgspec.Struct, frozen=True):
    """One listening socket a worker got; the next descriptor on the second pair is it."""

    virtual_server: str
    """Key, or empty for the submission socket."""
    address: str
    port: int
    implicit_tls: bool


class Configure(msgspec.Struct, frozen=True, tag=True):
    """Take this organization, and accept connections on exactly these sockets."""

    organization: bytes
    """Pickled."""
    listening: tuple[Listening, ...]
    """All listeners of the organization on this server."""
    new: tuple[int, ...]
    """Positions in `listening` whose descriptors are sent along; the others are held already."""


class Links(msgspec.Struct, frozen=True, tag=True):
    """The link state of this server."""

    down: dict[str, float]
    suspect: frozenset[str]
    version: int


class Granted(msgspec.Struct, frozen=True, tag=True):
    """The answer to `Acquire`: taken, or (only where it does not wait) refused."""

    ticket: int
    is_granted: bool


class GiveBack(msgspec.Struct, frozen=True, tag=True):
    """Another worker starves: end one connection that is held under this limit."""

    name: str
    is_urgent: bool = True
    """After its message; else once it is idle, or has carried some more."""


class Ask(msgspec.Struct, frozen=True, tag=True):
    """A request of the control socket, for this worker's share of the mail."""

    request: int
    verb: str
    arguments: bytes
    """JSON."""


class Drain(msgspec.Struct, frozen=True, tag=True):
    """Stop accepting, finish what is in flight within this time, close the spool, end."""

    seconds: float


class Ready(msgspec.Struct, frozen=True, tag=True):
    """The worker has recovered its partition and accepts connections."""


class SpoolSaid(msgspec.Struct, frozen=True, tag=True):
    """Whether the worker can write its spool; sent at each change."""

    fault: str
    """Why it cannot; empty: it can again."""


class Failed(msgspec.Struct, frozen=True, tag=True):
    """The worker has to end; its last message."""

    reason: str
    """Why, and what to do; a sentence without a full stop."""


class Reported(msgspec.Struct, frozen=True, tag=True):
    """A round of connect attempts to a connector ended: every host failed, or one gave a good greeting."""

    connector: str
    is_success: bool


class Acquire(msgspec.Struct, frozen=True, tag=True):
    """Ask for a lease (see `core.leases`)."""

    ticket: int
    limits: tuple[tuple[str, int], ...]
    waits: bool


class Release(msgspec.Struct, frozen=True, tag=True):
    """Give a lease back, or withdraw the request."""

    ticket: int


class Answered(msgspec.Struct, frozen=True, tag=True):
    """The worker's part of the answer to an `Ask`: JSON, or an error."""

    request: int
    result: bytes
    error: str = ""


ToWorker: TypeAlias = Configure | Links | Granted | GiveBack | Ask | Drain
ToSupervisor: TypeAlias = Ready | SpoolSaid | Failed | Reported | Acquire | Release | Answered
Message: TypeAlias = ToWorker | ToSupervisor


class Pipe(asyncio.Protocol):
    """One end of the pair. Messages arrive by `received`; `lost` is called once when the other end is gone."""

    def __init__(self, received: Callable[[Message], None], lost: Callable[[], None]) -> None:
        self._received = received
        self._lost = lost
        self._transport: asyncio.Transport | None = None
        self._buffer = bytearray()
        self._decoder = msgspec.msgpack.Decoder(Message)
        self._encoder = msgspec.msgpack.Encoder()

    def send(self, message: Message) -> None:
        """Queue a message for the other end; silently dropped once it is gone."""
        if self._transport is not None and not self._transport.is_closing():
            frame = self._encoder.encode(message)
            self._transport.write(_LENGTH.pack(len(frame)) + frame)

    def close(self) -> None:
        """Hang up."""
        if self._transport is not None:
            self._transport.close()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Called by the event loop."""
        self._transport = cast("asyncio.Transport", transport)  # uvloop's are none by inheritance

    def data_received(self, data: bytes) -> None:
        """Called by the event loop."""
        self._buffer += data
        position = 0
        while len(self._buffer) - position >= _LENGTH.size:
            (length,) = _LENGTH.unpack_from(self._buffer, position)
            if length > FRAME_MAX:
                raise ValueError(f"a frame of {length} octets: both ends must be the same version")
            end = position + _LENGTH.size + length
            if len(self._buffer) < end:
                break
            message = self._decoder.decode(memoryview(self._buffer)[position + _LENGTH.size : end])
            position = end
            self._received(message)
        del self._buffer[:position]

    def connection_lost(self, exc: Exception | None) -> None:
        """Called by the event loop."""
        self._transport = None
        self._lost()
