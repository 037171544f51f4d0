"""What EHLO announces: exactly what holds now, and to HELO nothing."""

from __future__ import annotations

import pytest

from bridgehead.smtp.offer import Offer, greeting, hello

ALWAYS = ("PIPELINING", "SIZE 0", "ENHANCEDSTATUSCODES", "8BITMIME", "DSN", "SMTPUTF8", "CHUNKING")

ADDED: dict[str, tuple[Offer, set[str]]] = {
    "nothing": (Offer("mx"), set()),
    "TLS": (Offer("mx", starttls=True), {"STARTTLS"}),
    "one mechanism": (Offer("mx", mechanisms=("PLAIN",)), {"AUTH PLAIN"}),
    "mechanisms in their order": (Offer("mx", mechanisms=("PLAIN", "LOGIN")), {"AUTH PLAIN LOGIN"}),
    "AUTH that waits for TLS is not announced": (Offer("mx", starttls=True, auth_after_tls=True), {"STARTTLS"}),
    "a bound of recipients": (Offer("mx", recipients_max=100), {"LIMITS RCPTMAX=100"}),
    "a bound of messages": (Offer("mx", mails_max=20), {"LIMITS MAILMAX=20"}),
    "both bounds": (Offer("mx", recipients_max=100, mails_max=20), {"LIMITS MAILMAX=20 RCPTMAX=100"}),
}


@pytest.mark.parametrize("name", ADDED)
def test_keywords(name: str) -> None:
    offer, added = ADDED[name]
    keywords = offer.keywords()
    assert set(keywords) == {*ALWAYS, *added}
    assert len(keywords) == len(set(keywords))


def test_the_size_is_announced_with_its_bound() -> None:
    assert "SIZE 36700160" in Offer("mx", size_max=36_700_160).keywords()


def test_ehlo_is_answered_by_the_host_and_a_keyword_a_line() -> None:
    wire = hello(Offer("mx.example.org", 5000, True, ("PLAIN",), False, 100, 20), is_extended=True)
    assert wire == (
        b"250-mx.example.org\r\n"
        b"250-PIPELINING\r\n"
        b"250-SIZE 5000\r\n"
        b"250-STARTTLS\r\n"
        b"250-AUTH PLAIN\r\n"
        b"250-LIMITS MAILMAX=20 RCPTMAX=100\r\n"
        b"250-ENHANCEDSTATUSCODES\r\n"
        b"250-8BITMIME\r\n"
        b"250-DSN\r\n"
        b"250-SMTPUTF8\r\n"
        b"250 CHUNKING\r\n"
    )


def test_helo_is_answered_by_the_host_alone() -> None:
    offer = Offer("mx.example.org", 5000, True, ("PLAIN",))
    assert hello(offer, is_extended=False) == b"250 mx.example.org\r\n"


def test_the_greeting_names_the_host() -> None:
    assert greeting(Offer("mx.example.org")) == b"220 mx.example.org ESMTP Bridgehead\r\n"
