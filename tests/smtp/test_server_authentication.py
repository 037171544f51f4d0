"""AUTH in a session: when it is open, and what its outcome changes (RFC 4954)."""

from __future__ import annotations

from bridgehead.core.reply import Reply
from bridgehead.smtp.event import Authenticate
from bridgehead.smtp.offer import Offer
from tests.smtp.dialogue import codes, ready

MAIL = b"MAIL FROM:<a@example.org>"


def test_auth_that_needs_tls_first() -> None:
    server = ready(offer=Offer("mx.example.org", starttls=True, auth_after_tls=True))
    assert codes(server.say(b"AUTH PLAIN AHVzZXIAc2VjcmV0\r\n")) == ["538 5.7.11"]


def test_wrong_credentials() -> None:
    server = ready(refusals={Authenticate: Reply(535, "5.7.8", "no")})
    assert codes(server.say(b"AUTH PLAIN AHVzZXIAc2VjcmV0\r\n")) == ["535 5.7.8"]
    assert not server.connection.is_authenticated
    assert codes(server.say(MAIL + b"\r\n")) == ["250 2.1.0"]


def test_credentials_never_show_their_password() -> None:
    server = ready()
    server.say(b"AUTH PLAIN AHVzZXIAc2VjcmV0\r\n")
    (event,) = server.events
    assert isinstance(event, Authenticate)
    assert event.credentials.password == "secret"
    assert "secret" not in repr(event)
    assert "secret" not in str(event)
