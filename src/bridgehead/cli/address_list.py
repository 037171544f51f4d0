"""The addresses in a To, Cc or Bcc field, or in an argument of `sendmail` (RFC 5322 3.4). Pure, one pass, strict.

Why not `email.utils.getaddresses`: what it makes of a field that it does not understand differs from one Python to
the next (CVE-2023-27043), and mail must not go to an address that nobody wrote. Whether what stands at the place of
an address is one, the server says.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

from bridgehead.core.error import BridgeheadError

_MARKS: Final = ",;:<"
_CLOSING: Final = {'"': '"', "[": "]"}


class AddressListError(BridgeheadError):
    """The text is no list of addresses."""


def addresses_of(text: str) -> list[str]:
    """The addresses, in order, without names and comments: `'Bob <bob@b.example>, carol (home)'` -> two.

    Groups give their members. `AddressListError` where it is no list of addresses.
    """
    found: list[str] = []
    path = ""
    for part, mark in _parts(text):
        content = part.strip()
        if mark == "<" or (mark == ":" and not path):
            if path:
                raise AddressListError(f"a comma is missing after <{path}>")
            continue  # a name, of a person or of a group
        if mark == ">":
            path = _without_route(content)
            if not path:
                raise AddressListError("there is nothing between < and >")
            continue
        if path and content:
            raise AddressListError(f"a comma is missing after <{path}>")
        address = path or content
        path = ""
        if address:
            found.append(_checked(address))
    return found


def _without_route(path: str) -> str:
    """A source route is left out (RFC 5322 4.4: obsolete)."""
    route, colon, rest = path.partition(":")
    return rest.strip() if colon and route.startswith("@") else path


def _checked(address: str) -> str:
    """The address, if it is one word; a quoted part may hold spaces."""
    quoted = False
    previous = ""
    for character in address:
        if character == '"' and previous != "\\":
            quoted = not quoted
        if not quoted and (character.isspace() or character in "<>"):
            raise AddressListError(f"{address!r} is no address")
        previous = "" if previous == "\\" else character
    return address


def _parts(text: str) -> Iterator[tuple[str, str]]:
    """Text up to each mark, and the mark; comments are left out, quoted strings and literals kept whole.

    The last mark is a comma: it ends the list.
    """
    part: list[str] = []
    closing = ""
    """Ends what we are in: `"`, `]` or `>`."""
    position = 0
    while position < len(text):
        character = text[position]
        if character == "(" and closing in {"", ">"}:
            position = _behind_comment(text, position)
            continue
        if character == "\\" and closing in {'"', "]"}:
            part.append(text[position : position + 2])
            position += 2
            continue
        position += 1
        if character == closing == ">" or (character in _MARKS and not closing):
            yield "".join(part), character
            part = []
            closing = ">" if character == "<" else ""
            continue
        part.append(character)
        closing = _after(character, closing)
    if closing:
        raise AddressListError(f"{closing} is missing")
    yield "".join(part), ","


def _after(character: str, closing: str) -> str:
    """What ends the thing we are in, behind one more character of it."""
    if character == closing:
        return ""
    return closing or _CLOSING.get(character, "")


def _behind_comment(text: str, start: int) -> int:
    """Where a comment ends; comments nest."""
    depth = 0
    position = start
    while position < len(text):
        character = text[position]
        position += 2 if character == "\\" else 1
        depth += (character == "(") - (character == ")")
        if not depth:
            return position
    raise AddressListError(") is missing")
