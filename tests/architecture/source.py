"""The tree as the architecture tests see it: files and their syntax, read once each."""

from __future__ import annotations

import ast
import os
import re
from collections.abc import Iterator
from dataclasses import dataclass
from fnmatch import fnmatch
from functools import cache
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
PACKAGE = ROOT / "src" / "bridgehead"
Function = ast.FunctionDef | ast.AsyncFunctionDef
Definition = ast.ClassDef | Function


@dataclass(frozen=True, slots=True)
class Defined:
    """A class or function and where it stands."""

    path: Path
    node: Definition
    owners: tuple[str, ...]
    """Names of the classes and functions around it, outermost first."""
    in_function: bool

    @property
    def place(self) -> str:
        """For the text of a failure: `"src/bridgehead/core/reply.py:12 Reply.text"`."""
        return f"{self.path.relative_to(ROOT)}:{self.node.lineno} {'.'.join((*self.owners, self.node.name))}"


def python_files(*folders: str) -> list[Path]:
    """All Python files below folders of the repository, in order."""
    return sorted(path for folder in folders for path in (ROOT / folder).rglob("*.py"))


@cache
def tree(path: Path) -> ast.Module:
    """The syntax of a file."""
    return ast.parse(path.read_bytes(), filename=str(path))


def definitions(path: Path) -> Iterator[Defined]:
    """Every class and function of a file, nested ones included."""
    yield from _definitions(path, tree(path), (), in_function=False)


def _definitions(path: Path, node: ast.AST, owners: tuple[str, ...], *, in_function: bool) -> Iterator[Defined]:
    for child in ast.iter_child_nodes(node):
        if isinstance(child, Definition):
            yield Defined(path, child, owners, in_function)
            inner = in_function or not isinstance(child, ast.ClassDef)
            yield from _definitions(path, child, (*owners, child.name), in_function=inner)
        else:
            yield from _definitions(path, child, owners, in_function=in_function)


def words(name: str) -> list[str]:
    """`"RelayPolicy_check2"` -> `["relay", "policy", "check2"]`."""
    return [part.lower() for part in re.findall(r"[A-Z]+(?![a-z])[0-9]*|[A-Z]?[a-z0-9]+", name)]


def published_files() -> list[Path]:
    """Every file that belongs to the repository; what tools and builds leave behind is left out, as in .gitignore."""
    left_behind = {line.strip("/") for line in (ROOT / ".gitignore").read_text().split()} | {".git"}
    found: list[Path] = []
    for folder, folders, files in os.walk(ROOT):
        folders[:] = [name for name in folders if not any(fnmatch(name, pattern) for pattern in left_behind)]
        found.extend(Path(folder, name) for name in files)
    return sorted(found)
