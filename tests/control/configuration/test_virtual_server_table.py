"""Keys of a virtual server that are named, and not available yet; and its defaults as the reference has them."""

from __future__ import annotations

import pytest

from bridgehead.control.configuration.virtual_server_table import (
    RelayTable,
    ServerAuthenticationTable,
    VirtualServerTable,
)
from tests.control.configuration.examples import VIRTUAL_SERVER, assert_comes_later

LATER = [
    ("unresolved_to", VIRTUAL_SERVER + 'messages.unresolved_to = {}"mx.example"', '""'),
    ("ndr_copy_to", VIRTUAL_SERVER + 'messages.ndr_copy_to = {}"a@b.example"', '""'),
    ("masquerade_domain", VIRTUAL_SERVER + 'delivery.masquerade_domain = {}"b.example"', '""'),
    ("direct_first", VIRTUAL_SERVER + "delivery.direct_first = {}true", "false"),
    ("security of a virtual server", VIRTUAL_SERVER + '{}[virtual_server.security]\nusername = "u"', "nothing"),
    ("SCRAM for clients", VIRTUAL_SERVER + 'authentication.mechanisms = [{}"SCRAM-SHA-256"]', "another value"),
]  # fmt: skip


@pytest.mark.parametrize(("template", "default"), [pytest.param(*case[1:], id=case[0]) for case in LATER])
def test_what_comes_later_is_an_error_and_never_silence(template: str, default: str) -> None:
    assert_comes_later(template, default)


def test_defaults_are_those_of_the_reference() -> None:
    table = VirtualServerTable(name="x", listen=["127.0.0.1:25"])
    assert (table.connection.mode, table.connection.clients, table.connection.timeout) == ("all-except", [], "10m")
    assert (table.relay.mode, table.relay.clients) == ("only-list", ["127.0.0.0/8", "::1"])
    assert (table.messages.size_kb, table.messages.recipients) == (0, 64_000)
    assert (table.delivery.retry_minutes, table.delivery.expire) == ([10, 10, 10, 15], "2d")
    assert (table.delivery.connections, table.delivery.connections_per_domain) == (1000, 100)
    assert ServerAuthenticationTable().mechanisms == ["PLAIN", "LOGIN"]


def test_tables_do_not_share_their_lists() -> None:
    one, other = RelayTable(), RelayTable()
    one.clients.append("192.0.2.1")
    assert other.clients == ["127.0.0.0/8", "::1"]
