"""Whether mail would go a weaker way than before."""

from __future__ import annotations

import pytest

from bridgehead.core.envelope import Envelope, MessageId, Recipient
from bridgehead.core.organization import (
    AcceptedDomain,
    Connector,
    LocalDelivery,
    NoMatch,
    Organization,
    TlsLevel,
)
from bridgehead.outbound.router import Router
from tests.outbound.post_office import HERE, connector, disabled, organization

BOB = Recipient(0, "bob@eu.fabrikam.com", "eu.fabrikam.com")
MESSAGE = (MessageId(1), Envelope("alice@contoso.com", (BOB,), 100, 0.0, HERE))


def router(*connectors: Connector) -> Router:
    """Routes by these connectors; what they do not cover goes nowhere."""
    return Router("BRIDGE01", organization(*connectors, no_match=NoMatch.NDR))


SUFFIX = connector("old", "*.fabrikam.com", tls=TlsLevel.REQUIRE)

CASES = {
    "same pattern, same level": (connector("new", "*.fabrikam.com", tls=TlsLevel.REQUIRE), False),
    "same pattern, stronger": (connector("new", "*.fabrikam.com", tls=TlsLevel.VERIFY), False),
    "same pattern, weaker": (connector("new", "*.fabrikam.com", tls=TlsLevel.OPPORTUNISTIC), True),
    "plain name, same level": (connector("new", "eu.fabrikam.com", tls=TlsLevel.REQUIRE), False),
    "longer suffix, same level": (connector("new", "*.eu.fabrikam.com", tls=TlsLevel.REQUIRE), False),
    "longer suffix, weaker": (connector("new", "*.eu.fabrikam.com", tls=TlsLevel.NONE), True),
    "shorter suffix, stronger": (connector("new", "*.com", tls=TlsLevel.VERIFY), True),
    "everything, stronger": (connector("new", "*", tls=TlsLevel.VERIFY), True),
    "nothing that covers it": (connector("new", "example.org", tls=TlsLevel.VERIFY), True),
}


@pytest.mark.parametrize("name", CASES)
def test_a_way_is_weaker_if_it_is_less_specific_or_its_tls_level_is(name: str) -> None:
    new, is_weaker = CASES[name]
    assert router(new).is_weaker(router(SUFFIX), "old", MESSAGE, BOB) is is_weaker


def test_a_mailbox_of_ours_is_never_weaker() -> None:
    accepted = AcceptedDomain("eu.fabrikam.com", deliver=LocalDelivery("lmtp", "127.0.0.1:24"))
    base = organization()
    ours = Organization(base.name, base.servers, base.virtual_servers, (), (accepted,))
    assert not Router("BRIDGE01", ours).is_weaker(router(SUFFIX), "old", MESSAGE, BOB)


def test_after_a_restart_a_disabled_connector_is_compared_and_a_removed_one_cannot_be() -> None:
    both = organization(SUFFIX, connector("new", "*.fabrikam.com", tls=TlsLevel.VERIFY))
    assert not Router("BRIDGE01", both).is_weaker_than_before("old", MESSAGE, BOB)
    assert not Router("BRIDGE01", disabled(both, "old")).is_weaker_than_before("old", MESSAGE, BOB)
    assert Router("BRIDGE01", disabled(both, "new")).is_weaker_than_before("new", MESSAGE, BOB)
    assert Router("BRIDGE01", both).is_weaker_than_before("forgotten", MESSAGE, BOB)


def test_only_connectors_with_a_common_address_space_are_rivals() -> None:
    many = router(connector("A", "*", "x.example"), connector("B", "*;9"), connector("C", "*.example"))
    assert many.rivals_of({"A"}) == {"A", "B"}
    assert many.rivals_of({"C"}) == {"C"}
