"""Keys of the file outside virtual servers and connectors that are named, and not available yet."""

from __future__ import annotations

import pytest
from pydantic import ValidationError

from bridgehead.control.configuration.model import ConfigurationFile, NodeTable, ServerTable
from tests.control.configuration.examples import assert_comes_later

LATER = [
    ("peers", '[node]\npeers = {}"192.0.2.1:2526"', '""'),
    ("tls_policy", '[[{}tls_policy]]\ndomain = "*.bank.example"', "nothing"),
    ("routing_group_connector", '[[{}routing_group_connector]]\nname = "x"\nfrom = "Tokyo"\nto = "Osaka"', "nothing"),
]  # fmt: skip


@pytest.mark.parametrize(("template", "default"), [pytest.param(*case[1:], id=case[0]) for case in LATER])
def test_what_comes_later_is_an_error_and_never_silence(template: str, default: str) -> None:
    assert_comes_later(template, default)


def test_defaults_are_those_of_the_reference() -> None:
    file = ConfigurationFile()
    assert (file.node.console, file.node.drain, file.node.min_free_mb) == ("127.0.0.1:8025", "15s", 256)
    assert (file.organization.name, file.organization.no_match) == ("Organization", "")
    assert ServerTable(name="x").administrative_group == "First Administrative Group"


def test_table_is_never_changed() -> None:
    with pytest.raises(ValidationError):
        NodeTable().server = "x"  # type: ignore[misc]  # that it is refused is what is tested
