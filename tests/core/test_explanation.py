"""What `explain` answers: the same as RCPT and delivery, and why."""

from __future__ import annotations

from dataclasses import replace
from ipaddress import ip_network

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from bridgehead.core.client import STRANGER, client_at
from bridgehead.core.error import ConfigurationError
from bridgehead.core.explanation import (
    _ADMISSIONS,
    _RULES,
    Explanation,
    NextHop,
    Question,
    Unvisited,
    Verdict,
    explain,
)
from bridgehead.core.link_state import ALL_UP, LinkState
from bridgehead.core.organization import (
    AcceptedDomain,
    Authentication,
    ClientList,
    DomainType,
    ListMode,
    LocalDelivery,
    NoMatch,
    RelayRestrictions,
    Restrictions,
    Secret,
    Security,
    SmartHost,
    SmartHostKind,
    TlsLevel,
)
from bridgehead.core.policy import Admission, Admitted, admit
from bridgehead.core.routing import MessageProperties, Routed, Rule, here_at, route
from tests.core.organizations import (
    REMOTE,
    SECOND,
    SMART_HOST,
    VIRTUAL_SERVER,
    Way,
    connector,
    down,
    mailbox,
    organization,
)

LMTP = LocalDelivery("lmtp", "127.0.0.1:24")
NAMED = SmartHost("mail.isp.example", SmartHostKind.HOST, 587)
ISP = replace(
    connector("ISP", "*;1", way=Way(smart_hosts=(NAMED, SMART_HOST))),
    security=Security(Authentication.BASIC, "contoso", tls=TlsLevel.VERIFY, tls_domain="isp.example"),
)
CONTOSO = organization(
    ISP,
    connector("Backup", "*;10"),
    connector("Fabrikam", "*.fabrikam.com;5", way=Way(smart_hosts=(), allow_relay=True)),
    connector("Fabrikam 2", "*.fabrikam.com;5"),
    connector("Small", "*.fabrikam.com;1", way=Way(restrictions=Restrictions(size_less_than=1000))),
    connector("Off", "x.org", way=Way(enabled=False)),
    connector("Osaka", "osaka.example", way=Way(bridgeheads=(REMOTE,))),
    accepted=(
        AcceptedDomain("contoso.com", recipients=frozenset(("known@contoso.com",)), deliver=LMTP),
        AcceptedDomain("relayed.example", DomainType.INTERNAL_RELAY, frozenset()),
    ),
)


def ask(recipient: str, links: LinkState = ALL_UP, **question: object) -> Explanation:
    asked = msgspec.convert({"recipient": recipient, **question}, Question)
    return explain(asked, CONTOSO, links)


def rules(explanation: Explanation) -> dict[str, str]:
    return {found.name: found.rule for found in explanation.connectors}


def test_routed_recipient_names_the_way_and_every_connector() -> None:
    answer = ask("u@y.org", client="127.0.0.1")

    assert answer.verdict is Verdict.ROUTED
    assert answer.admission.rule == Admission.LIST
    assert answer.admission.may_relay == ("authenticated clients", "clients of 127.0.0.0/8, ::1/128")
    (found,) = answer.routes
    assert (found.connector, found.bridgehead, found.total_cost) == ("ISP", VIRTUAL_SERVER, 1)
    assert found.next_hop == NextHop(
        ("[mail.isp.example]:587", "[192.0.2.10]"), "verify (isp.example)", "basic as contoso"
    )
    assert answer.choice == ""
    assert rules(answer) == {
        "ISP": Rule.KEPT,
        "Backup": Rule.COSTLIER,
        "Fabrikam": Unvisited.NOT_COVERED,
        "Fabrikam 2": Unvisited.NOT_COVERED,
        "Small": Unvisited.NOT_COVERED,
        "Off": Unvisited.NOT_COVERED,
        "Osaka": Unvisited.NOT_COVERED,
    }


def test_tie_says_one_of_how_many() -> None:
    answer = ask("u@a.fabrikam.com", client="127.0.0.1", size=5000)

    assert [found.connector for found in answer.routes] == ["Fabrikam", "Fabrikam 2"]
    assert answer.choice == "1 of 2, evenly"
    assert answer.routes[0].next_hop == NextHop(("MX of a.fabrikam.com",), "opportunistic", "anonymous")
    assert rules(answer)["Small"] == Rule.SIZE
    assert rules(answer)["ISP"] == Unvisited.LESS_SPECIFIC
    by_name = {found.name: found for found in answer.connectors}
    assert (by_name["Small"].pattern, by_name["Small"].cost, by_name["Small"].is_kept) == ("*.fabrikam.com", 1, False)
    assert by_name["ISP"].pattern == "*"


def test_without_a_client_it_answers_for_a_stranger_and_still_shows_the_way() -> None:
    answer = ask("u@y.org")

    assert answer.verdict is Verdict.REFUSED
    assert answer.reason == "Refused at RCPT: 550 5.7.1 Unable to relay for this recipient"
    assert answer.admission.reply == "550 5.7.1 Unable to relay for this recipient"
    assert [found.connector for found in answer.routes] == ["ISP"]


