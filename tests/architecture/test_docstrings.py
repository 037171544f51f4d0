"""Every module, and every class and function that others may use, says what it is for."""

from __future__ import annotations

import ast

from tests.architecture.source import ROOT, Defined, definitions, python_files, tree

EXPLAINED_ELSEWHERE = {"override", "overload", "setter"}
"""Decorators of functions that stand for a documented one."""


def test_every_module_has_a_docstring() -> None:
    found = [
        str(path.relative_to(ROOT))
        for path in python_files("src", "tests", "benchmarks")
        if path.name != "__init__.py" and not ast.get_docstring(tree(path))
    ]
    assert found == []


def test_every_public_class_and_function_has_a_docstring() -> None:
    found = [
        defined.place
        for path in python_files("src")
        for defined in definitions(path)
        if is_public(defined) and not ast.get_docstring(defined.node)
    ]
    assert found == []


def is_public(defined: Defined) -> bool:
    """Whether others may use it: no underscore in it or around it, not inside a function, no stand-in."""
    names = (*defined.owners, defined.node.name)
    if defined.in_function or any(name.startswith("_") for name in names):
        return False
    return not EXPLAINED_ELSEWHERE & {decorator_name(node) for node in defined.node.decorator_list}


def decorator_name(node: ast.expr) -> str:
    """`"override"` for `@override`, `@typing.override` and `@override()`."""
    if isinstance(node, ast.Call):
        node = node.func
    return node.attr if isinstance(node, ast.Attribute) else getattr(node, "id", "")
