"""The command lines of a mail transaction (RFC 5321 4.1.1, RFC 1870, RFC 6152, RFC 6531, RFC 3461).

Whatever goes into a line is checked here, on the way out: a line that holds CR, LF or NUL would be two commands.
ORCPT is passed on and never made up: the address goes out unchanged, so a next hop that wants one can add it just
as well (RFC 3461 5.2.1 lets us).
"""

from __future__ import annotations

import re
from typing import Final

from bridgehead.core.envelope import BodyType, Envelope, Notify, Recipient
from bridgehead.smtp.client_extensions import Extensions

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
        line += f" ORCPT={recipient.original}"
    return line


def needs_smtputf8(envelope: Envelope, recipients: tuple[Recipient, ...]) -> bool:
    """Whether the server must offer SMTPUTF8: the client declared it, or an address needs it (RFC 6531 3.2)."""
    if envelope.smtputf8 or not envelope.reverse_path.isascii():
        return True
    return any(not recipient.address.isascii() for recipient in recipients)
