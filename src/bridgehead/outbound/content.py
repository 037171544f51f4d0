"""What a channel sends as content: the body as this server takes it, from memory or from its file in blocks."""

from __future__ import annotations

from pathlib import Path
from typing import Final

from bridgehead.core import eight_bit
from bridgehead.core.envelope import Envelope
from bridgehead.core.reply import Reply
from bridgehead.smtp.client_content import DotStuffer
from bridgehead.smtp.client_extensions import Extensions
from bridgehead.spool.contract import Body

BLOCK: Final = 64 * 1024
"""Octets read from a body's file at once; what waits for the peer stays below this and the transport's high water."""


def fit(body: Body, envelope: Envelope, extensions: Extensions) -> Body | Reply:
    """The body as a server with these extensions takes it, or why it cannot be had: 5.6.3 for ever, 4.3.0 for now.

    A conversion to 7 bit (RFC 6152) takes the message into memory, up to `eight_bit.SIZE_MAX`.
    """
    if not envelope.has_eight_bit or extensions.eight_bit_mime:
        return body
    if envelope.smtputf8 and not extensions.smtputf8:
        return body  # 5.6.7 is the better answer, and the transaction gives it
    converted: bytes | None = None
    try:
        if body.content is not None:
            converted = eight_bit.to_seven_bit(body.content)
        elif body.path is not None and body.size <= eight_bit.SIZE_MAX:
            converted = eight_bit.to_seven_bit(body.path.read_bytes())
    except OSError as error:
        return unreadable(error)
    if converted is None:
        return Reply(0, "5.6.3", "Message holds 8-bit content, which the server does not take and we cannot convert")
    return Body(len(converted), converted)


def unreadable(error: Exception) -> Reply:
    """Why a body cannot be sent now."""
    return Reply(0, "4.3.0", f"Message cannot be read from the spool: {error}")


class BodyFile:
    """The file of a large body, read in blocks ready for the wire; `OSError` or `EOFError` where it cannot be.

    Reads are short and from a local disk, so they are done on the event loop.
    """

    def __init__(self, path: Path, size: int) -> None:
        self._file = path.open("rb", buffering=0)
        self._stuffer = DotStuffer()
        self._left = size

    @property
    def has_more(self) -> bool:
        """Whether the end is still to come."""
        return self._left > 0

    def read_block(self) -> bytes:
        """The next block, dots doubled."""
        block = self._file.read(min(BLOCK, self._left))
        if not block and self._left:
            raise EOFError("the file is shorter than its message")
        self._left -= len(block)
        return self._stuffer.block(block)

    def end(self) -> bytes:
        """What ends the content; only to be sent when there is no more."""
        return self._stuffer.end()

    def close(self) -> None:
        """Let go of the file."""
        self._file.close()
