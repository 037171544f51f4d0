"""The JSON Schema that editors use."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

from bridgehead.control.configuration.schema import schema

SHIPPED = Path(__file__).parents[3] / "docs" / "bridgehead.schema.json"


def test_shipped_schema_is_the_one_of_the_code() -> None:
    assert json.loads(SHIPPED.read_text()) == schema(), (
        "write it anew: bridgehead config schema > docs/bridgehead.schema.json"
    )


def _properties(document: dict[str, Any]) -> list[tuple[str, dict[str, Any]]]:
    definitions = [document, *document["$defs"].values()]
    return [entry for definition in definitions for entry in definition.get("properties", {}).items()]


def test_every_key_is_described() -> None:
    for key, entry in _properties(schema()):
        is_table = "$ref" in str(entry)
        assert entry.get("description") or is_table, key


def test_no_table_takes_unknown_keys() -> None:
    document = schema()
    assert all(definition["additionalProperties"] is False for definition in document["$defs"].values())
    assert document["additionalProperties"] is False


def test_later_keys_are_in_the_schema() -> None:
    keys = {key for key, _ in _properties(schema())}
    assert {"peers", "senders", "schedule", "tls_policy", "from", "sealed", "recipients_per_day"} <= keys


def test_reference_names_every_key() -> None:
    document = schema()
    del document["$defs"]["OAuth2Table"]  # not available yet, and said to be
    words = set(re.findall(r"\w+", (SHIPPED.parent / "configuration.md").read_text()))
    assert {key for key, _ in _properties(document)} - words == set()
