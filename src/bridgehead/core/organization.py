"""The configuration as one frozen value: the `Organization` (Exchange: organization, servers, virtual servers,
connectors, recipient policies).

It is built and checked by `control.configuration`, replaced whole when a changed file is applied, and never edited.
Everything here is a value: no secret is looked up, no file read. Times are seconds, sizes are octets, whatever
unit the file uses. Indexes that make look-ups fast are made from the fields when a value is built, and are no part
of its identity.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from ipaddress import IPv4Network, IPv6Network
from typing import TypeAlias

from bridgehead.core.network_set import NetworkSet
from bridgehead.core.pattern import PatternIndex, SenderSet
from bridgehead.core.served_space import ServedSpace, served_spaces

Network: TypeAlias = IPv4Network | IPv6Network


class NoMatch(StrEnum):
    """What happens where no connector serves a recipient."""

    NATIVE_DNS = "native-dns"
    NDR = "ndr"
    HOLD = "hold"


class DomainType(StrEnum):
    """Whether we are responsible for the whole of an accepted domain."""

    AUTHORITATIVE = "authoritative"
    INTERNAL_RELAY = "internal-relay"
    EXTERNAL_RELAY = "external-relay"


class ListMode(StrEnum):
    """How a list of clients is meant (Exchange: "Only the list below", "All except the list below")."""

    ONLY_LIST = "only-list"
    ALL_EXCEPT = "all-except"


class Scope(StrEnum):
    """Who may use a connector."""

    ORGANIZATION = "organization"
    ROUTING_GROUP = "routing-group"


class SmartHostOrder(StrEnum):
    """How the hosts of a connector are tried: in random order, or as written."""

    BALANCE = "balance"
    FAILOVER = "failover"


class Authentication(StrEnum):
    """How we show the next hop who we are (Exchange: Outbound Security)."""

    ANONYMOUS = "anonymous"
    BASIC = "basic"


class TlsLevel(StrEnum):
    """How much TLS a next hop must give, weakest first; compare with `strength`."""

    NONE = "none"
    OPPORTUNISTIC = "opportunistic"
    REQUIRE = "require"
    VERIFY = "verify"

    @property
    def strength(self) -> int:
        """0 (none) to 3 (verify)."""
        return list(TlsLevel).index(self)


class Family(StrEnum):
    """Which addresses of a host are dialled."""

    ANY = "any"
    IPV4 = "ipv4"
    IPV6 = "ipv6"
    PREFER_IPV4 = "prefer-ipv4"


@dataclass(frozen=True, slots=True)
class Secret:
    """A secret and where it came from. Its value never shows in `repr`, logs or exports."""

    reference: str
    """`"env ISP_PASSWORD"`, `"file /etc/bridgehead/isp.secret"`, `"credential isp"`."""
    value: str = field(repr=False)


@dataclass(frozen=True, slots=True)
class ClientList:
    """Clients named by network or by domain (a domain counts only if its PTR name resolves back)."""

    networks: tuple[Network, ...] = ()
    domains: tuple[str, ...] = ()
    """Plain names cover themselves alone, `"*.x"` covers x and all below."""
    network_set: NetworkSet = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "network_set", NetworkSet(self.networks))


@dataclass(frozen=True, slots=True)
class Listener:
    """An address and port that a virtual server listens on."""

    address: str
    port: int
    implicit_tls: bool = False


@dataclass(frozen=True, slots=True)
class Certificate:
    """A certificate and its key in PEM, as read when the configuration was loaded."""

    certificate_path: str
    key_path: str
    certificate_pem: bytes = field(repr=False)
    key_pem: bytes = field(repr=False)


@dataclass(frozen=True, slots=True)
class ServerTls:
    """STARTTLS of a virtual server."""

    certificate: Certificate
    required: bool = False
    """MAIL before TLS is 530 5.7.0."""


@dataclass(frozen=True, slots=True)
class ServerAuthentication:
    """SMTP AUTH of a virtual server."""

    mechanisms: tuple[str, ...] = ("PLAIN", "LOGIN")
    users: Mapping[str, str] = field(default_factory=dict, repr=False)
    """Account name -> argon2 hash."""
    without_tls: bool = False
    required: bool = False
    users_file: str = ""
    """Where the accounts came from."""


@dataclass(frozen=True, slots=True)
class ConnectionControl:
    """Who may connect, and how many at once. 0 means no limit of ours."""

    mode: ListMode = ListMode.ALL_EXCEPT
    clients: ClientList = ClientList()
    limit: int = 0
    limit_per_client: int = 0
    timeout_seconds: float = 600.0


@dataclass(frozen=True, slots=True)
class RelayRestrictions:
    """Who may relay, apart from connectors that allow it for their domains."""

    mode: ListMode = ListMode.ONLY_LIST
    clients: ClientList = ClientList()
    authenticated: bool = True


@dataclass(frozen=True, slots=True)
class MessageLimits:
    """Bounds of a message and a session. 0 means no limit."""

    size_max: int = 0
    session_size_max: int = 0
    recipients_max: int = 64_000
    messages_per_connection: int = 20


@dataclass(frozen=True, slots=True)
class Delivery:
    """How a virtual server sends: retry, expiry, DNS, dialling."""

    glitch_retries: int = 3
    glitch_retry_seconds: float = 60.0
    retry_seconds: tuple[float, ...] = (600.0, 600.0, 600.0, 900.0)
    delay_notice_seconds: float = 43_200.0
    expire_seconds: float = 172_800.0
    hop_count_max: int = 30
    smart_hosts: tuple[SmartHost, ...] = ()
    reverse_dns: bool = False
    dns_servers: tuple[str, ...] = ()
    """`"ADDRESS"` or `"ADDRESS:PORT"`; empty: the system's."""
    connections: int = 1000
    connections_per_domain: int = 100
    connection_timeout_seconds: float = 600.0
    source_addresses: tuple[str, ...] = ()
    family: Family = Family.ANY


