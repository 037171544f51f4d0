"""LMTP (RFC 2033): the client half greets with LHLO and takes a final reply for each accepted recipient."""

from __future__ import annotations

import pytest

from bridgehead.core.envelope import Envelope, Recipient
from bridgehead.core.error import ProtocolError
from bridgehead.core.outcome import Deferred, Delivered, Failed, Outcome, Scope
from bridgehead.core.reply import Reply
from bridgehead.smtp.client import ClientConnection
from bridgehead.smtp.client_event import ContentWanted, Greeted, TransactionEnded

RECIPIENTS = tuple(Recipient(n, f"{name}@c.example", "c.example") for n, name in enumerate(("a", "b", "c")))
ENVELOPE = Envelope("s@f.example", RECIPIENTS, 3, 0.0, "B/V")


def greeted() -> ClientConnection:
    """A conversation that stands at the first MAIL."""
    connection = ClientConnection("mail.contoso.com", "lmtp:store:24", lmtp=True)
    connection.receive_data(b"220 store LMTP\r\n")
    assert connection.data_to_send() == b"LHLO mail.contoso.com\r\n"
    connection.receive_data(b"250-store\r\n250-PIPELINING\r\n250 ENHANCEDSTATUSCODES\r\n")
    assert isinstance(connection.next_event(), Greeted)
    return connection


def outcomes_after(answers: bytes, finals: bytes) -> dict[int, Outcome]:
    """What comes of a transaction whose commands get `answers` and whose content gets `finals`."""
    connection = greeted()
    connection.begin(ENVELOPE, RECIPIENTS, 3)
    assert connection.data_to_send().startswith(b"MAIL FROM:<s@f.example>")
    connection.receive_data(answers)
    assert isinstance(connection.next_event(), ContentWanted)
    connection.send_content(b"x\r\n")
    assert connection.data_to_send() == b"x\r\n.\r\n"
    for octet in finals:
        connection.receive_data(bytes([octet]))
    event = connection.next_event()
    assert isinstance(event, TransactionEnded)
    assert event.remaining == ()
    return event.outcomes


def test_lmtp_server_answers_for_each_accepted_recipient() -> None:
    outcomes = outcomes_after(
        b"250 ok\r\n250 ok\r\n550 5.1.1 no b\r\n250 ok\r\n354 go\r\n", b"250 2.1.5 stored\r\n452 4.2.2 full\r\n"
    )
    assert outcomes == {
        0: Delivered(Reply(250, "2.1.5", "stored"), "lmtp:store:24", is_final=True),
        1: Failed(Reply(550, "5.1.1", "no b"), "lmtp:store:24"),
        2: Deferred(Reply(452, "4.2.2", "full"), Scope.MESSAGE, "lmtp:store:24"),
    }


def test_lmtp_server_that_leaves_between_the_final_replies_keeps_what_it_said() -> None:
    outcomes = outcomes_after(b"250 ok\r\n" * 4 + b"354 go\r\n", b"250 stored\r\n421 4.3.2 going down\r\n")
    assert [type(outcomes[ordinal]) for ordinal in range(3)] == [Delivered, Deferred, Deferred]


def test_lmtp_connection_takes_the_next_message_after_the_last_final_reply() -> None:
    connection = greeted()
    for _ in range(2):
        connection.begin(ENVELOPE, RECIPIENTS[:2], 3)
        assert b"RSET" not in connection.data_to_send()
        connection.receive_data(b"250 ok\r\n" * 3 + b"354 go\r\n")
        connection.next_event()
        connection.send_content(b"x\r\n")
        connection.data_to_send()
        connection.receive_data(b"250 stored\r\n")
        assert connection.next_event() is None
        connection.receive_data(b"250 stored\r\n")
        assert isinstance(connection.next_event(), TransactionEnded)


def test_lmtp_server_that_wants_content_for_nobody_breaks_the_protocol() -> None:
    connection = greeted()
    connection.begin(ENVELOPE, RECIPIENTS, 3)
    with pytest.raises(ProtocolError):
        connection.receive_data(b"250 ok\r\n" + b"550 no\r\n" * 3 + b"354 go\r\n")
    connection.fail(Reply(451, "4.5.0", "broken"))
    event = connection.next_event()
    assert isinstance(event, TransactionEnded)
    assert all(isinstance(outcome, Failed) for outcome in event.outcomes.values())


def test_lmtp_server_that_refuses_lhlo_is_not_greeted_otherwise() -> None:
    connection = ClientConnection("mail.contoso.com", "lmtp:store:24", lmtp=True)
    connection.receive_data(b"220 store SMTP\r\n")
    connection.data_to_send()
    connection.receive_data(b"500 what is LHLO\r\n")
    assert connection.data_to_send() == b""
