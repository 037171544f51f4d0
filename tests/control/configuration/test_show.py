"""The effective configuration, written down, is the same configuration."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from bridgehead.control.configuration.load import Configuration
from bridgehead.control.configuration.show import document_of, show
from tests.control.configuration.examples import (
    CONNECTOR,
    SMTP_CONNECTOR,
    TWO_SERVERS,
    VIRTUAL_SERVER,
    configuration,
)


def _without_generation(shown: Configuration) -> Configuration:
    return replace(shown, organization=replace(shown.organization, generation=""))


@pytest.mark.parametrize(
    "text",
    [
        "",
        SMTP_CONNECTOR,
        f'{TWO_SERVERS}{CONNECTOR}bridgeheads = ["One"]',
        VIRTUAL_SERVER + 'relay.clients = []\ndelivery.smart_hosts = "relay;[2001:db8::9]:26"',
        VIRTUAL_SERVER.replace("192.0.2.1", "127.0.0.1")
        + 'authentication = { users = { file = "/dev/null" }, without_tls = true }',
    ],
    ids=["defaults", "scenario", "two servers", "smart hosts", "authentication"],
)
def test_what_is_shown_loads_to_the_same(text: str) -> None:
    first = configuration(text)
    again = configuration(show(first.organization, first.node), Path("/elsewhere"))
    assert _without_generation(again) == _without_generation(first)


def test_secret_is_shown_as_where_it_is_found() -> None:
    loaded = configuration(SMTP_CONNECTOR)
    text = show(loaded.organization, loaded.node)
    assert 'env = "ISP_PASSWORD"' in text
    assert "xyzzy" not in text


def test_document_holds_the_decided_defaults() -> None:
    loaded = configuration("")
    document = document_of(loaded.organization, loaded.node)
    assert document["organization"]["no_match"] == "native-dns"
    assert document["node"]["workers"] == 4
    assert document["virtual_server"][0]["listen"] == ["127.0.0.1:2525"]
