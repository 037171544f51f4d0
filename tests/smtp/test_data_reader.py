"""Where a message ends, and what is fit to pass on, however the octets arrive."""

from __future__ import annotations

import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bridgehead.smtp import replies
from bridgehead.smtp.data_reader import has_only_crlf
from bridgehead.smtp.event import ContentEnd
from bridgehead.smtp.offer import Offer
from tests.smtp.dialogue import codes, in_content, octet_by_octet, ready

END = b"\r\n.\r\n"
SMUGGLED = b"MAIL FROM:<evil@example.org>\r\nRCPT TO:<victim@example.org>\r\n"

FALSE_ENDS: tuple[bytes, ...] = (
    b"\n.\n",
    b"\n.\r\n",
    b"\r\n.\n",
    b"\r.\r",
    b"\r.\r\n",
    b"\r\n.\r",
    b"\n.\r",
    b"\r.\n",
    b"\n\n.\n",
    b"\r\r.\r",
    b"\r\n\n.\n",
    b"\n\r.\n\r",
    b"\r\n\r.\r\n",
    b"\r\n.\r\r\n",
    b"\r\r\n.\r\r\n",
    b"\r\r\n.\r\n",
    b"\n.\r\r\n",
    b"\r\n.\0\r\n",
    b"\r\n\0.\r\n",
    b"\r\n.\r\0\n",
    b"\r\0\n.\r\n",
    b"\0\r\n.\r\n",
    b"\n\r.\r\n",
    b"\n.\n\r\n",
    b"\r\n.\n\r\n",
    b"\n\r\n.\n",
    b"\n.\n.\n",
    b"\r.\r.\r",
    b"\n.\0\n",
    b"\n\0.\n",
    b"\r\n..\n",
    b"\n..\n",
    b"\n..\r\n",
    b"\r..\r\n",
    b"\r\n.\n.\n",
    b"\n \n.\n",
    b"\n.\n \n",
    b"\r\n.\r.\r\n",
    b"\r.\n.",
    b"\x85.\x85\n",
    b"\n.\r\n\n",
    b"\x0b.\x0b\r",
    b"\x1c.\x1c\n",
    b"\xc2\x85.\xc2\x85\r",
    b"\xe2\x80\xa8.\xe2\x80\xa8\n",
)
"""Sequences that some server or other took, or might take, for the end of a message."""


def test_there_are_enough_variants_and_each_has_a_bare_control() -> None:
    assert len(set(FALSE_ENDS)) >= 38
    assert not any(has_only_crlf(b"x" + end + b"y") for end in FALSE_ENDS)


@pytest.mark.parametrize("end", FALSE_ENDS, ids=repr)
def test_a_false_end_never_ends_a_message_and_what_is_behind_it_never_runs(end: bytes) -> None:
    """The message is read up to the real end, refused with 550, and the session closes."""
    for cut in ([b"x" + end + SMUGGLED + b"DATA" + END], octet_by_octet(b"x" + end + SMUGGLED + b"DATA" + END)):
        server = in_content()
        said = server.pieces(cut)
        assert codes(said)[:1] == ["550 5.6.0"]
        assert server.connection.is_closed
        assert server.messages == []
        assert [type(event) for event in server.events] == [ContentEnd]


@pytest.mark.parametrize("end", FALSE_ENDS, ids=repr)
def test_a_false_end_is_refused_in_a_chunk_too(end: bytes) -> None:
    content = b"x" + end + b"y\r\n"
    command = b"BDAT %d LAST\r\n" % len(content)
    for cut in ([command + content], octet_by_octet(command + content)):
        server = ready()
        server.say(b"MAIL FROM:<a@example.org>\r\nRCPT TO:<b@example.org>\r\n")
        assert codes(server.pieces(cut)) == ["550 5.6.0"]
        assert server.messages == []
        assert server.connection.is_closed


CONTENTS: dict[str, tuple[bytes, bytes]] = {
    "nothing": (b".\r\n", b""),
    "a line": (b"x\r\n.\r\n", b"x\r\n"),
    "an empty line": (b"\r\n.\r\n", b"\r\n"),
    "a dot is removed": (b"..\r\n.\r\n", b".\r\n"),
    "only one dot is removed": (b"...\r\n..x\r\n.\r\n", b"..\r\n.x\r\n"),
    "a dot that was not doubled is removed too": (b".x\r\n.y\r\n.\r\n", b"x\r\ny\r\n"),
    "dots inside a line stay": (b"a.b\r\n.\r\n", b"a.b\r\n"),
    "a dot alone, doubled": (b"x\r\n..\r\ny\r\n.\r\n", b"x\r\n.\r\ny\r\n"),
    "other line ends of Unicode are text": (
        b"a\x0bb\x0c\x1c\x1d\x1e\xc2\x85\r\n.\r\n",
        b"a\x0bb\x0c\x1c\x1d\x1e\xc2\x85\r\n",
    ),
}


