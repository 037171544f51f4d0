"""The configuration file as a whole, table by table, in the form an operator writes it.

The docstrings of fields are the descriptions in the JSON Schema, so they speak to the operator. Defaults here are
those of the reference (docs/configuration.md); those that depend on other values are decided in `build`.
"""

# ruff: noqa: RUF012 - pydantic copies the default of a field for each table

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field

from bridgehead.control.configuration.connector_table import ConnectorTable
from bridgehead.control.configuration.fields import (
    Count,
    Delivery,
    DomainPattern,
    Duration,
    Endpoint,
    GroupName,
    ListFile,
    Mailbox,
    Name,
    PathText,
    ServerAddress,
    ServerName,
    Table,
    later,
)
from bridgehead.control.configuration.virtual_server_table import VirtualServerTable


class NodeTable(Table):
    """What is about this machine alone; everything else may be the same on every server."""

    server: str = ""
    """Name of the [[server]] that this machine is; may be left out where there is only one."""
    state_dir: PathText = ""
    """Folder of spool, history and tracking. Empty: $STATE_DIRECTORY, else ~/.local/state/bridgehead."""
    volatile_state: bool = False
    """Accept a state_dir that a power cut empties (tmpfs)."""
    workers: Annotated[int, Field(ge=0, le=256)] = 0
    """Worker processes; 0: one for each processor core."""
    console: Endpoint = "127.0.0.1:8025"
    """ADDRESS:PORT of console, API, metrics and health; empty: none of them."""
    metrics: Endpoint = ""
    """ADDRESS:PORT for /metrics and /healthz alone."""
    user: str = ""
    """Become this user once the ports are bound; empty: stay."""
    drain: Duration = "15s"
    """What is in flight at SIGTERM gets this long."""
    min_free_mb: Count = 256
    """Below this much free disk (MB) new mail is answered 452 4.3.1."""
    peers: Annotated[Endpoint, later("", '""')] = ""
    """ADDRESS:PORT for the other servers of the organization (not available yet)."""


class OrganizationTable(Table):
    """The organization."""

    name: Name = "Organization"
    """Shown in console and exports."""
    postmaster: Mailbox = ""
    """Where postmaster mail goes. Empty: postmaster at the first accepted domain, with a warning."""
    display_routing_groups: bool = False
    """Whether the console's tree shows routing groups."""
    display_administrative_groups: bool = False
    """Whether the console's tree shows administrative groups."""
    no_match: Literal["", "native-dns", "ndr", "hold"] = ""
    """Where no connector matches. Empty: native-dns without any connector, else ndr."""


class ServerTable(Table):
    """A machine of the organization."""

    name: ServerName
    """Unique, without "/"."""
    address: ServerAddress = ""
    """Where its peers reach it: ADDRESS or ADDRESS:PORT, default port 25."""
    routing_group: GroupName = ""
    """Routing group of the machine; empty: that of the first server, else "First Routing Group"."""
    administrative_group: Name = "First Administrative Group"
    """For display only."""


class AcceptedDomainTable(Table):
    """A domain that mail is taken for (Exchange: recipient policy)."""

    domain: DomainPattern
    """Exact, or "*.contoso.com", which covers contoso.com too."""
    type: Literal["authoritative", "internal-relay", "external-relay"] = "authoritative"
    """Whether unknown recipients are refused (authoritative), passed on, or all recipients are passed on."""
    recipients: ListFile | None = None
    """Who exists: full addresses or "@domain", a line each. Left out: everyone."""
    deliver: Delivery = ""
    """lmtp:HOST:PORT, lmtp:/socket or maildir:/path/{domain}/{local}. Left out: by connector."""


class TlsPolicyTable(Table):
    """TLS level by destination domain (not available yet)."""

    domain: DomainPattern
    """Exact, or "*.domain"."""
    tls: str = "verify"
    """As in [connector.security]."""
    tls_domain: str = ""
    """As in [connector.security]."""


class RoutingGroupConnectorTable(Table):
    """Links two routing groups, one way (not available yet)."""

    name: Name
    """Unique among connectors."""
    from_: Annotated[str, Field(alias="from")]
    """Routing group whose servers use the link."""
    to: str
    """Routing group that the link leads to."""
    cost: Annotated[int, Field(ge=1, le=100)] = 1
    """Added to the cost of the address space."""
    local_bridgeheads: list[str] = []
    """Servers that send; empty: any of the group."""
    remote_bridgeheads: list[str] = []
    """Servers that receive."""


class ConfigurationFile(Table):
    """The configuration of Bridgehead."""

    node: NodeTable = NodeTable()
    organization: OrganizationTable = OrganizationTable()
    server: list[ServerTable] = []
    accepted_domain: list[AcceptedDomainTable] = []
    virtual_server: list[VirtualServerTable] = []
    connector: list[ConnectorTable] = []
    tls_policy: Annotated[list[TlsPolicyTable], later([], "nothing")] = []
    routing_group_connector: Annotated[list[RoutingGroupConnectorTable], later([], "nothing")] = []
