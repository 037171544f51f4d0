"""BDAT: chunks in and out of sequence, and the octets of those that nobody wants (RFC 3030)."""

from __future__ import annotations

import pytest

from bridgehead.core.reply import Reply
from bridgehead.smtp.event import Abandoned, ContentEnd, DataBegin
from tests.smtp.dialogue import Server, codes, octet_by_octet, ready

MAIL = b"MAIL FROM:<a@example.org>"
RCPT = b"RCPT TO:<b@example.org>"


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
