"""Which connector takes a recipient of a message: the rules, one by one and all together."""

from __future__ import annotations

import json
import pickle
from dataclasses import replace

import pytest

from bridgehead.core.envelope import Envelope, Recipient
from bridgehead.core.link_state import ALL_UP
from bridgehead.core.organization import (
    AcceptedDomain,
    DomainType,
    LocalDelivery,
    NoMatch,
    Restrictions,
    Scope,
)
from bridgehead.core.routing import (
    NO_ROUTE,
    NOT_ALLOWED,
    SMART_HOSTS,
    UNKNOWN_RECIPIENT,
    Considered,
    Decision,
    Held,
    MessageProperties,
    Result,
    Route,
    Routed,
    Rule,
    Unreachable,
    Unroutable,
    decision_json,
    here_at,
    properties_of,
    route,
)
from tests.core.organizations import (
    REMOTE,
    SECOND,
    SMART_HOST,
    VIRTUAL_SERVER,
    Way,
    connector,
    decide,
    down,
    names,
    organization,
    rules,
)

KB = 1024
BY_DNS = Way(smart_hosts=())


# One connector, every form of address space: which domains reach it.
DOMAINS = ("example.com", "a.example.com", "b.a.example.com", "com", "badexample.com", "x.org")
MATCHES = {
    "*": (True, True, True, True, True, True),
    "com": (False, False, False, True, False, False),
    "*.com": (True, True, True, True, True, False),
    "example.com": (True, False, False, False, False, False),
    "*.example.com": (True, True, True, False, False, False),
}


@pytest.mark.parametrize(("pattern", "expected"), MATCHES.items(), ids=MATCHES)
def test_address_space_matches_by_whole_labels(pattern: str, expected: tuple[bool, ...]) -> None:
    contoso = organization(connector("C", pattern))

    taken = tuple(isinstance(decide(contoso, f"u@{domain}").result, Routed) for domain in DOMAINS)

    assert taken == expected


# The worked example: A and D own everything, B and E *.net, C is a scoped connector for one domain.
SMALL = Restrictions(size_less_than=100 * KB)
A = connector("A", "*;1")
B = connector("B", "*.net;50")
C = connector("C", "example.net;100", way=Way(smart_hosts=(), scope=Scope.ROUTING_GROUP))
D = connector("D", "*;20")
E = connector("E", "*.net;60", way=Way(restrictions=SMALL))
EVERYWHERE = (VIRTUAL_SERVER, REMOTE)
FIVE = organization(*(replace(found, bridgeheads=EVERYWHERE) for found in (A, B, C, D, E)))
WITHOUT_B = organization(A, C, D, E)
ONLY_SMALL_SENDERS = organization(
    replace(A, restrictions=Restrictions(reject_from=("sales.contoso.com",))), B, C, D, E
)


def test_lowest_cost_wins_among_equally_specific_ones() -> None:
    decision = decide(FIVE, "x@foo.net")

    assert names(decision) == ["B"]
    assert rules(decision) == {"B": Rule.KEPT, "E": Rule.COSTLIER}


def test_next_by_cost_takes_over_when_the_best_is_down() -> None:
    decision = decide(FIVE, "x@foo.net", links=down("B"))

    assert names(decision) == ["E"]
    assert isinstance(decision.result, Routed)
    assert rules(decision) == {"B": Rule.DOWN, "E": Rule.KEPT}


def test_mail_waits_on_the_cheapest_when_all_of_the_most_specific_are_down() -> None:
    decision = decide(FIVE, "x@foo.net", links=down("B", "E"))

    assert names(decision) == ["B"]
    assert isinstance(decision.result, Unreachable)
    assert rules(decision) == {"B": Rule.KEPT, "E": Rule.COSTLIER}


def test_mail_waits_when_the_only_other_one_refuses_it() -> None:
    decision = decide(FIVE, "x@foo.net", size=300 * KB, links=down("B"))

    assert names(decision) == ["B"]
    assert isinstance(decision.result, Unreachable)
    assert rules(decision) == {"E": Rule.SIZE, "B": Rule.KEPT}


