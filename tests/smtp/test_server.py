"""The server half as dialogues: what the client says, and the codes that come back."""

from __future__ import annotations

import pytest

from bridgehead.core.reply import Reply
from bridgehead.smtp.event import (
    Abandoned,
    Authenticate,
    ContentEnd,
    DataBegin,
    Event,
    Fault,
    Hello,
    MailFrom,
    Quit,
    RcptTo,
    StartTls,
)
from bridgehead.smtp.limits import Limits
from bridgehead.smtp.offer import Offer
from bridgehead.smtp.server import ServerConnection
from bridgehead.smtp.server_state import State
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


def test_ehlo_announces_what_is_offered() -> None:
    reply = Server(Offer("mx.example.org", 5000, True, ("PLAIN",), False, 100, 20)).say(b"EHLO c.example\r\n")
    assert reply.decode().replace("250-", "250 ").split("\r\n")[:-1] == [
        "250 mx.example.org",
        "250 PIPELINING",
        "250 SIZE 5000",
        "250 STARTTLS",
        "250 AUTH PLAIN",
        "250 LIMITS MAILMAX=20 RCPTMAX=100",
        "250 ENHANCEDSTATUSCODES",
        "250 8BITMIME",
        "250 DSN",
        "250 SMTPUTF8",
        "250 CHUNKING",
    ]
    assert b"BINARYMIME" not in reply


def test_helo_announces_nothing() -> None:
    assert Server().say(b"HELO c.example\r\n") == b"250 mx.example.org\r\n"


def test_the_name_in_ehlo_is_made_safe_to_write() -> None:
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


PARAMETERS: dict[str, tuple[bytes, str]] = {
    "size of 20 digits": (b"SIZE=99999999999999999999", "250 2.1.0"),
    "size of 21 digits": (b"SIZE=999999999999999999999", "501 5.5.4"),
    "size that is none": (b"SIZE=1e3", "501 5.5.4"),
    "negative size": (b"SIZE=-1", "501 5.5.4"),
    "size in other digits": ("SIZE=٣".encode(), "501 5.5.4"),
    "size without a value": (b"SIZE=", "501 5.5.4"),
    "size twice": (b"SIZE=1 SIZE=1", "501 5.5.4"),
    "7BIT": (b"BODY=7bit", "250 2.1.0"),
    "BINARYMIME is not offered": (b"BODY=BINARYMIME", "501 5.5.4"),
    "SMTPUTF8 with a value": (b"SMTPUTF8=yes", "501 5.5.4"),
    "RET": (b"RET=FULL", "250 2.1.0"),
    "RET of another word": (b"RET=SOME", "501 5.5.4"),
    "ENVID": (b"ENVID=QQ314159", "250 2.1.0"),
    "ENVID of 101 characters": (b"ENVID=" + b"a" * 101, "501 5.5.4"),
    "ENVID that is no xtext": (b"ENVID=a+2g", "501 5.5.4"),
    "ENVID with hex in lower case": (b"ENVID=a+2b", "501 5.5.4"),
    "ENVID that hides a line end": (b"ENVID=a+0D+0Ab", "501 5.5.4"),
    "ENVID that hides a NUL": (b"ENVID=+00", "501 5.5.4"),
    "AUTH": (b"AUTH=e+3Dmc2@example.com", "250 2.1.0"),
    "AUTH that hides a line end": (b"AUTH=a+0A", "501 5.5.4"),
    "unknown": (b"FOO=bar", "555 5.5.4"),
    "one of RCPT's": (b"NOTIFY=NEVER", "555 5.5.4"),
    "two spaces": (b" SIZE=1  RET=HDRS", "250 2.1.0"),
    "control character": (b"ENVID=a\x01", "501 5.5.4"),
    "no UTF-8": (b"ENVID=\xff", "501 5.5.4"),
}


@pytest.mark.parametrize("name", PARAMETERS)
def test_mail_parameter(name: str) -> None:
    parameter, expected = PARAMETERS[name]
    assert codes(ready().say(MAIL + b" " + parameter + b"\r\n")) == [expected]


RECIPIENT_PARAMETERS: dict[str, tuple[bytes, str]] = {
    "never": (b"NOTIFY=NEVER", "250 2.1.5"),
    "all three": (b"NOTIFY=SUCCESS,FAILURE,DELAY", "250 2.1.5"),
    "never and another": (b"NOTIFY=NEVER,DELAY", "501 5.5.4"),
    "one twice": (b"NOTIFY=DELAY,DELAY", "501 5.5.4"),
    "an empty word": (b"NOTIFY=DELAY,", "501 5.5.4"),
    "original": (b"ORCPT=rfc822;b@example.org", "250 2.1.5"),
    "original of another type": (b"ORCPT=x400;/c=jp/", "250 2.1.5"),
    "original without a type": (b"ORCPT=;b@example.org", "501 5.5.4"),
    "original without an address": (b"ORCPT=rfc822;", "501 5.5.4"),
    "original of one word": (b"ORCPT=b@example.org", "501 5.5.4"),
    "original that hides a line end": (b"ORCPT=rfc822;b+0D+0ARCPT", "501 5.5.4"),
    "original of 501 characters": (b"ORCPT=rfc822;" + b"a" * 494, "501 5.5.4"),
    "one of MAIL's": (b"SIZE=1", "555 5.5.4"),
}


@pytest.mark.parametrize("name", RECIPIENT_PARAMETERS)
def test_rcpt_parameter(name: str) -> None:
    parameter, expected = RECIPIENT_PARAMETERS[name]
    server = ready()
    server.say(MAIL + b"\r\n")
    assert codes(server.say(RCPT + b" " + parameter + b"\r\n")) == [expected]


