"""Who may connect, and whose recipients are taken: every way in, and every trick to get in another way."""

from __future__ import annotations

from dataclasses import replace
from ipaddress import ip_network

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bridgehead.core.address import Mailbox, PathFault, parse_forward_path
from bridgehead.core.client import STRANGER, Client, client_at
from bridgehead.core.organization import (
    AcceptedDomain,
    ClientList,
    ConnectionControl,
    Connector,
    DomainType,
    ListMode,
    LocalDelivery,
    NoMatch,
    Organization,
    RelayRestrictions,
    Restrictions,
)
from bridgehead.core.policy import (
    ALL_REFUSED,
    FAMILIAR_MAX,
    NO_POSTMASTER,
    SUSPICIOUS,
    UNABLE_TO_RELAY,
    Admission,
    Admitted,
    Gate,
    Refused,
    admit,
    may_connect,
    recheck,
    recipient_fault,
    sender_fault,
)
from bridgehead.core.reply import Reply
from bridgehead.core.routing import NO_ROUTE, NOT_ALLOWED, UNKNOWN_RECIPIENT, MessageProperties, here_at
from tests.core.organizations import OUTSIDE, REMOTE, SECOND, VIRTUAL_SERVER, Way, ask, connector, organization

LISTED = client_at("127.0.0.1")
AUTHENTICATED = client_at("198.51.100.7", user="alice")
LMTP = LocalDelivery("lmtp", "127.0.0.1:24")
CONTOSO = AcceptedDomain("contoso.com", recipients=frozenset(("known@contoso.com",)), deliver=LMTP)


RELAYING = organization(connector("ISP", "*"), accepted=(CONTOSO,))

WAYS_IN = {
    "listed client, foreign domain": (LISTED, b"u@x.org", Admission.LIST),
    "authenticated, foreign domain": (AUTHENTICATED, b"u@x.org", Admission.AUTHENTICATED),
    "outside, foreign domain": (OUTSIDE, b"u@x.org", UNABLE_TO_RELAY),
    "nobody known, foreign domain": (STRANGER, b"u@x.org", UNABLE_TO_RELAY),
    "outside, known recipient": (OUTSIDE, b"known@contoso.com", Admission.ACCEPTED_DOMAIN),
    "outside, known recipient in another writing": (OUTSIDE, b'"Known"@CONTOSO.com.', Admission.ACCEPTED_DOMAIN),
    "outside, unknown recipient": (OUTSIDE, b"x@contoso.com", UNKNOWN_RECIPIENT),
    "listed client, unknown recipient": (LISTED, b"x@contoso.com", UNKNOWN_RECIPIENT),
    "authenticated, unknown recipient": (AUTHENTICATED, b"x@contoso.com", UNKNOWN_RECIPIENT),
    "outside, domain below an exact accepted one": (OUTSIDE, b"known@a.contoso.com", UNABLE_TO_RELAY),
    "outside, postmaster": (OUTSIDE, b"PostMaster", Admission.POSTMASTER),
    "outside, postmaster of an accepted domain": (OUTSIDE, b"postmaster@contoso.com", Admission.POSTMASTER),
    "outside, postmaster of a foreign domain": (OUTSIDE, b"postmaster@x.org", UNABLE_TO_RELAY),
    "listed client, percent": (LISTED, b"u%x.org@y.org", Admission.LIST),
    "authenticated, bang": (AUTHENTICATED, b"x.org!u@y.org", Admission.AUTHENTICATED),
    "listed client, second at": (LISTED, b"u@x.org@y.org", SUSPICIOUS),
}


@pytest.mark.parametrize(("client", "path", "expected"), WAYS_IN.values(), ids=WAYS_IN)
def test_recipient_is_taken_by_the_first_rule_that_lets_it_in(
    client: Client, path: bytes, expected: Admission | Reply
) -> None:
    verdict = ask(RELAYING, path, client)

    if isinstance(expected, Admission):
        assert isinstance(verdict, Admitted)
        assert verdict.rule is expected
    else:
        assert isinstance(verdict, Refused)
        assert verdict.reply == expected


