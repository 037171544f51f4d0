"""Delivery status notifications: who gets one, and its text (RFC 3461, 3464, 6522; RFC 6533 for SMTPUTF8).

A DSN is a message of ours from the null reverse path to the reverse path of a message. It has three parts: words
for a person (`core.dsn_text`), fields for a program, and the message or its header. Rules of this file: nothing that
a peer or a client said is written before it is one printable line; all lines of ours end with CRLF and have at most
998 octets. A DSN needs SMTPUTF8 only where the sender's own address does. To every other sender it goes without,
whatever recipients and content are: header and fields are ASCII then, international addresses in the form that RFC
6533 3 has for that (`core.utf8_address`), what is returned of an international message in base64.
"""

from __future__ import annotations

import base64
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import count
from typing import Final, assert_never

from bridgehead.core import queue_id, utf8_address, xtext
from bridgehead.core.address import parse_mailbox
from bridgehead.core.dsn_text import Action, Report, address_text, explain, fold, host_name, reply_text
from bridgehead.core.envelope import NULL_PATH, BodyType, Envelope, MessageId, Notify, Recipient
from bridgehead.core.header import date_text, end_of_header, header_value
from bridgehead.core.outcome import Deferred, Delivered, Failed, Outcome
from bridgehead.core.recipient_state import RecipientState
from bridgehead.core.reply import Reply, printable

RETURN_FULL_MAX: Final = 1024 * 1024
"""Octets of a message that is returned whole where RET=FULL asks for it; of a larger one only the header."""
RETURN_HEADER_MAX: Final = 64 * 1024
"""Octets of a header that is returned; more is cut off at a line end."""
REPORTS_MAX: Final = 1000
"""Recipients that one DSN reports on; the caller makes several DSNs of more."""

_VALUE_MAX: Final = 240  # characters of one field's value: at four octets each it still fits in a line of 998
_EXPIRED: Final = "4.4.7"
_WHOLE: Final = "message/rfc822"
_HEADER: Final = "text/rfc822-headers"
_GLOBAL_TYPES: Final = {_WHOLE: "message/global", _HEADER: "message/global-headers"}
_NOTIFY_OF: Final = {
    Action.FAILED: Notify.FAILURE,
    Action.DELAYED: Notify.DELAY,
    Action.DELIVERED: Notify.SUCCESS,
    Action.RELAYED: Notify.SUCCESS,
}


@dataclass(frozen=True, slots=True)
class ReportingMta:
    """Who reports: taken from the organization in force."""

    fqdn: str
    postmaster: str
    """Address of From; empty: postmaster@ the fqdn."""
    virtual_server: str
    """Key of this server's first virtual server: whose settings send the DSN."""


@dataclass(frozen=True, slots=True)
class Dsn:
    """A DSN ready for the spool: `envelope` and content as an `Insert` takes them (no Received line is added)."""

    envelope: Envelope
    content: bytes


def is_wanted(envelope: Envelope, recipient: Recipient, action: Action) -> bool:
    """Whether a DSN of this kind is due to the sender (RFC 3461 4.1); never for the null reverse path."""
    if envelope.reverse_path == NULL_PATH or envelope.is_dsn:
        return False
    return bool(recipient.wants & _NOTIFY_OF[action])


def reports_for(envelope: Envelope, outcomes: Mapping[int, Outcome], at: float) -> tuple[Report, ...]:
    """What the sender must be told of an attempt that ended `at`: not what waits, nor what was not asked for."""
    reports = (_report(recipient, outcomes.get(recipient.ordinal), at) for recipient in envelope.recipients)
    return tuple(r for r in reports if r is not None and is_wanted(envelope, r.recipient, r.action))


def delay_report(recipient: Recipient, state: RecipientState, retry_until: float) -> Report:
    """A recipient that has waited so long that the sender should know; ask `is_wanted` first."""
    reply = _last_words(state)
    is_temporary = reply.is_temporary or reply.enhanced.startswith("4.")
    status = reply.status if is_temporary else "4.0.0"
    return Report(recipient, Action.DELAYED, status, reply, state.host, retry_until=retry_until)


def expired_report(recipient: Recipient, state: RecipientState) -> Report:
    """A recipient whose time is over: 4.4.7, with what was said at the last attempt; ask `is_wanted` first."""
    return Report(recipient, Action.FAILED, _EXPIRED, _last_words(state), state.host)


def octets_wanted(envelope: Envelope, body_size: int) -> int:
    """How many octets of a message's content `compose` has use for."""
    return body_size if _may_return_whole(envelope) else min(body_size, RETURN_HEADER_MAX)


