"""STARTTLS: nothing said before the handshake counts behind it (RFC 3207 4.2, CVE-2011-0411)."""

from __future__ import annotations

from bridgehead.smtp.event import StartTls
from bridgehead.smtp.offer import Offer
from bridgehead.smtp.server_state import State
from tests.smtp.dialogue import codes, ready

MAIL = b"MAIL FROM:<a@example.org>"


def test_what_stands_behind_starttls_is_never_run() -> None:
    server = ready()
    assert server.say(b"STARTTLS\r\nMAIL FROM:<evil@example.org>\r\nNOOP\r\n") == b"220 2.0.0 Ready to start TLS\r\n"
    assert server.events == [StartTls()]
    assert server.say(b"RCPT TO:<b@example.org>\r\n") == b""
    server.connection.tls_started(Offer("mx.example.org"))
    assert server.say(b"") == b""
    assert codes(server.say(MAIL + b"\r\n")) == ["503 5.5.1"]


def test_tls_forgets_ehlo_and_is_not_offered_again() -> None:
    server = ready()
    server.say(b"STARTTLS\r\n")
    server.connection.tls_started(Offer("mx.example.org"))
    assert server.connection.state is State.STRANGER
    assert b"STARTTLS" not in server.say(b"EHLO c.example\r\n")
    assert codes(server.say(b"STARTTLS\r\n")) == ["503 5.5.1"]


def test_half_a_line_before_starttls_is_not_joined_with_one_behind_it() -> None:
    server = ready()
    server.say(b"STARTTLS\r\nMAIL FROM:<ev")
    server.connection.tls_started(Offer("mx.example.org"))
    assert codes(server.say(b"il@example.org>\r\n")) == ["500 5.5.2"]


def test_starttls_without_a_certificate() -> None:
    assert codes(ready(offer=Offer("mx.example.org")).say(b"STARTTLS\r\n")) == ["502 5.5.1"]
