"""From `[[connector]]` to a `Connector`."""

from __future__ import annotations

import pytest

from bridgehead.core.organization import (
    AddressSpace,
    Authentication,
    Connector,
    Restrictions,
    Secret,
    Security,
    SmartHost,
    SmartHostKind,
    TlsLevel,
)
from tests.control.configuration.examples import (
    BRIDGEHEAD,
    CONNECTOR,
    SMTP_CONNECTOR,
    TWO_SERVERS,
    VIRTUAL_SERVER,
    configuration,
    loaded,
    the_issue,
)


def test_connectors_become_values() -> None:
    internet, partner, old = configuration(SMTP_CONNECTOR).organization.connectors
    assert internet == Connector(
        "Internet via ISP",
        (AddressSpace("*", 1), AddressSpace("*.fabrikam.com", 10)),
        (BRIDGEHEAD,),
        "Tokyo",
        smart_hosts=(
            SmartHost("192.0.2.10", SmartHostKind.ADDRESS),
            SmartHost("192.0.2.11", SmartHostKind.ADDRESS, 2525),
        ),
        security=Security(
            Authentication.BASIC,
            "contoso",
            Secret("env ISP_PASSWORD", "xyzzy"),
            TlsLevel.VERIFY,
            tls_domain="smtp.isp.example",
        ),
    )
    assert partner.allow_relay
    assert partner.smart_hosts == ()
    assert partner.restrictions == Restrictions(2048 * 1024, reject_from=("<>", "boss@contoso.com"))
    assert old.helo
    assert old.smart_hosts == (SmartHost("old.contoso.com", SmartHostKind.HOST),)


@pytest.mark.parametrize(
    ("security", "expected"),
    [
        ("", TlsLevel.OPPORTUNISTIC),
        ('tls = "none"', TlsLevel.NONE),
        ('authentication = "basic"\nusername = "u"\npassword = { env = "ISP_PASSWORD" }', TlsLevel.REQUIRE),
    ],
)
def test_tls_level_depends_on_authentication(security: str, expected: TlsLevel) -> None:
    text = f"{VIRTUAL_SERVER}{CONNECTOR}[connector.security]\n{security}"
    assert configuration(text).organization.connectors[0].security.tls is expected


@pytest.mark.parametrize("name", ["One", "BRIDGE01/One"])
def test_bridgehead_is_named_with_or_without_its_server(name: str) -> None:
    text = f'{TWO_SERVERS}{CONNECTOR}bridgeheads = ["{name}"]'
    assert configuration(text).organization.connectors[0].bridgeheads == ("BRIDGE01/One",)


def test_the_same_name_on_two_servers_needs_its_server() -> None:
    text = f'{TWO_SERVERS.replace("Two", "One")}{CONNECTOR}bridgeheads = ["One"]'
    assert '"One" could be several virtual servers' in the_issue(loaded(text).errors).message


def test_another_servers_files_and_secrets_are_not_looked_for() -> None:
    text = f"""{TWO_SERVERS}
tls = {{ certificate = "none.pem", key = "none.pem" }}
authentication = {{ users = {{ file = "none.txt" }} }}
{CONNECTOR}
routing_group = "Osaka"
scope = "routing-group"
bridgeheads = ["Two"]
[connector.security]
authentication = "basic"
username = "u"
password = {{ env = "NOT_HERE" }}
ca_file = "none.pem"
"""
    organization = configuration(text).organization
    assert organization.connectors[0].security.password == Secret("env NOT_HERE", "")
