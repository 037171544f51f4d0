"""The little we read of a header, and the trace lines we write in front of it.

Rules of this file: bytes only, one pass, no MIME and no address lists; whatever a client or DNS told us goes
through a table of safe octets before it is written. Every function that takes `head`, the first octets of a message,
looks at the header alone, however much of the body follows. RFC 5321 4.4 (Received), RFC 3848 (protocol), RFC 5322
3.3 (date), RFC 6409 8 (Message-ID and Date of submissions).
"""

from __future__ import annotations

from datetime import UTC, datetime
from functools import lru_cache
from typing import Final

import msgspec

from bridgehead.core.reply import printable

NAME_MAX: Final = 255
"""Octets written of a host name, a HELO argument or an account (RFC 5321 4.5.3.1.2)."""
VALUE_MAX: Final = 998
"""Characters kept of a header's value: one line (RFC 5322 2.1.1)."""

_HOPS_MAX: Final = 1024
"""Sessions whose part of a Received line is remembered, some 300 octets each."""
_LINE_PREFERRED: Final = 78  # RFC 5322 2.1.1
_VALUE_OCTETS_MAX: Final = 4 * VALUE_MAX
_DAYS: Final = ("Mon", "Tue", "Wed", "Thu", "Fri", "Sat", "Sun")
_MONTHS: Final = ("Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec")
_NAME_OCTETS: Final = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-._:[]"
_TO_NAME: Final = bytes(octet if octet in _NAME_OCTETS else ord("?") for octet in range(256))
_TO_COMMENT: Final = bytes(
    octet if 0x20 <= octet < 0x7F and octet not in b"()\\" else ord("?") for octet in range(256)
)


class Hop(msgspec.Struct, frozen=True):
    """How a message came to us: the part of a Received line that is the same for a whole session."""

    by: str
    """Our fqdn."""
    protocol: str
    """RFC 3848: `"ESMTPS"`; `"LOCAL"` for what was submitted on this machine."""
    helo: str = ""
    """What the client called itself; hostile."""
    client: str = ""
    """IP address; empty: submitted on this machine."""
    client_name: str = ""
    """The PTR name; hostile; empty: none or not asked for."""
    tls: str = ""
    """`"TLSv1.3 TLS_AES_256_GCM_SHA384"`; empty: in the clear."""
    user: str = ""
    """Submitting uid's name, written for local submission only: accounts are not told to the world."""


def date_text(seconds: float) -> str:
    """A time for a header, in UTC: `"Tue, 24 Nov 2026 08:21:32 +0000"` (RFC 5322 3.3)."""
    return _date_text(int(seconds))


def end_of_header(head: bytes) -> int:
    """Where the header ends: `head[:end]` is its fields, the last CRLF included; an empty line may follow."""
    if head.startswith(b"\r\n"):
        return 0
    end = head.find(b"\r\n\r\n")
    return len(head) if end < 0 else end + 2


def begins_with_a_continuation(content: bytes) -> bool:
    """Whether the first line would continue any field written in front of it: it begins with a space or a tab.

    It continues nothing of its own (RFC 5322 2.2.3), so such content has no header.
    """
    return content.startswith((b" ", b"\t"))


def count_received(head: bytes) -> int:
    """How many Received lines the header has: the hops that a message made so far (RFC 5321 6.3)."""
    header = _lower_header(head)
    return header.count(b"\nreceived:") + header.startswith(b"received:")


def has_header(head: bytes, name: str) -> bool:
    """Whether the header has a field of this name, in either case."""
    return _value_start(_lower_header(head), name) >= 0


def header_value(head: bytes, name: str) -> str:
    """The value of the first field of this name: unfolded, printable, cut to `VALUE_MAX`; empty: none."""
    start = _value_start(_lower_header(head), name)
    if start < 0:
        return ""
    raw = head[start : start + _VALUE_OCTETS_MAX]
    end = raw.find(b"\r\n")
    while end >= 0 and raw[end + 2 : end + 3] in {b" ", b"\t"}:
        end = raw.find(b"\r\n", end + 2)
    value = raw if end < 0 else raw[:end]
    text = value.replace(b"\r\n", b"").decode("utf-8", "replace").replace("\t", " ").strip(" ")
    return printable(text.replace("\n", "?"), VALUE_MAX)


