"""A message as programs give it to `sendmail` on standard input, made into one as a server takes it.

Lines end by LF or CRLF and come out with CRLF. A bare CR would spoil the message: in the header it becomes a space,
so that nobody smuggles in a field; in the body it ends a line, as progress bars in the mail of cron have it. A NUL
is dropped. A line `From ` of an mbox in front is dropped too. Blind copies never leave: Bcc is removed.

The header is held in memory, `HEADER_MAX` at most; the body streams.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import BinaryIO, Final

from bridgehead.cli.address_list import addresses_of
from bridgehead.core.error import BridgeheadError

HEADER_MAX: Final = 1024 * 1024
LINE_MAX: Final = 64 * 1024
"""Octets read of a line of the body at once; longer lines pass in pieces."""
PIECE: Final = 256 * 1024
"""Octets handed on together."""

_RECIPIENTS: Final = (b"to", b"cc", b"bcc")
_RESENT: Final = (b"resent-to", b"resent-cc", b"resent-bcc")
_BLIND: Final = frozenset((b"bcc", b"resent-bcc"))
_NAME: Final = bytes(octet for octet in range(33, 127) if octet != ord(":"))


class MessageError(BridgeheadError):
    """The message cannot be taken: EX_DATAERR of sysexits."""


@dataclass(frozen=True, slots=True)
class Header:
    """What stands in front of the body."""

    fields: tuple[bytes, ...]
    """Each whole, folded lines and CRLF included."""
    rest: bytes
    """The empty line, and what was read of the body to find the end of the header."""

    def recipients(self) -> list[str]:
        """The addresses in To, Cc and Bcc; of a message that is resent, in Resent-To, -Cc and -Bcc (RFC 5322 3.6.6).

        `AddressListError` where a field is no list of addresses.
        """
        names = _RESENT if any(_name(field) in _RESENT for field in self.fields) else _RECIPIENTS
        found: list[str] = []
        for field in self.fields:
            if _name(field) in names:
                value = field.partition(b":")[2].decode("utf-8", "surrogateescape")
                found += addresses_of(value.replace("\r\n", " "))
        return found

    def encode(self) -> bytes:
        """The header as it goes out, with `rest`."""
        return b"".join(field for field in self.fields if _name(field) not in _BLIND) + self.rest


class MessageInput:
    """Standard input, read once from its beginning to its end: first the header, then the body."""

    def __init__(self, stream: BinaryIO, *, ends_at_dot: bool) -> None:
        self._stream = stream
        self._ends_at_dot = ends_at_dot
        self._is_ended = False
        self._at_line_start = True

    def header(self) -> Header:
        """Read the header. `MessageError` if it is too large, `OSError` if the input fails."""
        fields: list[bytes] = []
        rest = b""
        size = 0
        while not rest and (line := self._line(HEADER_MAX)):
            size += len(line)
            if size > HEADER_MAX:
                raise MessageError(f"the header is larger than {HEADER_MAX // 1024} KiB")
            content = line.rstrip(b"\r\n").replace(b"\r", b" ").replace(b"\0", b"")
            if not content:
                rest = b"\r\n"
            elif fields and content[0] in b" \t":
                fields[-1] += content + b"\r\n"
            elif _name(content):
                fields.append(content + b"\r\n")
            elif fields or size > len(line) or not content.startswith((b"From ", b">From ")):
                rest = b"\r\n" + _mended(line)
        return Header(tuple(fields), rest)

    def body(self) -> Iterator[bytes]:
        """The rest, in pieces; `OSError` if the input fails."""
        lines: list[bytes] = []
        size = 0
        while line := self._line(LINE_MAX):
            mended = _mended(line)
            lines.append(mended)
            size += len(mended)
            if size >= PIECE:
                yield b"".join(lines)
                lines, size = [], 0
        if lines:
            yield b"".join(lines)

    def _line(self, octets_max: int) -> bytes:
        """The next line or piece of a line, line end included; empty at the end of the message."""
        if self._is_ended:
            return b""
        line = self._stream.readline(octets_max)
        if line.endswith(b"\r") and len(line) == octets_max:
            line += self._stream.readline(octets_max)  # the CR may belong to the line end
        if self._ends_at_dot and self._at_line_start and line.rstrip(b"\r\n") == b".":
            line = b""
        self._at_line_start = line.endswith(b"\n")
        self._is_ended = not line
        return line


def _name(field: bytes) -> bytes:
    """The field's name in lower case; empty where it is no field."""
    name, colon, _ = field.partition(b":")
    name = name.rstrip(b" \t")
    return b"" if not colon or name.translate(None, _NAME) else name.lower()


def _mended(line: bytes) -> bytes:
    """A line of the body, or a piece of one, fit to be sent."""
    content = line
    end = b""
    if line.endswith(b"\n"):
        content = line.rstrip(b"\r\n")
        end = b"\r\n"
    if b"\r" in content:
        content = content.replace(b"\r", b"\r\n")
    if b"\0" in content:
        content = content.replace(b"\0", b"")
    return content + end
