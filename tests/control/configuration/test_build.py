"""Organization, servers, domains and node: values, and the defaults that depend on others."""

from __future__ import annotations

from dataclasses import replace

import pytest

from bridgehead.core.organization import (
    AcceptedDomain,
    DomainType,
    LocalDelivery,
    NoMatch,
    Server,
)
from tests.control.configuration.examples import (
    MACHINE,
    PARTNER,
    SMTP_CONNECTOR,
    VIRTUAL_SERVER,
    configuration,
)


def test_servers_and_domains_become_values() -> None:
    organization = configuration(SMTP_CONNECTOR).organization
    assert organization.name == "Contoso"
    assert organization.postmaster == "admin@contoso.com"
    assert organization.servers == (Server("BRIDGE01", "192.0.2.1", 25, "Tokyo"),)
    assert organization.accepted_domains == (
        AcceptedDomain("contoso.com", deliver=LocalDelivery("lmtp", "127.0.0.1:24")),
        AcceptedDomain(
            "*.branch.contoso.com",
            DomainType.INTERNAL_RELAY,
            deliver=LocalDelivery("maildir", "/etc/bridgehead/mail/{domain}/{local}"),
        ),
    )


@pytest.mark.parametrize(
    ("environ", "text", "expected"),
    [
        ({}, "", "/srv/operator/.local/state/bridgehead"),
        ({"STATE_DIRECTORY": "/var/lib/bridgehead"}, "", "/var/lib/bridgehead"),
        ({"STATE_DIRECTORY": "/var/lib/a:/var/lib/b"}, "", "/var/lib/a"),
        ({"STATE_DIRECTORY": "/var/lib/a"}, '[node]\nstate_dir = "/srv/mail"', "/srv/mail"),
        ({}, '[node]\nstate_dir = "state"', "/etc/bridgehead/state"),
    ],
)
def test_state_is_kept_where_file_system_or_home_say(environ: dict[str, str], text: str, expected: str) -> None:
    assert configuration(text, machine=replace(MACHINE, environ=environ)).node.state_dir == expected


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        (VIRTUAL_SERVER, NoMatch.NATIVE_DNS),
        (VIRTUAL_SERVER + PARTNER, NoMatch.NDR),
        (VIRTUAL_SERVER + PARTNER + "enabled = false", NoMatch.NDR),
        ('[organization]\nno_match = "hold"', NoMatch.HOLD),
    ],
)
def test_no_match_depends_on_whether_there_are_connectors(text: str, expected: NoMatch) -> None:
    assert configuration(text).organization.no_match is expected


def test_postmaster_is_at_the_first_accepted_domain() -> None:
    text = '[[accepted_domain]]\ndomain = "*.b.example"\n[[accepted_domain]]\ndomain = "a.example"'
    assert configuration(text).organization.postmaster == "postmaster@b.example"


def test_a_server_without_group_is_in_the_first_one() -> None:
    text = '[node]\nserver = "B"\n[[server]]\nname = "A"\nrouting_group = "Tokyo"\n[[server]]\nname = "B"'
    assert [server.routing_group for server in configuration(text).organization.servers] == ["Tokyo", "Tokyo"]


def test_node_names_the_server_where_no_table_does() -> None:
    assert configuration('[node]\nserver = "MAIL7"').organization.servers[0].name == "MAIL7"
