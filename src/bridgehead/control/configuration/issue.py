"""What is wrong with a configuration, told so that a person can mend it: place, words found, what was expected.

An `Issue` is a value; it never holds a secret, for it goes to terminals, logs and the console.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import asdict, dataclass
from enum import StrEnum
from typing import Final, TypeAlias

from bridgehead.core.error import ConfigurationError

Path: TypeAlias = tuple[str | int, ...]
"""Where in the file: `("connector", 0, "smart_hosts")`."""

EXCERPT_MAX: Final = 160
"""Characters of a source line that are shown; a longer line gets no caret picture."""

_SECRET_WORDS: Final = ("password", "secret", "token")


class Severity(StrEnum):
    """Whether the file is refused or only deserves a look."""

    ERROR = "error"
    WARNING = "warning"


@dataclass(frozen=True, slots=True)
class Issue:
    """One error or warning; `line` and `column` count from 1, 0 means the file as a whole."""

    severity: Severity
    file: str
    line: int
    column: int
    path: str
    """`"connector[0].smart_hosts"`; indices count from 0."""
    found: str
    expected: str
    suggestion: str
    """The text that would be right here, or empty."""
    message: str
    """The whole sentence: `connector "Partner": unknown key "smart_host"; …; did you mean "smart_hosts"?`."""
    excerpt: str = ""
    """The offending source line, empty where it may hold a secret."""

    def __str__(self) -> str:
        place = f"{self.file}:{self.line}:{self.column}" if self.line else self.file
        return f"{place}: {self.severity}: {self.message}"


class NotationError(ConfigurationError, ValueError):
    """A text that is not written as its place wants it."""

    def __init__(self, found: str, expected: str, suggestion: str = "") -> None:
        super().__init__(f"{found!r}; expected {expected}")
        self.found = found
        self.expected = expected
        self.suggestion = suggestion


def render_text(issues: Iterable[Issue]) -> str:
    """The issues for a terminal: one sentence each, below it the source line and a caret."""
    return "".join(f"{issue}\n{_picture(issue)}" for issue in issues)


def render_json(issues: Iterable[Issue]) -> list[dict[str, str | int]]:
    """The issues as plain values for `--json` and the API."""
    return [{**asdict(issue), "severity": str(issue.severity)} for issue in issues]


def write_path(path: Path) -> str:
    """`("connector", 0, "security", "tls")` as `"connector[0].security.tls"`."""
    text = ""
    for part in path:
        text += f"[{part}]" if isinstance(part, int) else f".{part}" if text else part
    return text


def excerpt_of(line: str) -> str:
    """A source line fit to show, or nothing where it is too long or might show a secret."""
    shown = line.rstrip()
    if len(shown) > EXCERPT_MAX or any(word in shown.lower() for word in _SECRET_WORDS):
        return ""
    return "".join(character if character.isprintable() or character == "\t" else "?" for character in shown)


def _picture(issue: Issue) -> str:
    if not issue.excerpt:
        return ""
    # Tabs stay tabs in the padding, so that the caret stands right whatever their width.
    padding = "".join("\t" if character == "\t" else " " for character in issue.excerpt[: issue.column - 1])
    return f"    {issue.excerpt}\n    {padding}^\n"
