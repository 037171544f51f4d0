"""The server half as dialogues: what the client says, and the codes that come back."""

from __future__ import annotations

import pytest

from bridgehead.core.reply import Reply
from bridgehead.smtp.event import (
    DataBegin,
    Event,
    Fault,
    Hello,
    MailFrom,
    Quit,
    RcptTo,
)
from bridgehead.smtp.limits import Limits
from bridgehead.smtp.server import ServerConnection
from tests.smtp.dialogue import OFFER, Server, codes, in_content, octet_by_octet, ready

MAIL = b"MAIL FROM:<a@example.org>"
RCPT = b"RCPT TO:<b@example.org>"

DIALOGUES: dict[str, list[tuple[bytes, list[str]]]] = {
    "a message": [
        (b"EHLO c.example", ["250"]),
        (MAIL, ["250 2.1.0"]),
        (RCPT, ["250 2.1.5"]),
        (b"DATA", ["354"]),
        (b"Subject: x\r\n\r\nhello\r\n.", ["250 2.0.0"]),
        (b"QUIT", ["221 2.0.0"]),
    ],
    "two messages, verbs in any case, spaces at the end": [
        (b"ehlo c.example ", ["250"]),
        (b"mail from:<>", ["250 2.1.0"]),
        (b"Rcpt To:<b@example.org>", ["250 2.1.5"]),
        (b"data", ["354"]),
        (b".", ["250 2.0.0"]),
        (b"MAIL FROM: <a@example.org> ", ["250 2.1.0"]),
        (b"QUIT", ["221 2.0.0"]),
    ],
    "a command before EHLO": [(MAIL, ["503 5.5.1"]), (RCPT, ["503 5.5.1"]), (b"DATA", ["503 5.5.1"])],
    "commands that need no EHLO": [
        (b"NOOP", ["250 2.0.0"]),
        (b"RSET", ["250 2.0.0"]),
        (b"HELP", ["214 2.0.0"]),
        (b"VRFY postmaster", ["252 2.1.5"]),
        (b"EXPN list", ["502 5.5.1"]),
        (MAIL, ["503 5.5.1"]),
    ],
    "MAIL twice": [(b"EHLO c.example", ["250"]), (MAIL, ["250 2.1.0"]), (MAIL, ["503 5.5.1"])],
    "RCPT without MAIL": [(b"EHLO c.example", ["250"]), (RCPT, ["503 5.5.1"])],
    "DATA without RCPT": [(b"EHLO c.example", ["250"]), (MAIL, ["250 2.1.0"]), (b"DATA", ["503 5.5.1"])],
    "RSET and EHLO end a transaction": [
        (b"EHLO c.example", ["250"]),
        (MAIL, ["250 2.1.0"]),
        (b"RSET", ["250 2.0.0"]),
        (MAIL, ["250 2.1.0"]),
        (b"EHLO c.example", ["250"]),
        (RCPT, ["503 5.5.1"]),
    ],
    "unknown words": [
        (b"", ["500 5.5.2"]),
        (b"FOO", ["500 5.5.2"]),
        (b"MAILFROM:<a@example.org>", ["500 5.5.2"]),
        (b"GET / HTTP/1.1", ["500 5.5.2"]),
        (b"\xff\xfe", ["500 5.5.2"]),
    ],
    "arguments where none belong": [
        (b"EHLO c.example", ["250"]),
        (b"RSET now", ["501 5.5.4"]),
        (b"DATA now", ["501 5.5.4"]),
        (b"STARTTLS now", ["501 5.5.4"]),
        (b"NOOP anything", ["250 2.0.0"]),
    ],
    "EHLO without a name": [(b"EHLO", ["501 5.5.4"]), (b"HELO ", ["501 5.5.4"]), (b"EHLO a b", ["501 5.5.4"])],
    "HELO offers no parameters and no AUTH": [
        (b"HELO c.example", ["250"]),
        (b"MAIL FROM:<a@example.org> SIZE=1", ["555 5.5.4"]),
        (b"AUTH PLAIN", ["502 5.5.1"]),
        (MAIL, ["250 2.1.0"]),
    ],
    "STARTTLS in a transaction": [
        (b"EHLO c.example", ["250"]),
        (MAIL, ["250 2.1.0"]),
        (b"STARTTLS", ["503 5.5.1"]),
        (b"AUTH PLAIN AHVzZXIAc2VjcmV0", ["503 5.5.1"]),
    ],
    "AUTH PLAIN at once": [
        (b"EHLO c.example", ["250"]),
        (b"AUTH PLAIN AHVzZXIAc2VjcmV0", ["235 2.7.0"]),
        (b"AUTH PLAIN AHVzZXIAc2VjcmV0", ["503 5.5.1"]),
        (MAIL, ["250 2.1.0"]),
    ],
    "AUTH PLAIN in two steps": [
        (b"EHLO c.example", ["250"]),
        (b"auth plain", ["334"]),
        (b"AHVzZXIAc2VjcmV0", ["235 2.7.0"]),
    ],
    "AUTH LOGIN": [
        (b"EHLO c.example", ["250"]),
        (b"AUTH LOGIN", ["334"]),
        (b"dXNlcg==", ["334"]),
        (b"c2VjcmV0", ["235 2.7.0"]),
    ],
    "AUTH LOGIN with the name at once": [
        (b"EHLO c.example", ["250"]),
        (b"AUTH LOGIN dXNlcg==", ["334"]),
        (b"c2VjcmV0", ["235 2.7.0"]),
    ],
    "AUTH is cancelled": [
        (b"EHLO c.example", ["250"]),
        (b"AUTH LOGIN", ["334"]),
        (b"*", ["501 5.7.0"]),
        (MAIL, ["250 2.1.0"]),
    ],
    "AUTH with another mechanism": [
        (b"EHLO c.example", ["250"]),
        (b"AUTH EXTERNAL", ["504 5.5.4"]),
        (b"AUTH", ["504 5.5.4"]),
        (b"AUTH CRAM-MD5", ["504 5.5.4"]),
        (b"AUTH \xff", ["504 5.5.4"]),
    ],
    "BDAT in one piece": [
        (b"EHLO c.example", ["250"]),
        (MAIL, ["250 2.1.0"]),
        (RCPT, ["250 2.1.5"]),
        (b"BDAT 7 LAST\r\nhello", ["250 2.0.0"]),
    ],
}