def test_restriction_lets_mail_fall_to_a_less_specific_connector() -> None:
    decision = decide(WITHOUT_B, "x@foo.net", size=300 * KB)

    assert names(decision) == ["A"]
    assert rules(decision) == {"E": Rule.SIZE, "A": Rule.KEPT, "D": Rule.COSTLIER}


def test_exact_beats_wildcard_whatever_it_costs() -> None:
    decision = decide(FIVE, "x@example.net")

    assert names(decision) == ["C"]
    assert rules(decision) == {"C": Rule.KEPT}


def test_scoped_connector_does_not_exist_outside_its_routing_group() -> None:
    decision = decide(FIVE, "x@example.net", at=REMOTE)

    assert names(decision) == ["B"]
    assert rules(decision) == {"C": Rule.OUT_OF_SCOPE, "B": Rule.KEPT, "E": Rule.COSTLIER}


def test_cost_decides_among_connectors_for_everything() -> None:
    assert names(decide(FIVE, "x@foo.org")) == ["A"]
    assert names(decide(FIVE, "x@foo.org", links=down("A"))) == ["D"]


def test_connector_does_not_exist_for_a_sender_it_rejects() -> None:
    decision = decide(ONLY_SMALL_SENDERS, "x@foo.org", sender="u@sales.contoso.com")

    assert names(decision) == ["D"]
    assert rules(decision) == {"A": Rule.SENDER_REJECTED, "D": Rule.KEPT}


def test_size_limit_takes_messages_below_it_only() -> None:
    only = organization(E)

    assert names(decide(only, "x@foo.net", size=100 * KB - 1)) == ["E"]
    assert decide(only, "x@foo.net", size=100 * KB).result == Unroutable(NOT_ALLOWED)


SENDERS = {
    "no lists": ((), (), "x@y.org", None),
    "accepted address": (("app@contoso.com",), (), "App@Contoso.com", None),
    "accepted domain": (("contoso.com",), (), "x@contoso.com", None),
    "accepted below": (("*.contoso.com",), (), "x@a.contoso.com", None),
    "accepted null sender": (("<>",), (), "", None),
    "not accepted": (("contoso.com",), (), "x@y.org", Rule.SENDER_NOT_ACCEPTED),
    "null sender not accepted": (("contoso.com",), (), "", Rule.SENDER_NOT_ACCEPTED),
    "rejected": ((), ("contoso.com",), "x@contoso.com", Rule.SENDER_REJECTED),
    "null sender rejected": ((), ("<>",), "", Rule.SENDER_REJECTED),
    "not rejected": ((), ("contoso.com",), "x@y.org", None),
    "rejected and accepted": (("contoso.com",), ("x@contoso.com",), "x@contoso.com", Rule.SENDER_REJECTED),
}


@pytest.mark.parametrize(("accept", "reject", "sender", "expected"), SENDERS.values(), ids=SENDERS)
def test_restrictions_test_the_envelope_sender(
    accept: tuple[str, ...], reject: tuple[str, ...], sender: str, expected: Rule | None
) -> None:
    way = Way(restrictions=Restrictions(accept_from=accept, reject_from=reject))
    decision = decide(organization(connector("C", "*", way=way)), "u@x.org", sender=sender)

    assert rules(decision) == {"C": expected or Rule.KEPT}
    assert isinstance(decision.result, Routed) is (expected is None)


def test_disabled_connector_does_not_exist() -> None:
    decision = decide(organization(connector("C", "x.org", way=Way(enabled=False)), A), "u@x.org")

    assert names(decision) == ["A"]
    assert rules(decision)["C"] is Rule.DISABLED


def test_connector_that_is_dropped_is_recorded_once_for_all_of_its_address_spaces() -> None:
    decision = decide(organization(connector("C", "x.org;5", "*;1", way=Way(enabled=False))), "u@x.org")

    assert decision.considered == (Considered("C", "x.org", 5, Rule.DISABLED),)


