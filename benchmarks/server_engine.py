"""CPU time of the server half for one pipelined message of 4 KB: `python benchmarks/server_engine.py`."""

from __future__ import annotations

import time

from bridgehead.smtp.offer import Offer
from bridgehead.smtp.server import ServerConnection

ENVELOPE = b"MAIL FROM:<sender@example.org> SIZE=4200 BODY=8BITMIME\r\nRCPT TO:<user@contoso.com>\r\nDATA\r\n"
CONTENT = b"Subject: x\r\n\r\n" + (b"x" * 70 + b"\r\n") * 57 + b".\r\n"
ROUNDS = 7
MESSAGES = 3_000


def receive(connection: ServerConnection) -> bytes:
    """One message, accepted."""
    for flight in (ENVELOPE, CONTENT):
        connection.receive_data(flight)
        while connection.next_event() is not None:
            if connection.is_asking:
                connection.accept()
    return connection.data_to_send()


def main() -> None:
    """Print the best of some rounds, in microseconds for each message."""
    connection = ServerConnection(Offer("mx.example.org"))
    connection.greet()
    connection.receive_data(b"EHLO client.example\r\n")
    connection.next_event()
    connection.data_to_send()
    best = float("inf")
    for _ in range(ROUNDS):
        begin = time.process_time()
        for _ in range(MESSAGES):
            receive(connection)
        best = min(best, (time.process_time() - begin) / MESSAGES)
    print(f"{best * 1e6:.1f} microseconds a message")


if __name__ == "__main__":
    main()