@pytest.mark.parametrize("name", DIALOGUES)
def test_dialogue(name: str) -> None:
    server = Server()
    for said, expected in DIALOGUES[name]:
        assert codes(server.say(said + b"\r\n")) == expected, said


@pytest.mark.parametrize("name", DIALOGUES)
def test_dialogue_octet_by_octet_is_the_same(name: str) -> None:
    server = Server()
    for said, expected in DIALOGUES[name]:
        assert codes(server.pieces(octet_by_octet(said + b"\r\n"))) == expected, said


def test_greeting_names_the_host() -> None:
    connection = ServerConnection(OFFER)
    connection.greet()
    assert connection.data_to_send() == b"220 mx.example.org ESMTP Bridgehead\r\n"


def test_helo_announces_nothing() -> None:
    assert Server().say(b"HELO c.example\r\n") == b"250 mx.example.org\r\n"


def test_the_name_in_ehlo_is_told_as_it_may_be_written() -> None:
    server = Server()
    server.say(b"EHLO evil(\x7f\xe9;>.example\r\n")
    assert server.events == [Hello("evil?????.example", is_extended=True)]


def test_events_carry_what_the_client_asked_for() -> None:
    server = ready()
    server.say(
        b"MAIL FROM:<A@Example.org> SIZE=99 BODY=8BITMIME SMTPUTF8 RET=hdrs ENVID=a+2Bb AUTH=<>\r\n"
        b"RCPT TO:<B@Example.ORG> NOTIFY=success,DELAY ORCPT=rfc822;B+40example.org\r\n"
    )
    mail, rcpt = server.events
    assert mail == MailFrom("A@Example.org", 99, "8BITMIME", True, "HDRS", "a+2Bb")
    assert isinstance(rcpt, RcptTo)
    assert (rcpt.mailbox.address, rcpt.mailbox.domain) == ("B@Example.ORG", "example.org")
    assert (rcpt.notify, rcpt.original) == (5, "rfc822;B+40example.org")


def test_pipelined_commands_are_answered_in_one_piece() -> None:
    server = ready()
    assert codes(server.say(MAIL + b"\r\n" + RCPT + b"\r\n" + RCPT + b"\r\nDATA\r\n")) == [
        "250 2.1.0",
        "250 2.1.5",
        "250 2.1.5",
        "354",
    ]
    assert codes(server.say(b"x\r\n.\r\n" + MAIL + b"\r\n" + RCPT + b"\r\nDATA\r\n")) == [
        "250 2.0.0",
        "250 2.1.0",
        "250 2.1.5",
        "354",
    ]


