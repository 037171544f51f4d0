"""Every bound of the server half in one value (RFC 5321 4.5.3.1, RFC 4954 4, security of the buffer)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

DIGITS_MAX: Final = 20
"""Digits of SIZE= (RFC 1870 3) and of a BDAT chunk: such a number is compared, never allocated."""


@dataclass(frozen=True, slots=True)
class Limits:
    """What one session may ask of us. All are at least what RFC 5321 4.5.3.1 demands."""

    command_line_max: int = 2_048
    """Octets of a command line, CRLF included: 512 and what the extensions add (RFC 5321 4.5.3.1.4, RFC 3461 5)."""
    authentication_line_max: int = 12_288
    """Octets of a line within an AUTH exchange (RFC 4954 4)."""
    domain_max: int = 255
    """Octets of the name in EHLO (RFC 5321 4.5.3.1.2)."""
    envelope_id_max: int = 100
    """Characters of ENVID (RFC 3461 4.4)."""
    original_recipient_max: int = 500
    """Characters of ORCPT (RFC 3461 4.2)."""
    errors_max: int = 200
    """Faults of the client, refused recipients included, before it gets 421."""
    idle_commands_max: int = 200
    """Commands that bring no message further (NOOP, RSET, VRFY, EHLO...), counted anew with each message."""
    buffer_max: int = 512 * 1024
    """Octets received and not yet used: two reads of the event loop. The driver stops reading long before."""


LIMITS: Final = Limits()
"""What holds in production."""
