"""The part of a DSN that a person reads: what happened to the message, in plain words.

Rules of this file: English, lines of at most 76 characters where words allow, no line above `_WORD_MAX` + indent. The
words of a peer are quoted as such. What the enhanced status means follows RFC 3463 and RFC 7505 (x.1.10).
"""

from __future__ import annotations

from collections.abc import Sequence
from enum import StrEnum
from typing import Final

import msgspec

from bridgehead.core.envelope import Recipient
from bridgehead.core.header import date_text
from bridgehead.core.reply import TEXT_MAX, Reply, printable


class Action(StrEnum):
    """What became of a recipient (RFC 3464 2.3.3)."""

    FAILED = "failed"
    DELAYED = "delayed"
    DELIVERED = "delivered"
    RELAYED = "relayed"
    """The next hop took the message and sends no DSNs, so this is the last word that the sender gets."""


class Report(msgspec.Struct, frozen=True):
    """What a DSN says of one recipient."""

    recipient: Recipient
    action: Action
    status: str
    """Enhanced status (RFC 3463): `"5.1.1"`."""
    reply: Reply
    """The last words on it, a peer's or ours."""
    host: str = ""
    """Where it was tried last: `"mx1.fabrikam.com[192.0.2.7]:25"`; empty: nowhere."""
    last_attempt: float = 0.0
    """Seconds since the epoch; 0: not known, or there was none."""
    retry_until: float = 0.0
    """Of a delayed recipient: when we give up."""

    @property
    def is_answer(self) -> bool:
        """Whether the words are a server's; else they are ours, as of a lost connection or a full disk."""
        return bool(self.host) and self.reply.code > 0


_WIDTH: Final = 76
_WORD_MAX: Final = 200  # a longer word is broken: at four octets a character it still fits in 998
_ADDRESS_OCTETS_MAX: Final = 900
_HOST_CHARACTERS: Final = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-._"

_LEADS: Final = {
    Action.FAILED: "Your message could not be delivered to:",
    Action.DELAYED: "Your message has not been delivered yet to:",
    Action.DELIVERED: "Your message was delivered to:",
    Action.RELAYED: "Your message was handed on, to a system that sends no further reports, for:",
}
_CLOSINGS: Final = {
    Action.FAILED: (
        "It will not be tried again for a recipient that it could not be delivered to. If it still matters, mend "
        "what is said above and send the message once more, or ask your postmaster for help."
    ),
    Action.DELAYED: "You need not send it again: delivery is still being tried.",
}
_MEANINGS: Final = {
    "1.1": "There is no such mailbox. Please check the spelling of the address.",
    "1.2": "There is no such mail domain. Please check the part of the address after the @.",
    "1.10": "This domain does not accept any mail.",
    "1": "The address is not valid there. Please check its spelling.",
    "2.1": "The mailbox is disabled and takes no messages.",
    "2.2": "The mailbox is full.",
    "2.3": "The message is larger than the mailbox takes.",
    "2": "The mailbox cannot take the message.",
    "3.4": "The message is larger than the mail system of the recipient takes.",
    "3": "The mail system of the recipient has a fault.",
    "4.4": "No mail system could be found that serves this address.",
    "4.6": "The message goes round in a loop between mail systems.",
    "4.7": "It was tried again and again, without success, until its time was over.",
    "4": "The mail system of the recipient could not be reached.",
    "5.3": "The message has more recipients than the mail system takes.",
    "5": "The mail systems did not understand one another.",
    "6.7": "The address needs international mail (SMTPUTF8), which the next mail system does not offer.",
    "6": "The message has a form that the mail system of the recipient does not take.",
    "7": "The mail system of the recipient refused the message for reasons of security or policy.",
}


def explain(reports: Sequence[Report], fqdn: str, subject: str) -> str:
    """The whole text, its lines ended by CRLF; `subject` is that of the message, empty: none to show."""
    lines = [f"This is the mail system at {fqdn}.", ""]
    if subject:
        lines += [*fold("Subject of your message: " + subject), ""]
    for action, lead in _LEADS.items():
        chosen = [report for report in reports if report.action is action]
        if chosen:
            lines += [*fold(lead), ""]
        for report in chosen:
            lines += [*_paragraph(report), ""]
    for action, closing in _CLOSINGS.items():
        if any(report.action is action for report in reports):
            lines += [*fold(closing), ""]
    return "\r\n".join(lines)


def fold(text: str, indent: str = "") -> list[str]:
    """Text broken into lines at spaces, each with `indent` before it; at least one line, none of them blank."""
    lines: list[str] = []
    line = ""
    for word in _words(text):
        if line and len(indent) + len(line) + 1 + len(word) > _WIDTH:
            lines.append(indent + line)
            line = word
        else:
            line = f"{line} {word}" if line else word
    return [*lines, indent + (line or "-")]


def host_name(host: str) -> str:
    """The full name, or else the address, in an outcome's host: `"mx1.fabrikam.com"`, `"[192.0.2.10]"`; or empty."""
    name, bracket, rest = host.partition("[")
    if "." in name and not name.strip(_HOST_CHARACTERS):
        return name
    address = rest.partition("]")[0]
    return f"[{address}]" if bracket and address and not address.strip(_HOST_CHARACTERS + ":") else ""


def address_text(address: str) -> str:
    """An address as one line, whatever it holds; the joiners of Persian and Indic scripts stay."""
    safe = "".join(c if c.isprintable() or c in "\u200c\u200d" else "?" for c in address)
    return safe.encode("utf-8", "replace")[:_ADDRESS_OCTETS_MAX].decode("utf-8", "ignore")


def reply_text(reply: Reply) -> str:
    """A reply as one printable line."""
    text = str(reply) if reply.code else reply.text.replace("\n", " ")
    return printable(text, 2 * TEXT_MAX).replace("\n", " ")


def _paragraph(report: Report) -> list[str]:
    lines = [f"  {address_text(report.recipient.address)}"]
    if report.action in {Action.FAILED, Action.DELAYED}:
        lines += fold(_meaning(report.status), "    ")
    if report.retry_until:
        lines.append(f"    It will be tried until {date_text(report.retry_until)}.")
    if report.reply.code or report.reply.text:
        said = f"{host_name(report.host) or 'The mail system there'} answered:"
        lines.append("    " + (said if report.is_answer else "The reason:"))
        lines += fold(reply_text(report.reply), "      ")
    return lines


def _meaning(status: str) -> str:
    detail = status.partition(".")[2]
    subject = detail.partition(".")[0]
    return _MEANINGS.get(detail) or _MEANINGS.get(subject) or "No more is known of the reason than is said here."


def _words(text: str) -> list[str]:
    return [word[at : at + _WORD_MAX] for word in text.split() for at in range(0, len(word), _WORD_MAX)]
