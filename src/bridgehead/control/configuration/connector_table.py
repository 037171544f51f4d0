"""`[[connector]]` as it stands in the file."""

# ruff: noqa: RUF012 - pydantic copies the default of a field for each table

from __future__ import annotations

from typing import Annotated, Literal, TypeAlias

from pydantic import Discriminator, Field, Tag

from bridgehead.control.configuration import domains
from bridgehead.control.configuration.fields import (
    Count,
    HostName,
    Name,
    PositiveCount,
    SecretField,
    SecretTable,
    Sender,
    SmartHosts,
    Table,
    TextOrList,
    available,
    checked,
    later,
    text_or_table,
)


class SpaceTable(Table):
    """An address space with its cost."""

    address: Annotated[str, checked(domains.pattern_of_space)]
    """Pattern: "*", "*.fabrikam.com" or "fabrikam.com"."""
    cost: Annotated[int, Field(ge=domains.COST_MIN, le=domains.COST_MAX)] = 1
    """1 to 100; the lower one is preferred."""


SpaceEntry: TypeAlias = Annotated[
    Annotated[str, checked(domains.address_space), Tag("<text>")] | Annotated[SpaceTable, Tag("<table>")],
    Discriminator(text_or_table),
]


class ClientCertificateTable(Table):
    """A certificate of ours for the next hop (not available yet)."""

    certificate: str = ""
    """PEM file."""
    key: str = ""
    """PEM file."""


class OAuth2Table(Table):
    """Tokens for the next hop (not available yet)."""

    grant: Literal["client-credentials", "jwt-bearer", "refresh-token"] = "client-credentials"
    """How the token is got."""
    token_url: str = ""
    """Where it is got."""
    client_id: str = ""
    """Who asks for it."""
    scope: str = ""
    """What it is for."""
    user: str = ""
    """Mailbox to send as."""
    client_secret: SecretField = SecretTable()
    """Secret of the client."""
    certificate: str = ""
    """PEM file."""
    key: str = ""
    """PEM file."""


class SecurityTable(Table):
    """Outbound Security: who we are towards the next hop, and how much TLS it must give."""

    authentication: Annotated[
        Literal["anonymous", "basic", "scram", "ntlm", "oauth2", "certificate"],
        available,
    ] = "anonymous"
    """anonymous, or basic: user name and password."""
    username: str = ""
    """Account at the next hop."""
    password: SecretField = SecretTable()
    """Where its password is found: { env = "NAME" }, { file = "path" } or { credential = "name" }."""
    tls: Annotated[
        Literal["", "none", "opportunistic", "require", "verify", "policy", "dane", "mta-sts"],
        available,
    ] = ""
    """none, opportunistic, require, verify. Empty: opportunistic; with authentication: require."""
    implicit_tls: bool = False
    """TLS from the first byte (port 465)."""
    tls_domain: HostName = ""
    """The name that verify wants in the certificate."""
    ca_file: str = ""
    """PEM file of trust anchors; empty: the system's."""
    client_certificate: Annotated[
        ClientCertificateTable, later(ClientCertificateTable(), '{ certificate = "", key = "" }')
    ] = ClientCertificateTable()
    oauth2: Annotated[OAuth2Table, later(OAuth2Table(), "nothing")] = OAuth2Table()


class AdvancedTable(Table):
    """Advanced settings."""

    helo: bool = False
    """Send HELO instead of EHLO: no extension of SMTP is used."""
    dequeue: Annotated[Literal["none", "etrn", "turn"], available] = "none"
    """Ask the peer for the mail it holds for us (not available yet)."""


