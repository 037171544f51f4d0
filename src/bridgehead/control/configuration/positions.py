"""Where each key and value of a TOML text stands, for messages that point at the offending words.

`tomllib` knows the values but not their places. This scanner walks a text that `tomllib` has already accepted, so it
only has to recognise where things begin and end (TOML 1.0); on any other text its result means nothing.
"""

from __future__ import annotations

import re
import tomllib
from bisect import bisect_right
from typing import Final, NamedTuple

from bridgehead.control.configuration.issue import Path

_BARE_KEY: Final = re.compile(r"[A-Za-z0-9_-]+")
_SCALAR: Final = re.compile(r"[^,\]}#\n]*")
_BLANK: Final = re.compile(r"[ \t]*")
_BLANK_LINES: Final = re.compile(r"(?:[ \t\n]|#[^\n]*)*")
_STRING: Final = re.compile(
    r"'''.*?''''{0,2}"  # up to two quotes may stand directly before the closing three
    r'|"""(?:[^\\]|\\.)*?""""{0,2}'
    r"|'[^'\n]*'"
    r'|"(?:[^"\\\n]|\\.)*"',
    re.DOTALL,
)


class Place(NamedTuple):
    """A place in a text; both count from 1, columns in characters."""

    line: int
    column: int


NOWHERE: Final = Place(0, 0)
"""The place of what the text does not hold, nor any table around it."""


class Positions:
    """The places of all keys and values of one text; what has none takes that of the table it would stand in."""

    def __init__(self, text: str) -> None:
        self._text = text.replace("\r\n", "\n")
        scanner = _Scanner(self._text)
        scanner.scan_document()
        self._keys = scanner.keys
        self._values = scanner.values
        self._line_starts = [0, *(match.end() for match in re.finditer("\n", self._text))]

    def of_key(self, path: Path) -> Place:
        """Where the key (or table header) begins."""
        return self._find(path, self._keys, self._values)

    def of_value(self, path: Path) -> Place:
        """Where the value begins; for a table, its header."""
        return self._find(path, self._values, self._keys)

    def line(self, number: int) -> str:
        """The text of a line, counted from 1; nothing for that of `NOWHERE`."""
        if not number:
            return ""
        return self._text[self._line_starts[number - 1] :].partition("\n")[0]

    def _find(self, path: Path, first: dict[Path, int], second: dict[Path, int]) -> Place:
        for length in range(len(path), 0, -1):
            part = path[:length]
            offset = first.get(part, second.get(part))
            if offset is not None:
                line = bisect_right(self._line_starts, offset)
                return Place(line, offset - self._line_starts[line - 1] + 1)
        return NOWHERE


class _Scanner:
    """One pass over the text; `keys` and `values` map paths to offsets."""

    def __init__(self, text: str) -> None:
        self.keys: dict[Path, int] = {}
        self.values: dict[Path, int] = {}
        self._text = text
        self._at = 0
        self._table_counts: dict[Path, int] = {}

    def scan_document(self) -> None:
        table: Path = ()
        while self._skip(_BLANK_LINES):
            if self._text[self._at] == "[":
                table = self._scan_header()
            else:
                self._scan_pair(table)

    def _scan_header(self) -> Path:
        start = self._at
        width = 2 if self._text.startswith("[[", start) else 1
        self._at += width
        names = self._scan_key()
        self._at += width
        path: Path = ()
        for number, (name, offset) in enumerate(names, 1):
            path += (name,)
            self.keys.setdefault(path, offset)
            if width == 2 and number == len(names):
                self._table_counts[path] = self._table_counts.get(path, 0) + 1
            if path in self._table_counts:
                path += (self._table_counts[path] - 1,)
        # A header that follows a dotted mention of the same table is the better place to point at.
        self.values[path] = start
        return path

    def _scan_pair(self, table: Path) -> None:
        path = table
        for name, offset in self._scan_key():
            path += (name,)
            self.keys.setdefault(path, offset)
        self._at += 1  # the equals sign
        self._skip(_BLANK)
        self._scan_value(path)

    def _scan_key(self) -> list[tuple[str, int]]:
        names = []
        while True:
            self._skip(_BLANK)
            start = self._at
            if self._text[start] in "\"'":
                self._skip(_STRING)
                name = tomllib.loads(f"key = {self._text[start : self._at]}")["key"]
            else:
                self._skip(_BARE_KEY)
                name = self._text[start : self._at]
            names.append((name, start))
            self._skip(_BLANK)
            if self._text[self._at] != ".":
                return names
            self._at += 1

    def _scan_value(self, path: Path) -> None:
        self.values[path] = self._at
        first = self._text[self._at]
        if first == "[":
            self._scan_array(path)
        elif first == "{":
            self._scan_inline_table(path)
        else:
            self._skip(_STRING if first in "\"'" else _SCALAR)

    def _scan_array(self, path: Path) -> None:
        self._at += 1
        index = 0
        while self._skip(_BLANK_LINES) and self._text[self._at] != "]":
            if self._text[self._at] == ",":
                self._at += 1
            else:
                self._scan_value((*path, index))
                index += 1
        self._at += 1

    def _scan_inline_table(self, path: Path) -> None:
        self._at += 1
        while self._skip(_BLANK_LINES) and self._text[self._at] != "}":
            if self._text[self._at] == ",":
                self._at += 1
            else:
                self._scan_pair(path)
        self._at += 1

    def _skip(self, pattern: re.Pattern[str]) -> bool:
        """Moves past what the pattern matches here; whether any text is left."""
        match = pattern.match(self._text, self._at)
        assert match is not None, "the text was accepted by tomllib"
        self._at = match.end()
        return self._at < len(self._text)
