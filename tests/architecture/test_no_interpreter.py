"""What a peer sends is never run: no shell, no evaluation, no pickle off the wire, no `email` on the wire path."""

from __future__ import annotations

import ast
from typing import Final

from tests.architecture.source import PACKAGE, python_files, tree

RUNS_TEXT: Final = frozenset({"eval", "exec", "compile"})
RUNS_PROGRAMS: Final = frozenset({"system", "popen", "create_subprocess_shell"})
WIRE: Final = ("core/", "smtp/", "inbound/", "outbound/")
BANNED: Final = frozenset({"subprocess", "marshal", "shelve", "dill"})
PICKLES: Final = frozenset({"process/supervisor.py", "process/worker_main.py"})
"""The organization on its way from the supervisor to a worker, never back: a worker speaks msgpack."""


def modules() -> list[tuple[str, ast.Module]]:
    files = python_files("src/bridgehead")
    return [(path.relative_to(PACKAGE).as_posix(), tree(path)) for path in files]


def imported(module: ast.Module) -> set[str]:
    found: set[str] = set()
    for node in ast.walk(module):
        if isinstance(node, ast.Import):
            found |= {name.name.partition(".")[0] for name in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module:
            found.add(node.module.partition(".")[0])
    return found


def called(module: ast.Module) -> tuple[set[str], set[str]]:
    """Names of the functions, and of the methods, that a module calls."""
    calls = [node.func for node in ast.walk(module) if isinstance(node, ast.Call)]
    functions = {call.id for call in calls if isinstance(call, ast.Name)}
    return functions, {call.attr for call in calls if isinstance(call, ast.Attribute)}


def runs_text(module: ast.Module) -> bool:
    functions, methods = called(module)
    return bool(functions & RUNS_TEXT or methods & RUNS_PROGRAMS or imported(module) & BANNED)


def test_no_module_runs_text() -> None:
    assert [name for name, module in modules() if runs_text(module)] == []


def test_only_the_organization_is_pickled_and_only_towards_workers() -> None:
    assert {name for name, module in modules() if "pickle" in imported(module)} == PICKLES
    assert "loads" not in called(tree(PACKAGE / "process" / "supervisor.py"))[1]


def test_the_wire_path_reads_no_mail_with_the_standard_library_and_no_lines_but_crlf() -> None:
    wire = [(name, module) for name, module in modules() if name.startswith(WIRE)]
    assert [name for name, module in wire if "email" in imported(module) or "splitlines" in called(module)[1]] == []