class RestrictionsTable(Table):
    """Which messages the connector takes; what it refuses goes to the next best connector."""

    priorities: Annotated[
        list[Literal["high", "normal", "low"]], later(["high", "normal", "low"], '["high", "normal", "low"]')
    ] = ["high", "normal", "low"]
    """Only messages of these priorities (not available yet)."""
    types: Annotated[
        list[Literal["system", "non-system"]], later(["system", "non-system"], '["system", "non-system"]')
    ] = ["system", "non-system"]
    """Only these kinds of messages (not available yet)."""
    size_less_than_kb: Count = 0
    """Only messages smaller than this many KB; 0: any."""
    accept_from: list[Sender] = []
    """Only from these envelope senders: address, domain, "*.domain", "<>". Empty: everyone."""
    reject_from: list[Sender] = []
    """Never from these; wins over accept_from."""


class ConnectorDeliveryTable(Table):
    """When the connector sends (not available yet)."""

    schedule: Annotated[TextOrList, later("always", '"always"')] = "always"
    """always, never, "daily 23:00", "every 4h" or a list of windows."""
    timezone: Annotated[str, later("", '""')] = ""
    """Time zone of the schedule; empty: the machine's."""
    oversize_kb: Annotated[Count, later(0, "0")] = 0
    """Messages larger than this follow the schedule for large ones."""
    oversize_schedule: Annotated[TextOrList, later("always", '"always"')] = "always"
    """Schedule for large messages."""
    remote_triggered: Annotated[list[str], later([], "[]")] = []
    """Accounts that may fetch the mail; not empty: hold it for them."""


class LimitsTable(Table):
    """Bounds of what the connector does at once, on each server."""

    connections: PositiveCount = 20
    """Connections at once."""
    connections_per_domain: PositiveCount = 20
    """Connections at once to one domain."""
    messages_per_connection: Count = 20
    """Messages over one connection before a new one is made; 0: no limit."""
    messages_per_minute: Annotated[Count, later(0, "0")] = 0
    """What is beyond waits (not available yet)."""
    recipients_per_day: Annotated[Count, later(0, "0")] = 0
    """What is beyond waits (not available yet)."""


class ConnectedRoutingGroupTable(Table):
    """A routing group that the connector leads to (not available yet)."""

    name: Name
    """Name of the routing group."""
    cost: Annotated[int, Field(ge=domains.COST_MIN, le=domains.COST_MAX)] = 1
    """1 to 100."""


class ConnectorTable(Table):
    """An SMTP connector: sends chosen domains in a chosen way."""

    name: Name
    """Unique among connectors."""
    enabled: bool = True
    """A disabled connector takes no part in routing."""
    routing_group: str = ""
    """Routing group it belongs to; empty: the first."""
    scope: Literal["organization", "routing-group"] = "organization"
    """Who may use it: every server, or those of its routing group."""
    route: Literal["dns", "smart-hosts"] = "dns"
    """By MX records of each domain, or everything to the smart hosts."""
    smart_hosts: SmartHosts = ""
    """Entries separated by ";" or ",", or a list: name, [name], name:port, [192.0.2.10], [2001:db8::1]:2525."""
    smart_host_order: Literal["balance", "failover"] = "balance"
    """In random order, or as written."""
    bridgeheads: list[str] | None = None
    """Virtual servers that send for it, SERVER/NAME; with one server the default is its first one."""
    address_spaces: list[SpaceEntry] = []
    """Domains it takes, with costs: "SMTP:*;1" or { address = "*.fabrikam.com", cost = 10 }."""
    senders: Annotated[list[Sender], later([], "[]")] = []
    """Only mail from these senders (not available yet)."""
    allow_relay: bool = False
    """Allow messages to be relayed to these domains, by anyone."""
    connected_routing_groups: Annotated[list[ConnectedRoutingGroupTable], later([], "[]")] = []
    """Routing groups it leads to (not available yet)."""
    note: str = ""
    """For people."""
    security: SecurityTable = SecurityTable()
    advanced: AdvancedTable = AdvancedTable()
    restrictions: RestrictionsTable = RestrictionsTable()
    delivery: ConnectorDeliveryTable = ConnectorDeliveryTable()
    limits: LimitsTable = LimitsTable()
