"""From a file to an `Organization` and a `Node`, or to everything that is wrong with it.

`load` keeps nothing between calls and changes nothing: at a reload the caller drops the result if it has errors and
goes on with what it had.
"""

from __future__ import annotations

import re
import tomllib
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from bridgehead.control.configuration.build import build
from bridgehead.control.configuration.issue import Issue, Severity, excerpt_of
from bridgehead.control.configuration.machine import Machine, this_machine
from bridgehead.control.configuration.positions import Positions
from bridgehead.control.configuration.refusals import refuse
from bridgehead.control.configuration.report import Report
from bridgehead.control.configuration.sources import Sources
from bridgehead.control.configuration.validation import validate
from bridgehead.control.configuration.warnings import warn
from bridgehead.core.organization import Node, Organization

FILE_BYTES_MAX: Final = 16 * 1024 * 1024
"""Ten thousand connectors take about 4 MiB."""
DEFAULT_NAME: Final = "(built-in defaults)"
"""Stands for the file where there is none."""

_TOML_PLACE: Final = re.compile(r"(.*) \(at (?:line (\d+), column (\d+)|end of document)\)", re.DOTALL)


@dataclass(frozen=True, slots=True)
class Configuration:
    """What a file without errors comes to."""

    organization: Organization
    node: Node


@dataclass(frozen=True, slots=True)
class Loaded:
    """The result of loading a file."""

    path: Path | None
    """The file; `None`: there is none, the built-in defaults hold."""
    configuration: Configuration | None
    """`None` where there is any error."""
    issues: tuple[Issue, ...]
    """Errors and warnings, in the order of the file."""

    @property
    def errors(self) -> tuple[Issue, ...]:
        """What keeps the file from being used."""
        return tuple(issue for issue in self.issues if issue.severity is Severity.ERROR)

    @property
    def warnings(self) -> tuple[Issue, ...]:
        """What works, and is probably not meant."""
        return tuple(issue for issue in self.issues if issue.severity is Severity.WARNING)


def load(path: Path | None, machine: Machine | None = None) -> Loaded:
    """The configuration in a file, `None` for the built-in defaults; never raises, see `Loaded.issues`."""
    if path is None:
        return load_text("", None, machine)
    try:
        with path.open("rb") as stream:
            content = stream.read(FILE_BYTES_MAX + 1)
    except (OSError, ValueError) as error:
        reason = error.strerror if isinstance(error, OSError) and error.strerror else "not a file name"
        return _refused(path, "", f"the file cannot be read: {reason}")
    if len(content) > FILE_BYTES_MAX:
        return _refused(path, "", f"the file is larger than {FILE_BYTES_MAX // 2**20} MiB")
    try:
        text = content.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        before = content[: error.start].decode("utf-8-sig")
        line, column = before.count("\n") + 1, len(before) - (before.rfind("\n") + 1) + 1
        return _refused(path, "", "the file is not UTF-8 text", line, column)
    return load_text(text, path, machine)


def load_text(text: str, path: Path | None, machine: Machine | None = None) -> Loaded:
    """The configuration in a text; `path` is where it would stand, and relative paths start at its folder."""
    machine = machine or this_machine()
    try:
        document = tomllib.loads(text)
        positions = Positions(text)
    except RecursionError:
        return _refused(path, text, "values are nested too deeply")
    except ValueError as error:
        return _syntax_error(path, text, str(error))
    return _load_document(text, document, path, (machine, positions))


def _load_document(
    text: str, document: dict[str, Any], path: Path | None, context: tuple[Machine, Positions]
) -> Loaded:
    machine, positions = context
    report = Report(_name(path), document, positions)
    folder = Path.cwd() if path is None else path.absolute().parent
    sources = Sources(folder, machine, report)
    sources.count_in(text.encode("utf-8", "surrogatepass"))
    file = validate(document, report)
    if file is None:
        return Loaded(path, None, report.issues)
    organization, node = build(file, machine, sources, report)
    report.end_stage()
    refuse(organization, node, machine, report)
    warn(organization, node, report)
    configuration = None if report.has_errors else Configuration(organization, node)
    return Loaded(path, configuration, report.issues)


def _name(path: Path | None) -> str:
    return DEFAULT_NAME if path is None else str(path)


def _syntax_error(path: Path | None, text: str, error: str) -> Loaded:
    match = _TOML_PLACE.fullmatch(error)
    lines = text.split("\n")
    if match is None:
        return _refused(path, text, f"not valid TOML: {error[:200]}")
    line, column = (int(match[2]), int(match[3])) if match[2] else (len(lines), len(lines[-1]) + 1)
    return _refused(path, text, f"not valid TOML: {match[1]}", line, column)


def _refused(path: Path | None, text: str, message: str, line: int = 0, column: int = 0) -> Loaded:
    """The one error of a text that cannot be read at all."""
    excerpt = excerpt_of(text.split("\n")[line - 1]) if line and text else ""
    issue = Issue(Severity.ERROR, _name(path), line, column, "", "", "", "", message, excerpt)
    return Loaded(path, None, (issue,))
