"""Collects what is wrong while a file is read, checked and built, and gives each finding its place in the text."""

from __future__ import annotations

import difflib
from collections.abc import Iterable, Mapping, Sequence
from typing import Final

from bridgehead.control.configuration.issue import Issue, NotationError, Path, Severity, excerpt_of, write_path
from bridgehead.control.configuration.positions import Place, Positions

CHOICES_SHOWN_MAX: Final = 24
ISSUES_MAX: Final = 1000
"""Nobody reads further; the file is refused all the same."""
FOUND_MAX: Final = 60

_NAME_KEYS: Final = {"accepted_domain": "domain", "tls_policy": "domain"}


class Report:
    """The findings about one file. Owned by one `load`, which alone changes it.

    A finding about a place that an earlier stage has called wrong would only repeat or blur that: it is dropped.
    """

    def __init__(self, file: str, document: Mapping[str, object], positions: Positions) -> None:
        self._file = file
        self._document = document
        self._positions = positions
        self._issues: list[Issue] = []
        self._error_paths: set[Path] = set()
        self._earlier: set[Path] = set()

    @property
    def issues(self) -> tuple[Issue, ...]:
        """All findings, in the order of the file."""
        return tuple(sorted(self._issues, key=lambda issue: (issue.file != self._file, issue.line, issue.column)))

    @property
    def has_errors(self) -> bool:
        """Whether the file is refused."""
        return bool(self._error_paths)

    def end_stage(self) -> None:
        """What was found so far silences later findings about the same places."""
        self._earlier |= self._error_paths

    def error(self, path: Path, text: str, expected: str = "", suggestion: str = "", *, found: str = "") -> None:
        """Something that keeps the file from being used; the place is that of the value."""
        self._add(Severity.ERROR, path, self._positions.of_value(path), (text, found, expected, suggestion))

    def error_at_key(
        self, path: Path, text: str, expected: str = "", suggestion: str = "", *, found: str = ""
    ) -> None:
        """The same, pointing at the key."""
        self._add(Severity.ERROR, path, self._positions.of_key(path), (text, found, expected, suggestion))

    def warning(self, path: Path, text: str, *, depends_on: Path = ()) -> None:
        """Something that works, and is probably not meant; silent where `depends_on` has an error."""
        if depends_on and any(_overlap(depends_on, earlier) for earlier in self._earlier):
            return
        self._add(Severity.WARNING, path, self._positions.of_value(path), (text, "", "", ""))

    def notation(self, path: Path, error: NotationError) -> None:
        """A text that its place does not take."""
        found = quoted(error.found)
        self.error(path, f"{found} is not right here", error.expected, error.suggestion, found=found)

    def error_in_list(self, path: Path, file: str, line: int, text: str) -> None:
        """An error in a line of a list file that `path` names."""
        self._error_paths.add(path)
        if len(self._issues) >= ISSUES_MAX:
            return
        message = f"{self._subject(path)}{text}"
        self._issues.append(Issue(Severity.ERROR, file, line, 1, write_path(path), "", "", "", message))

    def has(self, path: Path) -> bool:
        """Whether the file sets a value, other than the empty text, at this place."""
        value: object = self._document
        for part in path:
            value = value.get(str(part), "") if isinstance(value, dict) else ""
        return value != ""

    def is_uncertain(self, kind: str) -> bool:
        """Whether the name of a table of this kind is wrong, so that references to it cannot be judged."""
        return any(path[0] == kind and path[-1] in {kind, "name"} for path in self._error_paths)

    def _add(self, severity: Severity, path: Path, place: Place, words: tuple[str, str, str, str]) -> None:
        if any(_overlap(path, earlier) for earlier in self._earlier):
            return
        if severity is Severity.ERROR:
            self._error_paths.add(path)
        if len(self._issues) >= ISSUES_MAX:
            return
        text, found, expected, suggestion = words
        message = f"{self._subject(path)}{text}"
        message += f"; expected {expected}" if expected else ""
        message += f"; did you mean {quoted(suggestion)}?" if suggestion else ""
        excerpt = "" if "security" in path[2:-1] else excerpt_of(self._positions.line(place.line))
        self._issues.append(
            Issue(severity, self._file, *place, write_path(path), found, expected, suggestion, message, excerpt)
        )

    def _subject(self, path: Path) -> str:
        """`connector "Internet via ISP": `, as far as the table has a name."""
        if not path or not isinstance(path[0], str):
            return ""
        kind = path[0].replace("_", " ")
        if len(path) < 2 or not isinstance(path[1], int):
            return f"{kind}: " if len(path) > 1 else ""
        tables = self._document.get(path[0])
        if not isinstance(tables, list) or path[1] >= len(tables):
            return f"{kind}: "
        table = tables[path[1]]
        name = table.get(_NAME_KEYS.get(path[0], "name")) if isinstance(table, dict) else None
        return f"{kind} {quoted(name) if isinstance(name, str) else f'number {path[1] + 1}'}: "


def nearest(word: str, choices: Iterable[str]) -> str:
    """The valid name that was probably meant, or nothing."""
    listed = list(choices)
    folded = {choice.lower(): choice for choice in reversed(listed)}
    found = difflib.get_close_matches(word.lower().replace("-", "_"), folded, 1) or difflib.get_close_matches(
        word.lower(), folded, 1
    )
    return folded[found[0]] if found else ""


def one_of(choices: Sequence[str]) -> str:
    """`"a", "b" or "c"`, shortened where there are very many."""
    shown = [quoted(choice) for choice in choices[:CHOICES_SHOWN_MAX]]
    if len(choices) > CHOICES_SHOWN_MAX:
        return ", ".join(shown) + ", …"
    return " or ".join(filter(None, [", ".join(shown[:-1]), shown[-1]])) if shown else "nothing"


def quoted(text: str) -> str:
    """A text as it is shown in a message: quoted, printable, cut."""
    cut = text if len(text) <= FOUND_MAX else f"{text[: FOUND_MAX - 1]}…"
    return '"' + "".join(character if character.isprintable() else "?" for character in cut) + '"'


def _overlap(one: Path, other: Path) -> bool:
    """Whether one of the paths leads through the other."""
    shorter = min(len(one), len(other))
    return one[:shorter] == other[:shorter]
