"""Kinds of fields: checked and kept as written, or refused because they come later."""

from __future__ import annotations

from typing import Annotated

import pytest
from pydantic import ValidationError

from bridgehead.control.configuration.fields import Duration, Endpoint, SecretField, SecretTable, Table, later


class _Example(Table):
    duration: Duration = "1m"
    endpoint: Endpoint = ""
    password: SecretField = SecretTable()
    schedule: Annotated[str, later("always", '"always"')] = "always"


def _kinds(**values: object) -> list[str]:
    with pytest.raises(ValidationError) as refusal:
        _Example.model_validate(values)
    return [error["type"] for error in refusal.value.errors()]


def test_field_keeps_the_text_of_the_file() -> None:
    assert _Example(duration="90s").duration == "90s"


def test_empty_text_means_not_set_where_that_is_possible() -> None:
    assert _Example(endpoint="").endpoint == ""
    assert _kinds(duration="") == ["value_error"]


def test_plain_secret_has_an_error_of_its_own() -> None:
    assert _kinds(password="xyzzy") == ["plain_secret"]


def test_later_field_takes_its_default_alone() -> None:
    assert _Example(schedule="always").schedule == "always"
    assert _kinds(schedule="never") == ["later"]


def test_unknown_keys_are_errors() -> None:
    assert _kinds(x=1) == ["extra_forbidden"]
