"""A client that sends the bytes it is given: nothing is repaired, re-wrapped or normalised on the way.

`smtplib` turns every line end into CRLF; a corpus whose point is its odd bytes needs something plainer.
"""

from __future__ import annotations

import re
import socket
from collections.abc import Sequence
from dataclasses import dataclass
from types import TracebackType
from typing import Self

TIMEOUT_SECONDS = 30.0
BARE_LINE_END = re.compile(rb"\r(?!\n)|(?<!\r)\n")


@dataclass(frozen=True, slots=True)
class Answer:
    """A whole reply: its code and its lines without code."""

    code: int
    lines: tuple[str, ...]

    @property
    def text(self) -> str:
        """The lines joined by a space: `"5.7.1 Unable to relay"`."""
        return " ".join(self.lines)


class Wire:
    """One connection to a loopback port, greeted with EHLO; use it as a context manager."""

    def __init__(self, port: int, helo: str = "client.test") -> None:
        """Connect, read the greeting, say EHLO; `extensions` then holds what the server offers."""
        self._socket = socket.create_connection(("127.0.0.1", port), timeout=TIMEOUT_SECONDS)
        self._socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self._file = self._socket.makefile("rb")
        try:
            self.greeting = self.read()
            self.extensions = self.command(f"EHLO {helo}").lines[1:]
        except (OSError, ValueError):
            self.close()
            raise

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        """Close the connection without QUIT."""
        self._file.close()
        self._socket.close()

    def read(self) -> Answer:
        """The next whole reply; `ConnectionError` when the server closes."""
        lines: list[str] = []
        while True:
            line = self._file.readline()
            if not line.endswith(b"\r\n"):
                raise ConnectionError(f"closed after {line!r}")
            lines.append(line[4:-2].decode("utf-8", "replace"))
            if line[3:4] != b"-":
                return Answer(int(line[:3]), tuple(lines))

    def command(self, line: str) -> Answer:
        """Send one line and read its reply."""
        self._socket.sendall(line.encode() + b"\r\n")
        return self.read()

    def send(self, sender: str, recipients: Sequence[str], content: bytes, parameters: str = "") -> Answer:
        """One transaction; `content` must end with CRLF. The first reply that is no success ends it (RSET)."""
        lines = [f"MAIL FROM:<{sender}>{parameters}", *(f"RCPT TO:<{address}>" for address in recipients)]
        for line in lines:
            answer = self.command(line)
            if answer.code != 250:
                self.command("RSET")
                return answer
        answer = self.command("DATA")
        return self._send_content(content) if answer.code == 354 else answer

    def send_pipelined(self, sender: str, recipient: str, content: bytes) -> Answer:
        """The same to one recipient, all commands at once (RFC 2920); the first reply that is no success."""
        commands = f"MAIL FROM:<{sender}>\r\nRCPT TO:<{recipient}>\r\nDATA\r\n"
        self._socket.sendall(commands.encode())
        replies = [self.read() for _ in range(3)]
        if [reply.code for reply in replies] == [250, 250, 354]:
            return self._send_content(content)
        return next(reply for reply in replies if reply.code not in {250, 354})

    def _send_content(self, content: bytes) -> Answer:
        assert content.endswith(b"\r\n"), "a message ends with CRLF on the wire"
        stuffed = content.replace(b"\r\n.", b"\r\n..")
        self._socket.sendall((b"." + stuffed if stuffed.startswith(b".") else stuffed) + b".\r\n")
        return self.read()
