"""Message content on its way out: dot-stuffing (RFC 5321 4.5.2).

Content is bytes with lines ended by CRLF and goes out octet for octet; only a dot at the start of a line is
doubled. A line starts after CRLF and nowhere else.
"""

from __future__ import annotations

from typing import Final

END: Final = b".\r\n"
"""The line that ends the content."""


def stuff(content: bytes) -> bytes:
    """The whole content ready for the wire, end included; a last line without CRLF is given one."""
    if content.startswith(b"."):
        content = b"." + content
    content = content.replace(b"\r\n.", b"\r\n..")
    if content and not content.endswith(b"\r\n"):
        content += b"\r\n"
    return content + END


class DotStuffer:
    """The same as `stuff` for content that comes in blocks, whatever their borders. One for each message."""

    __slots__ = ("_tail",)

    def __init__(self) -> None:
        self._tail = b"\r\n"  # the content begins at the start of a line

    def block(self, content: bytes) -> bytes:
        """The next block ready for the wire."""
        tail = self._tail
        whole = tail + content
        self._tail = whole[-2:]
        # A match needs at least one octet of the new block, and its first two octets stay: the tail is unchanged.
        return whole.replace(b"\r\n.", b"\r\n..")[len(tail) :]

    def end(self) -> bytes:
        """What ends the content, the CRLF of an unended last line included."""
        return END if self._tail == b"\r\n" else b"\r\n" + END