@dataclass(frozen=True, slots=True)
class VirtualServer:
    """A native SMTP server: listens, receives, and sends by itself or for connectors."""

    name: str
    server: str
    listeners: tuple[Listener, ...]
    fqdn: str
    outbound_port: int = 25
    tls: ServerTls | None = None
    authentication: ServerAuthentication | None = None
    connection: ConnectionControl = ConnectionControl()
    relay: RelayRestrictions = RelayRestrictions()
    messages: MessageLimits = MessageLimits()
    delivery: Delivery = Delivery()

    @property
    def key(self) -> str:
        """Identity in the organization: `"BRIDGE01/Default SMTP Virtual Server"`."""
        return f"{self.server}/{self.name}"


class SmartHostKind(StrEnum):
    """How a smart host is found."""

    NAME = "name"
    """MX, then A and AAAA."""
    HOST = "host"
    """A and AAAA only: written `[name]` or `name:port`."""
    ADDRESS = "address"
    """An IP literal: no DNS."""


@dataclass(frozen=True, slots=True)
class SmartHost:
    """One entry of a smart host list."""

    host: str
    """A name in A-labels, or an IP address without brackets."""
    kind: SmartHostKind
    port: int | None = None
    """`None`: the outbound port of the bridgehead's virtual server."""

    def __str__(self) -> str:
        text = self.host if self.kind is SmartHostKind.NAME else f"[{self.host}]"
        return text if self.port is None else f"{text}:{self.port}"


@dataclass(frozen=True, slots=True)
class AddressSpace:
    """A pattern of domains and its cost: `*`, `*.fabrikam.com` (covers the apex too) or `fabrikam.com`."""

    pattern: str
    cost: int = 1

    def __str__(self) -> str:
        return f"SMTP:{self.pattern};{self.cost}"


@dataclass(frozen=True, slots=True)
class Security:
    """Outbound Security: identity and TLS towards the next hop."""

    authentication: Authentication = Authentication.ANONYMOUS
    username: str = ""
    password: Secret | None = None
    tls: TlsLevel = TlsLevel.OPPORTUNISTIC
    """Already decided: the default depends on the authentication."""
    implicit_tls: bool = False
    tls_domain: str = ""
    ca_pem: bytes = b""
    """Trust anchors; empty: the system's store."""
    ca_file: str = ""
    """Where they came from."""


@dataclass(frozen=True, slots=True)
class Restrictions:
    """Which messages a connector takes. Senders are envelope senders, which anyone can forge."""

    size_less_than: int = 0
    """A message of this many octets or more is refused; 0: any size."""
    accept_from: tuple[str, ...] = ()
    """Addresses, domains, `"*.domain"`, `"<>"`; empty: everyone."""
    reject_from: tuple[str, ...] = ()
    """Wins over `accept_from`."""
    accepted: SenderSet = field(init=False, repr=False, compare=False)
    rejected: SenderSet = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "accepted", SenderSet(self.accept_from))
        object.__setattr__(self, "rejected", SenderSet(self.reject_from))

    @property
    def is_open(self) -> bool:
        """Whether no message is ever refused."""
        return not (self.size_less_than or self.accept_from or self.reject_from)


