"""What a channel sends as content: the body as this server takes it, in one piece or in blocks."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator
from pathlib import Path
from typing import Final, Protocol

import msgspec

from bridgehead.core import eight_bit
from bridgehead.core.envelope import Envelope
from bridgehead.core.reply import Reply
from bridgehead.smtp.client_content import DotStuffer
from bridgehead.smtp.client_extensions import Extensions
from bridgehead.spool.contract import Body

BLOCK: Final = 64 * 1024
"""Octets read from a body's file at once; what waits for the peer stays below this and the transport's high water."""
_UNCONVERTIBLE: Final = Reply(
    0, "5.6.3", "Message holds 8-bit content, which the server does not take and we cannot convert"
)


class Converted(msgspec.Struct, frozen=True):
    """A body in 7-bit form, in memory."""

    size: int
    pieces: tuple[bytes, ...]


def fit(body: Body, envelope: Envelope, extensions: Extensions) -> Body | Conversion:
    """The body as a server with these extensions takes it, or what makes it so."""
    if not envelope.has_eight_bit or extensions.eight_bit_mime:
        return body
    if envelope.smtputf8 and not extensions.smtputf8:
        return body  # 5.6.7 is the better answer, and the transaction gives it
    return Conversion(body)


class Conversion:
    """A body on its way to 7-bit form (RFC 6152), in memory, up to `eight_bit.SIZE_MAX`.

    A step takes a few milliseconds: the event loop of a worker must not stand still for a large message.
    """

    def __init__(self, body: Body) -> None:
        self._body = body
        self._source: Iterator[bytes] | None = None
        self._pieces: list[bytes] = []

    def step(self) -> Converted | Reply | None:
        """Go on; the result, or why it cannot be had: 5.6.3 for ever, 4.3.0 for now. `None`: there is more to do."""
        try:
            source = self._source = self._source or self._opened()
            octets = 0
            for piece in source:
                self._pieces.append(piece)
                octets += max(len(piece), BLOCK // 8)  # a small one stands for work too
                if octets >= BLOCK:
                    return None
        except OSError as error:
            return unreadable(error)
        except eight_bit.UnconvertibleError:
            return _UNCONVERTIBLE
        return Converted(sum(map(len, self._pieces)), tuple(self._pieces))

    def _opened(self) -> Iterator[bytes]:
        body = self._body
        if body.content is not None:
            return eight_bit.pieces(body.content)
        if body.path is None or body.size > eight_bit.SIZE_MAX:
            raise eight_bit.UnconvertibleError
        return eight_bit.pieces(body.path.read_bytes())


def unreadable(error: Exception) -> Reply:
    """Why a body cannot be sent now."""
    return Reply(0, "4.3.0", f"Message cannot be read from the spool: {error}")


class Blocks(Protocol):
    """Content that is sent block by block, ready for the wire."""

    @property
    def has_more(self) -> bool:
        """Whether the end is still to come."""
        ...

    def read_block(self) -> bytes:
        """The next block, dots doubled; `OSError` or `EOFError` where it cannot be had."""
        ...

    def end(self) -> bytes:
        """What ends the content; only to be sent when there is no more."""
        ...

    def close(self) -> None:
        """Let go of it."""
        ...


def open_blocks(body: Body | Converted) -> Blocks:
    """The blocks of a body that is not whole in `Body.content`; `OSError` where it cannot be read."""
    if isinstance(body, Converted):
        return BodyPieces(body)
    if body.path is None:
        raise FileNotFoundError("the body has neither content nor file")
    return BodyFile(body.path, body.size)


class BodyFile:
    """The file of a large body, read in blocks.

    Reads are short and from a local disk, so they are done on the event loop.
    """

    def __init__(self, path: Path, size: int) -> None:
        self._file = path.open("rb", buffering=0)
        self._stuffer = DotStuffer()
        self._left = size

    @property
    def has_more(self) -> bool:
        """As in `Blocks`."""
        return self._left > 0

    def read_block(self) -> bytes:
        """As in `Blocks`; `EOFError` where the file ends before its message."""
        block = self._file.read(min(BLOCK, self._left))
        if not block and self._left:
            raise EOFError("the file is shorter than its message")
        self._left -= len(block)
        return self._stuffer.block(block)

    def end(self) -> bytes:
        """As in `Blocks`."""
        return self._stuffer.end()

    def close(self) -> None:
        """As in `Blocks`."""
        self._file.close()


class BodyPieces:
    """A converted body, given away piece by piece."""

    def __init__(self, body: Converted) -> None:
        self._pieces = deque(body.pieces)
        self._offset = 0
        """Octets of the first piece that are gone."""
        self._left = body.size
        self._stuffer = DotStuffer()

    @property
    def has_more(self) -> bool:
        """As in `Blocks`."""
        return self._left > 0

    def read_block(self) -> bytes:
        """As in `Blocks`."""
        parts: list[bytes] = []
        wanted = BLOCK
        while wanted and self._pieces:
            part = self._pieces[0][self._offset : self._offset + wanted]
            parts.append(part)
            wanted -= len(part)
            self._offset += len(part)
            if self._offset == len(self._pieces[0]):
                self._pieces.popleft()
                self._offset = 0
        block = b"".join(parts)
        self._left -= len(block)
        return self._stuffer.block(block)

    def end(self) -> bytes:
        """As in `Blocks`."""
        return self._stuffer.end()

    def close(self) -> None:
        """As in `Blocks`."""
        self._pieces.clear()
