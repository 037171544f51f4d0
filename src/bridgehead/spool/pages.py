"""Reading the pages of a damaged database one by one, past SQLite: what no longer leads to a row does not hide it.

To SQLite a damaged root or inner page makes all below it unreachable, and a damaged first page everything. The rows
themselves are on leaf pages, each of which can be understood alone; what is not a row as it was written is found out
by its checksum (`schema`). Format: https://www.sqlite.org/fileformat2.html, sections 1.5 to 1.8, 2.1 and 4.

Rows of pages that are free are not given where the pointer map says that they are: those messages are settled.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Final, TypeAlias

from bridgehead.spool.schema import PAGE_BYTES

Cell: TypeAlias = "int | bytes | None"
_TABLE_LEAF: Final = 0x0D
_INDEX_LEAF: Final = 0x0A
_INDEX_BRANCH: Final = 0x02
_IN_USE: Final = frozenset({1, 5})
"""In the pointer map: a root, or another page of a tree."""
_USES: Final = range(1, 6)
_MAP_ENTRY: Final = 5
_MAPPED: Final = PAGE_BYTES // _MAP_ENTRY
_TABLE_LOCAL_MAX: Final = PAGE_BYTES - 35
_INDEX_LOCAL_MAX: Final = (PAGE_BYTES - 12) * 64 // 255 - 23
_LOCAL_MIN: Final = (PAGE_BYTES - 12) * 32 // 255 - 23
_WAL_HEADER: Final = 32
_FRAME_HEADER: Final = 24
_PAYLOAD_MAX: Final = 16 * 1024 * 1024
"""No row of ours is larger; a length beyond is damage."""


class Pages:
    """A database and its log, read only. Close it."""

    def __init__(self, path: Path, *, log_has_gaps: bool = False) -> None:
        """`log_has_gaps`: parts of the log could not be read, and are zeros."""
        self._descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
        self._log = _frames(path.with_name(path.name + "-wal"), log_has_gaps)
        """Pages that are newer in the log, by number."""
        self._count = max([os.fstat(self._descriptor).st_size // PAGE_BYTES, *self._log])

    def close(self) -> None:
        """Let go of the file."""
        os.close(self._descriptor)

    def messages(self) -> Iterator[tuple[int, bytes, bytes | None]]:
        """Id, sealed entry and body of every row that looks like a message. Any of it may be wrong."""
        for page in self._pages({_TABLE_LEAF}):
            for offset in _cells(page, 8):
                try:
                    size, position = _integer(page, offset)
                    number, position = _integer(page, position)
                    row = _record(self._payload(page, position, size, _TABLE_LOCAL_MAX))
                except (ValueError, IndexError):
                    continue
                match row:
                    case [None, bytes(entry), bytes() | None as body]:
                        yield number, entry, body
                    case _:
                        pass

    def states(self) -> Iterator[tuple[int, int, bytes]]:
        """Message id, ordinal and sealed state of every row that looks like one."""
        for page in self._pages({_INDEX_LEAF, _INDEX_BRANCH}):
            is_branch = page[0] == _INDEX_BRANCH
            for offset in _cells(page, 12 if is_branch else 8):
                try:
                    size, position = _integer(page, offset + 4 if is_branch else offset)
                    row = _record(self._payload(page, position, size, _INDEX_LOCAL_MAX))
                except (ValueError, IndexError):
                    continue
                match row:
                    case [int(message), int(ordinal), bytes(state)]:
                        yield message, ordinal, state
                    case _:
                        pass

    def _pages(self, kinds: set[int]) -> Iterator[bytes]:
        for number in range(2, self._count + 1):
            page = self._page(number)
            if len(page) == PAGE_BYTES and page[0] in kinds and self._may_be_used(number):
                yield page

    def _page(self, number: int) -> bytes:
        found = self._log.get(number)
        return os.pread(self._descriptor, PAGE_BYTES, (number - 1) * PAGE_BYTES) if found is None else found

    def _may_be_used(self, number: int) -> bool:
        """What the pointer map says of a page; where that is damaged, a row too many is better than one too few."""
        map_number = 2 + (number - 2) // (_MAPPED + 1) * (_MAPPED + 1)
        if number == map_number:
            return False
        start = _MAP_ENTRY * (number - map_number - 1)
        use = int.from_bytes(self._page(map_number)[start : start + 1], "big")
        return use in _IN_USE or use not in _USES

    def _payload(self, page: bytes, position: int, size: int, local_max: int) -> bytes:
        """A cell's content, with what overflows to other pages. `ValueError` if that is not all there."""
        if not 0 < size <= _PAYLOAD_MAX:
            raise ValueError("no row of ours")
        if size <= local_max:
            return page[position : position + size]
        local = _LOCAL_MIN + (size - _LOCAL_MIN) % (PAGE_BYTES - 4)
        if local > local_max:
            local = _LOCAL_MIN
        pieces = [page[position : position + local]]
        following = int.from_bytes(page[position + local : position + local + 4], "big")
        left = size - local
        while left > 0:
            if not 1 < following <= self._count:
                raise ValueError("its pages lead nowhere")
            more = self._page(following)
            pieces.append(more[4 : 4 + left])
            left -= PAGE_BYTES - 4
            following = int.from_bytes(more[:4], "big")
        return b"".join(pieces)


