"""Whether mail would go a weaker way than before."""

from __future__ import annotations

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bridgehead.core.envelope import Envelope, MessageId, Recipient
from bridgehead.core.organization import (
    AcceptedDomain,
    Connector,
    LocalDelivery,
    NoMatch,
    Organization,
    Restrictions,
    TlsLevel,
)
from bridgehead.core.routing import decision_json
from bridgehead.outbound.router import FAMILIAR_MAX, Router
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


SMALL = replace(connector("small", "*.fabrikam.com;2"), restrictions=Restrictions(size_less_than=1000))
PICKY = replace(connector("picky", "*.contoso.com"), restrictions=Restrictions(reject_from=("mallory@contoso.com",)))
TWINS = (connector("one", "twins.example"), connector("two", "twins.example", dns=True))
LISTED = AcceptedDomain("listed.example", recipients=frozenset({"bob@listed.example"}))
ALL = replace(
    organization(SMALL, PICKY, *TWINS, connector("wide", "*;9"), no_match=NoMatch.NDR), accepted_domains=(LISTED,)
)
DOMAINS = ("fabrikam.com", "eu.fabrikam.com", "a.contoso.com", "twins.example", "listed.example", "x.org")


@given(
    st.lists(
        st.tuples(
            st.sampled_from(DOMAINS),
            st.sampled_from(("bob", "eve")),
            st.sampled_from(("alice@contoso.com", "mallory@contoso.com", "")),
            st.sampled_from((10, 5000)),
            st.sampled_from((HERE, "BRIDGE01/Gone")),
        ),
        max_size=30,
    )
)
def test_a_router_that_remembers_says_what_one_says_that_was_never_asked(
    mail: list[tuple[str, str, str, int, str]],
) -> None:
    experienced = Router("BRIDGE01", ALL)
    for number, (domain, local_part, sender, size, key) in enumerate(mail):
        recipient = Recipient(0, f"{local_part}@{domain}", domain)
        envelope = Envelope(sender, (recipient,), size, 0.0, key)
        way = experienced.way(MessageId(number), envelope, recipient)
        expected = Router("BRIDGE01", ALL).way(MessageId(number), envelope, recipient)
        assert (way.key, way.decision) == (expected.key, expected.decision)
        assert way.json() == decision_json(way.decision)


def test_a_router_remembers_a_bounded_number_of_ways() -> None:
    wide = router(connector("wide", "*"))
    for number in range(FAMILIAR_MAX + 1):
        recipient = Recipient(0, "", f"d{number}.example")
        wide.way(MessageId(1), Envelope("", (recipient,), 1, 0.0, HERE), recipient)
    assert wide.familiar_count == 1