def test_commands_wait_while_a_question_is_open() -> None:
    connection = ready().connection
    connection.receive_data(MAIL + b"\r\n" + RCPT + b"\r\n")
    assert isinstance(connection.next_event(), MailFrom)
    assert connection.next_event() is None
    assert connection.is_asking
    assert connection.buffered == len(RCPT) + 2
    connection.accept()
    assert isinstance(connection.next_event(), RcptTo)


def test_a_refused_sender_leaves_no_transaction() -> None:
    server = ready(refusals={MailFrom: Reply(550, "5.7.1", "no")})
    assert codes(server.say(MAIL + b"\r\n" + RCPT + b"\r\n")) == ["550 5.7.1", "503 5.5.1"]


def test_without_an_accepted_recipient_there_is_no_data() -> None:
    server = ready(refusals={RcptTo: Reply(550, "5.1.1", "no")})
    assert codes(server.say(MAIL + b"\r\n" + RCPT + b"\r\nDATA\r\n")) == ["250 2.1.0", "550 5.1.1", "503 5.5.1"]


def test_refused_data_ends_the_transaction() -> None:
    server = ready(refusals={DataBegin: Reply(452, "4.3.1", "no")})
    server.say(MAIL + b"\r\n" + RCPT + b"\r\n")
    assert codes(server.say(b"DATA\r\n")) == ["452 4.3.1"]
    assert codes(server.say(MAIL + b"\r\n")) == ["250 2.1.0"]


def test_421_as_an_answer_closes() -> None:
    server = ready(refusals={MailFrom: Reply(421, "4.3.2", "bye")})
    assert codes(server.say(MAIL + b"\r\n" + RCPT + b"\r\n")) == ["421 4.3.2"]
    assert server.connection.is_closed


@pytest.mark.parametrize("line", [b"NOOP\n", b"NOOP\r", b"NO\nOP\r\n", b"NO\rOP\r\n", b"NOOP\0\r\n", b"NOOP\r\r\n"])
def test_a_command_ends_with_crlf_only(line: bytes) -> None:
    server = ready()
    replies = codes(server.say(line))
    assert replies == (["500 5.5.2"] if line.endswith(b"\r\n") else [])
    assert not any(type(event).__name__ == "Noted" for event in server.events)


def test_a_line_too_long_is_refused_once_and_skipped() -> None:
    server = ready()
    long = b"NOOP " + b"x" * 10_000 + b"\r\n"
    assert codes(server.say(long + b"NOOP\r\n")) == ["500 5.5.2", "250 2.0.0"]
    assert codes(server.pieces(octet_by_octet(long + b"NOOP\r\n"))) == ["500 5.5.2", "250 2.0.0"]


def test_a_line_of_exactly_the_limit_is_read() -> None:
    server = ready(limits=Limits(command_line_max=512))
    assert codes(server.say(b"NOOP " + b"x" * 505 + b"\r\n")) == ["250 2.0.0"]
    assert codes(server.say(b"NOOP " + b"x" * 506 + b"\r\n")) == ["500 5.5.2"]


def test_too_many_faults_end_the_session() -> None:
    server = ready(limits=Limits(errors_max=3))
    assert codes(server.say(b"X\r\n" * 10)) == ["500 5.5.2"] * 4 + ["421 4.7.0"]
    assert server.connection.is_closed


def test_too_many_commands_without_a_message_end_the_session() -> None:
    server = ready(limits=Limits(idle_commands_max=3))
    assert codes(server.say(b"NOOP\r\n" * 10)) == ["250 2.0.0"] * 3 + ["421 4.7.0"]


def test_a_message_renews_the_budget_of_idle_commands() -> None:
    server = in_content(limits=Limits(idle_commands_max=3))
    server.say(b"NOOP\r\n.\r\n")
    assert codes(server.say(b"NOOP\r\n" * 3)) == ["250 2.0.0"] * 3


def test_the_buffer_has_a_bound_while_a_question_is_open() -> None:
    connection = ready(limits=Limits(buffer_max=1000)).connection
    connection.receive_data(MAIL + b"\r\n")
    connection.next_event()
    connection.receive_data(b"x" * 2000)
    assert codes(connection.data_to_send()) == ["421 4.7.0"]
    assert connection.buffered == 0


def test_after_quit_nothing_is_read() -> None:
    server = ready()
    assert codes(server.say(b"QUIT\r\nMAIL FROM:<a@example.org>\r\n")) == ["221 2.0.0"]
    assert server.events == [Quit()]
    assert server.say(b"NOOP\r\n") == b""


def test_faults_are_told_to_the_driver() -> None:
    server = ready()
    server.say(b"FOO\r\n")
    expected: list[Event] = [Fault(Reply(500, "5.5.2", "Command not recognized"))]
    assert server.events == expected
