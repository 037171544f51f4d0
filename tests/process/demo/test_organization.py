"""The organization of the demo is one that `check` takes, and its connectors are those the demo speaks of."""

from __future__ import annotations

from ipaddress import ip_address
from pathlib import Path

import pytest

from bridgehead.control.configuration.load import load
from bridgehead.core.explanation import Question, explain
from bridgehead.core.link_state import ALL_UP
from bridgehead.core.organization import Organization
from bridgehead.process.demo.organization import INSIDE, Ports, write_files

PORTS = Ports(inside=2525, outside=2526, console=8025, internet=2527)


@pytest.fixture
def organization(tmp_path: Path) -> Organization:
    """The organization of the demo, read from the file it writes."""
    loaded = load(write_files(tmp_path, PORTS))
    assert loaded.configuration is not None, loaded.errors
    return loaded.configuration.organization


def test_the_only_warnings_are_of_port_25(tmp_path: Path) -> None:
    issues = load(write_files(tmp_path, PORTS)).issues
    assert issues
    assert all("does not listen on port 25" in str(issue) for issue in issues)


def test_mail_can_only_go_to_loopback(organization: Organization) -> None:
    hosts = [ip_address(host.host) for connector in organization.connectors for host in connector.smart_hosts]
    assert len(hosts) == 6
    assert all(host.is_loopback for host in hosts)
    assert organization.no_match == "ndr"


@pytest.mark.parametrize(
    ("recipient", "down", "expected"),
    [
        ("kim@adatum.example", (), "Internet via ISP"),
        ("kim@sales.fabrikam.example", (), "Partner Fabrikam"),
        ("kim@wingtip.example", (), "Wingtip by HELO"),
        ("kim@northwind.example", (), "Northwind main line"),
        ("kim@northwind.example", ("Northwind main line",), "Northwind backup line"),
        ("kim@plant.northwind.example", ("Northwind main line",), "Northwind main line"),
    ],
)
def test_each_recipient_takes_the_way_that_the_demo_is_there_to_show(
    organization: Organization, recipient: str, down: tuple[str, ...], expected: str
) -> None:
    answer = explain(
        Question(recipient, sender="amy@contoso.example", client=INSIDE, down=down), organization, ALL_UP
    )
    assert {route.connector for route in answer.routes} == {expected}