@pytest.mark.parametrize("name", CONTENTS)
def test_content(name: str) -> None:
    sent, expected = CONTENTS[name]
    for cut in ([sent], octet_by_octet(sent)):
        server = in_content()
        assert codes(server.pieces(cut)) == ["250 2.0.0"]
        assert server.messages == [expected]
        assert server.events == [ContentEnd(len(expected), has_eight_bit=not expected.isascii())]


@pytest.mark.parametrize("length", [998, 999, 4096, 65_536, 1_000_000])
def test_long_lines_pass_unchanged(length: int) -> None:
    server = in_content(offer=Offer("mx.example.org"))
    line = b"x" * length + b"\r\n"
    sent = line + b".\r\n"
    assert codes(server.pieces(sent[i : i + 65_536] for i in range(0, len(sent), 65_536))) == ["250 2.0.0"]
    assert server.messages == [line]


@pytest.mark.parametrize("border", [4096, 8192, 16_384, 65_536])
def test_dots_and_ends_at_the_borders_of_buffers(border: int) -> None:
    for around in range(-4, 5):
        content = b"x" * (border + around - 2) + b"\r\n.\r\n..y\r\n"
        stuffed = content.replace(b"\r\n.", b"\r\n..") + b".\r\n"
        server = in_content(offer=Offer("mx.example.org"))
        replies_ = server.pieces([stuffed[:border], stuffed[border:]])
        assert codes(replies_) == ["250 2.0.0"]
        assert server.messages == [content]


def test_a_message_above_the_limit_is_read_to_its_end() -> None:
    server = in_content()
    assert server.say(b"x" * 2000) == b""
    assert codes(server.say(END + b"NOOP\r\n")) == ["552 5.3.4", "250 2.0.0"]
    assert server.messages == []
    assert server.events[0] == ContentEnd(2002, has_eight_bit=False, fault=replies.TOO_LARGE)


def test_a_message_of_exactly_the_limit_is_taken() -> None:
    server = in_content()
    assert codes(server.say(b"x" * 998 + END)) == ["250 2.0.0"]


def test_endless_lines_take_linear_time() -> None:
    """Ten megabytes of empty lines, of dots and of CR cost less than a second each."""
    for filling in (b"\r\n" * 2_000, b"\r\n.." * 1_000, b"\r" * 4_000, b"." * 4_000):
        server = in_content(offer=Offer("mx.example.org"))
        begin = time.process_time()
        for _ in range(10_000_000 // len(filling) // 4):
            server.say(filling)
        assert time.process_time() - begin < 2


@given(st.binary(max_size=60), st.data())
def test_what_a_client_stuffs_arrives_as_it_was_in_any_cut(content: bytes, data: st.DataObject) -> None:
    """decode(encode(x)) = x for content with CRLF only, cut anywhere."""
    text = content.replace(b"\0", b"").replace(b"\r", b".").replace(b"\n", b"\r\n") + b"\r\n"
    stuffed = (b"\r\n" + text).replace(b"\r\n.", b"\r\n..")[2:] + b".\r\n"
    server = in_content()
    cuts = sorted(data.draw(st.lists(st.integers(0, len(stuffed)), max_size=6)))
    server.pieces([stuffed[a:b] for a, b in zip([0, *cuts], [*cuts, len(stuffed)], strict=True)])
    assert server.messages == [text]


@given(st.lists(st.sampled_from([b"\r", b"\n", b".", b"x", b"\0", b"\r\n", b"\xff"]), max_size=30), st.data())
def test_any_cut_of_any_content_gives_the_same(parts: list[bytes], data: st.DataObject) -> None:
    content = b"".join(parts) + END
    whole, cut = in_content(), in_content()
    cuts = sorted(data.draw(st.lists(st.integers(0, len(content)), max_size=8)))
    pieces = [content[a:b] for a, b in zip([0, *cuts], [*cuts, len(content)], strict=True)]
    assert cut.pieces(pieces) == whole.say(content)
    assert (cut.events, cut.messages) == (whole.events, whole.messages)
