"""Mailboxes and domains: the one parser of addresses, and the one normal form of domains (RFC 5321 4.1.2, RFC 6531).

Whoever decides about an address decides about what is parsed here; there is no second reading of it anywhere. The
text of an address is never changed: it goes out as it came in, only its source route is gone (RFC 5321 appendix C:
stripped, never followed). The normal form of its domain is for comparing and for DNS.

Strict, with two liberties that mail needs. A local part may have dots anywhere: large Japanese providers gave out
`a..b@` and `a.@`. Lengths may go beyond the minimums of RFC 5321 4.5.3.1: VERP and SRS make long local parts.
"""

from __future__ import annotations

import unicodedata
from enum import StrEnum
from functools import lru_cache
from ipaddress import AddressValueError, IPv4Address, IPv6Address
from typing import Final, Protocol

import idna
import msgspec

LOCAL_PART_OCTETS_MAX: Final = 255
"""RFC 5321 4.5.3.1.1 asks for at least 64."""
DOMAIN_OCTETS_MAX: Final = 255
"""RFC 5321 4.5.3.1.2."""
PATH_OCTETS_MAX: Final = 1000
"""RFC 5321 4.5.3.1.3 asks for at least 256; a source route counts."""
LABEL_OCTETS_MAX: Final = 63
"""RFC 1035 2.3.4."""

_LETTERS_AND_DIGITS: Final = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789"
_ATEXT: Final = _LETTERS_AND_DIGITS + "!#$%&'*+-/=?^_`{|}~"
_DOT_STRING: Final = _ATEXT + "."
_DOT_STRING_OCTETS: Final = _DOT_STRING.encode()
_DOMAIN: Final = _LETTERS_AND_DIGITS + "-_."  # "_" is no part of RFC 5321's grammar, but of names that get mail
_DOMAIN_OCTETS: Final = _DOMAIN.encode()
_HEX_DIGITS: Final = "0123456789abcdef"
_JOINERS: Final = "\u200c\u200d"  # not printable to Python, but spelling in Persian and Indic scripts
_RELAY_MARKS: Final = "%!@"
_FAMILIAR_MAX: Final = 1024
"""Addresses whose reading is remembered: those of an organization come again and again."""


class Mailbox(msgspec.Struct, frozen=True, gc=False):
    """An address, taken apart."""

    address: str
    """As it came in, source route removed; empty: the null reverse path."""
    local_part: str
    """As written, with its quotes."""
    domain: str
    """Normal form; empty for the null reverse path and for `postmaster` without a domain."""

    @property
    def is_postmaster(self) -> bool:
        """Whether the local part is `postmaster`, in any case, quoted or not (RFC 5321 4.5.1)."""
        return self.local_part.strip('"').lower() == "postmaster"


class Addressed(Protocol):
    """What decisions need of a recipient: a `Mailbox` or an `envelope.Recipient`."""

    @property
    def address(self) -> str:
        """As it came in."""
        ...

    @property
    def domain(self) -> str:
        """Normal form."""
        ...


class PathFault(StrEnum):
    """Why a path is none."""

    SYNTAX = "syntax"
    TOO_LONG = "too-long"
    SECOND_AT = "second-at"
    """A second `@` outside quotes: the oldest of all relay tricks."""
    NEEDS_SMTPUTF8 = "needs-smtputf8"
    """Well-formed, but not ASCII, and the client did not ask for SMTPUTF8 (RFC 6531 3.5)."""


NULL_MAILBOX: Final = Mailbox("", "", "")
"""What `parse_reverse_path` makes of `<>`."""


def parse_forward_path(raw: bytes, *, smtputf8: bool = False) -> Mailbox | PathFault:
    """Read what stands between `<` and `>` of RCPT TO: `b"user@dom"`, `b"@a,@b:user@dom"`, `b"postmaster"`."""
    plain = _plain_mailbox(raw)
    if plain is not None:
        return plain
    if raw.lower() == b"postmaster":
        text = raw.decode("ascii")
        return Mailbox(text, text, "")
    return _parse_path(raw, smtputf8=smtputf8)


def parse_reverse_path(raw: bytes, *, smtputf8: bool = False) -> Mailbox | PathFault:
    """Read what stands between `<` and `>` of MAIL FROM; nothing is the null reverse path."""
    if not raw:
        return NULL_MAILBOX
    plain = _plain_mailbox(raw)
    return plain if plain is not None else _parse_path(raw, smtputf8=smtputf8)


def parse_mailbox(text: str) -> Mailbox | None:
    """Read an address from a configuration or a command line, `"user@dom"`; `None` where it is none."""
    mailbox = _parse_mailbox(text)
    return None if isinstance(mailbox, PathFault) else mailbox


def normalise_domain(text: str) -> str | None:
    """The form in which domains are compared, `None` where there is none.

    A-labels, lower case, no trailing dot: `"Büro.Contoso.COM."` is `"xn--bro-hoa.contoso.com"`. Address literals in
    canonical form: `"[192.0.2.1]"`, `"[IPv6:2001:db8::1]"`; an IPv4-mapped one is the IPv4 address it means.
    """
    if text.startswith("["):
        return _normal_literal(text)
    if len(text) > DOMAIN_OCTETS_MAX:
        return None
    if text.isascii():
        return _normal_name(text)
    try:
        encoded = idna.encode(text, uts46=True)
    except (idna.IDNAError, UnicodeError):
        return None
    return _normal_name(encoded.decode("ascii"))


