"""Texts of configurations, and a machine that is the same everywhere, for the tests of this package."""

from __future__ import annotations

from ipaddress import ip_address
from pathlib import Path
from typing import Final

from bridgehead.control.configuration.issue import Issue
from bridgehead.control.configuration.load import Configuration, Loaded, load_text
from bridgehead.control.configuration.machine import LOOPBACK, Machine

MARK: Final = "▸"
"""Stands before the words that an issue has to point at."""

NOW: Final = 1_900_000_000.0
MACHINE: Final = Machine(
    host_name="mail.contoso.com",
    cores=4,
    now=NOW,
    home=Path("/srv/operator"),
    environ={"ISP_PASSWORD": "xyzzy"},
    addresses=LOOPBACK | {ip_address("192.0.2.1"), ip_address("2001:db8::1")},
)

VIRTUAL_SERVER: Final = """
[[virtual_server]]
name = "Default SMTP Virtual Server"
listen = ["192.0.2.1:25"]
"""
CONNECTOR: Final = """
[[connector]]
name = "Internet"
address_spaces = ["*"]
"""
PARTNER: Final = """
[[connector]]
name = "Partner"
address_spaces = ["*.fabrikam.com"]
"""
TWO_SERVERS: Final = """
[node]
server = "BRIDGE01"
[[server]]
name = "BRIDGE01"
routing_group = "Tokyo"
[[server]]
name = "BRIDGE02"
routing_group = "Osaka"
[[virtual_server]]
name = "One"
server = "BRIDGE01"
listen = ["192.0.2.1:25"]
[[virtual_server]]
name = "Two"
server = "BRIDGE02"
listen = ["192.0.2.2:25"]
"""

BRIDGEHEAD: Final = "BRIDGE01/Default SMTP Virtual Server"
"""The virtual server of the scenario."""

SMTP_CONNECTOR: Final = """
#:schema bridgehead.schema.json
# An ISP's two smart hosts take everything; a partner is reached directly, an old machine with HELO.

[node]
state_dir = "/var/lib/bridgehead"
drain = "1m30s"

[organization]
name = "Contoso"
postmaster = "admin@contoso.com"

[[server]]
name = "BRIDGE01"
address = "192.0.2.1"
routing_group = "Tokyo"

[[accepted_domain]]
domain = "Contoso.com"
deliver = "lmtp:127.0.0.1:24"

[[accepted_domain]]
domain = "*.branch.contoso.com"
type = "internal-relay"
deliver = "maildir:mail/{domain}/{local}"

[[virtual_server]]
name = "Default SMTP Virtual Server"
listen = ["0.0.0.0:25", "[::]:25", { address = "0.0.0.0:465", tls = "implicit" }]
fqdn = "mail.contoso.com"

[virtual_server.relay]
clients = ["127.0.0.0/8", "::1", "198.51.100.0/24", "*.lan.contoso.com"]

[virtual_server.messages]
size_kb = 4096

[virtual_server.delivery]
retry_minutes = [0.5, 10]
expire = "5d"
dns_servers = ["192.0.2.53", "[2001:db8::53]:5353"]

[[connector]]
name = "Internet via ISP"
route = "smart-hosts"
smart_hosts = "[192.0.2.10];[192.0.2.11]:2525"
address_spaces = ["SMTP:*;1", { address = "*.fabrikam.com", cost = 10 }]

[connector.security]
authentication = "basic"
username = "contoso"
password = { env = "ISP_PASSWORD" }
tls = "verify"
tls_domain = "smtp.isp.example"

[[connector]]
name = "Partner"
address_spaces = ["partner.example"]
bridgeheads = ["Default SMTP Virtual Server"]
allow_relay = true
restrictions = { size_less_than_kb = 2048, reject_from = ["<>", "Boss@Contoso.com"] }

[[connector]]
name = "Old machine"
route = "smart-hosts"
smart_hosts = ["[old.contoso.com]"]
address_spaces = ["old.contoso.com"]
advanced.helo = true
"""
"""The scenario of the SMTP connector, as an operator may write it."""


def loaded(text: str, folder: Path = Path("/etc/bridgehead"), machine: Machine = MACHINE) -> Loaded:
    """What a text comes to on the machine of the tests."""
    return load_text(text, folder / "bridgehead.toml", machine)


def configuration(text: str, folder: Path = Path("/etc/bridgehead"), machine: Machine = MACHINE) -> Configuration:
    """The configuration in a text that has no error."""
    result = loaded(text, folder, machine)
    assert result.configuration is not None, [str(issue) for issue in result.issues]
    return result.configuration


def place_of_mark(marked: str) -> tuple[str, int, int]:
    """A text without its mark, and the line and column where the mark stood; no mark: the file as a whole."""
    before, mark, after = marked.partition(MARK)
    if not mark:
        return marked, 0, 0
    return before + after, before.count("\n") + 1, len(before) - (before.rfind("\n") + 1) + 1


def the_issue(issues: tuple[Issue, ...]) -> Issue:
    """The only issue."""
    assert len(issues) == 1, [str(issue) for issue in issues]
    return issues[0]


def assert_comes_later(template: str, default: str) -> None:
    """The value after `{}` is reported as not available yet, where it stands, with what to write instead."""
    text, line, column = place_of_mark(template.format(MARK))
    issue = next(issue for issue in loaded(text).errors if "is not available yet" in issue.message)
    assert (issue.line, issue.column) == (line, column), str(issue)
    assert issue.message.endswith(f"use {default}")
