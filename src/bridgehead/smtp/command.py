"""Command lines as values: MAIL, RCPT, BDAT and the name in EHLO (RFC 5321 4.1, RFC 3030, RFC 3461).

Rules of this file: pure functions of one line without its CRLF; what is wrong is a `Reply`, never an exception. The
rest of a line behind the path is ASCII, or UTF-8 where SMTPUTF8 allows it. Paths are parsed by `core.address` alone.
"""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType
from typing import Final

import msgspec

from bridgehead.core.address import PathFault, parse_forward_path, parse_reverse_path
from bridgehead.core.envelope import BodyType
from bridgehead.core.policy import recipient_fault, sender_fault
from bridgehead.core.reply import Reply
from bridgehead.smtp import parameters, replies
from bridgehead.smtp.event import MailFrom, RcptTo
from bridgehead.smtp.limits import DIGITS_MAX, Limits

_NAME_OCTETS: Final = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-._:[]"
_TO_NAME: Final = bytes(octet if octet in _NAME_OCTETS else ord("?") for octet in range(256))
_BACKSLASH: Final = ord("\\")
_QUOTE: Final = ord('"')
_CLOSE: Final = ord(">")
_NO_PARAMETERS: Final[Mapping[str, str]] = MappingProxyType({})


class Chunk(msgspec.Struct, frozen=True):
    """BDAT's argument."""

    octets: int
    is_last: bool


def parse_mail(argument: bytes, is_extended: bool, limits: Limits) -> MailFrom | Reply:
    """`b"FROM:<a@example.org> SIZE=1000"`: the part behind `MAIL `. Parameters are for EHLO clients."""
    if argument[:5].upper() != b"FROM:":
        return replies.SYNTAX
    start, end = _path(argument, 5)
    if end < 0:
        return replies.BAD_SENDER
    values = _parameters(argument[end + 1 :], is_extended, parameters.MAIL, limits)
    if isinstance(values, Reply):
        return values
    mailbox = parse_reverse_path(argument[start:end], smtputf8="SMTPUTF8" in values)
    if isinstance(mailbox, PathFault):
        return sender_fault(mailbox)
    if not values:
        return MailFrom(mailbox.address)
    return MailFrom(
        mailbox.address,
        int(values.get("SIZE", "0")),
        values.get("BODY", BodyType.SEVEN_BIT).upper(),
        "SMTPUTF8" in values,
        values.get("RET", "").upper(),
        values.get("ENVID", ""),
    )


def parse_rcpt(argument: bytes, is_extended: bool, smtputf8: bool, limits: Limits) -> RcptTo | Reply:
    """`b"TO:<b@example.org> NOTIFY=NEVER"`: the part behind `RCPT `."""
    if argument[:3].upper() != b"TO:":
        return replies.SYNTAX
    start, end = _path(argument, 3)
    if end < 0:
        return replies.BAD_RECIPIENT
    values = _parameters(argument[end + 1 :], is_extended, parameters.RCPT, limits)
    if isinstance(values, Reply):
        return values
    mailbox = parse_forward_path(argument[start:end], smtputf8=smtputf8)
    if isinstance(mailbox, PathFault):
        return recipient_fault(mailbox)
    if not values:
        return RcptTo(mailbox)
    notify = parameters.parse_notify(values["NOTIFY"]) if "NOTIFY" in values else None
    return RcptTo(mailbox, -1 if notify is None else notify, values.get("ORCPT", ""))


def parse_chunk(argument: bytes) -> Chunk | None:
    """`b"1000 LAST"` (RFC 3030 2); `None` where it is wrong, and then nobody knows what follows."""
    digits, space, last = argument.strip(b" ").partition(b" ")
    if not digits.isdigit() or len(digits) > DIGITS_MAX:
        return None
    if space and last.strip(b" ").upper() != b"LAST":
        return None
    return Chunk(int(digits), bool(space))


def parse_hello(argument: bytes, limits: Limits) -> str | None:
    """What the client calls itself, made safe to write; `None` where it says nothing or too much."""
    name = argument.strip(b" ")
    if not name or len(name) > limits.domain_max or b" " in name:
        return None
    return name.translate(_TO_NAME).decode("ascii")


def _path(argument: bytes, start: int) -> tuple[int, int]:
    """Where the path stands, without its angle brackets; the end is -1 where there is none.

    A space in front of `<` is tolerated, since many clients send it. A `>` within quotes does not end the path.
    """
    while argument[start : start + 1] == b" ":
        start += 1
    if argument[start : start + 1] != b"<":
        return start, -1
    start += 1
    if _QUOTE not in argument:
        return start, argument.find(b">", start)
    is_quoted = is_escaped = False
    for index in range(start, len(argument)):
        octet = argument[index]
        if is_escaped:
            is_escaped = False
        elif is_quoted and octet == _BACKSLASH:
            is_escaped = True
        elif octet == _QUOTE:
            is_quoted = not is_quoted
        elif octet == _CLOSE and not is_quoted:
            return start, index
    return start, -1


def _parameters(
    rest: bytes, is_extended: bool, checks: parameters.Checks, limits: Limits
) -> Mapping[str, str] | Reply:
    if not rest:
        return _NO_PARAMETERS
    if rest[:1] != b" ":
        return replies.SYNTAX
    text = rest.decode("utf-8", "replace").strip(" ")
    if not text:
        return _NO_PARAMETERS
    if not is_extended:
        return replies.UNKNOWN_PARAMETER
    values = parameters.split(text)
    if isinstance(values, Reply):
        return values
    refusal = parameters.check(values, checks, limits)
    return values if refusal is None else refusal