def test_authenticated_client_may_relay_from_anywhere() -> None:
    assert ask("u@y.org", user="alice").admission.rule == Admission.AUTHENTICATED


def test_everyone_may_send_to_what_a_connector_relays_and_to_our_own() -> None:
    only = organization(connector("Fabrikam", "fabrikam.com", way=Way(allow_relay=True)))

    answer = explain(Question("u@fabrikam.com"), only, ALL_UP)

    assert (answer.verdict, answer.admission.rule) == (Verdict.ROUTED, Admission.CONNECTOR)
    assert answer.admission.may_relay == ("everyone",)
    assert ask("known@contoso.com").admission.may_relay == ("everyone",)


WHO = {
    "list and accounts": (
        RelayRestrictions(clients=ClientList((), ("*.x.org",))),
        ("authenticated clients", "clients of *.x.org"),
    ),
    "accounts": (RelayRestrictions(), ("authenticated clients",)),
    "nobody": (RelayRestrictions(authenticated=False), ("nobody",)),
    "all but": (
        RelayRestrictions(ListMode.ALL_EXCEPT, ClientList((ip_network("192.0.2.0/24"),)), authenticated=False),
        ("everyone",),
    ),
}


@pytest.mark.parametrize(("relay", "expected"), WHO.values(), ids=WHO)
def test_who_may_relay_is_said_in_words(relay: RelayRestrictions, expected: tuple[str, ...]) -> None:
    assert explain(Question("u@x.org"), organization(ISP, relay=relay), ALL_UP).admission.may_relay == expected


def test_local_delivery_asks_no_connector() -> None:
    answer = ask("known@contoso.com")

    assert answer.verdict is Verdict.ROUTED
    assert answer.accepted_domain == "contoso.com (authoritative)"
    assert answer.routes[0].next_hop == NextHop(("lmtp:127.0.0.1:24",))
    assert rules(answer)["ISP"] == Unvisited.NOT_ASKED
    assert rules(answer)["Fabrikam"] == Unvisited.NOT_COVERED


def test_unknown_recipient_is_refused_for_everyone() -> None:
    answer = ask("x@contoso.com", user="alice")

    assert answer.verdict is Verdict.REFUSED
    assert answer.admission.reply == "550 5.1.1 No such recipient here"
    assert answer.admission.may_relay == ("nobody",)


def test_postmaster_goes_where_the_organization_says() -> None:
    assert ask("postmaster").address == "postmaster@contoso.com"


def test_recipient_waits_while_every_connector_is_down() -> None:
    links = down("ISP", "Backup")

    answer = ask("u@y.org", links, client="127.0.0.1")

    assert answer.verdict is Verdict.WOULD_WAIT
    by_name = {found.name: found for found in answer.connectors}
    assert (by_name["ISP"].rule, by_name["ISP"].down_since) == (Rule.KEPT, 1000.0)
    assert by_name["Backup"].rule == Rule.COSTLIER
    assert ask("u@y.org", links, client="127.0.0.1", assume_up=True).verdict is Verdict.ROUTED


def test_connectors_can_be_assumed_down() -> None:
    answer = ask("u@y.org", client="127.0.0.1", down=["ISP"])

    assert [found.connector for found in answer.routes] == ["Backup"]
    assert rules(answer)["ISP"] == Rule.DOWN
    both = ask("u@y.org", down("ISP"), client="127.0.0.1", down=["ISP", "Backup"])
    assert both.verdict is Verdict.WOULD_WAIT
    assert both.connectors[0].down_since == 1000.0


def test_recipient_waits_where_nothing_matches_and_such_mail_is_held() -> None:
    held = organization(no_match=NoMatch.HOLD)

    answer = explain(Question("u@y.org", user="alice"), held, ALL_UP)

    assert (answer.verdict, answer.routes) == (Verdict.WOULD_WAIT, ())


@pytest.mark.parametrize("no_match", [NoMatch.HOLD, NoMatch.NDR])
def test_a_recipient_that_nothing_else_serves_names_the_connectors_that_are_disabled(no_match: NoMatch) -> None:
    off = tuple(replace(one, enabled=False) for one in CONTOSO.connectors)
    explanation = explain(
        Question("eve@fabrikam.com", user="amy"), replace(CONTOSO, connectors=off, no_match=no_match), ALL_UP
    )
    reason, _, listed = explanation.reason.partition("; disabled connectors would serve it: ")
    covering = {one.name for one in explanation.connectors if one.rule == Rule.DISABLED}
    assert {name.strip('"') for name in listed.removesuffix(".").split(", ")} == covering
    assert reason.startswith("No connector serves it" if no_match is NoMatch.HOLD else "Refused at RCPT: 550 5.4.4")


def test_postmaster_that_nothing_can_deliver_waits() -> None:
    nowhere = organization(postmaster="chief@y.org")

    answer = explain(Question("postmaster"), nowhere, ALL_UP)

    assert answer.verdict is Verdict.WOULD_WAIT
    assert "No route to this domain" in answer.reason


