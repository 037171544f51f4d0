"""What the documents name is there: a test that moved or went must take its line in them along."""

from __future__ import annotations

import re

import pytest

from tests.architecture.source import PACKAGE, ROOT, definitions

NAMED_TEST = re.compile(r"`([a-z_/]+\.py)::(test_\w+)`")
BARE_TEST = re.compile(r"`(test_\w+)`")
EVENT = re.compile(r'"event": ?"([a-z-]+)"')
NAMED_MODULE = re.compile(r"`([a-z]+/[a-z_/]*(?:\.py)?)`")


def text_of(document: str) -> str:
    return (ROOT / "docs" / document).read_text("utf-8")


@pytest.mark.parametrize("document", ["threats.md", "specifications.md"])
def test_every_test_that_a_document_names_exists(document: str) -> None:
    named = NAMED_TEST.findall(text_of(document))
    assert len(named) > 30
    there = {
        (file, found.node.name)
        for file in {file for file, _ in named}
        for found in definitions(ROOT / "tests" / file)
    }
    assert sorted(set(named) - there) == []


def test_every_module_that_the_specifications_name_exists() -> None:
    tables = "\n".join(line for line in text_of("specifications.md").splitlines() if line.startswith("| "))
    named = set(NAMED_MODULE.findall(tables))
    assert len(named) > 20
    assert sorted(name for name in named if not (PACKAGE / name).exists()) == []


def test_every_threat_names_its_test_or_says_that_it_is_open() -> None:
    rows = [line for line in text_of("threats.md").partition("## Measured")[0].splitlines() if line.startswith("| ")]
    bare = [row for row in rows if "::test_" not in row and "*open*" not in row and "| shown by |" not in row]
    assert bare == []


def test_every_test_that_is_named_without_its_file_exists() -> None:
    documents = [ROOT / "README.md", ROOT / "ARCHITECTURE.md", *(ROOT / "docs").rglob("*.md")]
    named = {name for path in documents for name in BARE_TEST.findall(path.read_text("utf-8"))}
    assert len(named) > 30
    there = {found.node.name for path in (ROOT / "tests").rglob("test_*.py") for found in definitions(path)}
    assert sorted(named - there - {path.stem for path in (ROOT / "tests").rglob("test_*.py")}) == []


def test_every_event_of_the_log_is_in_the_documents() -> None:
    written = {name for path in PACKAGE.rglob("*.py") for name in EVENT.findall(path.read_text("utf-8"))}
    assert len(written) > 10
    assert sorted(name for name in written if f"`{name}`" not in text_of("monitoring.md")) == []
