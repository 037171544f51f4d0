"""How answers look on a terminal: tables, times, ages and amounts. Pure functions; colour only where it is asked for.

Everything that a peer may have said passes `plain` before it is shown: a reply must not move the cursor.
"""

from __future__ import annotations

import os
import re
import sys
import time
import unicodedata
from collections.abc import Iterable, Sequence
from typing import Final, Literal

from bridgehead.core.reply import printable

GAP: Final = "  "
_ESCAPES: Final = re.compile("\x1b\\[[0-9;]*m")
_COLOURS: Final = {"red": "31", "green": "32", "yellow": "33", "bold": "1", "faint": "2"}
_UNITS: Final = ((86_400, "d"), (3_600, "h"), (60, "min"), (1, "s"))


def plain(text: str) -> str:
    """Text of the outside on one line, without anything that a terminal would obey."""
    return printable(text.replace("\n", " "))


def width(text: str) -> int:
    """Columns that a text takes: wide characters two, colours none."""
    shown = _ESCAPES.sub("", text)
    if shown.isascii():
        return len(shown)
    return sum(
        2 if unicodedata.east_asian_width(one) in "WF" else 1 for one in shown if not unicodedata.combining(one)
    )


def table(
    rows: Iterable[Sequence[str]], head: Sequence[str] = (), *, numbers: Iterable[int] = (), indent: str = ""
) -> str:
    """Rows in columns as wide as needed; the columns `numbers` stand right. All rows have the same length.

    Without rows there is no table either, not even its head.
    """
    lines = [list(row) for row in rows]
    if not lines:
        return ""
    if head:
        lines.insert(0, list(head))
    widths = [max(map(width, column)) for column in zip(*lines, strict=True)]
    right = set(numbers)
    text = ""
    for line in lines:
        cells = [
            " " * (size - width(cell)) + cell if index in right else cell + " " * (size - width(cell))
            for index, (cell, size) in enumerate(zip(line, widths, strict=True))
        ]
        text += (indent + GAP.join(cells)).rstrip() + "\n"
    return text


def duration(seconds: float) -> str:
    """The two largest units: `"3 d 4 h"`, `"2 min 5 s"`, `"0 s"`."""
    left = max(0, round(seconds))
    parts: list[str] = []
    for size, unit in _UNITS:
        count, rest = divmod(left, size)
        if count or parts:
            parts.append(f"{count} {unit}" if count else "")
            left = rest
        if len(parts) == 2:
            break
    return " ".join(part for part in parts if part) or "0 s"


def age(since: float, now: float) -> str:
    """How long ago, or `"-"` where `since` is not known (0)."""
    return duration(now - since) if since else "-"


def moment(seconds: float) -> str:
    """A time of this machine: `"2026-11-24 08:46:31"`; `"-"` where it is not known (0)."""
    return time.strftime("%Y-%m-%d %H:%M:%S", time.localtime(seconds)) if seconds else "-"


def amount(number: int) -> str:
    """`"1,234,567"`."""
    return f"{number:,}"


def count(number: int, noun: str, plural: str = "") -> str:
    """`"1 message"`, `"2 messages"`, `"no messages"`."""
    word = noun if number == 1 else plural or f"{noun}s"
    return f"{amount(number) if number else 'no'} {word}"


def size(octets: int) -> str:
    """`"17 bytes"`, `"1.5 MiB"`."""
    value = float(octets)
    for unit in ("bytes", "KiB", "MiB", "GiB"):
        if value < 1024 or unit == "GiB":
            break
        value /= 1024
    return f"{octets} bytes" if unit == "bytes" else f"{value:.1f} {unit}"


def paint(text: str, colour: Literal["red", "green", "yellow", "bold", "faint"]) -> str:
    """The text in a colour, where standard output is a terminal that shows colours (and `NO_COLOR` is not set)."""
    if not text or os.environ.get("NO_COLOR") or os.environ.get("TERM") == "dumb" or not sys.stdout.isatty():
        return text
    return f"\x1b[{_COLOURS[colour]}m{text}\x1b[0m"