def test_virtual_server_delivers_by_itself_where_no_connector_does() -> None:
    by_mx = explain(Question("u@y.org", user="a"), organization(no_match=NoMatch.NATIVE_DNS), ALL_UP)
    own = organization(no_match=NoMatch.NATIVE_DNS, smart_hosts=(NAMED,))
    by_smart_host = explain(Question("u@y.org", user="a"), own, ALL_UP)
    literal = explain(Question("u@[192.0.2.9]", user="a"), organization(no_match=NoMatch.NATIVE_DNS), ALL_UP)

    assert by_mx.routes[0].next_hop.hosts == ("MX of y.org",)
    assert by_smart_host.routes[0].next_hop.hosts == ("[mail.isp.example]:587",)
    assert literal.routes[0].next_hop.hosts == ("[192.0.2.9]",)


@pytest.mark.parametrize("text", ["", "u", "u@", "u@a@b", "u@x..org", "u\udcff@x.org", "u@x.org\x00"])
def test_what_is_no_address_is_refused_as_at_rcpt(text: str) -> None:
    answer = ask(text, client="127.0.0.1")

    assert answer.verdict is Verdict.REFUSED
    assert answer.admission.reply[0] == "5"
    assert answer.connectors == ()


PLACES: dict[str, tuple[dict[str, str], str]] = {
    "nothing said": ({}, VIRTUAL_SERVER),
    "server": ({"server": "BRIDGE02"}, REMOTE),
    "name": ({"virtual_server": "Second"}, SECOND),
    "server and name": ({"server": "BRIDGE02", "virtual_server": "Default"}, REMOTE),
    "key": ({"virtual_server": REMOTE}, REMOTE),
}


@pytest.mark.parametrize(("place", "expected"), PLACES.values(), ids=PLACES)
def test_place_is_found_by_server_and_name_or_key(place: dict[str, str], expected: str) -> None:
    assert ask("u@y.org", ALL_UP, **place).virtual_server == expected


WRONG: dict[str, tuple[dict[str, object], str]] = {
    "server": ({"server": "BRIDGE9"}, "BRIDGE01/Default"),
    "virtual server": ({"virtual_server": "Third"}, "BRIDGE01/Second"),
    "server of another name": ({"server": "BRIDGE02", "virtual_server": "Second"}, "BRIDGE02/Default"),
    "client": ({"client": "mail.x.org"}, "no IP address"),
    "connector": ({"down": ["Nobody"]}, "no connector"),
}


@pytest.mark.parametrize(("question", "expected"), WRONG.values(), ids=WRONG)
def test_question_about_what_does_not_exist_is_an_error(question: dict[str, object], expected: str) -> None:
    with pytest.raises(ConfigurationError, match=expected):
        ask("u@y.org", ALL_UP, **question)


def test_every_rule_has_its_sentence() -> None:
    assert set(_RULES) == {*Rule, *Unvisited}
    assert set(_ADMISSIONS) == set(Admission)
    assert all(sentence.endswith(".") for sentence in (*_RULES.values(), *_ADMISSIONS.values()))


def test_secrets_stay_out_of_the_answer() -> None:
    secret = Secret("env ISP_PASSWORD", "hunter2")
    isp = replace(ISP, security=replace(ISP.security, password=secret))

    answer = explain(Question("u@y.org", user="a"), organization(isp), ALL_UP)

    assert b"hunter2" not in msgspec.json.encode(answer)
    assert b"contoso" in msgspec.json.encode(answer)


_recipients = st.sampled_from(
    (
        "u@y.org",
        "u@fabrikam.com",
        "u@x.org",
        "known@contoso.com",
        "x@contoso.com",
        "u@relayed.example",
        "u@osaka.example",
    )
)
_clients = st.sampled_from(("", "127.0.0.1", "198.51.100.7"))
_down = st.lists(st.sampled_from([found.name for found in CONTOSO.connectors]), unique=True)


@given(_recipients, _clients, st.sampled_from((0, 5000)), _down)
def test_answer_is_what_rcpt_and_delivery_decide(recipient: str, client: str, size: int, gone: list[str]) -> None:
    answer = ask(recipient, client=client, size=size, down=gone)

    here, message = here_at(CONTOSO, VIRTUAL_SERVER), MessageProperties("", size)
    admission = admit(mailbox(recipient), client_at(client) if client else STRANGER, message, here, CONTOSO)
    decision = route(mailbox(recipient), message, here, CONTOSO, down(*gone))
    assert answer.admission.is_admitted is isinstance(admission, Admitted)
    assert (answer.verdict is Verdict.REFUSED) is not isinstance(admission, Admitted)
    assert (answer.verdict is Verdict.ROUTED) is (
        isinstance(admission, Admitted) and isinstance(decision.result, Routed)
    )
    kept = {record.connector for record in decision.considered if record.rule is Rule.KEPT}
    assert {found.name for found in answer.connectors if found.is_kept} == kept
    assert [found.name for found in answer.connectors] == [found.name for found in CONTOSO.connectors]
    assert msgspec.json.decode(msgspec.json.encode(answer), type=Explanation) == answer
