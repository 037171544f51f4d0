"""Checks a parsed document against the tables of the file, and reports every fault at once.

Faulty values are then taken out, so that the rest can be built and checked too: an operator sees all errors of a
file in one go. What was taken out is remembered by the `Report`, which drops findings that would only follow from it.
"""

from __future__ import annotations

import copy
import re
from collections.abc import Mapping
from typing import Any, Final, get_args

from pydantic import ValidationError
from pydantic_core import ErrorDetails

from bridgehead.control.configuration.fields import LATER_CHOICES, Table
from bridgehead.control.configuration.issue import NotationError, Path
from bridgehead.control.configuration.model import ConfigurationFile
from bridgehead.control.configuration.report import Report, nearest, one_of, quoted

ROUNDS_MAX: Final = 8
"""Taking out a value can make its table faulty, and so on upwards; tables are not nested deeper than this."""
NUMBER_SHOWN_MAX: Final = 10**18

_STAND_INS: Final[Mapping[str, dict[str, object]]] = {
    "server": {"name": "?"},
    "accepted_domain": {"domain": "invalid"},
    "virtual_server": {"name": "?", "listen": ["127.0.0.1:0"]},
    "connector": {"name": "?"},
    "tls_policy": {"domain": "invalid"},
    "routing_group_connector": {"name": "?", "from": "?", "to": "?"},
}
_SECRET_KEYS: Final = frozenset({"password", "client_secret"})
_KINDS: Final = {
    "bool_type": "true or false",
    "int_type": "a whole number",
    "int_from_float": "a whole number",
    "float_type": "a number",
    "finite_number": "a number",
    "string_type": "a text in quotes",
    "list_type": "a list",
}
_BOUNDS: Final = {
    "greater_than": ("gt", "more than {}"),
    "greater_than_equal": ("ge", "at least {}"),
    "less_than_equal": ("le", "at most {}"),
    "too_short": ("min_length", "at least {} entry"),
    "too_long": ("max_length", "at most {} entries"),
    "string_too_short": ("min_length", "at least {} character"),
    "string_too_long": ("max_length", "at most {} characters"),
}


def validate(document: Mapping[str, object], report: Report) -> ConfigurationFile | None:
    """The tables of the file, without what is faulty; `None` where nothing can be made of it."""
    errors, model = _try(document)
    for error in errors:
        _report(error, report)
    report.end_stage()
    rest = copy.deepcopy(dict(document))
    for _ in range(ROUNDS_MAX):
        if model is not None:
            break
        for error in errors:
            _take_out(rest, _document_path(error))
        errors, model = _try(rest)
    return model


def _try(document: Mapping[str, object]) -> tuple[list[ErrorDetails], ConfigurationFile | None]:
    try:
        return [], ConfigurationFile.model_validate(document)
    except ValidationError as error:
        return error.errors(include_url=False), None


def _document_path(error: ErrorDetails) -> Path:
    """The place of an error in the document: `<text>` and the like are marks of ours, no keys."""
    return tuple(part for part in error["loc"] if not (isinstance(part, str) and part.startswith("<")))


def _report(error: ErrorDetails, report: Report) -> None:
    path, kind, value = _document_path(error), error["type"], error["input"]
    context = error.get("ctx", {})
    found = "a value" if _SECRET_KEYS.intersection(path) else _shown(value)
    cause = context.get("error")
    if isinstance(cause, NotationError):
        report.notation(path, cause)
    elif kind == "extra_forbidden":
        keys = _keys_at(path[:-1])
        name = str(path[-1])
        report.error_at_key(
            path, f"unknown key {quoted(name)}", f"one of {', '.join(keys)}", nearest(name, keys), found=name
        )
    elif kind == "missing":
        report.error(path, f"key {quoted(str(path[-1]))} is missing", f"{path[-1]} = …")
    elif kind == "later":
        default = context["written"]
        report.error(path, f"{path[-1]}: {found} is not available yet; use {default}", found=found)
    elif kind == "plain_secret":
        report.error(
            path,
            "a secret does not stand in the file",
            '{ file = "isp.secret" }, { env = "ISP_PASSWORD" } or { credential = "isp" }',
        )
    elif kind == "literal_error":
        listed = re.findall(r"'([^']*)'", context["expected"])
        choices = [choice for choice in listed if choice and choice not in LATER_CHOICES]
        text = f"{_key_of(path)} is {found}"
        report.error(path, text, one_of(choices), nearest(str(value), choices), found=found)
    else:
        report.error(path, f"{_key_of(path)} is {found}", _expected(error, path), found=found)


def _expected(error: ErrorDetails, path: Path) -> str:
    kind = error["type"]
    if kind in _KINDS:
        is_array_of_tables = kind == "list_type" and isinstance(error["input"], dict)
        return f"[[{path[0]}]], with two brackets" if is_array_of_tables else _KINDS[kind]
    if kind in _BOUNDS:
        name, text = _BOUNDS[kind]
        return text.format(error.get("ctx", {})[name])
    if kind in {"model_type", "dict_type", "model_attributes_type"}:
        is_array = isinstance(error["input"], list) and len(path) == 1
        return f"[{path[0]}], with single brackets" if is_array else "a table, { key = value }"
    return error["msg"]


def _shown(value: object) -> str:
    """A value of the document as a message shows it."""
    if isinstance(value, str):
        return quoted(value)
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, list):
        return "a list"
    if isinstance(value, dict):
        return "a table"
    if isinstance(value, int) and abs(value) > NUMBER_SHOWN_MAX:
        return "a very large number"
    return str(value)


def _key_of(path: Path) -> str:
    """The key that a value belongs to, for a list's entry that of the list."""
    return next((part for part in reversed(path) if isinstance(part, str)), "the file")


def _keys_at(path: Path) -> list[str]:
    """The keys that the table at a place may have."""
    table: type[Table] = ConfigurationFile
    for part in path:
        if isinstance(part, str):
            field = next(field for name, field in table.model_fields.items() if (field.alias or name) == part)
            table = _table_in(field.annotation) or table
    return [field.alias or name for name, field in table.model_fields.items()]


def _table_in(annotation: Any) -> type[Table] | None:
    if isinstance(annotation, type) and issubclass(annotation, Table):
        return annotation
    return next((found for part in get_args(annotation) if (found := _table_in(part)) is not None), None)


def _take_out(document: dict[str, object], path: Path) -> None:
    """Removes the key that holds the faulty value; tables of an array keep their number, names get stand-ins."""
    if not path or path[0] not in document:
        return
    kind = str(path[0])
    tables = document[kind]
    if kind in _STAND_INS and isinstance(tables, list) and len(path) > 1 and isinstance(path[1], int):
        if not isinstance(tables[path[1]], dict):
            tables[path[1]] = {}
        table = tables[path[1]]
        _remove(table, path[2:])
        for key, value in _STAND_INS[kind].items():
            table.setdefault(key, f"?{path[1]}" if value == "?" else value)
    else:
        _remove(document, path)


def _remove(table: dict[str, Any], path: Path) -> None:
    """Removes the value at `path`, or the innermost key around it; an entry takes its whole list with it."""
    for depth, key in enumerate(path):
        inner = table.get(str(key))
        if not isinstance(inner, dict) or depth == len(path) - 1:
            table.pop(str(key), None)
            return
        table = inner
