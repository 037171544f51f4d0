"""What references can mean."""

from __future__ import annotations

from bridgehead.control.configuration.names import Names
from bridgehead.core.organization import Listener, Server, VirtualServer


def _virtual_server(server: str, name: str) -> VirtualServer:
    return VirtualServer(name, server, (Listener("127.0.0.1", 25),), "mail.contoso.com")


NAMES = Names(
    "A",
    (Server("A", routing_group="Tokyo"), Server("B", routing_group="Osaka"), Server("C", routing_group="Tokyo")),
    (_virtual_server("A", "One"), _virtual_server("B", "One"), _virtual_server("B", "Two")),
)


def test_groups_are_named_once_in_order() -> None:
    assert NAMES.routing_groups == ["Tokyo", "Osaka"]


def test_whole_key_means_one_and_a_name_all_that_bear_it() -> None:
    assert NAMES.keys_meant("B/One") == ["B/One"]
    assert NAMES.keys_meant("One") == ["A/One", "B/One"]
    assert NAMES.keys_meant("Two") == ["B/Two"]
    assert NAMES.keys_meant("Three") == []
