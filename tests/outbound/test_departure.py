"""A connector that leaves: how much waits for it, and where that goes, by the routing function itself."""

from __future__ import annotations

from dataclasses import replace

import msgspec
import pytest

from bridgehead.core.link_state import ALL_UP
from bridgehead.core.organization import (
    AcceptedDomain,
    Connector,
    Delivery,
    DomainType,
    LocalDelivery,
    NoMatch,
    Organization,
    TlsLevel,
)
from bridgehead.outbound.departure import (
    DEPARTURES_MAX,
    Departure,
    Kind,
    NewWay,
    departures,
    heading,
    leaving,
    sentences,
    way_in_words,
)
from bridgehead.outbound.router import Router
from bridgehead.outbound.waiting_for import Sample, WaitingFor
from tests.outbound.back_room import message
from tests.outbound.post_office import connector, disabled, organization, without

ISP, BACKUP = connector("ISP", "*", tls=TlsLevel.REQUIRE), connector("Backup", "*;5", tls=TlsLevel.REQUIRE)
OLD = organization(ISP, BACKUP)


def waiting(old: Organization, *domains: str, name: str = "ISP", messages: int = 7) -> WaitingFor:
    """Mail that waits for a connector of the old organization, and what its worker says of it."""
    router = Router("BRIDGE01", old, ALL_UP)
    samples = []
    for number, domain in enumerate(domains, 1):
        found = message(number, f"bob@{domain}")
        envelope, recipient = found.envelope, found.envelope.recipients[0]
        strength = router.strength((found.message_id, envelope), recipient, name)
        samples.append(Sample(found.message_id, envelope, recipient, strength))
    return WaitingFor(name, messages, samples=tuple(samples))


def departure(new: Organization, *domains: str, old: Organization = OLD) -> Departure:
    (made,) = departures(["ISP"], [waiting(old, *domains)], Router("BRIDGE01", new, ALL_UP))
    return made


def way(new: Organization, domain: str = "fabrikam.com", old: Organization = OLD) -> NewWay:
    (made,) = departure(new, domain, old=old).ways
    return made


def test_connectors_leave_that_are_in_use_and_will_not_be() -> None:
    before = [("ISP", True), ("Backup", True), ("Off", False), ("Old", False)]
    assert leaving(before, OLD) == []
    assert leaving(before, without(OLD, "ISP")) == ["ISP"]
    assert leaving(before, disabled(OLD, "Backup")) == ["Backup"]


def test_a_departure_says_how_the_connector_leaves_and_how_much_waits() -> None:
    assert heading(departure(without(OLD, "ISP"))) == 'connector "ISP" is removed: 7 messages wait for it'
    assert heading(departure(disabled(OLD, "ISP"))) == 'connector "ISP" is disabled: 7 messages wait for it'
    (nothing,) = departures(["ISP"], [], Router("BRIDGE01", without(OLD, "ISP"), ALL_UP))
    assert heading(nothing) == 'connector "ISP" is removed: no mail waits for it'
    assert (
        heading(msgspec.structs.replace(nothing, messages=1)) == 'connector "ISP" is removed: 1 message waits for it'
    )


LEFT: dict[str, tuple[tuple[Connector, ...], str]] = {
    "as good a connector": ((BACKUP,), 'by "Backup"'),
    "two that tie": ((BACKUP, connector("Third", "*;5", tls=TlsLevel.VERIFY)), 'by "Backup" or "Third"'),
    "a weaker TLS level": ((connector("Backup", "*"),), 'by "Backup", frozen until'),
}


@pytest.mark.parametrize(("connectors", "words"), LEFT.values(), ids=LEFT.keys())
def test_the_new_way_is_the_one_that_routing_takes(connectors: tuple[Connector, ...], words: str) -> None:
    assert way_in_words(way(organization(*connectors))).startswith(words)


