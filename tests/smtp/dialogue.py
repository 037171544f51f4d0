"""A client, an engine and a consumer that answers as told: what the tests of the server half share."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field

from bridgehead.core.reply import Reply
from bridgehead.smtp.event import Content, ContentEnd, Event, StartTls
from bridgehead.smtp.limits import LIMITS, Limits
from bridgehead.smtp.offer import Offer
from bridgehead.smtp.server import ServerConnection

OFFER = Offer("mx.example.org", size_max=1000, starttls=True, mechanisms=("PLAIN", "LOGIN"))


@dataclass
class Server:
    """An engine whose questions are answered at once: accepted, but for what `refusals` names."""

    offer: Offer = OFFER
    limits: Limits = LIMITS
    refusals: Mapping[type, Reply] = field(default_factory=dict)
    events: list[Event] = field(default_factory=list)
    messages: list[bytes] = field(default_factory=list)
    connection: ServerConnection = field(init=False)
    _content: bytes = b""

    def __post_init__(self) -> None:
        self.connection = ServerConnection(self.offer, self.limits)
        self.connection.greet()
        self.connection.data_to_send()

    def say(self, data: bytes) -> bytes:
        """What comes back for `data`."""
        self.connection.receive_data(data)
        while (event := self.connection.next_event()) is not None:
            self.take(event)
        return self.connection.data_to_send()

    def take(self, event: Event) -> None:
        """Answer one event."""
        if isinstance(event, Content):
            # Pieces are joined, so that the list of events does not depend on how the octets were cut.
            self._content += event.data
            return
        self.events.append(event)
        if isinstance(event, StartTls):
            return
        if isinstance(event, ContentEnd):
            content, self._content = self._content, b""
            if event.fault is not None:
                self.connection.refuse(event.fault)
                return
            self.messages.append(content)
        if self.connection.is_asking:
            refusal = self.refusals.get(type(event))
            if refusal is None:
                self.connection.accept()
            else:
                self.connection.refuse(refusal)

    def pieces(self, pieces: Iterable[bytes]) -> bytes:
        """What comes back for all the pieces together."""
        return b"".join([self.say(piece) for piece in pieces])


def codes(replies: bytes) -> list[str]:
    """`["250 2.1.0", "354"]`: the final line of each reply, without its text."""
    found = []
    for line in replies.decode().split("\r\n")[:-1]:
        if line[3] == " ":
            enhanced = line[4:].split(" ", 1)[0]
            found.append(f"{line[:3]} {enhanced}" if enhanced.count(".") == 2 and enhanced[0] in "245" else line[:3])
    return found


def ready(**changes: object) -> Server:
    """A server that heard EHLO."""
    server = Server(**changes)  # type: ignore[arg-type]  # the fields of the dataclass, by name
    server.say(b"EHLO client.example\r\n")
    server.events.clear()
    return server


def in_content(**changes: object) -> Server:
    """A server that said 354."""
    server = ready(**changes)
    server.say(b"MAIL FROM:<a@example.org>\r\nRCPT TO:<b@example.org>\r\n")
    assert codes(server.say(b"DATA\r\n")) == ["354"]
    server.events.clear()
    return server


Cut = Callable[[bytes], list[bytes]]


def octet_by_octet(data: bytes) -> list[bytes]:
    """The finest cut there is."""
    return [data[i : i + 1] for i in range(len(data))]