def test_most_specific_address_space_of_a_connector_counts_at_its_lowest_cost() -> None:
    decision = decide(organization(connector("C", "*;1", "x.org;30", "x.org;20")), "u@x.org")

    assert decision.considered == (Considered("C", "x.org", 20, Rule.KEPT),)
    assert decision.result == Routed((Route("C", VIRTUAL_SERVER, SMART_HOSTS, 20),))


def test_all_that_tie_are_returned() -> None:
    decision = decide(organization(*(connector(name, "*;5") for name in "ABC"), connector("D", "*;6")), "u@x.org")

    assert names(decision) == ["A", "B", "C"]
    assert rules(decision)["D"] is Rule.COSTLIER


def test_every_local_bridgehead_of_a_connector_ties() -> None:
    both = connector("C", "*", way=Way(bridgeheads=(REMOTE, VIRTUAL_SERVER, SECOND)))

    assert decide(organization(both), "u@x.org").result == Routed(
        (Route("C", VIRTUAL_SERVER, SMART_HOSTS, 1), Route("C", SECOND, SMART_HOSTS, 1))
    )


def test_connector_reached_by_way_of_another_server_is_dropped_but_lets_nothing_fall() -> None:
    remote = connector("R", "x.org", way=Way(bridgeheads=(REMOTE,)))

    decision = decide(organization(remote, A), "u@x.org")

    assert decision.result == Unroutable(NO_ROUTE)
    assert rules(decision) == {"R": Rule.REMOTE}


def test_local_connector_is_used_beside_a_cheaper_one_of_another_server() -> None:
    remote = connector("R", "*;1", way=Way(bridgeheads=(REMOTE,)))

    decision = decide(organization(remote, D), "u@x.org")

    assert names(decision) == ["D"]
    assert rules(decision) == {"R": Rule.REMOTE, "D": Rule.KEPT}


def test_suspect_connector_is_left_for_one_that_is_up() -> None:
    decision = decide(FIVE, "x@foo.org", links=down(suspect=("A",)))

    assert names(decision) == ["D"]
    assert rules(decision) == {"A": Rule.SUSPECT, "D": Rule.KEPT}


def test_suspect_connector_is_still_used_where_nothing_better_is() -> None:
    for links in (down("D", suspect=("A",)), down(suspect=("A", "D"))):
        decision = decide(FIVE, "x@foo.org", links=links)

        assert names(decision) == ["A"]
        assert isinstance(decision.result, Routed)


def test_suspect_connector_alone_is_used() -> None:
    assert isinstance(decide(organization(A), "x@foo.org", links=down(suspect=("A",))).result, Routed)


def test_connector_by_dns_has_the_domain_for_a_next_hop() -> None:
    by_dns = organization(connector("C", "*", way=BY_DNS))

    for domain in ("x.org", "[192.0.2.1]"):
        assert decide(by_dns, f"u@{domain}").result == Routed((Route("C", VIRTUAL_SERVER, domain, 1),))


def test_literal_is_covered_by_itself_or_by_all() -> None:
    literals = organization(A, connector("L", "[192.0.2.1]"), connector("N", "*.org"))

    assert names(decide(literals, "u@[192.0.2.1]")) == ["L"]
    assert names(decide(literals, "u@[192.0.2.2]")) == ["A"]


NO_MATCH = {
    "native-dns": (NoMatch.NATIVE_DNS, Routed((Route("", VIRTUAL_SERVER, "x.org"),))),
    "ndr": (NoMatch.NDR, Unroutable(NO_ROUTE)),
    "hold": (NoMatch.HOLD, Held()),
}


@pytest.mark.parametrize(("no_match", "expected"), NO_MATCH.values(), ids=NO_MATCH)
def test_where_nothing_matches_no_match_decides(no_match: NoMatch, expected: Routed | Unroutable | Held) -> None:
    disabled = connector("C", "*", way=Way(enabled=False))

    assert decide(organization(no_match=no_match), "u@x.org").result == expected
    assert decide(organization(B, no_match=no_match), "u@x.org").result == expected
    assert decide(organization(disabled, no_match=no_match), "u@x.org").result == expected