def recipient_key(address: str, domain: str) -> str:
    """The form in which whole addresses are compared: lower case, needless quotes left out, domain normalised.

    `recipient_key('"John.Doe"@Contoso.com', "contoso.com")` is `"john.doe@contoso.com"`; a postmaster without a
    domain (RFC 5321 4.1.1.3) is `"postmaster@"`.
    """
    end = address.rfind("@")
    local_part = address if end < 0 else address[:end]
    if local_part.startswith('"'):
        content = _unquoted(local_part)
        if _is_dot_string(content):
            local_part = content
    return f"{local_part.lower()}@{domain}"


def is_suspicious_local_part(local_part: str) -> bool:
    """Whether a local part asks a later host to relay: `%`, `!` or `@` outside quotes, or what decodes to it.

    Compatibility forms (full-width `＠`, `％`) and encoded words count, since a later host may decode them.
    """
    if local_part.startswith('"'):
        return False
    if not local_part.isascii():
        local_part = unicodedata.normalize("NFKC", local_part)
    return any(mark in local_part for mark in _RELAY_MARKS) or "=?" in local_part


@lru_cache(_FAMILIAR_MAX)
def _plain_mailbox(raw: bytes) -> Mailbox | None:
    """The short way for nearly all paths: a dot-string at an ASCII name. `None`: look closer."""
    local_part, _, domain = raw.partition(b"@")
    if local_part.translate(None, _DOT_STRING_OCTETS) or domain.translate(None, _DOMAIN_OCTETS):
        return None
    if not local_part.strip(b".") or len(local_part) > LOCAL_PART_OCTETS_MAX:
        return None
    normal = _normal_name(domain.decode("ascii"))
    return None if normal is None else Mailbox(raw.decode("ascii"), local_part.decode("ascii"), normal)


def _parse_path(raw: bytes, *, smtputf8: bool) -> Mailbox | PathFault:
    if len(raw) > PATH_OCTETS_MAX:
        return PathFault.TOO_LONG
    try:
        text = raw.decode("utf-8")
    except UnicodeDecodeError:
        return PathFault.SYNTAX
    if text.startswith("@"):
        route, colon, text = text.partition(":")
        if not colon or not _is_source_route(route):
            return PathFault.SYNTAX
    mailbox = _parse_mailbox(text)
    if not smtputf8 and not raw.isascii() and not isinstance(mailbox, PathFault):
        return PathFault.NEEDS_SMTPUTF8
    return mailbox


def _is_source_route(route: str) -> bool:
    """Whether `"@a,@b"` is a list of hosts (RFC 5321 4.1.2, A-d-l)."""
    return all(
        hop.startswith("@") and not hop.startswith("@[") and normalise_domain(hop[1:]) for hop in route.split(",")
    )


def _parse_mailbox(text: str) -> Mailbox | PathFault:
    length = _quoted_length(text) if text.startswith('"') else text.find("@")
    local_part, domain = text[:length], text[length + 1 :]
    if length <= 0 or text[length : length + 1] != "@":
        return PathFault.SYNTAX
    if "@" in domain:
        return PathFault.SECOND_AT
    if len(local_part.encode("utf-8", "replace")) > LOCAL_PART_OCTETS_MAX or len(domain) > DOMAIN_OCTETS_MAX:
        return PathFault.TOO_LONG
    normal = normalise_domain(domain)
    if normal is None or not (local_part.startswith('"') or _is_dot_string(local_part)):
        return PathFault.SYNTAX
    return Mailbox(text, local_part, normal)


def _quoted_length(text: str) -> int:
    """How long the quoted string at the start of `text` is; 0 where it is none, empty, or holds what it must not."""
    position = 1
    while position < len(text):
        character = text[position]
        if character == '"':
            return position + 1 if position > 1 else 0
        if character == "\\":
            position += 1
            if not " " <= text[position : position + 1] <= "~":
                return 0
        elif not _is_text(character):
            return 0
        position += 1
    return 0


def _unquoted(quoted: str) -> str:
    """The content of a quoted string, backslashes resolved."""
    content = quoted[1:-1]
    if "\\" not in content:
        return content
    plain, position = [], 0
    while position < len(content):
        position += content[position] == "\\"
        plain.append(content[position : position + 1])
        position += 1
    return "".join(plain)


def _is_dot_string(local_part: str) -> bool:
    if not local_part.strip("."):
        return False
    return all(c in _DOT_STRING if c.isascii() else _is_text(c) for c in local_part)


def _is_text(character: str) -> bool:
    """No control, no line or paragraph separator, nothing that turns the direction of writing."""
    return character.isprintable() or character in _JOINERS


def _normal_name(text: str) -> str | None:
    """Normal form of an ASCII name."""
    name = text.lower().removesuffix(".")
    if not name or len(name) > DOMAIN_OCTETS_MAX or name.strip(_DOMAIN):
        return None
    if name[0] in ".-" or name[-1] in ".-" or ".." in name or ".-" in name or "-." in name:
        return None
    if len(name) > LABEL_OCTETS_MAX and max(map(len, name.split("."))) > LABEL_OCTETS_MAX:
        return None
    return None if _is_number(name[name.rfind(".") + 1 :]) else name


def _is_number(label: str) -> bool:
    """Whether a last label makes the name an IP address in disguise: `127.1`, `2130706433`, `0x7f000001`."""
    return label[0] in "0123456789" and (label.isdigit() or (label[:2] == "0x" and not label[2:].strip(_HEX_DIGITS)))


def _normal_literal(text: str) -> str | None:
    if not text.endswith("]") or "%" in text:  # an IPv6 zone means something on one machine only
        return None
    content = text[1:-1]
    try:
        if content[:5].lower() != "ipv6:":
            return f"[{IPv4Address(content)}]"
        address = IPv6Address(content[5:])
    except AddressValueError:
        return None
    return f"[{address.ipv4_mapped}]" if address.ipv4_mapped else f"[IPv6:{address.compressed}]"