def test_authentication_opens_nothing_where_it_is_switched_off() -> None:
    closed = organization(connector("ISP", "*"), relay=RelayRestrictions(authenticated=False))

    assert ask(closed, b"u@x.org", AUTHENTICATED) == Refused(UNABLE_TO_RELAY, Admission.NOT_ALLOWED)


def test_all_except_the_list_may_relay_where_the_list_says_so() -> None:
    relay = RelayRestrictions(ListMode.ALL_EXCEPT, ClientList((ip_network("198.51.100.0/24"),)))
    open_inside = organization(connector("ISP", "*"), relay=relay)

    assert isinstance(ask(open_inside, b"u@x.org", LISTED), Admitted)
    assert isinstance(ask(open_inside, b"u@x.org", OUTSIDE), Refused)


ALLOWING = Way(allow_relay=True)
PARTNER = connector("Partner", "*.partner.example", way=ALLOWING)
ALLOW_RELAY = {
    "allowed": ((PARTNER,), Admission.CONNECTOR),
    "not allowed": ((connector("C", "*.partner.example"),), UNABLE_TO_RELAY),
    "disabled": ((connector("C", "*.partner.example", way=replace(ALLOWING, enabled=False)),), UNABLE_TO_RELAY),
    "bridgehead is another virtual server here": (
        (connector("C", "*.partner.example", way=replace(ALLOWING, bridgeheads=(SECOND,))),),
        UNABLE_TO_RELAY,
    ),
    "bridgehead is another server": (
        (connector("C", "*.partner.example", way=replace(ALLOWING, bridgeheads=(REMOTE,))),),
        UNABLE_TO_RELAY,
    ),
    "more specific one does not allow": ((PARTNER, connector("C", "a.partner.example")), UNABLE_TO_RELAY),
    "cheaper one does not allow": (
        (connector("C", "*.partner.example;2", way=ALLOWING), connector("D", "*.partner.example;1")),
        UNABLE_TO_RELAY,
    ),
    "one that ties does not allow": ((PARTNER, connector("D", "*.partner.example")), UNABLE_TO_RELAY),
    "all that tie allow": (
        (PARTNER, connector("D", "*.partner.example", way=ALLOWING)),
        Admission.CONNECTOR,
    ),
    "sender had to be accepted": (
        (
            connector(
                "C",
                "*.partner.example",
                way=replace(ALLOWING, restrictions=Restrictions(accept_from=("x@elsewhere.example",))),
            ),
        ),
        UNABLE_TO_RELAY,
    ),
    "sender could have been rejected": (
        (
            connector(
                "C", "*.partner.example", way=replace(ALLOWING, restrictions=Restrictions(reject_from=("x@y.org",)))
            ),
        ),
        UNABLE_TO_RELAY,
    ),
    "another one did not accept the sender": (
        (PARTNER, connector("C", "a.partner.example", way=Way(restrictions=Restrictions(accept_from=("x@y.org",))))),
        UNABLE_TO_RELAY,
    ),
    "another one rejected the sender": (
        (
            PARTNER,
            connector(
                "C", "a.partner.example", way=Way(restrictions=Restrictions(reject_from=("elsewhere.example",)))
            ),
        ),
        UNABLE_TO_RELAY,
    ),
}


@pytest.mark.parametrize(("connectors", "expected"), ALLOW_RELAY.values(), ids=ALLOW_RELAY)
def test_connector_lets_relay_what_it_would_take_whoever_the_sender_claims_to_be(
    connectors: tuple[Connector, ...], expected: Admission | Reply
) -> None:
    verdict = ask(organization(*connectors, connector("ISP", "*")), b"u@a.partner.example")

    assert (verdict.rule if isinstance(verdict, Admitted) else verdict.reply) == expected


def test_connector_that_lets_relay_takes_no_tricks_and_no_neighbours() -> None:
    contoso = organization(PARTNER)

    assert isinstance(ask(contoso, b"u@partner.example"), Admitted)
    assert ask(contoso, b"u%x.org@partner.example") == Refused(SUSPICIOUS, Admission.SUSPICIOUS)
    assert ask(contoso, b"u@badpartner.example") == Refused(UNABLE_TO_RELAY, Admission.NOT_ALLOWED)


