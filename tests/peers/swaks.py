"""swaks, the Swiss army knife of SMTP: one transaction from Debian's well-known client, and its transcript."""

from __future__ import annotations

import subprocess
from dataclasses import dataclass

from tests.peers.child import program


@dataclass(frozen=True, slots=True)
class Transcript:
    """How one run of swaks ended, and every line it sent and received."""

    status: int
    """0: the message was taken; else the stage that failed, as swaks(1) numbers them (23 MAIL, 24 RCPT, 28 AUTH)."""
    text: str

    @property
    def replies(self) -> list[str]:
        """Lines from the server, `<-`, `<~` (TLS) and `<**` (error) removed: `"250 2.1.0 Ok"`."""
        return [line[4:].strip() for line in self.text.splitlines() if line.startswith(("<-", "<~", "<*"))]

    @property
    def commands(self) -> list[str]:
        """Lines to the server, markers removed."""
        return [line[4:].strip() for line in self.text.splitlines() if line.startswith((" ->", " ~>"))]

    def has_reply(self, start: str) -> bool:
        """Whether some reply line starts so."""
        return any(line.startswith(start) for line in self.replies)


def swaks(port: int, *options: str, sender: str = "sender@client.test", recipient: str) -> Transcript:
    """Send one message to a loopback port; `options` go to swaks as they are."""
    command = [
        program("swaks"),
        "--server",
        f"127.0.0.1:{port}",
        "--helo",
        "client.test",
        "--from",
        sender,
        "--to",
        recipient,
        "--timeout",
        "20",
        *options,
    ]
    done = subprocess.run(command, capture_output=True, check=False, timeout=60)
    return Transcript(done.returncode, (done.stdout + done.stderr).decode(errors="replace"))
