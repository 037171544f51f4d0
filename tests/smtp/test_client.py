"""Whole conversations of the client half: the session around messages, and replies that nobody asked for."""

from __future__ import annotations

import base64

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bridgehead.core.error import ProtocolError
from bridgehead.core.outcome import Deferred, Delivered, Failed
from bridgehead.core.reply import Reply
from bridgehead.smtp.client_event import (
    Authenticated,
    Closed,
    ContentWanted,
    Greeted,
    Phase,
    Refused,
    TlsAgreed,
    TraceKind,
)
from bridgehead.smtp.sasl_client import Credential
from tests.smtp.talk import CONTENT, GO, HOST, LOST, OK, Talk, greeted

# The beginning of a session


def test_server_without_ehlo_is_greeted_with_helo() -> None:
    talk = Talk()
    assert talk.server("220 old.example") == "EHLO me.example\r\n"
    assert talk.server("502 5.5.1 What?") == "HELO me.example\r\n"
    assert talk.server("250-old.example\r\n250 PIPELINING") == ""
    assert talk.event() == Greeted()
    assert not talk.client.extensions.pipelining, "an answer to HELO offers nothing"


def test_helo_is_said_where_it_is_asked_for() -> None:
    talk = Talk(helo=True)
    assert talk.server("220 mx.example") == "HELO me.example\r\n"


REFUSALS = {
    "greeting 554": (["554 5.7.1 Go away"], Refused(Phase.GREETING, Reply(554, "5.7.1", "Go away"))),
    "greeting 421": (["421 4.3.2 Busy"], Refused(Phase.GREETING, Reply(421, "4.3.2", "Busy"))),
    "EHLO 450": (["220 hi", "450 Later"], Refused(Phase.HELLO, Reply(450, "", "Later"))),
    "EHLO 550": (["220 hi", "550 5.7.1 No"], Refused(Phase.HELLO, Reply(550, "5.7.1", "No"))),
    "HELO too": (["220 hi", "500 What", "500 What"], Refused(Phase.HELLO, Reply(500, "", "What"))),
}


@pytest.mark.parametrize(("lines", "refused"), REFUSALS.values(), ids=REFUSALS.keys())
def test_server_refuses_the_session(lines: list[str], refused: Refused) -> None:
    talk = Talk()
    for line in lines:
        talk.server(line)
    assert talk.event() == refused
    assert talk.says() == ""


def test_second_greeting_is_not_taken_for_the_answer_to_ehlo() -> None:
    """Whatever came with the greeting was said before EHLO; it must not count as its answer."""
    talk = Talk()
    with pytest.raises(ProtocolError):
        talk.server("220 mx.example", "250 PIPELINING")


def test_starttls_forgets_what_came_in_the_clear() -> None:
    """CVE-2021-38371: replies injected behind the 220 must not be read as if TLS had protected them."""
    talk = greeted("STARTTLS", "SIZE 10", "AUTH PLAIN")
    talk.client.start_tls()
    assert talk.says() == "STARTTLS\r\n"
    assert talk.server("220 2.0.0 Ready", "250-forged", "250 AUTH LOGIN") == ""
    assert talk.event() == TlsAgreed()
    assert talk.event() is None
    talk.client.receive_data(b"250 forged too\r\n25")
    talk.client.tls_established("TLSv1.3 X")
    assert talk.says() == "EHLO me.example\r\n"
    assert talk.client.extensions.size_max == 0
    assert not talk.client.extensions.authentication
    assert talk.server("250-mx.example", "250 SIZE 20") == ""
    assert talk.event() == Greeted()
    assert talk.client.extensions.size_max == 20
    assert talk.client.peer.tls == "TLSv1.3 X"


def test_refused_starttls_is_an_event() -> None:
    talk = greeted("STARTTLS")
    talk.client.start_tls()
    talk.server("454 4.7.0 Not now")
    assert talk.event() == Refused(Phase.STARTTLS, Reply(454, "4.7.0", "Not now"))


def test_tls_from_the_first_byte_precedes_the_greeting() -> None:
    talk = Talk()
    talk.client.tls_established("TLSv1.3 X")
    assert talk.says() == ""
    assert talk.server("220 mx.example") == "EHLO me.example\r\n"


# Authentication


def b64(text: str) -> str:
    return base64.b64encode(text.encode()).decode()


def test_plain_goes_out_with_the_command_inside_tls() -> None:
    talk = greeted("AUTH PLAIN LOGIN CRAM-MD5")
    talk.client.tls_established("TLSv1.3 X")
    talk.server()
    talk.client.extensions = greeted("AUTH PLAIN LOGIN CRAM-MD5").client.extensions
    talk.client.authenticate(Credential("tim", "secret"))
    assert talk.says() == f"AUTH PLAIN {b64(chr(0) + 'tim' + chr(0) + 'secret')}\r\n"
    talk.server("235 2.7.0 Welcome")
    assert talk.event() == Authenticated()


