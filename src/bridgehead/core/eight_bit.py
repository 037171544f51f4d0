"""Conversion of 8-bit messages to 7-bit for next hops without 8BITMIME (RFC 6152 3, RFC 2045 6, RFC 1428).

A part with octets above 127 gets another Content-Transfer-Encoding: quoted-printable for text, base64 for the rest;
parts around it that said 8bit or binary now say 7bit. All else stays octet by octet, and every part decodes to what
it decoded to before.

What cannot be converted gives `None`: 8-bit octets in a header, in something signed (RFC 1847 2.1: it must not be
altered) or in a type that may not be encoded (RFC 2046 5.2); what is mislabelled or broken so that readers would
differ about it; and what is beyond the bounds below. The caller fails it with 5.6.3.

The walk is linear in size times depth, with a stack of its own: deep nesting costs no recursion. An unlabelled 8-bit
body (no MIME-Version, no Content-Type) is text of an unknown character set, and is said to be (RFC 1428 3).
"""

from __future__ import annotations

import base64
import binascii
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final

SIZE_MAX: Final = 16 * 1024 * 1024
"""Octets of a message that is converted: it is done in memory, at some 100 MB/s, and may grow threefold."""
DEPTH_MAX: Final = 20
"""Levels of nesting; real mail has fewer than ten."""
PIECES_MAX: Final = 20_000
"""Parts, delimiters and headers together; real mail has fewer than a thousand."""

_CRLF: Final = b"\r\n"
_ENCODING: Final = b"content-transfer-encoding"
_IDENTITY_ENCODINGS: Final = frozenset({b"", b"7bit", b"8bit", b"binary"})
_NAME_OCTETS: Final = bytes(octet for octet in range(33, 127) if octet != ord(":"))
_TEXT: Final = b"text/plain"
_MESSAGE: Final = b"message/rfc822"
_UNLABELLED: Final = b"MIME-Version: 1.0\r\nContent-Type: text/plain; charset=unknown-8bit\r\n"
_TO_ASCII: Final = bytes(octet if octet < 128 else ord("?") for octet in range(256))


class _UnconvertibleError(Exception):
    """Raised inside this file alone."""


@dataclass(frozen=True, slots=True)
class _Entity:
    """A message or a part that is still to be written."""

    content: bytes
    depth: int
    default_type: bytes
    """What it is without a Content-Type (RFC 2046 5.1.5)."""
    is_message: bool
    """Has a MIME-Version of its own."""


@dataclass(frozen=True, slots=True)
class _Header:
    """The fields of an entity in order: name in lower case, and the octets with their CRLF."""

    fields: tuple[tuple[bytes, bytes], ...]

    def value(self, name: bytes) -> bytes:
        """The first value of this name, unfolded; empty: none."""
        raw = next((field for known, field in self.fields if known == name), b"")
        return raw.partition(b":")[2].replace(_CRLF, b"").strip()

    def has(self, name: bytes) -> bool:
        """Whether there is a field of this name."""
        return any(known == name for known, _ in self.fields)

    def with_encoding(self, encoding: bytes, added: bytes = b"") -> bytes:
        """The header, its Content-Transfer-Encoding replaced where it stood, or added last."""
        line = b"Content-Transfer-Encoding: %b\r\n" % encoding
        written, is_written = [], False
        for name, field in self.fields:
            if name != _ENCODING:
                written.append(field)
            elif not is_written:
                written.append(line)
                is_written = True
        return b"".join(written) + added + (b"" if is_written else line)


def to_seven_bit(content: bytes) -> bytes | None:
    """The message with no octet above 127, or `None` where it cannot be had; `content` has CRLF line ends.

    Takes 25 microseconds for a small message and some 200 ms for the largest.
    """
    if content.isascii():
        return content
    if len(content) > SIZE_MAX:
        return None
    pieces: list[bytes] = []
    waiting: list[bytes | _Entity] = [_Entity(content, 0, _TEXT, is_message=True)]
    try:
        while waiting:
            item = waiting.pop()
            if isinstance(item, bytes):
                pieces.append(item)
            elif item.content.isascii():
                pieces.append(item.content)
            else:
                waiting.extend(reversed(_converted(item)))
            if len(pieces) + len(waiting) > PIECES_MAX:
                return None
    except _UnconvertibleError:
        return None
    return b"".join(pieces)


