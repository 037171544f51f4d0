"""Dot-stuffing: octet for octet, at every block border (RFC 5321 4.5.2)."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bridgehead.smtp.client_content import DotStuffer, stuff

CASES = {
    "plain": (b"a\r\nb\r\n", b"a\r\nb\r\n.\r\n"),
    "empty": (b"", b".\r\n"),
    "dot first": (b".\r\n", b"..\r\n.\r\n"),
    "dot in a later line": (b"a\r\n.b\r\n", b"a\r\n..b\r\n.\r\n"),
    "two dots": (b"a\r\n..\r\n", b"a\r\n...\r\n.\r\n"),
    "dots line after line": (b".\r\n.\r\n.\r\n", b"..\r\n..\r\n..\r\n.\r\n"),
    "dot within a line": (b"a.b\r\n", b"a.b\r\n.\r\n"),
    "last line without end": (b"a\r\nb", b"a\r\nb\r\n.\r\n"),
    "last line is a dot without end": (b"a\r\n.", b"a\r\n..\r\n.\r\n"),
    "dot after LF alone is not at a line start": (b"a\n.\nb\r\n", b"a\n.\nb\r\n.\r\n"),
    "dot after CR alone is not at a line start": (b"a\r.\rb\r\n", b"a\r.\rb\r\n.\r\n"),
    "ends in CR": (b"a\r", b"a\r\r\n.\r\n"),
    "long line passes unchanged": (b"x" * 5000 + b"\r\n", b"x" * 5000 + b"\r\n.\r\n"),
    "8-bit passes unchanged": (b"\xe3\x81\x82\xff\r\n", b"\xe3\x81\x82\xff\r\n.\r\n"),
}


@pytest.mark.parametrize(("content", "wire"), CASES.values(), ids=CASES.keys())
def test_content_is_stuffed(content: bytes, wire: bytes) -> None:
    assert stuff(content) == wire


def unstuff(wire: bytes) -> bytes:
    """What a server makes of it."""
    content, end, rest = (b"\r\n" + wire).partition(b"\r\n.\r\n")
    assert end
    assert not rest, "the content must not end before its end"
    return (content + b"\r\n").replace(b"\r\n.", b"\r\n")[2:]


PIECES = st.lists(st.sampled_from([b".", b"\r", b"\n", b"\r\n", b"\r\n.", b"a", b"\r\n.\r\n", b"\0"]), max_size=30)


@given(PIECES)
def test_the_server_reads_back_what_was_sent(pieces: list[bytes]) -> None:
    content = b"".join(pieces)
    ended = content if not content or content.endswith(b"\r\n") else content + b"\r\n"
    assert unstuff(stuff(content)) == ended


@given(PIECES)
def test_blocks_give_the_same_as_the_whole(pieces: list[bytes]) -> None:
    stuffer = DotStuffer()
    wire = b"".join(stuffer.block(piece) for piece in pieces) + stuffer.end()
    assert wire == stuff(b"".join(pieces))


@pytest.mark.parametrize("border", [4096, 8192, 16384, 65536])
def test_dots_near_a_block_border_are_doubled(border: int) -> None:
    for offset in range(-4, 5):
        content = b"x" * (border + offset) + b"\r\n.\r\ny\r\n"
        stuffer = DotStuffer()
        wire = stuffer.block(content[:border]) + stuffer.block(content[border:]) + stuffer.end()
        assert wire == stuff(content)
