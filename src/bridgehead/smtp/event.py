"""What the server half tells its driver: one frozen value for each thing that a client did.

Events that ask (`is_question` in `server_state`: MailFrom, RcptTo, DataBegin, ContentEnd, Authenticate) are
answered by `accept` or `refuse`; until then `next_event` returns `None`. The others are told after the fact.
"""

from __future__ import annotations

from typing import TypeAlias

import msgspec

from bridgehead.core.address import Mailbox
from bridgehead.core.reply import Reply


class Hello(msgspec.Struct, frozen=True):
    """EHLO or HELO was answered; a transaction in progress is gone (RFC 5321 4.1.4)."""

    name: str
    """Safe to write: anything but letters, digits and `.-_:[]` has become `?`."""
    is_extended: bool


class MailFrom(msgspec.Struct, frozen=True, gc=False):
    """MAIL asks to begin a transaction."""

    reverse_path: str
    """Without a source route; empty for `<>`."""
    size: int = 0
    """SIZE=, 0 where the client gave none. May be as large as 20 digits can say."""
    body_type: str = "7BIT"
    smtputf8: bool = False
    ret: str = ""
    envid: str = ""
    """Still xtext; what it decodes to is printable (RFC 3461 4.4)."""


class RcptTo(msgspec.Struct, frozen=True, gc=False):
    """RCPT asks to add a recipient."""

    mailbox: Mailbox
    """Source route gone; the domain is empty only for `postmaster` (RFC 5321 4.5.1)."""
    notify: int = -1
    """`Notify` flags, or -1 where the client gave none."""
    original: str = ""
    """ORCPT, still xtext."""


class DataBegin(msgspec.Struct, frozen=True, gc=False):
    """DATA, or the first BDAT, asks to send content. To accept DATA sends 354, to accept BDAT sends nothing."""

    is_chunked: bool


class Content(msgspec.Struct, frozen=True, gc=False):
    """A piece of the message: dots removed, never empty, as large as what arrived."""

    data: bytes


class ContentEnd(msgspec.Struct, frozen=True, gc=False):
    """The message is complete and asks to be accepted; it must be refused with `fault` where there is one."""

    size: int
    """Octets of the content, also of what was not delivered because of the fault."""
    has_eight_bit: bool
    """Whether an octet is above 127; false where there is a fault."""
    fault: Reply | None = None


class Abandoned(msgspec.Struct, frozen=True):
    """RSET, or a BDAT out of order: the transaction, if there was one, is gone."""


class StartTls(msgspec.Struct, frozen=True):
    """STARTTLS was answered with 220: send what is queued, shake hands, then call `tls_started`."""


class Authenticate(msgspec.Struct, frozen=True):
    """AUTH came to its end and asks whether the credentials are right."""

    mechanism: str
    credentials: Credentials


class Credentials(msgspec.Struct, frozen=True):
    """Account and password as the client sent them. The password never shows in `repr`."""

    user: str
    password: str

    def __repr__(self) -> str:
        return f"Credentials(user={self.user!r})"


class Noted(msgspec.Struct, frozen=True):
    """A command that changes nothing (NOOP, VRFY, HELP, EXPN) was answered."""

    verb: str


class Fault(msgspec.Struct, frozen=True):
    """The client broke the protocol, or asked for what is not offered; the reply is queued already."""

    reply: Reply


class Quit(msgspec.Struct, frozen=True):
    """QUIT was answered with 221: send what is queued and close."""


Event: TypeAlias = (
    Hello
    | MailFrom
    | RcptTo
    | DataBegin
    | Content
    | ContentEnd
    | Abandoned
    | StartTls
    | Authenticate
    | Noted
    | Fault
    | Quit
)
