"""Configuration files for the tests of commands."""

from __future__ import annotations

from pathlib import Path

HEAD = """
[node]
state_dir = "state"
volatile_state = true

[organization]
name = "Contoso"
postmaster = "postmaster@contoso.com"

[[virtual_server]]
name = "Default"
listen = ["127.0.0.1:25"]
fqdn = "mail.contoso.com"
"""
ISP = """
[[connector]]
name = "ISP"
route = "smart-hosts"
smart_hosts = "[192.0.2.10];[192.0.2.11]"
address_spaces = ["*"]
"""
PARTNER = """
[[connector]]
name = "Partner"
address_spaces = ["*.fabrikam.com;10"]
allow_relay = true
"""
TWINS = """
[[connector]]
name = "Twin A"
route = "smart-hosts"
smart_hosts = "[192.0.2.21]:26"
address_spaces = ["twins.example"]
allow_relay = true

[[connector]]
name = "Twin B"
route = "smart-hosts"
smart_hosts = "relay.twin.example"
address_spaces = ["twins.example"]
allow_relay = true
[connector.security]
authentication = "basic"
username = "contoso"
password = { env = "TWIN_PASSWORD" }
tls = "verify"
"""


def write_file(folder: Path, *parts: str) -> Path:
    """`folder/bridgehead.toml` of these parts; its state is `folder/state`, which is made."""
    (folder / "state").mkdir(exist_ok=True)
    path = folder / "bridgehead.toml"
    path.write_text("".join(parts), encoding="utf-8")
    return path