PATHS: dict[str, tuple[bytes, str]] = {
    "plain": (b"<b@example.org>", "250 2.1.5"),
    "postmaster": (b"<postmaster>", "250 2.1.5"),
    "source route": (b"<@one.example,@two.example:b@example.org>", "250 2.1.5"),
    "quoted, with > inside": (b'<"a>b"@example.org>', "250 2.1.5"),
    "quoted, with an escaped quote": (b'<"a\\">b"@example.org>', "250 2.1.5"),
    "literal": (b"<b@[192.0.2.1]>", "250 2.1.5"),
    "null": (b"<>", "501 5.1.3"),
    "no brackets": (b"b@example.org", "501 5.1.3"),
    "not closed": (b"<b@example.org", "501 5.1.3"),
    "quote not closed": (b'<"b@example.org>', "501 5.1.3"),
    "space inside": (b"<b @example.org>", "501 5.1.3"),
    "two @": (b"<b@evil.example@example.org>", "550 5.7.1"),
    "something behind": (b"<b@example.org>x", "501 5.5.4"),
    "not ASCII without SMTPUTF8": ("<ü@example.org>".encode(), "553 5.6.7"),
    "no UTF-8": (b"<\xff@example.org>", "501 5.1.3"),
}


@pytest.mark.parametrize("name", PATHS)
def test_recipient_path(name: str) -> None:
    path, expected = PATHS[name]
    server = ready()
    server.say(MAIL + b"\r\n")
    assert codes(server.say(b"RCPT TO:" + path + b"\r\n")) == [expected]


def test_smtputf8_opens_the_way_for_other_scripts() -> None:
    server = ready()
    server.say("MAIL FROM:<用户@example.org> SMTPUTF8\r\n".encode())
    assert codes(server.say("RCPT TO:<ü@example.org>\r\n".encode())) == ["250 2.1.5"]


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


# Unauthorised pipelining


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


# STARTTLS


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


# AUTH


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


# BDAT


def in_transaction(**changes: object) -> Server:
    server = ready(**changes)
    server.say(MAIL + b"\r\n" + RCPT + b"\r\n")
    server.events.clear()
    return server


def test_chunks_are_joined_and_dots_mean_nothing() -> None:
    server = in_transaction()
    assert codes(server.say(b"BDAT 7\r\n.\r\n..\r\nBDAT 0\r\nBDAT 3 LAST\r\nx\r\nNOOP\r\n")) == ["250 2.0.0"] * 4
    assert server.messages == [b".\r\n..\r\nx\r\n"]
    assert server.events[-2] == ContentEnd(10, has_eight_bit=False)


def test_a_crlf_may_lie_in_two_chunks() -> None:
    server = in_transaction()
    server.say(b"BDAT 2\r\na\rBDAT 2 LAST\r\n\nb")
    assert server.messages == [b"a\r\nb\r\n"]


def test_a_last_chunk_of_nothing_ends_the_message() -> None:
    server = in_transaction()
    assert codes(server.say(b"BDAT 3\r\na\r\nBDAT 0 LAST\r\n")) == ["250 2.0.0"] * 2
    assert server.messages == [b"a\r\n"]


@pytest.mark.parametrize("argument", [b"", b"x", b"-1", b"1 2", b"1 LAST x", b"9" * 21, "٣".encode()])
def test_bdat_of_unknown_length_ends_the_session(argument: bytes) -> None:
    server = in_transaction()
    assert codes(server.say(b"BDAT " + argument + b"\r\nRSET\r\n")) == ["501 5.5.4"]
    assert server.connection.is_closed


def test_a_chunk_out_of_sequence_is_swallowed() -> None:
    server = ready()
    assert codes(server.say(b"BDAT 6 LAST\r\nQUIT\r\nNOOP\r\n")) == ["503 5.5.1", "250 2.0.0"]
    assert codes(server.pieces(octet_by_octet(b"BDAT 6 LAST\r\nQUIT\r\nNOOP\r\n"))) == ["503 5.5.1", "250 2.0.0"]


def test_a_refused_chunk_is_swallowed() -> None:
    server = in_transaction(refusals={DataBegin: Reply(452, "4.3.1", "no")})
    assert codes(server.say(b"BDAT 6\r\nQUIT\r\nBDAT 6 LAST\r\nQUIT\r\nNOOP\r\n")) == [
        "452 4.3.1",
        "503 5.5.1",
        "250 2.0.0",
    ]


def test_a_chunk_above_the_limit_is_swallowed_and_refused() -> None:
    server = in_transaction()
    said = b"BDAT 900\r\n" + b"x" * 900 + b"BDAT 101 LAST\r\n" + b"x" * 101 + b"NOOP\r\n"
    assert codes(server.say(said)) == ["250 2.0.0", "552 5.3.4", "250 2.0.0"]
    assert server.messages == []


def test_a_giant_chunk_is_neither_allocated_nor_believed() -> None:
    server = in_transaction()
    assert server.say(b"BDAT " + b"9" * 20 + b" LAST\r\n" + b"x" * 100_000) == b""
    assert server.connection.buffered == 0


def test_between_chunks_only_chunks_and_the_ways_out_are_open() -> None:
    server = in_transaction()
    server.say(b"BDAT 3\r\na\r\n")
    assert codes(server.say(MAIL + b"\r\n" + RCPT + b"\r\n")) == ["503 5.5.1"] * 2
    assert codes(server.say(b"RSET\r\n" + MAIL + b"\r\n")) == ["250 2.0.0", "250 2.1.0"]
    assert Abandoned() in server.events


# Budgets


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
