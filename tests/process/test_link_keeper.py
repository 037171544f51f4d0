"""The link state of a server is made from what its workers report, and told to all of them when it changes."""

from __future__ import annotations

import pytest

from bridgehead.core.organization import (
    AddressSpace,
    Connector,
    Delivery,
    Listener,
    Organization,
    Server,
    SmartHost,
    SmartHostKind,
    VirtualServer,
)
from bridgehead.process.link_keeper import LinkKeeper
from bridgehead.process.messages import Links, Message

HOSTS = (SmartHost("192.0.2.10", SmartHostKind.ADDRESS),)


def organization(*connectors: str) -> Organization:
    virtual_server = VirtualServer(
        "Default",
        "S",
        (Listener("127.0.0.1", 2525),),
        "mail.contoso.com",
        delivery=Delivery(glitch_retries=1, glitch_retry_seconds=10.0),
    )
    return Organization(
        "Contoso",
        (Server("S"),),
        (virtual_server,),
        tuple(Connector(name, (AddressSpace("*"),), ("S/Default",), "", HOSTS) for name in connectors),
    )


class Keeper:
    """A `LinkKeeper` with a clock to set and the messages it sent."""

    def __init__(self, *connectors: str) -> None:
        self.now = 1000.0
        self.sent: list[Message] = []
        self.organization = organization(*connectors)
        self.links = LinkKeeper(self.sent.append, lambda: self.organization, lambda: self.now)

    def fail(self, connector: str) -> None:
        self.now += 10.0
        self.links.report(connector, is_success=False)


def test_link_keeper_tells_all_workers_that_a_connector_is_suspect_then_down_then_up(
    caplog: pytest.LogCaptureFixture,
) -> None:
    caplog.set_level("WARNING")
    keeper = Keeper("ISP", "Backup")
    keeper.fail("ISP")
    keeper.fail("ISP")
    keeper.links.report("ISP", is_success=True)
    assert keeper.sent == [
        Links({}, frozenset({"ISP"}), 1),
        Links({"ISP": 1020.0}, frozenset(), 2),
        Links({}, frozenset(), 3),
    ]
    assert [record.getMessage() for record in caplog.records] == [
        "connector 'ISP' is down",
        "connector 'ISP' is up",
    ]


def test_link_keeper_says_nothing_when_nothing_changes() -> None:
    keeper = Keeper("ISP")
    keeper.links.report("ISP", is_success=True)
    assert keeper.sent == []


def test_link_keeper_ignores_a_connector_that_left_the_organization() -> None:
    keeper = Keeper("ISP")
    keeper.fail("Gone")
    assert keeper.sent == []
    assert keeper.links.state.version == 0


def test_link_keeper_forgets_what_it_knew_of_a_removed_connector() -> None:
    keeper = Keeper("ISP")
    keeper.fail("ISP")
    keeper.fail("ISP")
    keeper.organization = organization("Other")
    keeper.links.forget_removed()
    assert keeper.links.state.down == {}
    assert keeper.sent[-1] == keeper.links.message()