@pytest.mark.parametrize("no_match", list(NoMatch))
def test_where_restrictions_refuse_no_match_is_not_asked(no_match: NoMatch) -> None:
    refused = organization(E, connector("C", "*", way=Way(enabled=False)), no_match=no_match)

    assert decide(refused, "u@foo.net", size=300 * KB).result == Unroutable(NOT_ALLOWED)


def test_smart_hosts_of_the_virtual_server_take_what_no_connector_takes() -> None:
    own = organization(B, no_match=NoMatch.NATIVE_DNS, smart_hosts=(SMART_HOST,))

    assert decide(own, "u@x.org").result == Routed((Route("", VIRTUAL_SERVER, SMART_HOSTS),))
    assert names(decide(own, "u@x.net")) == ["B"]
    by_dns = organization(connector("C", "*", way=BY_DNS), smart_hosts=(SMART_HOST,))
    assert decide(by_dns, "u@x.org").result == Routed((Route("C", VIRTUAL_SERVER, "x.org", 1),))


LMTP = LocalDelivery("lmtp", "127.0.0.1:24")
LOCAL = Routed((Route("", VIRTUAL_SERVER, "lmtp:127.0.0.1:24"),))
UNKNOWN = Unroutable(UNKNOWN_RECIPIENT)
KNOWN = frozenset(("known@contoso.com", "@all.contoso.com"))
ACCEPTED = {
    "authoritative, known": (DomainType.AUTHORITATIVE, KNOWN, LMTP, "known@contoso.com", LOCAL),
    "authoritative, known in any case": (DomainType.AUTHORITATIVE, KNOWN, LMTP, "Known@Contoso.com", LOCAL),
    "authoritative, known by its domain": (DomainType.AUTHORITATIVE, KNOWN, LMTP, "x@all.contoso.com", LOCAL),
    "authoritative, unknown": (DomainType.AUTHORITATIVE, KNOWN, LMTP, "x@contoso.com", UNKNOWN),
    "authoritative, unknown without deliver": (
        DomainType.AUTHORITATIVE,
        KNOWN,
        None,
        "x@contoso.com",
        UNKNOWN,
    ),
    "authoritative, nobody exists": (DomainType.AUTHORITATIVE, frozenset(), LMTP, "x@contoso.com", UNKNOWN),
    "authoritative, everyone exists": (DomainType.AUTHORITATIVE, None, LMTP, "x@contoso.com", LOCAL),
    "authoritative, postmaster always exists": (
        DomainType.AUTHORITATIVE,
        KNOWN,
        LMTP,
        "Postmaster@contoso.com",
        LOCAL,
    ),
    "authoritative, without deliver": (DomainType.AUTHORITATIVE, KNOWN, None, "known@contoso.com", "C"),
    "internal relay, known": (DomainType.INTERNAL_RELAY, KNOWN, LMTP, "known@contoso.com", LOCAL),
    "internal relay, unknown": (DomainType.INTERNAL_RELAY, KNOWN, LMTP, "x@contoso.com", "C"),
    "internal relay, known without deliver": (DomainType.INTERNAL_RELAY, KNOWN, None, "known@contoso.com", "C"),
    "external relay, known": (DomainType.EXTERNAL_RELAY, KNOWN, LMTP, "known@contoso.com", "C"),
    "external relay, unknown": (DomainType.EXTERNAL_RELAY, KNOWN, LMTP, "x@contoso.com", "C"),
}


@pytest.mark.parametrize(("kind", "listed", "deliver", "recipient", "expected"), ACCEPTED.values(), ids=ACCEPTED)
def test_accepted_domain_decides_before_connectors(
    kind: DomainType,
    listed: frozenset[str] | None,
    deliver: LocalDelivery | None,
    recipient: str,
    expected: Result | str,
) -> None:
    accepted = AcceptedDomain("*.contoso.com", kind, listed, deliver)

    decision = decide(organization(connector("C", "*.contoso.com"), accepted=(accepted,)), recipient)

    if isinstance(expected, str):
        assert names(decision) == [expected]
    else:
        assert decision == Decision(expected)