@dataclass(frozen=True, slots=True)
class ConnectorLimits:
    """Bounds of what a connector does at once, over all workers of a server."""

    connections: int = 20
    connections_per_domain: int = 20
    messages_per_connection: int = 20


@dataclass(frozen=True, slots=True)
class Connector:
    """An SMTP connector: sends chosen domains in a chosen way."""

    name: str
    address_spaces: tuple[AddressSpace, ...]
    bridgeheads: tuple[str, ...]
    """Keys of virtual servers."""
    routing_group: str
    smart_hosts: tuple[SmartHost, ...] = ()
    """Empty: by DNS MX."""
    smart_host_order: SmartHostOrder = SmartHostOrder.BALANCE
    enabled: bool = True
    scope: Scope = Scope.ORGANIZATION
    allow_relay: bool = False
    helo: bool = False
    security: Security = Security()
    restrictions: Restrictions = Restrictions()
    limits: ConnectorLimits = ConnectorLimits()
    note: str = ""

    @property
    def is_open(self) -> bool:
        """Whether it takes every message, wherever it comes from."""
        return self.enabled and self.scope is Scope.ORGANIZATION and self.restrictions.is_open


@dataclass(frozen=True, slots=True)
class LocalDelivery:
    """Where known recipients of an accepted domain are put."""

    kind: str
    """`"lmtp"` or `"maildir"`."""
    target: str
    """`"127.0.0.1:24"`, `"/run/lmtp.sock"`, or `"/srv/mail/{domain}/{local}"`."""

    def __str__(self) -> str:
        return f"{self.kind}:{self.target}"


@dataclass(frozen=True, slots=True)
class AcceptedDomain:
    """A domain we take mail for (Exchange: recipient policy)."""

    pattern: str
    """Exact, or `"*.contoso.com"` (covers contoso.com too)."""
    type: DomainType = DomainType.AUTHORITATIVE
    recipients: frozenset[str] | None = None
    """Full addresses or `"@domain"`, lower case; `None`: everyone exists."""
    deliver: LocalDelivery | None = None
    recipients_file: str = ""
    """Where `recipients` came from."""


@dataclass(frozen=True, slots=True)
class Server:
    """A machine of the organization."""

    name: str
    address: str = ""
    port: int = 25
    routing_group: str = ""
    administrative_group: str = "First Administrative Group"


@dataclass(frozen=True, slots=True)
class Organization:
    """The whole configuration but for `[node]`; the same value on every server but for the secrets read there."""

    name: str
    servers: tuple[Server, ...]
    virtual_servers: tuple[VirtualServer, ...]
    connectors: tuple[Connector, ...] = ()
    accepted_domains: tuple[AcceptedDomain, ...] = ()
    postmaster: str = ""
    """Where postmaster mail goes, already defaulted; empty only where no domain is accepted."""
    no_match: NoMatch = NoMatch.NATIVE_DNS
    """Already decided: the default depends on whether there are connectors."""
    display_routing_groups: bool = False
    display_administrative_groups: bool = False
    generation: str = ""
    """Short content hash of the file this was made from: `"3f9a01c2"`."""

    served_spaces: PatternIndex[ServedSpace] = field(init=False, repr=False, compare=False)
    accepted_domain_index: PatternIndex[AcceptedDomain] = field(init=False, repr=False, compare=False)
    _virtual_servers: Mapping[str, VirtualServer] = field(init=False, repr=False, compare=False)
    _connectors: Mapping[str, Connector] = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        index = object.__setattr__
        index(self, "_virtual_servers", {found.key: found for found in self.virtual_servers})
        index(self, "_connectors", {found.name: found for found in self.connectors})
        index(self, "served_spaces", PatternIndex(served_spaces(self.connectors, self._virtual_servers)))
        index(self, "accepted_domain_index", PatternIndex((found.pattern, found) for found in self.accepted_domains))

    def virtual_server(self, key: str) -> VirtualServer:
        """The virtual server with this key; `KeyError` where there is none."""
        return self._virtual_servers[key]

    def connector(self, name: str) -> Connector | None:
        """The connector with this name, or `None` (it may have left the file while mail waited)."""
        return self._connectors.get(name)


@dataclass(frozen=True, slots=True)
class Node:
    """`[node]`: what is about this machine alone."""

    server: str
    """Name of this machine's `Server`."""
    state_dir: str
    workers: int = 0
    console: str = "127.0.0.1:8025"
    metrics: str = ""
    user: str = ""
    drain_seconds: float = 15.0
    min_free_bytes: int = 256 * 1024 * 1024
    volatile_state: bool = False