def _cells(page: bytes, header: int) -> Iterator[int]:
    """Where the cells of a page begin."""
    count = int.from_bytes(page[3:5], "big")
    for position in range(header, min(header + 2 * count, PAGE_BYTES - 1), 2):
        yield int.from_bytes(page[position : position + 2], "big")


def _integer(content: bytes, position: int) -> tuple[int, int]:
    """A varint, and where what follows it begins."""
    value = 0
    for length in range(9):
        octet = content[position + length]
        if length == 8:
            return value << 8 | octet, position + 9
        value = value << 7 | octet & 0x7F
        if octet < 0x80:
            return value, position + length + 1
    raise AssertionError("nine octets end a varint")


def _record(payload: bytes) -> list[Cell]:
    """The columns of a row; `ValueError` where it is no row of ours."""
    header_size, position = _integer(payload, 0)
    content = header_size
    columns: list[Cell] = []
    while position < header_size:
        kind, position = _integer(payload, position)
        value, size = _column(payload, content, kind)
        columns.append(value)
        content += size
    if content != len(payload):
        raise ValueError("its length is another one")
    return columns


def _column(payload: bytes, start: int, kind: int) -> tuple[Cell, int]:
    """A value and its octets, by its serial type."""
    if kind == 0:
        return None, 0
    if kind in {8, 9}:
        return kind - 8, 0
    if 1 <= kind <= 6:
        size = (1, 2, 3, 4, 6, 8)[kind - 1]
        return int.from_bytes(payload[start : start + size], "big", signed=True), size
    if kind >= 12 and kind % 2 == 0:
        size = (kind - 12) // 2
        return payload[start : start + size], size
    raise ValueError("no column of ours")


def _frames(log: Path, has_gaps: bool) -> dict[int, bytes]:
    """The pages that committed transactions left in a log, by number.

    A frame's checksum goes on from that of the frame before it. Behind a gap it goes on from the one that the last
    frame says of itself, so that one frame behind each gap is lost too, and no more.
    """
    try:
        content = log.read_bytes()
    except FileNotFoundError:
        return {}
    if len(content) < _WAL_HEADER:
        return {}
    order = "big" if content[:4] == b"\x37\x7f\x06\x83" else "little"
    found: dict[int, bytes] = {}
    uncommitted: dict[int, bytes] = {}
    first, second = _checksum(content[:24], 0, 0, order)
    for start in range(_WAL_HEADER, len(content) - PAGE_BYTES - _FRAME_HEADER + 1, PAGE_BYTES + _FRAME_HEADER):
        header = content[start : start + _FRAME_HEADER]
        page = content[start + _FRAME_HEADER : start + _FRAME_HEADER + PAGE_BYTES]
        first, second = _checksum(header[:8] + page, first, second, order)
        if header[8:16] != content[16:24] or header[16:24] != first.to_bytes(4, "big") + second.to_bytes(4, "big"):
            if not has_gaps:
                break
            first, second = int.from_bytes(header[16:20], "big"), int.from_bytes(header[20:24], "big")
            continue
        uncommitted[int.from_bytes(header[:4], "big")] = page
        if header[4:8] != bytes(4):
            found.update(uncommitted)
            uncommitted = {}
    return found


def _checksum(content: bytes, first: int, second: int, order: str) -> tuple[int, int]:
    words = memoryview(content).cast("I")
    for index in range(0, len(words), 2):
        one, two = words[index], words[index + 1]
        if order != sys.byteorder:
            one, two = _swapped(one), _swapped(two)
        first = (first + one + second) & 0xFFFFFFFF
        second = (second + two + first) & 0xFFFFFFFF
    return first, second


def _swapped(word: int) -> int:
    return int.from_bytes(word.to_bytes(4, "little"), "big")
