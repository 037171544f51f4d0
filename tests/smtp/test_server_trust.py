"""What the server half never believes: words of a client about itself, and line ends that are none."""

from __future__ import annotations

import pytest

from bridgehead.smtp.event import Content, ContentEnd, DataBegin, MailFrom, RcptTo
from bridgehead.smtp.offer import Offer
from bridgehead.smtp.server import ServerConnection

NO_LINE_ENDS = ("\x0b", "\x0c", "\x1c", "\x1d", "\x1e", "\x85", "\u2028", "\u2029")
"""What `str.splitlines` takes for line ends and SMTP does not."""


def greeted() -> ServerConnection:
    connection = ServerConnection(Offer("mx.contoso.com"))
    connection.greet()
    connection.receive_data(b"EHLO client.example\r\n")
    connection.next_event()
    connection.data_to_send()
    return connection


@pytest.mark.parametrize(
    "command",
    [
        b"XCLIENT ADDR=127.0.0.1 LOGIN=admin",
        b"XFORWARD ADDR=127.0.0.1",
        b"PROXY TCP4 127.0.0.1 127.0.0.1 1 25",
        b"\r\n\r\n\0\r\nQUIT\n\x21\x11\0\x0c",
        b"ETRN contoso.com",
        b"TURN",
        b"ATRN contoso.com",
        b"XEXCH50 1 2",
        b"DEBUG",
        b"GET / HTTP/1.1",
        b"AUTH EXTERNAL =",
    ],
)
def test_a_client_cannot_say_who_it_is_or_ask_for_what_is_not_offered(command: bytes) -> None:
    connection = greeted()
    connection.receive_data(command + b"\r\n")
    while connection.next_event() is not None:
        pass
    assert not connection.is_authenticated
    assert all(reply[:1] == b"5" for reply in connection.data_to_send().split(b"\r\n")[:-1])


@pytest.mark.parametrize("mark", NO_LINE_ENDS, ids=ascii)
def test_no_other_character_ends_a_line_of_content(mark: str) -> None:
    text = mark.encode()
    content = b"Subject: x" + text + b"Bcc: y\r\n\r\n" + text + b"." + text + b"\r\n"
    connection = greeted()
    connection.receive_data(b"MAIL FROM:<a@example.org>\r\nRCPT TO:<b@contoso.com>\r\nDATA\r\n")
    received = b""
    ends = 0
    while (event := connection.next_event()) is not None:
        match event:
            case MailFrom() | RcptTo():
                connection.accept()
            case DataBegin():
                connection.accept()
                connection.receive_data(content + b".\r\n")
            case Content():
                received += event.data
            case ContentEnd():
                ends += 1
                assert event.fault is None
                connection.accept()
            case _:
                raise AssertionError(event)
    assert (received, ends) == (content, 1)


@pytest.mark.parametrize("mark", NO_LINE_ENDS, ids=ascii)
def test_no_other_character_ends_a_command(mark: str) -> None:
    connection = greeted()
    connection.receive_data(b"NOOP" + mark.encode() + b"MAIL FROM:<a@example.org>\r\n")
    while (event := connection.next_event()) is not None:
        assert not isinstance(event, MailFrom)
    assert connection.data_to_send().startswith(b"500 ")
