"""What a server offers, read from its answer to EHLO (RFC 5321 4.1.1.1).

Unknown and malformed keywords are left out: a server that says too much is no reason not to send.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import lru_cache
from typing import Final

_DIGITS_MAX: Final = 20
"""Digits of a number that we read (RFC 1870 3); longer ones are no number."""
_FAMILIAR_MAX: Final = 256
"""Answers that are remembered: every connection to a server gets the same one, two of them where TLS begins."""
_FAMILIAR_TEXT_MAX: Final = 1000
"""Characters of an answer that is worth it."""


@dataclass(frozen=True, slots=True)
class Extensions:
    """The service extensions of one server; the default is that of a server greeted with HELO: none."""

    pipelining: bool = False
    eight_bit_mime: bool = False
    smtputf8: bool = False
    dsn: bool = False
    starttls: bool = False
    chunking: bool = False
    size: bool = False
    """It takes SIZE= (RFC 1870)."""
    size_max: int = 0
    """Octets of the largest message it takes; 0: it does not say (RFC 1870 4)."""
    authentication: frozenset[str] = frozenset()
    """SASL mechanisms in upper case, of `AUTH PLAIN LOGIN` and of the older `AUTH=LOGIN`."""
    recipients_max: int = 0
    """RCPTMAX of LIMITS (RFC 9422): recipients of a transaction; 0: it does not say."""
    messages_max: int = 0
    """MAILMAX of LIMITS (RFC 9422): transactions of a session; 0: it does not say."""
    domains_max: int = 0
    """RCPTDOMAINMAX of LIMITS (RFC 9422): domains of recipients in a session; 0: it does not say."""


def read_extensions(text: str) -> Extensions:
    """The extensions in the text of a positive answer to EHLO; its first line is the greeting and says nothing."""
    lines = text.partition("\n")[2]
    return _familiar(lines) if len(lines) <= _FAMILIAR_TEXT_MAX else _read(lines)


def _read(lines: str) -> Extensions:
    keywords: dict[str, list[str]] = {}
    for line in lines.upper().split("\n"):
        words = ["AUTH", *line[5:].split()] if line.startswith("AUTH=") else line.split()
        if not words:
            continue
        keyword, *parameters = words
        keywords.setdefault(keyword, []).extend(parameters)
    limits = dict(parameter.partition("=")[::2] for parameter in keywords.get("LIMITS", ()))
    return Extensions(
        pipelining="PIPELINING" in keywords,
        eight_bit_mime="8BITMIME" in keywords,
        smtputf8="SMTPUTF8" in keywords,
        dsn="DSN" in keywords,
        starttls="STARTTLS" in keywords,
        chunking="CHUNKING" in keywords,
        size="SIZE" in keywords,
        size_max=_number((keywords.get("SIZE") or [""])[0]),
        authentication=frozenset(keywords.get("AUTH", ())),
        recipients_max=_limit(limits, "RCPTMAX"),
        messages_max=_limit(limits, "MAILMAX"),
        domains_max=_limit(limits, "RCPTDOMAINMAX"),
    )


_familiar: Final = lru_cache(_FAMILIAR_MAX)(_read)


def _limit(limits: Mapping[str, str], name: str) -> int:
    return _number(limits.get(name, ""))


def _number(text: str) -> int:
    return int(text) if text.isascii() and text.isdigit() and len(text) <= _DIGITS_MAX else 0
