"""The configuration as a value: look-ups, texts, defaults of Exchange, and secrets that show nowhere."""

from __future__ import annotations

from dataclasses import FrozenInstanceError, replace

import pytest

from bridgehead.core.organization import (
    AcceptedDomain,
    AddressSpace,
    Certificate,
    Connector,
    ConnectorLimits,
    Delivery,
    ListMode,
    LocalDelivery,
    MessageLimits,
    Organization,
    RelayRestrictions,
    Restrictions,
    Secret,
    Security,
    Server,
    ServerAuthentication,
    ServerTls,
    SmartHost,
    SmartHostKind,
    TlsLevel,
    VirtualServer,
)

HERE, SECOND, THERE = "BRIDGE01/Default", "BRIDGE01/Second", "BRIDGE02/Default"


def connector(name: str, *spaces: tuple[str, int], bridgeheads: tuple[str, ...] = (HERE,)) -> Connector:
    return Connector(name, tuple(AddressSpace(pattern, cost) for pattern, cost in spaces), bridgeheads, "Tokyo")


def organization(*connectors: Connector, accepted: tuple[AcceptedDomain, ...] = ()) -> Organization:
    virtual_servers = tuple(
        VirtualServer(name, server, (), "mail.contoso.com")
        for server, name in (("BRIDGE01", "Default"), ("BRIDGE01", "Second"), ("BRIDGE02", "Default"))
    )
    return Organization("Contoso", (Server("BRIDGE01"), Server("BRIDGE02")), virtual_servers, connectors, accepted)


# Look-ups


def test_a_virtual_server_is_found_by_server_and_name() -> None:
    assert organization().virtual_server(SECOND).name == "Second"
    assert organization().virtual_server(THERE).server == "BRIDGE02"
    with pytest.raises(KeyError):
        organization().virtual_server("BRIDGE02/Second")


def test_a_connector_that_left_the_file_is_none() -> None:
    found = organization(connector("ISP", ("*", 1)))
    assert found.connector("ISP") is found.connectors[0]
    assert found.connector("isp") is None


def test_spaces_are_found_by_domain_most_specific_first() -> None:
    found = organization(connector("any", ("*", 1)), connector("fab", ("*.fabrikam.com", 1), ("eu.fabrikam.com", 5)))
    levels = found.served_spaces.levels("eu.fabrikam.com")
    assert [(pattern, [(one.name, one.cost) for one in level]) for pattern, level in levels] == [
        ("eu.fabrikam.com", [("fab", 5)]),
        ("*.fabrikam.com", [("fab", 1)]),
        ("*", [("any", 1)]),
    ]


def test_the_accepted_domain_is_the_most_specific_one() -> None:
    accepted = (AcceptedDomain("*.contoso.com"), AcceptedDomain("shop.contoso.com"))
    index = organization(accepted=accepted).accepted_domain_index
    assert index.best("shop.contoso.com") is accepted[1]
    assert index.best("contoso.com") is accepted[0]
    assert index.best("fabrikam.com") is None


# Identity


def test_indexes_are_no_part_of_identity_and_follow_a_replacement() -> None:
    one, same = organization(connector("A", ("*", 1))), organization(connector("A", ("*", 1)))
    assert one == same
    assert one.served_spaces is not same.served_spaces
    changed = replace(one, connectors=(connector("B", ("*", 1)),))
    assert changed != one
    assert [changed.connector(name) is not None for name in ("A", "B")] == [False, True]


def test_nothing_is_edited() -> None:
    with pytest.raises(FrozenInstanceError):
        organization().name = "Fabrikam"  # type: ignore[misc]  # what a frozen class refuses


# Texts

