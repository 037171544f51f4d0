"""The command lines of a mail transaction (RFC 5321 4.1.1, RFC 1870, RFC 6152, RFC 6531, RFC 3461).

Whatever goes into a line is checked here, on the way out: a line that holds CR, LF or NUL would be two commands.
ORCPT is passed on and never made up: the address goes out unchanged, so a next hop that wants one can add it just
as well (RFC 3461 5.2.1 lets us).
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Final

from bridgehead.core import utf8_address
from bridgehead.core.envelope import BodyType, Envelope, Notify, Recipient
from bridgehead.core.reply import Reply
from bridgehead.smtp.client_extensions import Extensions

UNSAFE_RECIPIENT: Final = Reply(0, "5.1.3", "Recipient address or its parameters cannot be sent")
_UNSAFE: Final = re.compile("[\r\n\0\ud800-\udfff]")
_NOTIFY: Final = tuple(
    ",".join(flag.name or "" for flag in (Notify.SUCCESS, Notify.FAILURE, Notify.DELAY) if flag & flags) or "NEVER"
    for flags in range(8)
)
"""Written form of each combination of flags, by number."""


def is_safe(line: str) -> bool:
    """Whether a command line without its CRLF is one line and can be encoded."""
    return line.isprintable() or _UNSAFE.search(line) is None


def mail(envelope: Envelope, size: int, extensions: Extensions, *, is_utf8: bool) -> str:
    """`"MAIL FROM:<alice@contoso.com> SIZE=4096 BODY=8BITMIME"`, with the parameters that the server takes."""
    line = f"MAIL FROM:<{envelope.reverse_path}>"
    if extensions.size:
        line = f"{line} SIZE={size}"
    if extensions.eight_bit_mime and (envelope.has_eight_bit or envelope.body_type == BodyType.EIGHT_BIT):
        line += " BODY=8BITMIME"
    if is_utf8:
        line += " SMTPUTF8"
    if extensions.dsn and envelope.ret:
        line += f" RET={envelope.ret}"
    if extensions.dsn and envelope.envid:
        line += f" ENVID={envelope.envid}"
    return line


def rcpt(recipient: Recipient, extensions: Extensions) -> str:
    """`"RCPT TO:<bob@fabrikam.com> NOTIFY=NEVER"`; NOTIFY and ORCPT as given, to a server that takes them."""
    line = f"RCPT TO:<{recipient.address}>"
    if extensions.dsn and recipient.notify >= 0:
        line += f" NOTIFY={_NOTIFY[recipient.notify & 7]}"
    if extensions.dsn and recipient.original:
        line += f" ORCPT={_original(recipient.original, extensions)}"
    return line


def _original(original: str, extensions: Extensions) -> str:
    """ORCPT as given, an international address in ASCII to a server without SMTPUTF8 (RFC 6533 3)."""
    if original.isascii() or extensions.smtputf8:
        return original
    kind, _, address = original.partition(";")
    return f"{kind};{utf8_address.encode(utf8_address.decode(address))}"


def rcpts(recipients: Sequence[Recipient], extensions: Extensions) -> tuple[list[Recipient], list[str]]:
    """The RCPT commands, and for whom they are: those of `recipients` who can be named in one."""
    named: list[Recipient] = []
    lines: list[str] = []
    for recipient in recipients:
        line = rcpt(recipient, extensions)
        if is_safe(line):
            named.append(recipient)
            lines.append(line)
    return named, lines


def within_limits(
    recipients: Sequence[Recipient], extensions: Extensions, domains: set[str]
) -> tuple[Sequence[Recipient], list[Recipient]]:
    """Those whom the server's LIMITS let into the next transaction, and the others (RFC 9422 4.1, 4.3).

    `domains` are those of the session so far; those of the next transaction are added.
    """
    most, most_domains = extensions.recipients_max, extensions.domains_max
    if not most_domains:
        return (recipients[:most], list(recipients[most:])) if most else (recipients, [])
    taken: list[Recipient] = []
    rest: list[Recipient] = []
    for recipient in recipients:
        has_room = recipient.domain in domains or len(domains) < most_domains
        if has_room and (not most or len(taken) < most):
            domains.add(recipient.domain)
            taken.append(recipient)
        else:
            rest.append(recipient)
    return taken, rest


def cannot_take(mail_line: str, size: int, extensions: Extensions, *, is_utf8: bool) -> Reply | None:
    """Why this server can never take the message, if so."""
    size_max = extensions.size_max
    if size_max and size > size_max:
        return Reply(0, "5.3.4", f"Message of {size} octets is larger than the {size_max} that the server takes")
    if is_utf8 and not extensions.smtputf8:
        return Reply(0, "5.6.7", "Message needs SMTPUTF8, which the server does not offer")
    return None if is_safe(mail_line) else Reply(0, "5.1.7", "Sender address or its parameters cannot be sent")


def needs_smtputf8(envelope: Envelope, recipients: tuple[Recipient, ...]) -> bool:
    """Whether the server must offer SMTPUTF8: the client declared it, or an address needs it (RFC 6531 3.2)."""
    if envelope.smtputf8 or not envelope.reverse_path.isascii():
        return True
    for recipient in recipients:  # noqa: SIM110  # a quarter of the time of any() with a generator
        if not recipient.address.isascii():
            return True
    return False
