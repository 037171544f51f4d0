"""The organization of `bridgehead demo`: who is who, on which address, and the configuration file that says so.

It is the scenario of Microsoft KB 265293, small enough to be read at once: a provider's two smart hosts for all of
the Internet, a partner's own host, a host that wants HELO, and two lines to one customer of which the cheaper one
fails now and then. All names are reserved ones (RFC 2606) and all addresses loopback: no mail leaves the machine.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Final

HOME: Final = "contoso.example"
STAFF: Final = ("amy", "ben", "chie", "dora", "emil", "postmaster")
"""Mailboxes of the organization; mail for anybody else there is refused."""

ISP_FIRST: Final = "127.0.0.11"
ISP_SECOND: Final = "127.0.0.12"
FABRIKAM: Final = "127.0.0.21"
WINGTIP: Final = "127.0.0.31"
NORTHWIND_MAIN: Final = "127.0.0.41"
NORTHWIND_BACKUP: Final = "127.0.0.42"
INSIDE: Final = "127.0.0.1"
OUTSIDE: Final = "127.0.0.2"

FILE_NAME: Final = "bridgehead.toml"

_TEXT: Final = """\
# The organization of `bridgehead demo`. Everything happens on this machine; times are shortened to seconds.

[node]
state_dir = "state"
volatile_state = true            # a demo's mail may be lost with a folder in memory
console = "{console}"
workers = 2
drain = "2s"
min_free_mb = 16

[organization]
name = "Contoso (demo)"
postmaster = "postmaster@contoso.example"

[[accepted_domain]]
domain = "contoso.example"
recipients = {{ file = "staff.txt" }}
deliver = "maildir:{mail}/{{domain}}/{{local}}"

[[virtual_server]]               # for the people of Contoso: may relay
name = "Default SMTP Virtual Server"
listen = ["{inside}"]
fqdn = "mail.contoso.example"
outbound_port = {port}            # the receiving Internet of the demo has no port 25
{delivery}
[[virtual_server]]               # for the Internet: may not relay
name = "Internet SMTP Virtual Server"
listen = ["{outside}"]
fqdn = "mx.contoso.example"
outbound_port = {port}
[virtual_server.relay]
clients = []
{delivery}
[[connector]]                    # all the Internet, through both bridgeheads and both hosts of the provider
name = "Internet via ISP"
route = "smart-hosts"
smart_hosts = "[{isp_first}];[{isp_second}]"
address_spaces = ["SMTP:*;1"]
bridgeheads = ["Default SMTP Virtual Server", "Internet SMTP Virtual Server"]

[[connector]]                    # a partner's mail goes to the partner, not to the provider
name = "Partner Fabrikam"
route = "smart-hosts"
smart_hosts = "[{fabrikam}]"
address_spaces = ["SMTP:*.fabrikam.example;1"]

[[connector]]                    # an old host that knows no EHLO
name = "Wingtip by HELO"
route = "smart-hosts"
smart_hosts = "[{wingtip}]"
address_spaces = ["SMTP:wingtip.example;1"]
[connector.advanced]
helo = true

[[connector]]                    # the cheaper line fails now and then
name = "Northwind main line"
route = "smart-hosts"
smart_hosts = "[{northwind_main}]"
address_spaces = [
    "SMTP:northwind.example;1",        # has a backup below, and takes it
    "SMTP:plant.northwind.example;1",  # has none: waits, and finds out when the line is back
]

[[connector]]                    # its backup: same address space, higher cost
name = "Northwind backup line"
route = "smart-hosts"
smart_hosts = "[{northwind_backup}]"
address_spaces = ["SMTP:northwind.example;10"]
"""

_DELIVERY: Final = """\
[virtual_server.delivery]
glitch_retries = 1
glitch_retry_seconds = 0.4
retry_minutes = [0.02, 0.03, 0.03]
"""


@dataclass(frozen=True, slots=True)
class Ports:
    """Where everything listens."""

    inside: int
    """Of the virtual server for the people of the organization, on `INSIDE`."""
    outside: int
    """Of the one for the Internet, on `OUTSIDE`."""
    console: int
    """On `INSIDE`."""
    internet: int
    """Of every receiver, each on its own address."""


def write_files(folder: Path, ports: Ports) -> Path:
    """Write configuration and list of mailboxes into an existing folder; the configuration's path."""
    (folder / "staff.txt").write_text("".join(f"{name}@{HOME}\n" for name in STAFF))
    path = folder / FILE_NAME
    path.write_text(configuration(folder / "mail", ports))
    return path


def configuration(mail: Path, ports: Ports) -> str:
    """The text of the file; mailboxes are maildirs below `mail`."""
    return _TEXT.format(
        mail=mail,
        console=f"{INSIDE}:{ports.console}",
        inside=f"{INSIDE}:{ports.inside}",
        outside=f"{OUTSIDE}:{ports.outside}",
        port=ports.internet,
        delivery=_DELIVERY,
        isp_first=ISP_FIRST,
        isp_second=ISP_SECOND,
        fabrikam=FABRIKAM,
        wingtip=WINGTIP,
        northwind_main=NORTHWIND_MAIN,
        northwind_backup=NORTHWIND_BACKUP,
    )