def compose(
    reporting: ReportingMta,
    message_id: MessageId,
    envelope: Envelope,
    reports: Sequence[Report],
    *,
    original: bytes,
    now: float,
) -> Dsn:
    """One DSN about 1 to `REPORTS_MAX` recipients of the message that `envelope` belongs to.

    `message_id` becomes that of the DSN; `original` holds the first `octets_wanted` of the message's content.
    """
    assert envelope.reverse_path != NULL_PATH, "a DSN never answers a null reverse path"
    assert 1 <= len(reports) <= REPORTS_MAX
    is_global = not envelope.reverse_path.isascii()
    charset = "utf-8" if is_global else "us-ascii"
    text = explain(reports, reporting.fqdn, _subject_shown(original))
    status = _status_fields(reporting, envelope, reports, is_global=is_global)
    parts = (
        _part(f"text/plain; charset={'us-ascii' if text.isascii() else 'utf-8'}", text.encode("utf-8", "replace")),
        _part(
            "message/global-delivery-status" if is_global else "message/delivery-status",
            status.encode(charset, "replace"),
        ),
        _returned_part(envelope, reports, original, is_global=is_global),
    )
    written = queue_id.write(message_id)
    identity = f"<{written}@{reporting.fqdn}>"
    header = _header(reporting, envelope, reports, original, is_global=is_global)
    header += f"Date: {date_text(now)}\r\nMessage-ID: {identity}\r\n"
    content = header.encode(charset, "replace") + _multipart(written, parts)
    return Dsn(_envelope(reporting, envelope, identity, content, is_global=is_global, now=now), content)


def _envelope(
    reporting: ReportingMta, about: Envelope, identity: str, content: bytes, *, is_global: bool, now: float
) -> Envelope:
    mailbox = parse_mailbox(about.reverse_path)
    is_eight_bit = not content.isascii()
    return Envelope(
        reverse_path=NULL_PATH,
        recipients=(Recipient(0, about.reverse_path, mailbox.domain if mailbox else ""),),
        size=len(content),
        received_at=now,
        virtual_server=reporting.virtual_server,
        protocol="LOCAL",
        body_type=BodyType.EIGHT_BIT if is_eight_bit else BodyType.SEVEN_BIT,
        smtputf8=is_global,
        message_id=identity,
        trace_id=about.trace_id,
        is_dsn=True,
        has_eight_bit=is_eight_bit,
    )


def _header(
    reporting: ReportingMta, envelope: Envelope, reports: Sequence[Report], original: bytes, *, is_global: bool
) -> str:
    actions = {report.action for report in reports}
    kind = "Failure" if Action.FAILED in actions else "Delay" if Action.DELAYED in actions else "Success"
    postmaster = reporting.postmaster
    if not postmaster or not (is_global or postmaster.isascii()):
        postmaster = f"postmaster@{reporting.fqdn}"
    lines = [
        f"From: Mail Delivery System <{address_text(postmaster)}>",
        f"To: <{address_text(envelope.reverse_path)}>",
        f"Subject: Delivery Status Notification ({kind})",
        "Auto-Submitted: auto-replied",
    ]
    answered = header_value(original, "Message-ID")
    if _is_message_identity(answered):
        lines.append(f"In-Reply-To: {answered}")
    return "\r\n".join(lines) + "\r\n"


def _multipart(written_id: str, parts: Sequence[bytes]) -> bytes:
    """The MIME header fields and the parts between their boundaries."""
    boundary = _boundary(written_id, parts)
    encoding = "7bit" if all(part.isascii() for part in parts) else "8bit"
    header = (
        "MIME-Version: 1.0\r\n"
        f'Content-Type: multipart/report; report-type=delivery-status;\r\n\tboundary="{boundary}"\r\n'
        f"Content-Transfer-Encoding: {encoding}\r\n\r\n"
        "This is a delivery status notification in MIME format.\r\n"
    )
    line = b"--" + boundary.encode("ascii")
    return header.encode("ascii") + b"".join(line + b"\r\n" + part + b"\r\n" for part in parts) + line + b"--\r\n"


def _boundary(written_id: str, parts: Sequence[bytes]) -> str:
    """A boundary that none of the parts holds: the first that fits, so the same arguments give the same DSN."""
    for number in count():
        boundary = f"dsn-{written_id}-{number}"
        if not any(boundary.encode("ascii") in part for part in parts):
            return boundary
    raise AssertionError("count() has no end")


def _part(content_type: str, content: bytes) -> bytes:
    encoding = b"" if content.isascii() else b"Content-Transfer-Encoding: 8bit\r\n"
    return b"Content-Type: %b\r\n%b\r\n%b" % (content_type.encode("ascii"), encoding, content)


def _status_fields(reporting: ReportingMta, envelope: Envelope, reports: Sequence[Report], *, is_global: bool) -> str:
    """The part for programs: fields of the message, then a group for each recipient (RFC 3464 2.2, 2.3)."""
    lines = [f"Reporting-MTA: dns; {reporting.fqdn}"]
    if envelope.envid:
        lines.append(f"Original-Envelope-Id: {_one_line(_decoded(envelope.envid))}")
    lines += [f"Arrival-Date: {date_text(envelope.received_at)}", ""]
    for report in reports:
        lines += [*_recipient_fields(report, is_global=is_global), ""]
    return "\r\n".join(lines)


