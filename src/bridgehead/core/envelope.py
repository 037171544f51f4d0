"""The immutable half of a message: who sent it to whom, and how it arrived (RFC 5321 2.3.1, RFC 3461).

Only the state of recipients ever changes (`core.recipient_state`); an `Envelope` is written once and never edited.
The structures are `msgspec` records: they go into the spool as compact arrays. New fields are appended, with a
default, so that older entries stay readable.
"""

from __future__ import annotations

from enum import IntFlag, StrEnum
from typing import NewType

import msgspec

MessageId = NewType("MessageId", int)
"""Identity of an accepted message, unique over partitions and restarts; orders by arrival (see `core.queue_id`)."""

NULL_PATH = ""
"""The null reverse path `<>` (RFC 5321 4.5.5): the reverse path of every DSN, never answered."""


class Notify(IntFlag):
    """When the sender wants a DSN for a recipient (RFC 3461 4.1)."""

    NEVER = 0
    SUCCESS = 1
    FAILURE = 2
    DELAY = 4


NOTIFY_DEFAULT = Notify.FAILURE | Notify.DELAY
"""What holds where the client said nothing: as RFC 3461 4.1 allows, failure and delay are reported."""


class BodyType(StrEnum):
    """What MAIL's BODY= declared (RFC 6152, RFC 3030)."""

    SEVEN_BIT = "7BIT"
    EIGHT_BIT = "8BITMIME"
    BINARY = "BINARYMIME"


class Recipient(msgspec.Struct, frozen=True, array_like=True):
    """One recipient of a message; its identity is `ordinal`, counted from 0 in order of RCPT."""

    ordinal: int
    address: str
    """As the client wrote it, source route removed: `"Smith.J@Contoso.com"`; goes out unchanged."""
    domain: str
    """Normal form for routing: A-labels, lower case, no trailing dot; literals as `"[192.0.2.1]"`."""
    notify: int = -1
    """`Notify` flags the client gave, or -1 where it gave none (they are passed on only if given)."""
    original: str = ""
    """ORCPT as given, still xtext: `"rfc822;a+2Bb@example.org"`; empty: none."""
    is_refused: bool = False
    """Taken at RCPT, but the client may not relay to it once the real size is known: it fails, with a DSN."""

    @property
    def wants(self) -> Notify:
        """The DSNs this recipient's sender asked for, the default applied."""
        return NOTIFY_DEFAULT if self.notify < 0 else Notify(self.notify)


class Envelope(msgspec.Struct, frozen=True, array_like=True):
    """Everything known of a message when it was accepted, except its body."""

    reverse_path: str
    """As given, source route removed; `NULL_PATH` for `<>`."""
    recipients: tuple[Recipient, ...]
    size: int
    """Octets of the message as received, the Received line we add left out."""
    received_at: float
    """Seconds since the epoch; expiry and delay count from here."""
    virtual_server: str
    """Key of the virtual server that received it, `"SERVER/Name"`; for DSNs and pickup, this server's first."""
    client: str = ""
    """IP address of the client; empty for messages made here."""
    helo: str = ""
    """What the client called itself, already made safe to write."""
    protocol: str = "ESMTP"
    """`with` clause of the Received line (RFC 3848): SMTP, ESMTP, ESMTPS, ESMTPA, ESMTPSA, UTF8SMTP..., LOCAL."""
    user: str = ""
    """Authenticated account, or the submitting uid's name for pickup; empty: none."""
    body_type: str = BodyType.SEVEN_BIT
    smtputf8: bool = False
    """The client declared SMTPUTF8: the next hop must offer it (RFC 6531 3.2)."""
    ret: str = ""
    """`"FULL"`, `"HDRS"`, or empty (RFC 3461 4.3)."""
    envid: str = ""
    """ENVID as given, still xtext; empty: none (RFC 3461 4.4)."""
    message_id: str = ""
    """The Message-ID header's value, made safe and cut, for trace and logs; empty: none."""
    trace_id: str = ""
    """Ties the log lines of one session or submission together."""
    is_dsn: bool = False
    """A DSN of our own making; where it cannot be delivered it becomes badmail."""
    has_eight_bit: bool = False
    """The body really holds octets above 127 (it may, whatever BODY= said)."""
    priority: str = "normal"
    """high, normal or low; always normal until priorities are read from headers."""
