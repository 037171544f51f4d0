"""Conversion of 8-bit messages to 7-bit for next hops without 8BITMIME (RFC 6152 3, RFC 2045 6, RFC 1428).

A part with octets above 127 gets another Content-Transfer-Encoding: quoted-printable for text, base64 for the rest;
parts around it that said 8bit or binary now say 7bit. All else stays octet by octet, and every part decodes to what
it decoded to before.

What cannot be converted gives `None`: 8-bit octets in a header, in something signed (RFC 1847 2.1: it must not be
altered) or in a type that may not be encoded (RFC 2046 5.2); what is mislabelled or broken so that readers would
differ about it; and what is beyond the bounds below. The caller fails it with 5.6.3.

The walk is linear in size times depth, with a stack of its own: deep nesting costs no recursion. The message comes in
pieces, so that whoever has other things to do can do them between two: of the largest each takes some 5 ms, up to 35
where there are ten thousand parts. An unlabelled 8-bit body (no MIME-Version, no
Content-Type) is text of an unknown character set, and is said to be (RFC 1428 3).
"""

from __future__ import annotations

import base64
import binascii
import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final, TypeAlias

from bridgehead.core.error import BridgeheadError

SIZE_MAX: Final = 16 * 1024 * 1024
"""Octets of a message that is converted: it is done in memory, at some 50 MB/s, and may grow threefold."""
STEP: Final = 128 * 1024
"""Octets that are encoded for one piece."""
DEPTH_MAX: Final = 20
"""Levels of nesting; real mail has fewer than ten."""
PIECES_MAX: Final = 20_000
"""Parts, delimiters and headers together; real mail has fewer than a thousand."""

_CRLF: Final = b"\r\n"
_CR: Final = 13
_BASE64_LINE: Final = 57  # octets that make a line of 76 characters
_QUOTED_LINE: Final = 76  # RFC 2045 6.7
_OVERFULL: Final = re.compile(rb"^([^\n]{74})(=20|=09)\r$", re.MULTILINE)
_ENCODING: Final = b"content-transfer-encoding"
_IDENTITY_ENCODINGS: Final = frozenset({b"", b"7bit", b"8bit", b"binary"})
_NAME_OCTETS: Final = bytes(octet for octet in range(33, 127) if octet != ord(":"))
_TEXT: Final = b"text/plain"
_MESSAGE: Final = b"message/rfc822"
_UNLABELLED: Final = b"MIME-Version: 1.0\r\nContent-Type: text/plain; charset=unknown-8bit\r\n"
_TO_ASCII: Final = bytes(octet if octet < 128 else ord("?") for octet in range(256))


class UnconvertibleError(BridgeheadError):
    """The message cannot be had without octets above 127."""


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


@dataclass(frozen=True, slots=True)
class _Leaf:
    """A part that is still to be encoded: quoted-printable for text whose lines all end with CRLF, else base64."""

    header: _Header
    added: bytes
    content: bytes
    is_text: bool

    def pieces(self) -> Iterator[bytes]:
        """The part; empty ones while it is looked at."""
        if self.is_text:
            odd = 0  # line ends that are none, counted in windows that share one octet: a CRLF lies in one of them
            for start in range(0, len(self.content), STEP):
                end = start + STEP
                pairs = self.content.count(_CRLF, start, end + 1)
                odd += self.content.count(b"\r", start, end) - pairs
                odd += self.content.count(b"\n", start + 1, end + 1) - pairs
                yield b""
            if not odd and not self.content.startswith(b"\n"):
                yield self.header.with_encoding(b"quoted-printable", self.added) + _CRLF
                yield from _quoted_printable_pieces(self.content)
                return
        yield self.header.with_encoding(b"base64", self.added) + _CRLF
        step = STEP - STEP % _BASE64_LINE
        for start in range(0, len(self.content), step):
            yield base64.encodebytes(self.content[start : start + step]).replace(b"\n", _CRLF)


_Item: TypeAlias = bytes | _Entity | _Leaf


def to_seven_bit(content: bytes) -> bytes | None:
    """The message with no octet above 127, or `None` where it cannot be had; `content` has CRLF line ends.

    Takes 25 microseconds for a small message and some 300 ms for the largest: for those see `pieces`.
    """
    if content.isascii():
        return content
    try:
        return b"".join(pieces(content))
    except UnconvertibleError:
        return None