TEXTS: dict[str, object] = {
    "smart.example": SmartHost("smart.example", SmartHostKind.NAME),
    "smart.example:587": SmartHost("smart.example", SmartHostKind.NAME, 587),
    "[smart.example]": SmartHost("smart.example", SmartHostKind.HOST),
    "[192.0.2.7]": SmartHost("192.0.2.7", SmartHostKind.ADDRESS),
    "[2001:db8::7]:2525": SmartHost("2001:db8::7", SmartHostKind.ADDRESS, 2525),
    "SMTP:*.fabrikam.com;20": AddressSpace("*.fabrikam.com", 20),
    "SMTP:*;1": AddressSpace("*"),
    "lmtp:127.0.0.1:24": LocalDelivery("lmtp", "127.0.0.1:24"),
    "maildir:/srv/mail/{domain}/{local}": LocalDelivery("maildir", "/srv/mail/{domain}/{local}"),
}


@pytest.mark.parametrize("text", TEXTS)
def test_text(text: str) -> None:
    assert str(TEXTS[text]) == text


# Decisions


def test_tls_levels_are_ordered_from_nothing_to_a_verified_name() -> None:
    in_order = sorted(TlsLevel, key=lambda level: level.strength)
    assert in_order == [TlsLevel.NONE, TlsLevel.OPPORTUNISTIC, TlsLevel.REQUIRE, TlsLevel.VERIFY]
    assert len({level.strength for level in TlsLevel}) == len(TlsLevel)


OPEN: dict[str, tuple[Restrictions, bool]] = {
    "none": (Restrictions(), True),
    "a size": (Restrictions(size_less_than=1), False),
    "senders that may": (Restrictions(accept_from=("a@contoso.com",)), False),
    "senders that may not": (Restrictions(reject_from=("<>",)), False),
}


@pytest.mark.parametrize("name", OPEN)
def test_a_connector_is_open_without_any_restriction(name: str) -> None:
    restrictions, expected = OPEN[name]
    assert restrictions.is_open is expected


# Defaults


def test_mail_is_retried_and_expires_as_in_exchange() -> None:
    """Exchange 2003, SMTP virtual server, Delivery: 10, 10, 10 and 15 minutes; delay 12 hours; expiry 2 days."""
    delivery = Delivery()
    assert list(delivery.retry_seconds) == [600, 600, 600, 900]
    assert (delivery.glitch_retries, delivery.glitch_retry_seconds) == (3, 60)
    assert (delivery.delay_notice_seconds, delivery.expire_seconds) == (12 * 3600, 48 * 3600)
    assert delivery.hop_count_max == 30
    assert (delivery.connections, delivery.connections_per_domain) == (1000, 100)


def test_bounds_are_those_of_exchange() -> None:
    assert (MessageLimits().recipients_max, MessageLimits().messages_per_connection) == (64_000, 20)
    assert ConnectorLimits().messages_per_connection == 20


def test_nobody_relays_by_default_but_who_authenticated() -> None:
    relay = RelayRestrictions()
    assert relay.authenticated
    assert not relay.clients.networks
    assert not relay.clients.domains
    assert relay.mode is ListMode.ONLY_LIST


def test_a_connector_does_not_open_the_relay_by_default_and_tries_tls() -> None:
    plain = connector("A", ("*", 1))
    assert not plain.allow_relay
    assert plain.enabled
    assert plain.security.tls is TlsLevel.OPPORTUNISTIC


# Secrets


def test_no_secret_shows_when_an_organization_is_printed() -> None:
    tls = ServerTls(Certificate("c.pem", "k.pem", b"CERTIFICATE-TEXT", b"KEY-TEXT"))
    authentication = ServerAuthentication(users={"user": "HASH-TEXT"})
    server = VirtualServer("Default", "BRIDGE01", (), "mail.contoso.com", tls=tls, authentication=authentication)
    isp = replace(connector("ISP", ("*", 1)), security=Security(password=Secret("env ISP_PASSWORD", "PASSWORD-TEXT")))
    found = replace(organization(isp), virtual_servers=(server,))
    shown = f"{found!r}{found}"
    for secret in ("CERTIFICATE-TEXT", "KEY-TEXT", "HASH-TEXT", "PASSWORD-TEXT"):
        assert secret not in shown
    for reference in ("env ISP_PASSWORD", "c.pem", "k.pem"):
        assert reference in shown
