"""SMTP replies as values: code, enhanced status and text (RFC 5321 4.2, RFC 3463, RFC 2034).

A `Reply` is what one side tells the other. Texts of ours are plain and general; those of a peer are hostile
input and pass `printable` before they reach a log, a DSN or a terminal.
"""

from __future__ import annotations

from typing import Final

import msgspec

TEXT_MAX: Final = 900
"""Octets of text that we keep of one reply: what a DSN and a log line can carry (RFC 3464 sets no limit)."""


class Reply(msgspec.Struct, frozen=True, array_like=True):
    """One reply: `Reply(550, "5.1.1", "No such user here")`; `text` may hold several lines joined by LF."""

    code: int
    """Three digits, 200 to 599; 0 where no server said it (a lost connection, a fault of the DNS)."""
    enhanced: str
    """`"5.1.1"`, or empty where the peer gave none or the reply has none (greeting, 354, EHLO)."""
    text: str
    """Human readable; for EHLO the greeting and the keywords, a line each."""

    @property
    def is_positive(self) -> bool:
        """Whether the command was done (2yz) or may go on (3yz)."""
        return 200 <= self.code < 400

    @property
    def is_temporary(self) -> bool:
        """Whether the same command may succeed later (4yz)."""
        return 400 <= self.code < 500

    @property
    def is_permanent(self) -> bool:
        """Whether the same command will fail again (5yz)."""
        return self.code >= 500

    @property
    def status(self) -> str:
        """The enhanced status, made from the code's class where the peer gave none: `"5.0.0"` (RFC 3464 2.3.4)."""
        return self.enhanced or f"{self.code // 100}.0.0"

    def __str__(self) -> str:
        return " ".join(part for part in (str(self.code or ""), self.enhanced, self.text.replace("\n", " ")) if part)

    def encode(self) -> bytes:
        """The reply on the wire, CRLF included: `b"250-mx.example\\r\\n250 SIZE\\r\\n"`."""
        enhanced = f"{self.enhanced} " if self.enhanced else ""
        if "\n" not in self.text:
            return f"{self.code} {enhanced}{self.text}\r\n".encode("utf-8", "replace")
        lines = self.text.split("\n")
        last = lines.pop()
        head = "".join(f"{self.code}-{enhanced}{line}\r\n" for line in lines)
        return f"{head}{self.code} {enhanced}{last}\r\n".encode("utf-8", "replace")


def printable(text: str, length_max: int = TEXT_MAX) -> str:
    """Text of a peer made safe for logs, DSNs and terminals: controls become `?`, the rest is cut to length."""
    cut = text[:length_max]
    return cut if cut.isprintable() else "".join(c if c.isprintable() or c == "\n" else "?" for c in cut)
