"""What the DNS says, as small values. A fault is never a "no": only NXDOMAIN and NODATA are."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TypeAlias


@dataclass(frozen=True, slots=True)
class Records:
    """There are records, in presentation form: `("192.0.2.7",)`, `("10 mx1.fabrikam.com",)`."""

    values: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class NoRecords:
    """The name exists and has no such record (NODATA)."""


@dataclass(frozen=True, slots=True)
class NoSuchName:
    """The name does not exist (NXDOMAIN)."""


@dataclass(frozen=True, slots=True)
class DnsFault:
    """It cannot be said now: no server answered, or not with sense."""

    reason: str
    """`"SERVFAIL from 192.0.2.53:53"`."""


Answer: TypeAlias = Records | NoRecords | NoSuchName | DnsFault


@dataclass(frozen=True, slots=True)
class MxHost:
    """A mail exchanger; lower preference goes first."""

    preference: int
    name: str
    """Lower case, no trailing dot."""


@dataclass(frozen=True, slots=True)
class MxHosts:
    """Mail exchangers by preference."""

    hosts: tuple[MxHost, ...]


@dataclass(frozen=True, slots=True)
class ImplicitMx:
    """No MX record: the domain's own addresses are its mail exchanger (RFC 5321 5.1)."""


@dataclass(frozen=True, slots=True)
class NullMx:
    """The domain says that it takes no mail (RFC 7505)."""


MxAnswer: TypeAlias = MxHosts | ImplicitMx | NullMx | NoSuchName | DnsFault


@dataclass(frozen=True, slots=True)
class Addresses:
    """The addresses of a host, IPv6 and IPv4 apart; both empty: it has none."""

    ipv6: tuple[str, ...] = ()
    ipv4: tuple[str, ...] = ()


AddressAnswer: TypeAlias = Addresses | NoSuchName | DnsFault
