"""Names say what a thing is: words that fit everything, and therefore say nothing, are not used."""

from __future__ import annotations

import re

import pytest

from tests.architecture.source import ROOT, definitions, published_files, python_files, words

BANNED = {"manager", "util", "utils", "utility", "helper", "helpers", "handler", "handlers", "base", "common", "misc"}
OUTSIDE = re.compile(rb"(?<![\w.{}])/(?:work|home|root|Users|workspace|mnt)/\w|\bshared/(?!corpus)\w")
"""Folders of one person's machine; what a clone does not have must not be named."""


def test_no_module_class_or_function_has_a_name_that_says_nothing() -> None:
    found = []
    for path in python_files("src", "tests", "benchmarks"):
        if BANNED & set(words(path.stem)):
            found.append(str(path.relative_to(ROOT)))
        for defined in definitions(path):
            is_sentence = defined.node.name.startswith("test_")
            if not is_sentence and BANNED & set(words(defined.node.name)):
                found.append(defined.place)
    assert found == []


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("QueueManager", ["queue", "manager"]),
        ("base_url", ["base", "url"]),
        ("base64_decode", ["base64", "decode"]),
        ("DSNText", ["dsn", "text"]),
        ("_ListItem2", ["list", "item2"]),
    ],
)
def test_names_are_split_into_words(name: str, expected: list[str]) -> None:
    assert words(name) == expected


def test_no_file_names_a_folder_outside_the_repository() -> None:
    found = [
        f"{path.relative_to(ROOT)}: {match[0].decode(errors='replace')}"
        for path in published_files()
        for match in OUTSIDE.finditer(path.read_bytes())
    ]
    assert found == []
