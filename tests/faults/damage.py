"""Pages of a SQLite database by what they hold, and ways to damage one (https://www.sqlite.org/fileformat2.html)."""

from __future__ import annotations

from collections.abc import Callable
from enum import Enum
from pathlib import Path
from random import Random
from typing import Final

PAGE: Final = 4096
_POINTER_MAP_ENTRIES: Final = PAGE // 5


class Holds(Enum):
    """What a page is for."""

    HEADER = "the header and the schema"
    POINTERS = "the pointer map"
    MESSAGE_ROOT = "the root of the table of messages"
    MESSAGE_BRANCH = "an inner page of the table of messages"
    MESSAGES = "messages"
    BODY = "the rest of a body"
    STATE_ROOT = "the root of the table of states"
    STATES = "states of recipients"
    FREE = "nothing"


def pages(content: bytes, roots: dict[str, int]) -> dict[Holds, list[int]]:
    """Numbers of the pages, from 1, by what they hold; `roots`: of the tables, by name."""
    found: dict[Holds, list[int]] = {holds: [] for holds in Holds}
    for number in range(1, len(content) // PAGE + 1):
        found[_holds(content, number, roots)].append(number)
    return found


def _holds(content: bytes, number: int, roots: dict[str, int]) -> Holds:
    if number == 1:
        return Holds.HEADER
    if number in roots.values():
        return Holds.MESSAGE_ROOT if number == roots["message"] else Holds.STATE_ROOT
    map_page = 2 + (number - 2) // (_POINTER_MAP_ENTRIES + 1) * (_POINTER_MAP_ENTRIES + 1)
    if number == map_page:
        return Holds.POINTERS
    use = content[(map_page - 1) * PAGE + 5 * (number - map_page - 1)]
    if use == 2:
        return Holds.FREE
    if use in {3, 4}:
        return Holds.BODY
    kind = content[(number - 1) * PAGE]
    return {5: Holds.MESSAGE_BRANCH, 13: Holds.MESSAGES}.get(kind, Holds.STATES)


Harm = Callable[[bytearray, Random], None]


def flip_some(page: bytearray, draw: Random) -> None:
    """Some octets are others."""
    for position in draw.sample(range(len(page)), 16):
        page[position] ^= draw.randrange(1, 256)


def flip_start(page: bytearray, draw: Random) -> None:
    """What the page says of itself is wrong."""
    for position in range(12):
        page[position] ^= draw.randrange(1, 256)


def zero(page: bytearray, _: Random) -> None:
    """As a disk gives a sector that it lost."""
    page[:] = bytes(len(page))


def garbage(page: bytearray, draw: Random) -> None:
    """Something else was written here."""
    page[:] = draw.randbytes(len(page))


def damage(path: Path, number: int, harm: Harm, draw: Random) -> None:
    """Damage one page of a file."""
    with path.open("r+b") as file:
        file.seek((number - 1) * PAGE)
        page = bytearray(file.read(PAGE))
        harm(page, draw)
        file.seek((number - 1) * PAGE)
        file.write(page)
