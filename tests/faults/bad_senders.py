"""The table of what a client may do to a server: each attack returns with its connections still open."""

from __future__ import annotations

import contextlib
import socket
import threading
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Final

from tests.faults.processes import IS_LONG

SOURCE: Final = "127.0.0.5"
"""Where attackers come from; honest clients have another address, as in life."""
CROWD: Final = 500
RECIPIENTS: Final = 1_000_000 if IS_LONG else 100_000
COMMANDS: Final = 100_000
OCTETS: Final = 64 * 1024 * 1024
PIECE: Final = b"x" * 65536
HALF_HELLO: Final = b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03"
TRANSACTION: Final = b"MAIL FROM:<a@client.test>\r\nRCPT TO:<victim@inside.test>\r\n"


@dataclass
class Attacker:
    """The connections of one attack, all to one server."""

    port: int
    tls_port: int
    open: list[socket.socket] = field(default_factory=list)
    replies: dict[socket.socket, bytes] = field(default_factory=dict)
    """The last octets that came over each connection that is read."""
    _readers: list[threading.Thread] = field(default_factory=list)

    def connect(self, port: int = 0) -> socket.socket:
        """A connection on which nothing was read or said."""
        made = socket.create_connection(("127.0.0.1", port or self.port), 30, source_address=(SOURCE, 0))
        self.open.append(made)
        return made

    def greet(self) -> socket.socket:
        """A connection behind EHLO."""
        made = self.connect()
        made.recv(512)
        made.sendall(b"EHLO attacker.test\r\n")
        made.recv(4096)
        return made

    def listen(self, connection: socket.socket) -> None:
        """Read whatever comes from now on, so that the server is never held up by us."""

        def read() -> None:
            with contextlib.suppress(OSError):
                while octets := connection.recv(1 << 16):
                    self.replies[connection] = (self.replies.get(connection, b"") + octets)[-300:]

        thread = threading.Thread(target=read, daemon=True)
        thread.start()
        self._readers.append(thread)

    def end(self) -> None:
        """Close everything."""
        for connection in self.open:
            with contextlib.suppress(OSError):
                connection.shutdown(socket.SHUT_RDWR)
            connection.close()
        for thread in self._readers:
            thread.join(10)


Attack = Callable[[Attacker], None]


def pour(connection: socket.socket, pieces: Iterable[bytes]) -> None:
    """Send until all is sent or the server has closed, or will not read for a while."""
    connection.settimeout(2.0)
    with contextlib.suppress(OSError):
        for piece in pieces:
            connection.sendall(piece)


def say_nothing(attacker: Attacker) -> None:
    """Many connections that never say a word, nor read."""
    for _ in range(CROWD):
        attacker.connect()


def begin_a_command(attacker: Attacker) -> None:
    """Many connections that stop in the middle of a command."""
    for _ in range(CROWD // 2):
        attacker.greet().sendall(b"MA")


def leave_in_content(attacker: Attacker) -> None:
    """Many that stop in the middle of a message and leave: none of it may go on."""
    for _ in range(CROWD // 5):
        in_content(attacker).sendall(b"Message-ID: <half@client.test>\r\n\r\nhalf a message\r\n")


def in_content(attacker: Attacker) -> socket.socket:
    """A connection behind 354."""
    connection = attacker.greet()
    connection.sendall(TRANSACTION + b"DATA\r\n")
    seen = b""
    while b"354" not in seen:
        seen += connection.recv(512)
    attacker.listen(connection)
    return connection


def endless(piece: bytes) -> Iterator[bytes]:
    """So much of it that a server that kept it would show."""
    for _ in range(OCTETS // len(piece)):
        yield piece


def endless_header(attacker: Attacker) -> None:
    """A header of 64 MiB."""
    pour(in_content(attacker), endless(b"X-Field: and so on, and so on, and so on\r\n" * 1000))


def endless_field(attacker: Attacker) -> None:
    """One header field of 64 MiB, folded."""
    pour(in_content(attacker), endless(b" and so on, and so on, and so on\r\n" * 1000))


def endless_line_of_content(attacker: Attacker) -> None:
    """A line of 64 MiB in a message."""
    pour(in_content(attacker), endless(PIECE))


def endless_command(attacker: Attacker) -> None:
    """A command of 64 MiB."""
    connection = attacker.greet()
    attacker.listen(connection)
    pour(connection, endless(PIECE))


def many_recipients(attacker: Attacker) -> None:
    """Far more recipients than a message may have."""
    connection = attacker.greet()
    attacker.listen(connection)
    connection.sendall(b"MAIL FROM:<a@client.test>\r\n")
    thousands = (
        b"".join(b"RCPT TO:<u%d@inside.test>\r\n" % number for number in range(first, first + 1000))
        for first in range(0, RECIPIENTS, 1000)
    )
    pour(connection, thousands)


def unknown_commands(attacker: Attacker) -> None:
    """A hundred thousand commands that there are not."""
    connection = attacker.greet()
    attacker.listen(connection)
    pour(connection, (b"GIVE me all\r\n" * 1000 for _ in range(COMMANDS // 1000)))


def commands_without_reading(attacker: Attacker) -> None:
    """A hundred thousand commands, and none of the replies is read."""
    pour(attacker.greet(), (b"NOOP\r\n" * 1000 for _ in range(COMMANDS // 1000)))


def wrong_chunks(attacker: Attacker) -> None:
    """BDAT with sizes that are none, that are too large, and that do not come."""
    for chunk in (
        b"BDAT\r\n",
        b"BDAT -1 LAST\r\n",
        b"BDAT x LAST\r\n",
        b"BDAT 99999999999999999999999999 LAST\r\n",
        b"BDAT 9223372036854775807 LAST\r\n" + PIECE,
        b"BDAT 4294967296 LAST\r\n" + PIECE,
        b"BDAT 1000 LAST\r\nfewer",
        b"BDAT 0\r\n" * 1000,
    ):
        connection = attacker.greet()
        attacker.listen(connection)
        connection.sendall(TRANSACTION + chunk)


def half_handshakes(attacker: Attacker) -> None:
    """More handshakes begun than one client may have, none of them finished."""
    for _ in range(CROWD // 2):
        with contextlib.suppress(ConnectionError):
            attacker.connect(attacker.tls_port).sendall(HALF_HELLO)


def half_starttls(attacker: Attacker) -> None:
    """STARTTLS, and half a handshake behind it."""
    for _ in range(CROWD // 5):
        connection = attacker.greet()
        connection.sendall(b"STARTTLS\r\n")
        connection.recv(512)
        connection.sendall(HALF_HELLO)


ATTACKS: Final[Mapping[str, Attack]] = {
    attack.__name__.replace("_", "-"): attack
    for attack in (
        say_nothing,
        begin_a_command,
        leave_in_content,
        endless_header,
        endless_field,
        endless_line_of_content,
        endless_command,
        many_recipients,
        unknown_commands,
        commands_without_reading,
        wrong_chunks,
        half_handshakes,
        half_starttls,
    )
}
