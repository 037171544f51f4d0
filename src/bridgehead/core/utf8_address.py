"""The type `utf-8` of addresses in ORCPT and in DSNs (RFC 6533 3): international addresses, also in plain ASCII.

Three forms mean the same: the address itself, and two with `\\x{HEX}` for some of its characters, one of which is all
ASCII and goes anywhere. `decode` reads any of them; `encode` writes the last one.
"""

from __future__ import annotations

from typing import Final

ENCODED_MAX: Final = 900
"""Characters that are written: with the name of a field before them they fit in a line of 998 (RFC 5322 2.1.1)."""

_HEX: Final = frozenset("0123456789ABCDEF")
_HEX_DIGITS_MAX: Final = 6
_PLAIN: Final = frozenset(map(chr, range(0x21, 0x7F))) - frozenset("+=\\")
"""QCHAR: what stands for itself."""


def encode(address: str) -> str:
    """The address in ASCII: `"\\x{7528}@example.com"`.

    One that is longer than `ENCODED_MAX` is cut behind a character: none that mail could go to is so long.
    """
    written: list[str] = []
    length = 0
    for character in address:
        piece = character if character in _PLAIN else f"\\x{{{ord(character):02X}}}"
        length += len(piece)
        if length > ENCODED_MAX:
            break
        written.append(piece)
    return "".join(written)


def decode(text: str) -> str:
    """The address that any of the forms says; what is no escape stays as it is."""
    first, *further = text.split("\\x{")
    return first + "".join(_decode_escape(piece) for piece in further)


def _decode_escape(piece: str) -> str:
    """What stands behind an opening brace: `"7528}@x"` is `"\\u7528@x"`."""
    digits, brace, rest = piece.partition("}")
    if brace and 2 <= len(digits) <= _HEX_DIGITS_MAX and _HEX.issuperset(digits):
        number = int(digits, 16)
        if number <= 0x10FFFF and not 0xD800 <= number < 0xE000:
            return chr(number) + rest
    return "\\x{" + piece