UNROUTABLE = {
    "no connector": (organization(), b"u@x.org", 0, NO_ROUTE),
    "too large for the only connector": (
        organization(connector("C", "*", way=Way(restrictions=Restrictions(size_less_than=1000)))),
        b"u@x.org",
        1000,
        NOT_ALLOWED,
    ),
}


@pytest.mark.parametrize(("contoso", "path", "size", "reply"), UNROUTABLE.values(), ids=UNROUTABLE)
def test_unroutable_recipient_is_refused_now_but_a_stranger_is_told_no_more_than_before(
    contoso: Organization, path: bytes, size: int, reply: Reply
) -> None:
    assert ask(contoso, path, LISTED, size=size) == Refused(reply, Admission.UNROUTABLE)
    assert ask(contoso, path, OUTSIDE, size=size) == Refused(UNABLE_TO_RELAY, Admission.NOT_ALLOWED)


def test_recipient_that_would_be_held_is_taken() -> None:
    assert isinstance(ask(organization(no_match=NoMatch.HOLD), b"u@x.org", LISTED), Admitted)


def test_domains_that_are_relayed_are_taken_from_everyone() -> None:
    for kind in (DomainType.INTERNAL_RELAY, DomainType.EXTERNAL_RELAY):
        relayed = organization(accepted=(AcceptedDomain("*.contoso.com", kind, frozenset(), LMTP),))

        for path in (b"u@contoso.com", b"u@a.contoso.com", b"postmaster@a.contoso.com"):
            assert isinstance(ask(relayed, path), Admitted)
        assert isinstance(ask(relayed, b"u%x.org@contoso.com"), Refused)


POSTMASTERS = {
    "without a domain": (b"postmaster", "chief@contoso.com"),
    "listed": (b"Postmaster@listed.example", "Postmaster@listed.example"),
    "not listed": (b"postmaster@contoso.com", "chief@contoso.com"),
    "everyone exists": (b"postmaster@everyone.example", "postmaster@everyone.example"),
    "relayed": (b"postmaster@relayed.example", "postmaster@relayed.example"),
}


@pytest.mark.parametrize(("path", "address"), POSTMASTERS.values(), ids=POSTMASTERS)
def test_postmaster_without_a_mailbox_is_the_organizations(path: bytes, address: str) -> None:
    several = organization(
        accepted=(
            CONTOSO,
            AcceptedDomain("listed.example", recipients=frozenset(("postmaster@listed.example",))),
            AcceptedDomain("everyone.example"),
            AcceptedDomain("relayed.example", DomainType.INTERNAL_RELAY, frozenset()),
        ),
        postmaster="chief@contoso.com",
    )

    verdict = ask(several, path, STRANGER)

    assert verdict == Admitted(address, address.rpartition("@")[2].lower(), Admission.POSTMASTER)


def test_postmaster_is_refused_only_where_no_domain_is_accepted() -> None:
    assert ask(organization(postmaster=""), b"postmaster") == Refused(NO_POSTMASTER, Admission.UNROUTABLE)


MIXED = organization(
    connector("ISP", "*"),
    connector("Small", "x.org", way=Way(restrictions=Restrictions(size_less_than=1000))),
    accepted=(CONTOSO, AcceptedDomain("relayed.example", DomainType.EXTERNAL_RELAY)),
)
ADDRESSES = (
    "u@y.org",
    "a%b@y.org",
    "u@x.org",
    "known@contoso.com",
    "x@contoso.com",
    "u@relayed.example",
    "postmaster",
)


@given(
    st.sampled_from((LISTED, AUTHENTICATED, OUTSIDE)),
    st.lists(st.tuples(st.sampled_from(ADDRESSES), st.sampled_from((0, 5000))), max_size=20),
)
def test_a_gate_says_what_it_would_say_to_the_first_recipient(
    client: Client, recipients: list[tuple[str, int]]
) -> None:
    here = here_at(MIXED, VIRTUAL_SERVER)
    gate = Gate(client, here, MIXED)
    for address, size in recipients:
        mailbox = parse_forward_path(address.encode())
        assert isinstance(mailbox, Mailbox)
        message = MessageProperties("a@z.org", size)
        assert gate.admit(mailbox, message) == admit(mailbox, client, message, here, MIXED)