@pytest.mark.parametrize("kind", [DomainType.INTERNAL_RELAY, DomainType.EXTERNAL_RELAY])
@pytest.mark.parametrize("no_match", list(NoMatch))
def test_relayed_domain_goes_by_mx_where_no_connector_serves_it(kind: DomainType, no_match: NoMatch) -> None:
    relayed = organization(accepted=(AcceptedDomain("contoso.com", kind),), no_match=no_match)

    assert decide(relayed, "u@contoso.com").result == Routed((Route("", VIRTUAL_SERVER, "contoso.com"),))


def test_authoritative_domain_without_deliver_or_connector_is_left_to_no_match() -> None:
    assert decide(organization(accepted=(AcceptedDomain("contoso.com"),)), "u@contoso.com").result == Unroutable(
        NO_ROUTE
    )


def test_most_specific_accepted_domain_decides() -> None:
    both = organization(
        accepted=(
            AcceptedDomain("*.contoso.com", deliver=LMTP),
            AcceptedDomain("a.contoso.com", recipients=frozenset()),
        )
    )

    assert decide(both, "u@a.contoso.com").result == Unroutable(UNKNOWN_RECIPIENT)
    assert decide(both, "u@b.a.contoso.com").result == LOCAL


LOCAL_ROUTES = {
    "lmtp over TCP": ("lmtp:127.0.0.1:24", LMTP),
    "lmtp over a socket": ("lmtp:/run/lmtp.sock", LocalDelivery("lmtp", "/run/lmtp.sock")),
    "maildir": ("maildir:/srv/mail/{domain}/{local}", LocalDelivery("maildir", "/srv/mail/{domain}/{local}")),
    "domain": ("x.org", None),
    "literal": ("[IPv6:2001:db8::1]", None),
    "smart hosts": (SMART_HOSTS, None),
}


@pytest.mark.parametrize(("next_hop", "expected"), LOCAL_ROUTES.values(), ids=LOCAL_ROUTES)
def test_local_delivery_can_be_read_from_the_next_hop(next_hop: str, expected: LocalDelivery | None) -> None:
    assert Route("", VIRTUAL_SERVER, next_hop).local == expected


def test_recipient_of_an_envelope_and_mailbox_of_a_command_get_the_same_answer() -> None:
    envelope = Envelope("app@contoso.com", (Recipient(0, "x@Foo.net", "foo.net"),), 10 * KB, 0.0, VIRTUAL_SERVER)
    here = here_at(FIVE, VIRTUAL_SERVER)

    assert properties_of(envelope) == MessageProperties("app@contoso.com", 10 * KB)
    assert route(envelope.recipients[0], properties_of(envelope), here, FIVE, ALL_UP) == decide(FIVE, "x@foo.net")


def test_place_knows_the_routing_group_of_its_server() -> None:
    assert here_at(FIVE, REMOTE).routing_group == "Osaka"
    with pytest.raises(KeyError):
        here_at(FIVE, "BRIDGE01/Nobody")


def test_organization_decides_the_same_after_its_way_to_another_process() -> None:
    copy = pickle.loads(pickle.dumps(FIVE))

    assert copy == FIVE
    for recipient in ("x@foo.net", "x@example.net", "x@foo.org"):
        assert decide(copy, recipient) == decide(FIVE, recipient)


def test_decision_is_kept_as_compact_json() -> None:
    decision = decide(FIVE, "x@foo.net", links=down("B"))

    assert json.loads(bytes(decision_json(decision))) == {
        "result": {"type": "routed", "routes": [["E", VIRTUAL_SERVER, SMART_HOSTS, 60]]},
        "considered": [["B", "*.net", 50, "down"], ["E", "*.net", 60, "kept"]],
    }
    assert json.loads(bytes(decision_json(decide(organization(), "x@foo.net")))) == {
        "result": {"type": "unroutable", "reply": [550, "5.4.4", NO_ROUTE.text]},
        "considered": [],
    }