def test_a_less_specific_way_is_frozen() -> None:
    old = organization(connector("ISP", "*.fabrikam.com"), connector("Backup", "*"))
    found = way(without(old, "ISP"), "x.fabrikam.com", old=old)
    assert (found.kind, found.connectors, found.is_frozen) == (Kind.CONNECTOR, ("Backup",), True)


NO_CONNECTOR = {
    "held": (NoMatch.HOLD, Kind.HELD, False),
    "unroutable": (NoMatch.NDR, Kind.UNROUTABLE, False),
    "by MX": (NoMatch.NATIVE_DNS, Kind.DNS, True),
}


@pytest.mark.parametrize(("no_match", "kind", "is_frozen"), NO_CONNECTOR.values(), ids=NO_CONNECTOR.keys())
def test_without_a_connector_no_match_decides(no_match: NoMatch, kind: Kind, is_frozen: bool) -> None:
    found = way(organization(no_match=no_match))
    assert (found.kind, found.connectors, found.is_frozen) == (kind, (), is_frozen)


def test_without_a_connector_mail_may_go_to_the_smart_hosts_of_the_virtual_server_or_be_delivered() -> None:
    own = organization(delivery=Delivery(smart_hosts=ISP.smart_hosts))
    assert way(own).kind is Kind.SMART_HOSTS
    accepted = AcceptedDomain("fabrikam.com", DomainType.AUTHORITATIVE, deliver=LocalDelivery("lmtp", "127.0.0.1:24"))
    assert way(replace(organization(), accepted_domains=(accepted,))).kind is Kind.LOCAL


def test_domains_that_go_the_same_way_are_told_together() -> None:
    partner = connector("Partner", "*.partner.example", tls=TlsLevel.REQUIRE)
    new = organization(BACKUP, partner)
    made = departure(new, "b.example", "x.partner.example", "a.example")
    assert [(one.connectors, one.domains) for one in made.ways] == [
        (("Backup",), ("a.example", "b.example")),
        (("Partner",), ("x.partner.example",)),
    ]


def test_mail_whose_former_strength_nobody_knows_is_frozen_where_the_connector_is_gone() -> None:
    found = message(1, "bob@fabrikam.com")
    sample = Sample(found.message_id, found.envelope, found.envelope.recipients[0])
    for new, is_frozen in ((without(OLD, "ISP"), True), (disabled(OLD, "ISP"), False)):
        (made,) = departures(["ISP"], [WaitingFor("ISP", 1, samples=(sample,))], Router("BRIDGE01", new, ALL_UP))
        assert [one.is_frozen for one in made.ways] == [is_frozen]


def test_sentences_tell_everything_of_a_connector() -> None:
    domains = tuple(f"d{number}.example" for number in range(7))
    ways = (NewWay(Kind.CONNECTOR, ("Backup",), False, domains), NewWay(Kind.HELD, (), False, ("x.example",)))
    assert list(sentences((Departure("ISP", "removed", 12_034, 2, ways, False),))) == [
        (
            'connector "ISP" is removed: 12,034 messages wait for it',
            (
                'd0.example, d1.example, d2.example, d3.example, d4.example and 2 more domains: by "Backup"',
                "x.example: held: nothing serves it",
                "2 of them are held already, and stay so until released",
                "these routes are of a sample, a message for each of at most 100 domains; there may be more",
            ),
        )
    ]


def test_of_many_connectors_those_with_the_most_mail_are_told() -> None:
    names = [f"C{number}" for number in range(DEPARTURES_MAX + 3)]
    found = [WaitingFor(name, number) for number, name in enumerate(names)]
    told = list(sentences(departures(names, found, Router("BRIDGE01", organization(), ALL_UP))))
    assert len(told) == DEPARTURES_MAX + 1
    assert told[0][0] == f'connector "{names[-1]}" is removed: {DEPARTURES_MAX + 2} messages wait for it'
    assert told[-1] == ("3 more connectors leave: 3 messages wait for them", ())