def received_line(hop: Hop, queue_id: str, date: str) -> bytes:
    """The trace line to put in front of a message, CRLF included; `date` as `date_text` writes it.

    No recipient is named in it: a message may have several, who need not know of each other.
    """
    before, behind = _around_the_id(hop, len(queue_id))
    return b"%b%b%b%b\r\n" % (before, queue_id.encode("ascii"), behind, date.encode("ascii"))


def message_id_line(queue_id: str, fqdn: str) -> bytes:
    """A Message-ID for a submission that has none, CRLF included."""
    return b"Message-ID: <%b@%b>\r\n" % (queue_id.encode("ascii"), _name(fqdn))


def date_line(date: str) -> bytes:
    """A Date for a submission that has none, CRLF included; `date` as `date_text` writes it."""
    return b"Date: %b\r\n" % date.encode("ascii")


def has_eight_bit(data: bytes) -> bool:
    """Whether any octet is above 127."""
    return not data.isascii()


def address_literal(client: str) -> str:
    """An IP address as it stands in mail: `"[192.0.2.7]"`, `"[IPv6:2001:db8::7]"` (RFC 5321 4.1.3)."""
    return f"[IPv6:{client}]" if ":" in client else f"[{client}]"


@lru_cache(4)  # a busy worker asks thousands of times for the same second
def _date_text(second: int) -> str:
    t = datetime.fromtimestamp(second, UTC)
    day = f"{_DAYS[t.weekday()]}, {t.day} {_MONTHS[t.month - 1]} {t.year}"
    return f"{day} {t.hour:02}:{t.minute:02}:{t.second:02} +0000"


def _lower_header(head: bytes) -> bytes:
    return head[: end_of_header(head)].lower()


def _value_start(header: bytes, name: str) -> int:
    """Where the value begins in a header in lower case, or -1."""
    field = name.lower().encode("ascii") + b":"
    if header.startswith(field):
        return len(field)
    at = header.find(b"\n" + field)
    return at if at < 0 else at + 1 + len(field)


@lru_cache(_HOPS_MAX)
def _around_the_id(hop: Hop, id_length: int) -> tuple[bytes, bytes]:
    """What stands in front of the queue id and between it and the date: the same for a whole session."""
    origin = _from_clause(hop) if hop.client else b""
    tls = b"(%b)\r\n\t" % _comment(hop.tls) if hop.tls else b""
    by = _name(hop.by) or b"unknown"
    receipt = b"(Bridgehead) with %b id " % _name(hop.protocol)
    gap = b" " if len(by) + len(receipt) + id_length < _LINE_PREFERRED - 14 else b"\r\n\t"
    user = b"\r\n\t(submitted by %b)" % _comment(hop.user) if hop.user and not hop.client else b""
    return b"Received: %b%bby %b%b%b" % (origin, tls, by, gap, receipt), b"%b;\r\n\t" % user


def _from_clause(hop: Hop) -> bytes:
    """`from HELO (PTR [IP])`, folded where long; ends where `by` goes on."""
    helo = _name(hop.helo) or b"unknown"
    literal = _name(address_literal(hop.client))
    peer = b"(%b %b)" % (_name(hop.client_name), literal) if hop.client_name else b"(%b)" % literal
    gap = b" " if len(helo) + len(peer) < _LINE_PREFERRED - 15 else b"\r\n\t"
    return b"from %b%b%b\r\n\t" % (helo, gap, peer)


def _name(text: str) -> bytes:
    return text[:NAME_MAX].encode("ascii", "replace").translate(_TO_NAME)


def _comment(text: str) -> bytes:
    return text[:NAME_MAX].encode("ascii", "replace").translate(_TO_COMMENT)