def test_a_gate_remembers_a_bounded_number_of_domains() -> None:
    gate = Gate(LISTED, here_at(MIXED, VIRTUAL_SERVER), MIXED)
    for number in range(FAMILIAR_MAX + 1):
        gate.admit(Mailbox("u@d", "u", f"d{number}.example"), MessageProperties(""))
    assert gate.familiar_count == 1


CONNECTING = {
    "all except nothing": (ConnectionControl(), True),
    "all except me": (ConnectionControl(ListMode.ALL_EXCEPT, ClientList((ip_network("198.51.100.7/32"),))), False),
    "only nobody": (ConnectionControl(ListMode.ONLY_LIST), False),
    "only me": (ConnectionControl(ListMode.ONLY_LIST, ClientList((ip_network("198.51.100.7/32"),))), True),
}


@pytest.mark.parametrize(("control", "expected"), CONNECTING.values(), ids=CONNECTING)
def test_connection_control_lets_in_by_list(control: ConnectionControl, expected: bool) -> None:
    assert may_connect(control, OUTSIDE) is expected


# At end of data.
SMALL = Way(restrictions=Restrictions(size_less_than=1000))
SIZED = organization(connector("Small", "x.org", way=SMALL), connector("Partner", "y.org"), accepted=(CONTOSO,))


def again(verdict: Admitted | Refused, size: int) -> Admitted | Refused:
    assert isinstance(verdict, Admitted)
    message = MessageProperties("x@elsewhere.example", size)
    return recheck(verdict, LISTED, message, here_at(SIZED, VIRTUAL_SERVER), SIZED)


def test_recipient_is_refused_at_end_of_data_when_the_real_size_is_too_large() -> None:
    at_rcpt = ask(SIZED, b"u@x.org", LISTED)

    assert again(at_rcpt, 999) == at_rcpt
    assert again(at_rcpt, 1000) == Refused(NOT_ALLOWED, Admission.UNROUTABLE)


def test_recipient_whose_way_has_no_limit_is_not_asked_about_again() -> None:
    for path in (b"u@y.org", b"known@contoso.com", b"postmaster"):
        at_rcpt = ask(SIZED, path, LISTED)

        assert again(at_rcpt, 10**12) is at_rcpt


def test_relay_that_only_a_large_message_would_get_is_refused_for_a_small_one() -> None:
    """A client may announce a size that drops the connector without `allow_relay`, and then send another one."""
    contoso = organization(PARTNER, connector("Exact", "a.partner.example", way=SMALL))
    at_rcpt = ask(contoso, b"u@a.partner.example", size=5000)
    assert isinstance(at_rcpt, Admitted)

    message = MessageProperties("x@elsewhere.example", 10)
    verdict = recheck(at_rcpt, OUTSIDE, message, here_at(contoso, VIRTUAL_SERVER), contoso)

    assert verdict == Refused(UNABLE_TO_RELAY, Admission.NOT_ALLOWED)


def test_replies_are_permanent_and_general() -> None:
    faults = [function(fault) for fault in PathFault for function in (recipient_fault, sender_fault)]

    for reply in (UNABLE_TO_RELAY, SUSPICIOUS, NO_POSTMASTER, ALL_REFUSED, *faults):
        assert reply.is_permanent
        assert reply.enhanced.startswith("5.")
    assert UNABLE_TO_RELAY.text.startswith("Unable to relay for")


@given(st.binary(max_size=100))
def test_any_octets_are_admitted_or_refused(path: bytes) -> None:
    verdict = ask(RELAYING, path, LISTED)

    assert (
        verdict.reply.is_permanent
        if isinstance(verdict, Refused)
        else verdict.address.encode() in path or (verdict.rule is Admission.POSTMASTER)
    )
