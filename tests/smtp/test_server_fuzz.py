"""Any octets, in any cut: the same events, never an exception, never more memory than allowed."""

from __future__ import annotations

from hypothesis import given, settings
from hypothesis import strategies as st

from bridgehead.smtp.limits import Limits
from tests.smtp.dialogue import Server, octet_by_octet

WORDS = st.sampled_from(
    [
        b"EHLO c.example",
        b"HELO c",
        b"MAIL FROM:<a@example.org>",
        b"MAIL FROM:<> SIZE=5 ENVID=x",
        b"RCPT TO:<b@example.org>",
        b"RCPT TO:<postmaster> NOTIFY=NEVER",
        b"DATA",
        b"BDAT 3",
        b"BDAT 4 LAST",
        b"BDAT 0 LAST",
        b"BDAT x",
        b"RSET",
        b"NOOP",
        b"QUIT",
        b"STARTTLS",
        b"AUTH LOGIN",
        b"AUTH PLAIN AHUAcA==",
        b"dXNlcg==",
        b"*",
        b"=",
        b"VRFY x",
        b"HELP",
        b"x",
        b".",
        b"..",
        b"\xff\xfe",
        b'MAIL FROM:<"a\\">b"@example.org>',
        b"RCPT TO:<@a,@b:c@example.org>",
    ]
)
ENDS = st.sampled_from([b"\r\n", b"\r\n", b"\r\n", b"\r\n", b"\n", b"\r", b"\0\r\n", b" \r\n", b""])
LINES = st.lists(st.tuples(WORDS, ENDS).map(b"".join), max_size=25)
SMALL = Limits(command_line_max=80, authentication_line_max=100, errors_max=30, idle_commands_max=30, buffer_max=400)


def run(pieces: list[bytes]) -> Server:
    """Feed the pieces; TLS handshakes succeed at once."""
    server = Server(limits=SMALL)
    for piece in pieces:
        server.say(piece)
        assert server.connection.buffered <= SMALL.buffer_max
    return server


@given(LINES)
def test_lines_one_by_one_and_octet_by_octet_give_the_same(lines: list[bytes]) -> None:
    """Each line is a flight of its own here: what may not be pipelined depends on what arrived, and is left out."""
    flights = b"".join(lines).split(b"\r\n")
    whole, cut = Server(limits=SMALL), Server(limits=SMALL)
    for flight in flights:
        one = whole.say(flight + b"\r\n")
        assert cut.pieces(octet_by_octet(flight + b"\r\n")) == one
    assert (cut.events, cut.messages) == (whole.events, whole.messages)
    assert cut.connection.state == whole.connection.state


@given(LINES)
def test_pipelined_commands_give_the_same_in_any_cut(lines: list[bytes]) -> None:
    """Commands that must be last of their group are left out; the rest is one flight."""
    last = (b"EHLO", b"HELO", b"DATA", b"AUTH", b"STARTTLS")
    flight = b"".join(line for line in lines if not line.upper().startswith(last))
    whole, cut = Server(limits=Limits()), Server(limits=Limits())
    for server in (whole, cut):
        server.say(b"EHLO c.example\r\n")
    assert cut.pieces(octet_by_octet(flight)) == whole.say(flight)
    assert (cut.events, cut.messages) == (whole.events, whole.messages)


@settings(max_examples=300)
@given(st.lists(st.one_of(st.binary(max_size=300), LINES.map(b"".join)), max_size=8))
def test_any_octets_never_raise_and_never_grow_the_buffer(pieces: list[bytes]) -> None:
    server = run(pieces)
    if server.connection.is_closed:
        assert server.connection.next_event() is None
        assert server.connection.buffered == 0


@given(st.lists(st.binary(max_size=300), max_size=8))
def test_every_reply_keeps_the_grammar(pieces: list[bytes]) -> None:
    server = Server(limits=SMALL)
    for piece in [b"EHLO c.example\r\n", *pieces]:
        said = server.say(piece)
        assert said == b"" or said.endswith(b"\r\n")
        for line in said.split(b"\r\n")[:-1]:
            assert line[:3].isdigit()
            assert line[3:4] in {b" ", b"-"}
            assert line.isascii()
            assert len(line) <= 510
