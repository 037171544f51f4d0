"""Xtext: how ENVID and ORCPT carry what could not stand in a parameter (RFC 3461 4)."""

from __future__ import annotations

from typing import Final

_DIGITS: Final = frozenset("0123456789ABCDEF")


def decode(text: str) -> str | None:
    """What an xtext says, or `None` where it is none: `"a+2Bb"` is `"a+b"`."""
    if not text.isascii():
        return None
    first, *encoded = text.split("+")
    pieces = [first]
    for part in encoded:
        if len(part) < 2 or part[0] not in _DIGITS or part[1] not in _DIGITS:
            return None
        pieces.append(chr(int(part[:2], 16)) + part[2:])
    # An "=" cannot stand in xtext, but clients send it; it breaks nothing here or further on.
    return "".join(pieces)