def test_login_answers_two_challenges_and_hides_them_from_the_trace() -> None:
    talk = greeted("AUTH LOGIN")
    talk.client.authenticate(Credential("tim", "secret"))
    assert talk.says() == "AUTH LOGIN\r\n"
    assert talk.server(f"334 {b64('Username:')}") == f"{b64('tim')}\r\n"
    assert talk.server(f"334 {b64('Password:')}") == f"{b64('secret')}\r\n"
    talk.server("235 2.7.0 Welcome")
    assert talk.event() == Authenticated()
    shown = "".join(text for _, text in talk.traced)
    assert b64("secret") not in shown
    assert b64("tim") not in shown
    assert "<hidden>" in shown


def test_plain_is_hidden_from_the_trace() -> None:
    talk = greeted("AUTH PLAIN")
    talk.client.authenticate(Credential("tim", "secret"))
    assert b64(f"{chr(0)}tim{chr(0)}secret") not in "".join(text for _, text in talk.traced)
    assert (TraceKind.SENT, "AUTH PLAIN <hidden>") in talk.traced


def test_credential_refused() -> None:
    talk = greeted("AUTH PLAIN")
    talk.client.authenticate(Credential("tim", "wrong"))
    talk.server("535 5.7.8 Bad credentials")
    assert talk.event() == Refused(Phase.AUTHENTICATION, Reply(535, "5.7.8", "Bad credentials"))


def test_no_common_mechanism_is_a_refusal_without_a_word() -> None:
    talk = greeted("AUTH NTLM")
    talk.client.authenticate(Credential("tim", "secret"))
    assert talk.says() == ""
    event = talk.event()
    assert isinstance(event, Refused)
    assert event.reply.enhanced == "5.7.4"


def test_endless_challenges_end() -> None:
    talk = greeted("AUTH LOGIN")
    talk.client.authenticate(Credential("tim", "secret"))
    for _ in range(3):
        assert talk.server("334 VXNlcm5hbWU6") != "AUTH LOGIN\r\n"
    talk.server("334 VXNlcm5hbWU6")
    assert isinstance(talk.event(), Refused)


def test_challenge_that_is_no_base64_does_no_harm() -> None:
    talk = greeted("AUTH LOGIN")
    talk.client.authenticate(Credential("tim", "secret"))
    talk.says()
    assert talk.server("334 @@@é") == f"{b64('tim')}\r\n"


# Replies nobody asked for


def test_acceptance_before_the_content_was_sent_is_no_acceptance() -> None:
    """A 250 that comes with the 354 must not be paired with the end of content that we send later."""
    talk = greeted("PIPELINING")
    talk.begin()
    with pytest.raises(ProtocolError):
        talk.server(OK, OK, GO, "250 Queued")
    talk.client.fail(Reply(451, "4.5.0", "broke the protocol"))
    assert talk.event() == ContentWanted()
    [outcome] = talk.ended().outcomes.values()
    assert isinstance(outcome, Deferred)


def test_beginning_of_a_reply_before_the_content_was_sent_is_no_acceptance() -> None:
    talk = greeted("PIPELINING")
    talk.begin()
    talk.client.receive_data(b"250 Ok\r\n250 Ok\r\n354 Go\r\n250 Que")
    assert talk.event() == ContentWanted()
    with pytest.raises(ProtocolError):
        talk.client.send_content(CONTENT)


def test_refusal_in_the_middle_of_the_content_counts_and_ends_the_connection() -> None:
    """It cannot be a late answer, nothing was due; and the server never saw the end, so it took nothing."""
    talk = greeted("PIPELINING")
    talk.begin()
    talk.server(OK, OK, GO)
    assert talk.event() == ContentWanted()
    talk.client.send_block(b"x\r\n")
    talk.server("552 5.3.4 Too large")
    assert talk.ended().outcomes == {0: Failed(Reply(552, "5.3.4", "Too large"), HOST)}
    assert not talk.client.is_reusable


def test_reply_after_the_last_one_breaks_the_connection_but_not_the_outcome() -> None:
    talk = greeted("PIPELINING")
    talk.begin()
    talk.server(OK, OK, GO)
    talk.event()
    talk.client.send_content(CONTENT)
    with pytest.raises(ProtocolError):
        talk.server("250 Queued", "250 And this one too")
    assert isinstance(talk.ended().outcomes[0], Delivered)


def test_nothing_is_asked_while_something_unasked_lies_there() -> None:
    talk = greeted("PIPELINING")
    talk.client.receive_data(b"250 ear")
    with pytest.raises(ProtocolError):
        talk.begin()


def test_421_while_idle_is_the_end() -> None:
    talk = greeted("PIPELINING")
    talk.client.receive_data(b"421 4.4.2 Id")
    talk.client.receive_data(b"le too long\r\n")
    assert talk.event() == Closed(Reply(421, "4.4.2", "Idle too long"))
    assert not talk.client.is_reusable


def test_any_other_reply_while_idle_breaks_the_connection() -> None:
    with pytest.raises(ProtocolError):
        greeted("PIPELINING").server("250 Here I am")


def test_quit_is_answered() -> None:
    talk = greeted()
    talk.client.quit()
    assert talk.says() == "QUIT\r\n"
    talk.server("221 2.0.0 Bye")
    assert talk.event() == Closed(Reply(221, "2.0.0", "Bye"))


@given(st.binary(max_size=200))
def test_arbitrary_octets_raise_nothing_but_protocol_errors(octets: bytes) -> None:
    talk = Talk()
    try:
        talk.client.receive_data(octets)
    except ProtocolError:
        talk.client.fail(LOST)
