"""`tests/` mirrors `src/`: who reads a module finds its specification at the same place, without exception."""

from __future__ import annotations

from pathlib import Path

from tests.architecture.source import PACKAGE, ROOT

TESTS_OF_NO_MODULE = ("architecture", "benchmarks", "faults", "peers", "simulation")
"""Folders of tests whose subject is the whole."""


def modules() -> set[str]:
    """`"core/routing"`, `"control/configuration/reader"`; packages without code of their own are left out."""
    paths = {path.relative_to(PACKAGE) for path in PACKAGE.rglob("*.py") if path.name != "__init__.py"}
    return {path.with_suffix("").as_posix() for path in paths}


def find_tests(module: str) -> list[Path]:
    """`tests/core/test_routing.py`, and `test_routing_properties.py` beside it."""
    folder = ROOT / "tests" / Path(module).parent
    name = Path(module).name
    return [*folder.glob(f"test_{name}.py"), *folder.glob(f"test_{name}_*.py")]


def test_every_module_has_its_own_test() -> None:
    assert sorted(module for module in modules() if not find_tests(module)) == []


def test_every_test_stands_where_its_module_does() -> None:
    homeless = {
        str(path.relative_to(ROOT))
        for path in (ROOT / "tests").rglob("test_*.py")
        if path.relative_to(ROOT / "tests").parts[0] not in TESTS_OF_NO_MODULE
    } - {str(path.relative_to(ROOT)) for module in modules() for path in find_tests(module)}
    assert sorted(homeless) == []