def _converted(entity: _Entity) -> list[bytes | _Entity]:
    """An entity with 8-bit octets as a list of what is written and what is still to be converted."""
    header, body = _split(entity.content)
    if header.value(_ENCODING).lower() not in _IDENTITY_ENCODINGS or entity.depth > DEPTH_MAX:
        raise _UnconvertibleError
    label = header.value(b"content-type")
    media_type = label.partition(b";")[0].strip().lower() or entity.default_type
    added = _missing_label(header) if entity.is_message else b""
    if media_type == b"multipart/signed":
        raise _UnconvertibleError
    if media_type.startswith(b"multipart/"):
        default = _MESSAGE if media_type == b"multipart/digest" else _TEXT
        return [header.with_encoding(b"7bit", added), *_parts(body, _boundary(label), default, entity.depth)]
    if media_type == _MESSAGE:
        nested = _Entity(body, entity.depth + 1, _TEXT, is_message=True)
        return [header.with_encoding(b"7bit", added), _CRLF, nested]
    if media_type.startswith(b"message/") and not media_type.startswith(b"message/global"):
        raise _UnconvertibleError  # RFC 6532 3.7 and RFC 6533 6 let the others be encoded
    if media_type.startswith(b"text/") and body.count(b"\n") == body.count(_CRLF) == body.count(b"\r"):
        return [header.with_encoding(b"quoted-printable", added), _CRLF, _quoted_printable(body)]
    return [header.with_encoding(b"base64", added), _CRLF, base64.encodebytes(body).replace(b"\n", _CRLF)]


def _split(content: bytes) -> tuple[_Header, bytes]:
    """Header and body; what no reader can tell apart for sure is refused."""
    if content.startswith(_CRLF):
        return _Header(()), content[2:]
    end = content.find(b"\r\n\r\n")
    header = content[: end + 2]
    if end < 0 or not header.isascii():
        raise _UnconvertibleError
    return _Header(tuple(_fields(header))), content[end + 4 :]


def _fields(header: bytes) -> Iterator[tuple[bytes, bytes]]:
    name, lines = b"", list[bytes]()
    for line in header.split(_CRLF)[:-1]:
        if line[:1] in {b" ", b"\t"} and lines:
            lines.append(line)
            continue
        if lines:
            yield name, _CRLF.join(lines) + _CRLF
        name, colon, _ = line.partition(b":")
        name, lines = name.lower(), [line]
        if not colon or not name or name.translate(None, _NAME_OCTETS):
            raise _UnconvertibleError
    yield name, _CRLF.join(lines) + _CRLF


def _missing_label(header: _Header) -> bytes:
    """What a message lacks for an encoding to count."""
    if header.has(b"mime-version"):
        return b""
    return b"MIME-Version: 1.0\r\n" if header.has(b"content-type") else _UNLABELLED


def _boundary(label: bytes) -> bytes:
    """The boundary parameter of a Content-Type."""
    for parameter in _parameters(label):
        name, _, value = parameter.partition(b"=")
        if name.strip().lower() == b"boundary":
            value = value.strip()
            if value[:1] == b'"':
                value = value[1:].partition(b'"')[0]
            if value and b"\\" not in value:
                return value.rstrip()
    raise _UnconvertibleError


def _parameters(label: bytes) -> Iterator[bytes]:
    """The parts between semicolons that stand outside quotes."""
    quoted = False
    parameter: list[bytes] = []
    for piece in label.split(b";"):
        parameter.append(piece)
        quoted ^= piece.count(b'"') % 2 == 1
        if not quoted:
            yield b";".join(parameter)
            parameter = []


def _parts(body: bytes, boundary: bytes, default_type: bytes, depth: int) -> list[bytes | _Entity]:
    """The empty line, preamble, delimiters, parts and epilogue of a multipart."""
    text = _CRLF + body  # the first delimiter may have the empty line after the header before it
    written: list[bytes | _Entity] = []
    at = 0
    for start, end, is_last in _delimiters(text, boundary):
        between = text[at : max(start, at)]
        written += [_Entity(between, depth + 1, default_type, is_message=False)] if written else [_plain(between)]
        written.append(text[max(start, at) : end])
        at = end
        if is_last:
            return [*written, _plain(text[at:])]
        if len(written) > PIECES_MAX:
            raise _UnconvertibleError
    if not written:
        raise _UnconvertibleError
    return [*written, _Entity(text[at:], depth + 1, default_type, is_message=False)]


def _delimiters(text: bytes, boundary: bytes) -> Iterator[tuple[int, int, bool]]:
    """Start and end of each delimiter line, its CRLFs included, and whether it closes (RFC 2046 5.1.1)."""
    mark = b"\r\n--" + boundary
    start = text.find(mark)
    while start >= 0:
        line_end = text.find(_CRLF, start + 2)
        line_end = len(text) if line_end < 0 else line_end
        rest = text[start + len(mark) : line_end].rstrip(b" \t")
        if rest in {b"", b"--"}:
            yield start, min(line_end + 2, len(text)), rest == b"--"
        start = text.find(mark, line_end)


def _plain(ignored: bytes) -> bytes:
    """Preamble or epilogue, which no reader shows (RFC 2046 5.1.1)."""
    return ignored.translate(_TO_ASCII)


def _quoted_printable(body: bytes) -> bytes:
    # The line end at the end makes b2a_qp break lines by CRLF even where the body has no line end.
    return binascii.b2a_qp(body + _CRLF, quotetabs=False, istext=True)[:-2]