def _recipient_fields(report: Report, *, is_global: bool) -> list[str]:
    lines = []
    if ";" in report.recipient.original:
        lines.append(f"Original-Recipient: {_original_recipient(report.recipient.original, is_global=is_global)}")
    lines += [
        f"Final-Recipient: {_typed(address_text(report.recipient.address), is_global=is_global)}",
        f"Action: {report.action}",
        f"Status: {_status_code(report)}",
    ]
    remote = host_name(report.host)
    if remote:
        lines.append(f"Remote-MTA: dns; {remote}")
    if report.reply.code or report.reply.text:
        kind = "smtp" if report.is_answer else "X-Bridgehead"
        lines += _folded(f"Diagnostic-Code: {kind}; {reply_text(report.reply)}")
    if report.last_attempt:
        lines.append(f"Last-Attempt-Date: {date_text(report.last_attempt)}")
    if report.retry_until:
        lines.append(f"Will-Retry-Until: {date_text(report.retry_until)}")
    return lines


def _original_recipient(original: str, *, is_global: bool) -> str:
    """What ORCPT said, written for a field."""
    kind, _, address = original.partition(";")
    if kind.lower() == "utf-8":
        return _international(address_text(utf8_address.decode(address)), is_global=is_global)
    return f"{_one_line(kind)}; {_one_line(_decoded(address))}"


def _typed(address: str, *, is_global: bool) -> str:
    """An address with its type (RFC 6533 3)."""
    return f"rfc822; {address}" if address.isascii() else _international(address, is_global=is_global)


def _international(address: str, *, is_global: bool) -> str:
    return f"utf-8; {address if is_global else utf8_address.encode(address)}"


def _status_code(report: Report) -> str:
    """The enhanced status; what a peer made up is replaced by the plain class of what became of the recipient."""
    numbers = report.status.split(".")
    if len(numbers) == 3 and all(n.isascii() and n.isdigit() and len(n) <= 3 for n in numbers):
        return report.status
    return {Action.FAILED: "5.0.0", Action.DELAYED: "4.0.0"}.get(report.action, "2.0.0")


def _folded(text: str) -> list[str]:
    """A field folded at spaces (RFC 5322 2.2.3)."""
    first, *further = fold(text)
    return [first, *(f" {line}" for line in further)]


def _returned_part(envelope: Envelope, reports: Sequence[Report], original: bytes, *, is_global: bool) -> bytes:
    """The third part. What is left of an international message says so, in a form that any host takes."""
    media_type, content = _returned(envelope, reports, original)
    if is_global:
        return _part(_GLOBAL_TYPES[media_type], content)
    if not envelope.smtputf8 or content.isascii():
        return _part(media_type, content)
    # RFC 6532 3.7 and 6533 6.3 let these types be encoded, unlike those they stand for.
    encoded = base64.encodebytes(content).replace(b"\n", b"\r\n")
    fields = f"Content-Type: {_GLOBAL_TYPES[media_type]}\r\nContent-Transfer-Encoding: base64\r\n\r\n"
    return fields.encode("ascii") + encoded


def _returned(envelope: Envelope, reports: Sequence[Report], original: bytes) -> tuple[str, bytes]:
    """Media type and content of what is returned: the message, or its header.

    The whole is returned only for a failure (RFC 3461 4.3), and only where all of it was given: what the spool holds
    is never shorter than what was received.
    """
    is_failure = any(report.action is Action.FAILED for report in reports)
    if is_failure and _may_return_whole(envelope) and len(original) >= envelope.size:
        return _WHOLE, original
    header = original[: end_of_header(original)][:RETURN_HEADER_MAX]
    if len(header) == RETURN_HEADER_MAX:
        header = header[: header.rfind(b"\r\n") + 2] if b"\r\n" in header else b""
    return _HEADER, header


def _may_return_whole(envelope: Envelope) -> bool:
    return envelope.ret == "FULL" and envelope.size <= RETURN_FULL_MAX


def _subject_shown(original: bytes) -> str:
    """The Subject where it can be read as it stands; encoded words are left to the returned header."""
    subject = header_value(original, "Subject")
    return "" if "=?" in subject else subject[:_VALUE_MAX]


def _is_message_identity(text: str) -> bool:
    return len(text) <= _VALUE_MAX and text.isascii() and " " not in text and text[:1] == "<" and text[-1:] == ">"


def _one_line(text: str) -> str:
    return printable(text.replace("\n", "?"), _VALUE_MAX)


def _decoded(text: str) -> str:
    """What an xtext says; what is none stays as it is."""
    return xtext.decode(text) or text


def _report(recipient: Recipient, outcome: Outcome | None, at: float) -> Report | None:
    match outcome:
        case Failed():
            status = outcome.reply.status if outcome.reply.code else outcome.reply.enhanced or "5.0.0"
            return Report(recipient, Action.FAILED, status, outcome.reply, outcome.host, at)
        case Delivered():
            if outcome.relays_dsn:
                return None
            action = Action.DELIVERED if outcome.is_final else Action.RELAYED
            return Report(recipient, action, outcome.reply.status, outcome.reply, outcome.host, at)
        case Deferred() | None:
            return None
        case _:
            assert_never(outcome)


def _last_words(state: RecipientState) -> Reply:
    if not state.code and not state.text:
        return Reply(0, "", "no attempt at delivery has been possible")
    return Reply(state.code, state.enhanced, state.text)
