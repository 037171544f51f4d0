"""Limits of outgoing connections."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

from bridgehead.core.organization import ConnectorLimits, Delivery, SmartHost, SmartHostKind
from bridgehead.core.routing import SMART_HOSTS
from bridgehead.outbound.allowance import LocalAllowance, is_of_slow, limits_of, slow
from bridgehead.outbound.contract import QueueKey
from bridgehead.outbound.destination import destination_of
from tests.outbound.post_office import HERE, connector, organization


class Turns:
    """An event loop that runs when the test says so."""

    def __init__(self) -> None:
        self.soon: list[Callable[[], None]] = []

    def __call__(self, callback: Callable[[], None]) -> None:
        self.soon.append(callback)

    def turn(self) -> None:
        """Run what waits."""
        soon, self.soon = self.soon, []
        for callback in soon:
            callback()


def test_a_lease_is_granted_on_the_next_turn_and_the_next_one_when_it_comes_back() -> None:
    turns, granted = Turns(), list[str]()
    allowance = LocalAllowance(turns)
    first = allowance.request((("connector ISP", 1),), lambda: granted.append("first"))
    allowance.request((("connector ISP", 1),), lambda: granted.append("second"))
    assert granted == []
    turns.turn()
    assert granted == ["first"]
    allowance.release(first)
    turns.turn()
    assert granted == ["first", "second"]


def test_a_lease_given_back_before_it_was_heard_of_goes_to_the_next() -> None:
    turns, granted = Turns(), list[str]()
    allowance = LocalAllowance(turns)
    first = allowance.request((("connector ISP", 1),), lambda: granted.append("first"))
    allowance.request((("connector ISP", 1),), lambda: granted.append("second"))
    allowance.release(first)
    turns.turn()
    assert granted == ["second"]


def test_limits_of_connector_and_virtual_server_both_apply() -> None:
    isp = replace(connector("ISP", "*"), limits=ConnectorLimits(connections=20, connections_per_domain=7))
    both = organization(isp, delivery=Delivery(connections=1000, connections_per_domain=5))
    destination = destination_of(QueueKey("ISP", HERE, SMART_HOSTS), both)
    assert destination is not None
    assert limits_of(destination) == (
        ("virtual server BRIDGE01/Default", 1000),
        ("virtual server BRIDGE01/Default to [192.0.2.10]", 5),
        ("connector ISP", 20),
        ("connector ISP to [192.0.2.10]", 7),
    )


def test_connectors_with_different_smart_hosts_do_not_share_the_limit_of_a_domain() -> None:
    first, second = connector("ISP", "*"), connector("Partner", "fabrikam.com")
    second = replace(second, smart_hosts=(SmartHost("192.0.2.20", SmartHostKind.ADDRESS),))
    both = organization(first, second)
    destinations = [destination_of(QueueKey(name, HERE, SMART_HOSTS), both) for name in ("ISP", "Partner")]
    shared = [{name for name, _ in limits_of(one)} for one in destinations if one is not None]
    assert shared[0] & shared[1] == {"virtual server BRIDGE01/Default"}


def test_without_a_connector_the_virtual_server_alone_limits() -> None:
    destination = destination_of(QueueKey("", HERE, "fabrikam.com"), organization())
    assert destination is not None
    assert [name for name, _ in limits_of(destination)] == [
        "virtual server BRIDGE01/Default",
        "virtual server BRIDGE01/Default to fabrikam.com",
    ]


def test_half_of_each_limit_may_be_slow_and_of_one_connection_the_one() -> None:
    limits = (("connector ISP", 20), ("connector ISP to a.example", 1), ("virtual server V", 0))
    assert slow(limits) == (("connector ISP, slow", 10), ("connector ISP to a.example, slow", 1))
    assert [is_of_slow(name) for name, _ in (*slow(limits), *limits)] == [True, True, False, False, False]


def test_a_place_among_the_slow_is_no_connection() -> None:
    turns, granted = Turns(), list[str]()
    allowance = LocalAllowance(turns)
    place = allowance.request_place((("connector ISP", 2),), lambda: granted.append("place"))
    allowance.request_place((("connector ISP", 2),), lambda: granted.append("next place"))
    for name in ("first", "second"):
        allowance.request((("connector ISP", 2),), lambda name=name: granted.append(name))  # type: ignore[misc]  # bound now
    turns.turn()
    assert granted == ["place", "first", "second"]
    allowance.release(place)
    turns.turn()
    assert granted[-1] == "next place"
