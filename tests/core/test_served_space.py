"""Address spaces as routing finds them: what they say of their connector, and which of them are one object."""

from __future__ import annotations

from collections.abc import Mapping

import pytest

from bridgehead.core.organization import Restrictions, Scope, VirtualServer
from bridgehead.core.served_space import ServedSpace, served_spaces
from tests.core.organizations import REMOTE, SECOND, VIRTUAL_SERVER, Way, connector

PLAIN = Way()
VIRTUAL_SERVERS: Mapping[str, VirtualServer] = {
    found.key: found
    for found in (
        VirtualServer("Default", "BRIDGE01", (), "mail.x"),
        VirtualServer("Second", "BRIDGE01", (), "second.x"),
        VirtualServer("Default", "BRIDGE02", (), "osaka.x"),
    )
}


def served(*spaces: str, way: Way = PLAIN) -> dict[str, ServedSpace]:
    """What is made of the address spaces of one connector, by pattern."""
    found = list(served_spaces((connector("A", *spaces, way=way),), VIRTUAL_SERVERS))
    assert len(found) == len(dict(found)), "every pattern once"
    return dict(found)


def test_a_pattern_that_a_connector_has_twice_counts_once_at_its_lowest_cost() -> None:
    assert served("*;9", "*;3", "*;7")["*"].cost == 3


def test_address_spaces_of_one_connector_that_cost_the_same_are_one_object() -> None:
    found = served("x.org;1", "*.y.org;1", "z.org;2")

    assert found["x.org"] is found["*.y.org"]
    assert (found["x.org"].cost, found["z.org"].cost) == (1, 2)


def test_bridgeheads_are_grouped_by_their_server_and_keep_their_order() -> None:
    way = Way(bridgeheads=(SECOND, REMOTE, VIRTUAL_SERVER, "GONE/Default"))

    assert served("*", way=way)["*"].bridgeheads == {
        "BRIDGE01": (SECOND, VIRTUAL_SERVER),
        "BRIDGE02": (REMOTE,),
        "": ("GONE/Default",),
    }


OPEN = {
    "nothing said": (Way(), True),
    "disabled": (Way(enabled=False), False),
    "scoped": (Way(scope=Scope.ROUTING_GROUP), False),
    "size": (Way(restrictions=Restrictions(size_less_than=1)), False),
    "senders accepted": (Way(restrictions=Restrictions(accept_from=("x.org",))), False),
    "senders rejected": (Way(restrictions=Restrictions(reject_from=("x.org",))), False),
}


@pytest.mark.parametrize(("way", "expected"), OPEN.values(), ids=OPEN)
def test_what_may_refuse_a_message_is_not_open(way: Way, expected: bool) -> None:
    assert served("*", way=way)["*"].is_open is expected


def test_what_routing_reads_of_the_connector_is_the_connector_s() -> None:
    by_dns = served("*", way=Way(smart_hosts=()))["*"]
    by_smart_host = served("*")["*"]

    assert (by_dns.name, by_dns.connector.name) == ("A", "A")
    assert (by_dns.has_smart_hosts, by_smart_host.has_smart_hosts) == (False, True)
