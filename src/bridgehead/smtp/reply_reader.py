"""Reads the replies of a server, which are hostile input (RFC 5321 4.2, RFC 2034).

Bytes go in as they arrive, whole replies come out; any split of the same bytes gives the same replies. Every line
and every reply is bounded before it is kept. A line ends at LF, with or without CR before it: nothing of ours
depends on where a reply ends, and servers that forget the CR exist. The text is made printable here, once.
"""

from __future__ import annotations

from functools import lru_cache
from typing import Final

from bridgehead.core.error import ProtocolError
from bridgehead.core.reply import Reply, printable

LINE_MAX: Final = 4096
"""Octets of one line without its end. RFC 5321 4.5.3.1.5 allows 512; real servers go beyond."""
LINES_MAX: Final = 500
"""Lines of one reply: no EHLO that we know of has a tenth of it."""
REPLY_MAX: Final = 64 * 1024
"""Octets of one reply, all lines together."""

_USUAL_STATUS: Final = frozenset({"2.0.0", "2.1.0", "2.1.5", "2.6.0"})
"""Recognized without a look at their parts."""
_ENHANCED_MAX: Final = 9  # "5.999.999"
_FAMILIAR_MAX: Final = 256
"""Replies of one line that are remembered: servers answer most commands of all messages with the same words."""
_FAMILIAR_LINE_MAX: Final = 200
"""Octets of such a line."""


class ReplyReader:
    """Cuts a stream of octets into replies. Owned by one `ClientConnection`."""

    __slots__ = ("_buffer", "_code", "_enhanced", "_lines", "_size", "_start")

    def __init__(self) -> None:
        self._buffer = b""
        self._start = 0
        self._code = 0
        self._enhanced = ""
        self._lines: list[str] = []
        self._size = 0

    @property
    def is_empty(self) -> bool:
        """Whether every octet received belongs to a reply already handed out."""
        return self._start == len(self._buffer) and not self._lines

    def receive(self, data: bytes) -> None:
        """Take octets off the wire; call `next_reply` until it returns `None` before the next call."""
        self._buffer = self._buffer[self._start :] + data if self._start < len(self._buffer) else data
        self._start = 0

    def discard(self) -> None:
        """Forget everything received so far: what came in the clear says nothing inside TLS (RFC 3207 4.2)."""
        self._buffer = b""
        self._start = 0
        self._lines.clear()
        self._size = 0

    def next_reply(self) -> Reply | None:
        """The next whole reply, or `None` until more arrives.

        `ProtocolError` if what arrived is no reply or beyond a limit; the connection is of no use any more.
        """
        buffer, start = self._buffer, self._start
        while (end := buffer.find(b"\n", start)) >= 0:
            line = buffer[start:end].removesuffix(b"\r")
            self._start = start = end + 1
            if len(line) <= _FAMILIAR_LINE_MAX and line[3:4] != b"-" and not self._lines:
                return _familiar(line)
            reply = self._take(line)
            if reply is not None:
                return reply
        if len(buffer) - start > LINE_MAX + 1:
            raise ProtocolError(f"a reply line has more than {LINE_MAX} octets")
        return None

    def _take(self, line: bytes) -> Reply | None:
        """Add one line; the reply if that was its last."""
        if len(line) > LINE_MAX:
            raise ProtocolError(f"a reply line has more than {LINE_MAX} octets")
        is_last = line[3:4] != b"-"
        if is_last and not self._lines:
            return _single(line)
        return self._continue(_code(line), line[4:].decode("utf-8", "replace"), is_last=is_last)

    def _continue(self, code: int, text: str, *, is_last: bool) -> Reply | None:
        """One line of a reply of several."""
        if not self._lines:
            self._code = code
            self._enhanced, text = _split_status(b"%d" % code, text)
        elif self._enhanced and (text == self._enhanced or text.startswith(f"{self._enhanced} ")):
            text = text[len(self._enhanced) + 1 :]
        if code != self._code:
            raise ProtocolError(f"a reply begins with code {self._code} and goes on with {code}")
        self._size += len(text) + 6
        self._lines.append(printable(text, LINE_MAX))
        if len(self._lines) > LINES_MAX or self._size > REPLY_MAX:
            raise ProtocolError(f"a reply has more than {LINES_MAX} lines or {REPLY_MAX} octets")
        if not is_last:
            return None
        reply = Reply(code, self._enhanced, "\n".join(self._lines))
        self._lines.clear()
        self._size = 0
        return reply


def _code(line: bytes) -> int:
    """The code of a line; `ProtocolError` if it is no line of a reply."""
    digits = line[:3]
    code = int(digits) if len(digits) == 3 and digits.isdigit() else 0
    if not 200 <= code <= 599 or line[3:4] not in {b" ", b"-", b""}:
        raise ProtocolError(f"not an SMTP reply: {printable(line.decode('latin-1'), 80)!r}")
    return code


def _single(line: bytes) -> Reply:
    """A reply of one line; `ProtocolError` if it is none."""
    code = _code(line)
    enhanced, text = _split_status(line[:3], line[4:].decode("utf-8", "replace"))
    return Reply(code, enhanced, printable(text, REPLY_MAX))


_familiar: Final = lru_cache(_FAMILIAR_MAX)(_single)


def _split_status(digits: bytes, text: str) -> tuple[str, str]:
    """Take the enhanced status off a text: `("5.1.1", "No such user")`; one of another class is only text."""
    if text[1:2] != "." or ord(text[0]) != digits[0]:
        return "", text
    word, _, rest = text.partition(" ")
    if word in _USUAL_STATUS:
        return word, rest
    if len(word) > _ENHANCED_MAX or not word.isascii():
        return "", text
    parts = word.split(".")
    if len(parts) != 3 or not all(part.isdigit() and len(part) <= 3 for part in parts):
        return "", text
    return word, rest
