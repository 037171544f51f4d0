"""A small terminal: what a screen shows of the octets that a program wrote, as far as the demo's picture needs it."""

from __future__ import annotations

import re

_PARTS = re.compile(r"\x1b\[([?0-9;]*)([A-Za-z])|([\r\n])|([^\x1b\r\n]+)")
_UNFINISHED = re.compile(r"\x1b(\[[?0-9;]*)?\Z")


class Terminal:
    """A screen of so many columns and lines. A line that is too long goes on in the next one, and is counted."""

    def __init__(self, columns: int, lines: int) -> None:
        self.columns = columns
        self.lines = lines
        self.wraps: list[str] = []
        """What did not fit on its line."""
        self._rows = [""] * lines
        self._row = self._column = 0
        self._unfinished = ""

    @property
    def screen(self) -> list[str]:
        """The lines from top to bottom, without the spaces behind them."""
        return [row.rstrip() for row in self._rows]

    def resize(self, columns: int, lines: int) -> None:
        """What does not fit any more is cut off, as the plainest of terminals do it."""
        lost = max(0, self._row - lines + 1)
        kept = [row[:columns] for row in self._rows[lost:]][:lines]
        self._rows = kept + [""] * (lines - len(kept))
        self._row -= lost
        self.columns, self.lines = columns, lines

    def feed(self, text: str) -> None:
        """Take what was written, in pieces of any size."""
        text = self._unfinished + text
        begun = _UNFINISHED.search(text)
        self._unfinished = begun[0] if begun else ""
        for found in _PARTS.finditer(text.removesuffix(self._unfinished)):
            numbers, command, control, written = found.groups()
            if written:
                if self._column + len(written) > self.columns:
                    self.wraps.append(written)
                self._write(written)
            elif control == "\r":
                self._column = 0
            elif control == "\n":
                self._column = 0
                self._down()
            else:
                self._obey(command, numbers)

    def _obey(self, command: str, numbers: str) -> None:
        if command == "A":
            self._row = max(0, self._row - int(numbers or 1))
        elif command == "H":
            self._row = self._column = 0
        elif command == "K":
            self._rows[self._row] = ""
        elif command == "J":
            self._rows = [""] * self.lines

    def _write(self, text: str) -> None:
        room = self.columns - self._column
        row = self._rows[self._row].ljust(self._column)
        self._rows[self._row] = row[: self._column] + text[:room] + row[self._column + len(text) :]
        self._column += len(text[:room])
        if len(text) > room:
            self._column = 0
            self._down()
            self._write(text[room:])

    def _down(self) -> None:
        self._row += 1
        if self._row == self.lines:
            self._rows = [*self._rows[1:], ""]
            self._row -= 1
