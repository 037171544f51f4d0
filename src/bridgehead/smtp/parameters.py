"""ESMTP parameters of MAIL and RCPT, each checked by its own RFC.

SIZE (RFC 1870), BODY (RFC 6152, 3030), SMTPUTF8 (RFC 6531), RET, ENVID, NOTIFY, ORCPT (RFC 3461), AUTH (RFC 4954).
Rules of this file: pure functions of text; a wrong value is a `Reply`, never an exception; a parameter given twice
is wrong; what xtext decodes to may hold no control character, since it goes into DSNs and command lines of others.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Final, TypeAlias

from bridgehead.core import xtext
from bridgehead.core.envelope import BodyType, Notify
from bridgehead.core.reply import Reply
from bridgehead.smtp import replies
from bridgehead.smtp.limits import DIGITS_MAX, Limits

Values: TypeAlias = dict[str, str]
"""Parameters by upper-case keyword; empty where the client gave no `=`."""
Checks: TypeAlias = Mapping[str, Callable[[str, Limits], bool]]
"""Whether a value is good, by keyword; a keyword that is not there is not offered."""

_NOTIFY: Final = {"SUCCESS": Notify.SUCCESS, "FAILURE": Notify.FAILURE, "DELAY": Notify.DELAY}
_TYPE_CHARACTERS: Final = frozenset("abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-")


def split(text: str) -> Values | Reply:
    """`"SIZE=1000 SMTPUTF8"` as `{"SIZE": "1000", "SMTPUTF8": ""}`; a keyword twice, or a hole, is refused."""
    values: Values = {}
    for word in text.split(" "):
        if not word:
            # More than one space between words is tolerated: clients do it, and it changes no meaning.
            continue
        keyword, equals, value = word.partition("=")
        keyword = keyword.upper()
        if keyword in values or bool(equals) != bool(value) or not value.isprintable():
            return replies.BAD_PARAMETER
        values[keyword] = value
    return values


def check(values: Values, checks: Checks, limits: Limits) -> Reply | None:
    """Why these parameters are refused, or `None`."""
    for keyword, value in values.items():
        is_good = checks.get(keyword)
        if is_good is None:
            return replies.UNKNOWN_PARAMETER
        if not is_good(value, limits):
            return replies.BAD_PARAMETER
    return None


def parse_notify(value: str) -> int | None:
    """`"SUCCESS,DELAY"` as flags; `None` where it is wrong: NEVER stands alone (RFC 3461 4.1)."""
    words = value.upper().split(",")
    if words == ["NEVER"]:
        return int(Notify.NEVER)
    if len(set(words)) != len(words) or not set(words) <= _NOTIFY.keys():
        return None
    return sum(_NOTIFY[word] for word in words)


def is_body_type(value: str, _limits: Limits) -> bool:
    """7BIT or 8BITMIME; BINARYMIME is not offered."""
    return value.upper() in {BodyType.SEVEN_BIT, BodyType.EIGHT_BIT}


def is_size(value: str, _limits: Limits) -> bool:
    """1 to 20 digits (RFC 1870 3)."""
    return value.isascii() and value.isdigit() and len(value) <= DIGITS_MAX


def is_empty(value: str, _limits: Limits) -> bool:
    """A keyword without a value."""
    return not value


def is_ret(value: str, _limits: Limits) -> bool:
    """FULL or HDRS (RFC 3461 4.3)."""
    return value.upper() in {"FULL", "HDRS"}


def is_envelope_id(value: str, limits: Limits) -> bool:
    """Xtext of printable characters (RFC 3461 4.4)."""
    return 0 < len(value) <= limits.envelope_id_max and _is_printable_xtext(value)


def is_authorization(value: str, limits: Limits) -> bool:
    """AUTH=: xtext or `<>`; taken and ignored, since no client is trusted to name another (RFC 4954 5)."""
    return value == "<>" or (0 < len(value) <= limits.original_recipient_max and _is_printable_xtext(value))


def is_notify(value: str, _limits: Limits) -> bool:
    """See `parse_notify`."""
    return parse_notify(value) is not None


def is_original_recipient(value: str, limits: Limits) -> bool:
    """`rfc822;xtext`, or a type of addresses we do not know; a `utf-8` one too (RFC 3461 4.2, RFC 6533 3)."""
    address_type, semicolon, address = value.partition(";")
    if not semicolon or not address or len(value) > limits.original_recipient_max:
        return False
    if not address_type or not _TYPE_CHARACTERS.issuperset(address_type):
        return False
    if address_type.lower() == "utf-8":
        return address.isprintable() and "+" not in address
    return _is_printable_xtext(address)


def _is_printable_xtext(value: str) -> bool:
    decoded = xtext.decode(value)
    return decoded is not None and decoded.isascii() and decoded.isprintable()


MAIL: Final[Checks] = {
    "SIZE": is_size,
    "BODY": is_body_type,
    "SMTPUTF8": is_empty,
    "RET": is_ret,
    "ENVID": is_envelope_id,
    "AUTH": is_authorization,
}
"""What MAIL takes."""

RCPT: Final[Checks] = {
    "NOTIFY": is_notify,
    "ORCPT": is_original_recipient,
}
"""What RCPT takes."""
