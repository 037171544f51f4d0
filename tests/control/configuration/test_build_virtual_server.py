"""From `[[virtual_server]]` to a `VirtualServer`."""

from __future__ import annotations

from dataclasses import replace
from ipaddress import ip_network

import pytest

from bridgehead.core.organization import (
    Listener,
)
from tests.control.configuration.examples import (
    BRIDGEHEAD,
    MACHINE,
    SMTP_CONNECTOR,
    VIRTUAL_SERVER,
    configuration,
)


def test_virtual_server_is_in_seconds_and_octets() -> None:
    virtual_server = configuration(SMTP_CONNECTOR).organization.virtual_server(BRIDGEHEAD)
    assert virtual_server.fqdn == "mail.contoso.com"
    assert virtual_server.listeners == (
        Listener("0.0.0.0", 25),
        Listener("::", 25),
        Listener("0.0.0.0", 465, implicit_tls=True),
    )
    assert virtual_server.relay.clients.networks == (
        ip_network("127.0.0.0/8"),
        ip_network("::1/128"),
        ip_network("198.51.100.0/24"),
    )
    assert virtual_server.relay.clients.domains == ("*.lan.contoso.com",)
    assert virtual_server.messages.size_max == 4096 * 1024
    assert virtual_server.delivery.retry_seconds == (30.0, 600.0)
    assert virtual_server.delivery.expire_seconds == 432_000.0
    assert virtual_server.delivery.dns_servers == ("192.0.2.53", "[2001:db8::53]:5353")


@pytest.mark.parametrize(
    ("host_name", "expected"), [("mail.contoso.com", "mail.contoso.com"), ("Mail", "mail"), ("a b", "localhost")]
)
def test_name_is_that_of_the_machine_as_far_as_it_can_be_said(host_name: str, expected: str) -> None:
    machine = replace(MACHINE, host_name=host_name)
    assert configuration(VIRTUAL_SERVER, machine=machine).organization.virtual_servers[0].fqdn == expected


def test_name_of_the_file_goes_before_that_of_the_machine() -> None:
    text = VIRTUAL_SERVER + 'fqdn = "MX.Contoso.com."'
    assert configuration(text).organization.virtual_servers[0].fqdn == "mx.contoso.com"
