"""Places of keys and values: whatever way TOML allows to write them."""

from __future__ import annotations

import tomllib
from collections.abc import Iterator
from typing import Any

import pytest
import tomlkit
from hypothesis import given, settings
from hypothesis import strategies as st

from bridgehead.control.configuration.issue import Path
from bridgehead.control.configuration.positions import NOWHERE, Positions
from tests.control.configuration.examples import place_of_mark

VALUES = [
    ("plain", "a = ▸1", ("a",)),
    ("second line", "\n\n  a   =   ▸'x' # comment", ("a",)),
    ("carriage returns", "a = 1\r\nb = ▸2\r\n", ("b",)),
    ("after a comment", "# [a]\n# b = 1\nb = ▸2", ("b",)),
    ("quoted key", "\"a.b\" = ▸1\n'c d'=2", ("a.b",)),
    ("escaped key", '"\\u0061" = ▸1', ("a",)),
    ("dotted key", "a . b.'c' = ▸1", ("a", "b", "c")),
    ("table", "▸[a]\nb = 1", ("a",)),
    ("in a table", "[a]\nb = ▸1", ("a", "b")),
    ("in a table of a table", "[ a . 'b' ]\nc = ▸1", ("a", "b", "c")),
    ("array of tables", "[[a]]\n▸[[a]]\nb = 1", ("a", 1)),
    ("in the second table", "[[a]]\nb = 1\n[[a]]\nb = ▸2", ("a", 1, "b")),
    ("in a table of the second table", "[[a]]\n[a.c]\nb = 1\n[[a]]\n[a.c]\nb = ▸2", ("a", 1, "c", "b")),
    ("nested arrays of tables", "[[a]]\n[[a.b]]\n[[a.b]]\nc = ▸1", ("a", 0, "b", 1, "c")),
    ("array", "a = [1, ▸2]", ("a", 1)),
    ("array over lines", "a = [ # one\n 1, # two ]\n\n ▸2,\n]", ("a", 1)),
    ("array in an array", "a = [[1], [2, ▸3]]", ("a", 1, 1)),
    ("inline table", "a = { b = 1, c = ▸2 }", ("a", "c")),
    ("inline table in an array", "a = [{b=1},{b=▸2}]", ("a", 1, "b")),
    ("dotted in an inline table", "a = { b.c = ▸1 }", ("a", "b", "c")),
    ("after a string with brackets", 'a = ["]", "}", "#", \'"\', ▸1]', ("a", 4)),
    ("after escapes", 'a = ["\\"]", "\\\\", ▸1]', ("a", 2)),
    ("after a multi-line string", 'a = """x\n]"\\"""" # \nb = ▸1', ("b",)),
    ("after quotes at the end", 'a = """x"""""\nb = """y""""\nc = ▸1', ("c",)),
    ("after a multi-line literal", "a = '''x\n\\'''''\nb = ▸1", ("b",)),
    ("after empty strings", "a = ['', \"\", '''''', \"\"\"\"\"\", ▸1]", ("a", 4)),
    ("after a date", "a = [1979-05-27 07:32:00, ▸1979-05-27T00:32:00.99-07:00]", ("a", 1)),
    ("wide characters", "'日本' = ['日本', ▸1]", ("日本", 1)),
]  # fmt: skip


@pytest.mark.parametrize(("marked", "path"), [pytest.param(*case[1:], id=case[0]) for case in VALUES])
def test_value_is_found_where_it_stands(marked: str, path: Path) -> None:
    text, line, column = place_of_mark(marked)
    tomllib.loads(text)
    assert Positions(text).of_value(path) == (line, column)


KEYS = [
    ("plain", " ▸a = 1", ("a",)),
    ("dotted", "a. ▸b = 1", ("a", "b")),
    ("header", "[ ▸a ]", ("a",)),
    ("part of a header", "[a.▸b]", ("a", "b")),
    ("in an inline table", "a = { b = 1, ▸c = 2 }", ("a", "c")),
    ("first mention", "▸a.b = 1\na.c = 2", ("a",)),
]


@pytest.mark.parametrize(("marked", "path"), [pytest.param(*case[1:], id=case[0]) for case in KEYS])
def test_key_is_found_where_it_stands(marked: str, path: Path) -> None:
    text, line, column = place_of_mark(marked)
    assert Positions(text).of_key(path) == (line, column)


def test_what_is_not_there_has_the_place_of_its_table() -> None:
    positions = Positions("x = 1\n[a]\n[[a.b]]\nc = 1\n")
    assert positions.of_value(("a", "b", 0, "d", "e")) == (3, 1)
    assert positions.of_value(("nothing",)) == NOWHERE


def test_line_is_given_without_its_end() -> None:
    assert Positions("a = 1\r\nb = 2").line(1) == "a = 1"
    assert Positions("a = 1\r\nb = 2").line(2) == "b = 2"


scalars = st.one_of(st.booleans(), st.integers(-(2**63), 2**63 - 1), st.text(max_size=12), st.datetimes())
values = st.recursive(
    scalars, lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3)
)


def _leaves(value: Any, path: Path = ()) -> Iterator[tuple[Path, Any]]:
    if isinstance(value, dict):
        for key, inner in value.items():
            yield from _leaves(inner, (*path, key))
    elif isinstance(value, list):
        for index, inner in enumerate(value):
            yield from _leaves(inner, (*path, index))
    else:
        yield path, value


@settings(max_examples=60, deadline=None)
@given(st.dictionaries(st.text(max_size=5), values, max_size=4))
def test_every_value_of_any_document_begins_at_its_place(document: dict[str, Any]) -> None:
    text = tomlkit.dumps(document)
    lines = text.replace("\r\n", "\n").split("\n")
    parsed = tomllib.loads(text)
    positions = Positions(text)
    for path, value in _leaves(parsed):
        place = positions.of_value(path)
        rest = "\n".join([lines[place.line - 1][place.column - 1 :], *lines[place.line :]])
        assert rest.startswith(tomlkit.item(value).as_string()[:1])
        assert _first_value(rest) == value


def _first_value(text: str) -> Any:
    """What the shortest beginning of the text that is a value stands for, at its longest."""
    best = None
    for end in range(1, min(len(text), 200) + 1):
        try:
            best = tomllib.loads(f"x = {text[:end]}")["x"]
        except tomllib.TOMLDecodeError:
            continue
        if isinstance(best, str):
            return best
    return best
