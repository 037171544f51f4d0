"""What a virtual server offers a session: the keywords of its EHLO reply (RFC 5321 4.1.1.1)."""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from typing import Final

from bridgehead.core.reply import Reply

_OFFERS_MAX: Final = 64
"""Whose replies are remembered: a server has one or two for each virtual server."""


@dataclass(frozen=True, slots=True)
class Offer:
    """The extensions and bounds that hold for a session at present. BINARYMIME is not offered."""

    fqdn: str
    size_max: int = 0
    """Octets of a message; 0: no limit, announced as `SIZE 0` (RFC 1870 3)."""
    starttls: bool = False
    """Offered now: there is a certificate and TLS is not active yet."""
    mechanisms: tuple[str, ...] = ()
    """AUTH mechanisms that may be used now."""
    auth_after_tls: bool = False
    """AUTH would be offered after STARTTLS: it is refused with 538, not 502."""
    recipients_max: int = 0
    """RCPTMAX (RFC 9422); 0: not announced."""
    mails_max: int = 0
    """MAILMAX (RFC 9422); 0: not announced."""

    def keywords(self) -> tuple[str, ...]:
        """`("PIPELINING", "SIZE 1000", ...)`."""
        limits = " ".join(
            f"{name}={value}"
            for name, value in (("MAILMAX", self.mails_max), ("RCPTMAX", self.recipients_max))
            if value
        )
        return (
            "PIPELINING",
            f"SIZE {self.size_max}",
            *(("STARTTLS",) if self.starttls else ()),
            *((f"AUTH {' '.join(self.mechanisms)}",) if self.mechanisms else ()),
            *((f"LIMITS {limits}",) if limits else ()),
            "ENHANCEDSTATUSCODES",
            "8BITMIME",
            "DSN",
            "SMTPUTF8",
            "CHUNKING",
        )


@lru_cache(_OFFERS_MAX)
def greeting(offer: Offer) -> bytes:
    """What a client hears first."""
    return Reply(220, "", f"{offer.fqdn} ESMTP Bridgehead").encode()


@lru_cache(2 * _OFFERS_MAX)
def hello(offer: Offer, *, is_extended: bool) -> bytes:
    """The reply to EHLO, or to HELO, which announces nothing."""
    lines = (offer.fqdn, *offer.keywords()) if is_extended else (offer.fqdn,)
    return Reply(250, "", "\n".join(lines)).encode()
