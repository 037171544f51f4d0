"""Files and functions stay small enough to be read at once."""

from __future__ import annotations

import ast

from tests.architecture.source import ROOT, definitions, python_files

FILE_LINES_MAX = 450
FUNCTION_LINES_MAX = 70


def test_no_file_is_too_long() -> None:
    lengths = {
        str(path.relative_to(ROOT)): len(path.read_text().splitlines())
        for path in python_files("src", "tests", "benchmarks")
    }
    assert {name: lines for name, lines in lengths.items() if lines > FILE_LINES_MAX} == {}


def test_no_function_is_too_long() -> None:
    found = {}
    for path in python_files("src", "tests", "benchmarks"):
        for defined in definitions(path):
            node = defined.node
            assert node.end_lineno is not None
            lines = node.end_lineno - node.lineno + 1
            if not isinstance(node, ast.ClassDef) and lines > FUNCTION_LINES_MAX:
                found[defined.place] = lines
    assert found == {}


def test_no_package_hides_code_in_its_init_file() -> None:
    allowed = {"src/bridgehead/__init__.py"}
    found = [
        str(path.relative_to(ROOT))
        for path in python_files("src", "tests")
        if path.name == "__init__.py" and path.read_text().strip()
    ]
    assert set(found) <= allowed
    version_only = (ROOT / "src/bridgehead/__init__.py").read_text().splitlines()
    assert len(version_only) <= 10