def pieces(content: bytes) -> Iterator[bytes]:
    """The same in pieces, which may be empty; `UnconvertibleError` at any of them where it cannot be had."""
    if len(content) > SIZE_MAX:
        raise UnconvertibleError
    count = 0
    waiting: list[_Item] = [_Entity(content, 0, _TEXT, is_message=True)]
    while waiting:
        item = waiting.pop()
        count += not isinstance(item, _Entity)
        if isinstance(item, bytes):
            yield item
        elif not isinstance(item, _Entity):
            yield from item.pieces()
        elif item.content.isascii():
            count += 1
            yield item.content
        else:
            waiting.extend(reversed(_converted(item)))
            yield b""
        if count + len(waiting) > PIECES_MAX:
            raise UnconvertibleError


def _converted(entity: _Entity) -> list[_Item]:
    """An entity with 8-bit octets as a list of what is written and what is still to be converted."""
    header, body = _split(entity.content)
    if header.value(_ENCODING).lower() not in _IDENTITY_ENCODINGS or entity.depth > DEPTH_MAX:
        raise UnconvertibleError
    label = header.value(b"content-type")
    media_type = label.partition(b";")[0].strip().lower() or entity.default_type
    added = _missing_label(header) if entity.is_message else b""
    if media_type == b"multipart/signed":
        raise UnconvertibleError
    if media_type.startswith(b"multipart/"):
        default = _MESSAGE if media_type == b"multipart/digest" else _TEXT
        return [header.with_encoding(b"7bit", added), *_parts(body, _boundary(label), default, entity.depth)]
    if media_type == _MESSAGE:
        nested = _Entity(body, entity.depth + 1, _TEXT, is_message=True)
        return [header.with_encoding(b"7bit", added), _CRLF, nested]
    if media_type.startswith(b"message/") and not media_type.startswith(b"message/global"):
        raise UnconvertibleError  # RFC 6532 3.7 and RFC 6533 6 let the others be encoded
    return [_Leaf(header, added, body, is_text=media_type.startswith(b"text/"))]


def _split(content: bytes) -> tuple[_Header, bytes]:
    """Header and body; what no reader can tell apart for sure is refused."""
    if content.startswith(_CRLF):
        return _Header(()), content[2:]
    end = content.find(b"\r\n\r\n")
    header = content[: end + 2]
    if end < 0 or not header.isascii():
        raise UnconvertibleError
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
            raise UnconvertibleError
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
    raise UnconvertibleError


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


def _parts(body: bytes, boundary: bytes, default_type: bytes, depth: int) -> list[_Item]:
    """The empty line, preamble, delimiters, parts and epilogue of a multipart."""
    text = _CRLF + body  # the first delimiter may have the empty line after the header before it
    written: list[_Item] = []
    at = 0
    for start, end, is_last in _delimiters(text, boundary):
        between = text[at : max(start, at)]
        written += [_Entity(between, depth + 1, default_type, is_message=False)] if written else [_plain(between)]
        written.append(text[max(start, at) : end])
        at = end
        if is_last:
            return [*written, _plain(text[at:])]
        if len(written) > PIECES_MAX:
            raise UnconvertibleError
    if not written:
        raise UnconvertibleError
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


def _quoted_printable_pieces(text: bytes) -> Iterator[bytes]:
    """Whole lines where lines are short enough; within a longer one, a piece ends with a soft line break."""
    start = 0
    while len(text) - start > STEP:
        end = text.rfind(_CRLF, start, start + STEP) + 2
        if end > 1:
            yield _encoded_lines(text[start:end])
        else:
            end = start + STEP
            end -= text[end - 1] == _CR  # its LF comes next
            piece = _quoted_printable(text[start:end])
            while len(piece) - piece.rfind(b"\n") > _QUOTED_LINE:  # there is no room for the soft line break
                end -= 1
                piece = _quoted_printable(text[start:end])
            yield piece + b"=\r\n"
        start = end
    yield _quoted_printable(text[start:])


def _quoted_printable(body: bytes) -> bytes:
    # The line end at the end makes b2a_qp break lines by CRLF even where the body has no line end.
    return _encoded_lines(body + _CRLF)[:-2]


def _encoded_lines(lines: bytes) -> bytes:
    encoded = binascii.b2a_qp(lines, quotetabs=False, istext=True)
    if b"=20\r" in encoded or b"=09\r" in encoded:
        # At the end of a line that is full but for one octet b2a_qp writes three.
        return _OVERFULL.sub(rb"\1=\r\n\2\r", encoded)
    return encoded
