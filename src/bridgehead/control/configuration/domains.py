"""Domains, patterns and mail addresses of the file: read as `core` reads them, refused with a suggestion."""

from __future__ import annotations

from typing import Final

from bridgehead.control.configuration.issue import NotationError
from bridgehead.core.address import normalise_domain, parse_mailbox
from bridgehead.core.address_space import parse_address_space
from bridgehead.core.error import ConfigurationError
from bridgehead.core.organization import AddressSpace
from bridgehead.core.pattern import ANY, parse_pattern, parse_sender

COST_MIN: Final = 1
COST_MAX: Final = 100

_PATTERN_EXPECTED: Final = 'a domain such as "contoso.com" or "*.contoso.com"'
_SENDER_EXPECTED: Final = 'an address, a domain, "*.domain" or "<>"'
_SPACE_EXPECTED: Final = 'an address space such as "*", "*.fabrikam.com" or "SMTP:fabrikam.com;10"'


def host_name(text: str) -> str:
    """A domain name in normal form: A-labels, lower case, no trailing dot; literals are refused."""
    name = normalise_domain(text)
    if name is None or name.startswith("["):
        raise NotationError(text, 'a name such as "mail.contoso.com"')
    return name


def pattern(text: str, expected: str = _PATTERN_EXPECTED) -> str:
    """A domain or `*.domain`, in normal form; `*` alone is refused."""
    try:
        parsed = parse_pattern(text)
    except ConfigurationError:
        raise NotationError(text, expected, _pattern_meant(text)) from None
    if parsed == ANY:
        raise NotationError(text, expected)
    return parsed


def mailbox(text: str) -> str:
    """A mail address, as written."""
    if parse_mailbox(text) is None:
        raise NotationError(text, 'a mail address such as "postmaster@contoso.com"')
    return text


def sender(text: str) -> str:
    """An envelope sender in normal form: address, domain, `"*.domain"`, or `"<>"`."""
    try:
        return parse_sender(text)
    except ConfigurationError:
        raise NotationError(text, _SENDER_EXPECTED, "" if "@" in text else _pattern_meant(text)) from None


def address_space(text: str) -> AddressSpace:
    """An address space in the form `[SMTP:]PATTERN[;COST]`."""
    try:
        return parse_address_space(text)
    except ConfigurationError:
        raise _address_space_error(text) from None


def pattern_of_space(text: str) -> str:
    """The pattern of an address space whose cost stands elsewhere: `[SMTP:]PATTERN`."""
    if ";" in text:
        raise NotationError(text, "a pattern without cost; the cost is a key of its own", text.partition(";")[0])
    return address_space(text).pattern


def _address_space_error(text: str) -> NotationError:
    written, semicolon, cost = text.partition(";")
    kind, colon, rest = written.rpartition(":")
    if colon and kind.strip().upper() != "SMTP" and "[" not in kind:
        return NotationError(text, f"{_SPACE_EXPECTED}; SMTP is the only type", f"SMTP:{rest};{cost or COST_MIN}")
    digits = cost.strip()
    if semicolon and not (digits.isascii() and digits.isdigit() and COST_MIN <= int(digits[:9]) <= COST_MAX):
        return NotationError(text, f"a cost between {COST_MIN} and {COST_MAX} after the semicolon")
    meant = _pattern_meant(rest if colon and "[" not in kind else written)
    return NotationError(text, _SPACE_EXPECTED, meant and f"{meant}{semicolon}{cost}")


def _pattern_meant(text: str) -> str:
    """What was probably meant: `*contoso.com` -> `*.contoso.com`, `user@contoso.com` -> `contoso.com`."""
    name = normalise_domain(text.rpartition("@")[2].lstrip("*."))
    if name is None:
        return ""
    return f"*.{name}" if text.startswith(("*", ".")) else name
