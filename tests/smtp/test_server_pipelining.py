"""What a client may not send before it has our reply (RFC 5321 4.3.1, RFC 2920 3.1)."""

from __future__ import annotations

import pytest

from bridgehead.smtp.event import Authenticate
from bridgehead.smtp.server import ServerConnection
from tests.smtp.dialogue import OFFER, Server, codes, ready

MAIL = b"MAIL FROM:<a@example.org>"
RCPT = b"RCPT TO:<b@example.org>"


def test_speaking_before_the_greeting_is_refused() -> None:
    connection = ServerConnection(OFFER)
    connection.receive_data(b"EHLO c.example\r\n")
    connection.greet()
    assert codes(connection.data_to_send()) == ["554 5.5.0"]
    assert connection.is_closed


UNSYNCHRONIZED = {
    "content before 354": b"DATA\r\nSubject: x\r\n\r\n.\r\n",
    "a command behind EHLO": b"EHLO c.example\r\nMAIL FROM:<a@example.org>\r\n",
    "a command behind HELO": b"HELO c.example\r\nRSET\r\n",
    "a command behind AUTH": b"AUTH PLAIN AHVzZXIAc2VjcmV0\r\nMAIL FROM:<a@example.org>\r\n",
}


@pytest.mark.parametrize("name", UNSYNCHRONIZED)
def test_what_must_be_last_of_its_group_is_refused_otherwise(name: str) -> None:
    server = ready()
    assert codes(server.say(UNSYNCHRONIZED[name])) == ["554 5.5.0"]
    assert server.connection.is_closed
    assert server.messages == []


def test_a_client_that_said_helo_must_wait_for_each_reply() -> None:
    server = Server()
    server.say(b"HELO c.example\r\n")
    assert codes(server.say(MAIL + b"\r\n" + RCPT + b"\r\n")) == ["554 5.5.0"]


def test_a_line_ahead_of_its_challenge_is_refused() -> None:
    server = ready()
    server.say(b"AUTH LOGIN\r\n")
    assert codes(server.say(b"dXNlcg==\r\nc2VjcmV0\r\n")) == ["554 5.5.0"]
    assert not any(isinstance(event, Authenticate) for event in server.events)
