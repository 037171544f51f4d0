"""Plays the server towards the client half, a line of a test for each piece of a conversation."""

from __future__ import annotations

from bridgehead.core.envelope import Envelope, Recipient
from bridgehead.core.reply import Reply
from bridgehead.smtp.client import ClientConnection
from bridgehead.smtp.client_event import (
    Event,
    Greeted,
    TraceKind,
    TransactionEnded,
)

HOST = "mx.example[192.0.2.7]:25"
OK, GO, SKIP = "250 Ok", "354 Go", "503 5.5.1 Not now"
LOST = Reply(451, "4.4.2", "lost")
CONTENT = b"Subject: hello\r\n\r\n.dot\r\n"
STUFFED = "Subject: hello\r\n\r\n..dot\r\n.\r\n"


def recipients(count: int) -> tuple[Recipient, ...]:
    return tuple(Recipient(ordinal, f"r{ordinal}@f.com", "f.com") for ordinal in range(count))


def envelope(count: int = 1, reverse_path: str = "a@c.com", *, smtputf8: bool = False) -> Envelope:
    return Envelope(reverse_path, recipients(count), len(CONTENT), 0.0, "S/V", smtputf8=smtputf8)


class Talk:
    """Plays the server's side; every piece of a conversation is a line of a test."""

    def __init__(self, *, helo: bool = False) -> None:
        self.traced: list[tuple[TraceKind, str]] = []
        self.client = ClientConnection("me.example", HOST, helo=helo, trace=lambda *line: self.traced.append(line))

    def server(self, *lines: str) -> str:
        """The server says these lines; what the client has to say to it."""
        self.client.receive_data("".join(f"{line}\r\n" for line in lines).encode())
        return self.says()

    def says(self) -> str:
        return self.client.data_to_send().decode()

    def event(self) -> Event | None:
        return self.client.next_event()

    def ended(self) -> TransactionEnded:
        event = self.event()
        assert isinstance(event, TransactionEnded)
        return event

    def begin(self, count: int = 1) -> str:
        message = envelope(count)
        self.client.begin(message, message.recipients, len(CONTENT))
        return self.says()


def greeted(*extensions: str) -> Talk:
    """A conversation past EHLO."""
    talk = Talk()
    assert talk.server("220 mx.example") == "EHLO me.example\r\n"
    lines = ["mx.example", *extensions]
    assert talk.server(*(f"250-{line}" for line in lines[:-1]), f"250 {lines[-1]}") == ""
    assert talk.event() == Greeted()
    return talk
