"""`[[virtual_server]]` as it stands in the file."""

# ruff: noqa: RUF012 - pydantic copies the default of a field for each table

from __future__ import annotations

from typing import Annotated, Literal, TypeAlias

from pydantic import Discriminator, Field, Tag

from bridgehead.control.configuration.connector_table import SecurityTable
from bridgehead.control.configuration.fields import (
    Client,
    Count,
    Duration,
    HostName,
    IpAddress,
    ListenAddress,
    ListFile,
    Mailbox,
    Name,
    NameServer,
    Port,
    PositiveCount,
    PositiveNumber,
    SmartHosts,
    Table,
    available,
    later,
    text_or_table,
)


class ListenTable(Table):
    """A listening address with settings of its own."""

    address: ListenAddress
    """ADDRESS:PORT."""
    tls: Literal["", "implicit"] = ""
    """"implicit": TLS from the first byte (port 465)."""


ListenEntry: TypeAlias = Annotated[
    Annotated[ListenAddress, Tag("<text>")] | Annotated[ListenTable, Tag("<table>")], Discriminator(text_or_table)
]
Mechanism: TypeAlias = Annotated[Literal["PLAIN", "LOGIN", "SCRAM-SHA-256"], available]


class ServerTlsTable(Table):
    """The certificate of the virtual server; without it STARTTLS is not offered."""

    certificate: str = ""
    """PEM file: the server's certificate, then the intermediate ones."""
    key: str = ""
    """PEM file of the private key, without a passphrase."""
    required: bool = False
    """Refuse mail before TLS (530 5.7.0)."""


class ServerAuthenticationTable(Table):
    """SMTP AUTH for clients."""

    mechanisms: list[Mechanism] = ["PLAIN", "LOGIN"]
    """What is offered: PLAIN, LOGIN."""
    users: ListFile | None = None
    """Accounts, made by `bridgehead user add --file`."""
    without_tls: bool = False
    """Offer AUTH in the clear; on loopback only."""
    required: bool = False
    """Refuse mail before AUTH (530 5.7.0)."""


class ConnectionTable(Table):
    """Who may connect."""

    mode: Literal["all-except", "only-list"] = "all-except"
    """How the list is meant."""
    clients: list[Client] = []
    """Addresses, networks, domains."""
    limit: Count = 0
    """Sessions at once; 0: as many as file descriptors allow. Beyond: 421 4.3.2."""
    limit_per_client: Count = 0
    """Sessions at once from one address; 0: no limit."""
    timeout: Duration = "10m"
    """How long a silent client is kept; at least 5m (RFC 5321 4.5.3.2)."""


class RelayTable(Table):
    """Who may relay to domains that are not accepted ones."""

    mode: Literal["only-list", "all-except"] = "only-list"
    """How the list is meant."""
    clients: list[Client] = ["127.0.0.0/8", "::1"]
    """Addresses, networks, domains (a domain counts only if the PTR name resolves back to the client)."""
    authenticated: bool = True
    """Whoever authenticates may relay, whatever the list says."""


class MessagesTable(Table):
    """Bounds of a message and a session."""

    size_kb: Count = 0
    """Largest message in KB; 0: no limit."""
    session_size_kb: Count = 0
    """All messages of one session together, in KB; 0: no limit."""
    recipients: Count = 64_000
    """Recipients of one message; more are answered 452 4.5.3. 0: no limit."""
    messages_per_connection: Count = 20
    """Messages sent over one outbound connection before a new one is made; 0: no limit."""
    ndr_copy_to: Annotated[Mailbox, later("", '""')] = ""
    """Who gets a copy of each non-delivery report (not available yet)."""
    unresolved_to: Annotated[str, later("", '""')] = ""
    """Host for unknown recipients of authoritative domains (not available yet)."""


class DeliveryTable(Table):
    """How this virtual server sends."""

    glitch_retries: Annotated[int, Field(ge=0, le=100)] = 3
    """Quick retries after a connection failed, before the schedule below begins."""
    glitch_retry_seconds: PositiveNumber = 60
    """Seconds between them; fractions are allowed."""
    retry_minutes: Annotated[list[PositiveNumber], Field(min_length=1, max_length=100)] = [10, 10, 10, 15]
    """Minutes before the first, second, third and each further retry; fractions are allowed."""
    delay_notice: Duration = "12h"
    """When the sender is told that the message still waits."""
    expire: Duration = "2d"
    """When a message that cannot be delivered goes back. RFC 5321 asks for 4 to 5 days."""
    hop_count: Annotated[int, Field(ge=1, le=1000)] = 30
    """A message with more Received lines is refused as looping (554 5.4.6)."""
    masquerade_domain: Annotated[HostName, later("", '""')] = ""
    """Domain to put into sender addresses (not available yet)."""
    smart_hosts: SmartHosts = ""
    """For mail that no connector takes."""
    direct_first: Annotated[bool, later(False, "false")] = False
    """Try by DNS before the smart hosts (not available yet)."""
    reverse_dns: bool = False
    """Look up the names of clients for the Received line."""
    dns_servers: list[NameServer] = []
    """ADDRESS or ADDRESS:PORT; empty: the system's."""
    connections: PositiveCount = 1000
    """Outbound connections at once."""
    connections_per_domain: PositiveCount = 100
    """Outbound connections at once to one domain."""
    connection_timeout: Duration = "10m"
    """How long a silent peer is waited for."""
    source_addresses: list[IpAddress] = []
    """Local addresses to dial from; empty: the system chooses."""
    family: Literal["any", "ipv4", "ipv6", "prefer-ipv4"] = "any"
    """Which addresses of a host are dialled."""


class VirtualServerTable(Table):
    """An SMTP virtual server: listens, receives, and sends."""

    name: Name
    """Unique on its server."""
    server: str = ""
    """Name of its [[server]]; left out where there is only one."""
    listen: Annotated[list[ListenEntry], Field(min_length=1)]
    """ADDRESS:PORT, or { address = "ADDRESS:465", tls = "implicit" }."""
    fqdn: HostName = ""
    """What it calls itself in greeting, EHLO and Received lines. Empty: the machine's name."""
    outbound_port: Port = 25
    """TCP port that is dialled where neither smart host nor server names one."""
    tls: ServerTlsTable | None = None
    authentication: ServerAuthenticationTable | None = None
    connection: ConnectionTable = ConnectionTable()
    relay: RelayTable = RelayTable()
    messages: MessagesTable = MessagesTable()
    delivery: DeliveryTable = DeliveryTable()
    security: Annotated[SecurityTable, later(SecurityTable(), "nothing")] = SecurityTable()
    """As [connector.security], for its own smart hosts (not available yet)."""
