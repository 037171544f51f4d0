"""A message on standard input becomes one that a server takes."""

from __future__ import annotations

import io

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bridgehead.cli.address_list import AddressListError
from bridgehead.cli.message_input import HEADER_MAX, LINE_MAX, PIECE, MessageError, MessageInput
from bridgehead.smtp.data_reader import has_only_crlf

CASES: dict[str, tuple[bytes, bytes]] = {
    "LF becomes CRLF": (b"Subject: x\n\none\ntwo\n", b"Subject: x\r\n\r\none\r\ntwo\r\n"),
    "CRLF stays": (b"Subject: x\r\n\r\none\r\n", b"Subject: x\r\n\r\none\r\n"),
    "CR before CRLF is no line of its own": (b"Subject: x\r\r\n\r\none\r\r\n", b"Subject: x\r\n\r\none\r\n"),
    "a bare CR in the header is a space": (b"Subject: x\rBcc: b@b\n\n", b"Subject: x Bcc: b@b\r\n\r\n"),
    "a bare CR in the body ends a line": (b"\n10%\r20%\r\n", b"\r\n10%\r\n20%\r\n"),
    "a NUL is dropped": (b"Subject: a\0b\n\nc\0d\n", b"Subject: ab\r\n\r\ncd\r\n"),
    "a lone dot ends it": (b"Subject: x\n\none\n.\ntwo\n", b"Subject: x\r\n\r\none\r\n"),
    "a lone dot ends the header too": (b"Subject: x\n.\ntwo\n", b"Subject: x\r\n"),
    "a line that begins with a dot does not": (b"\n.one\n..\n", b"\r\n.one\r\n..\r\n"),
    "the line of an mbox is dropped": (b"From a@b Tue Nov 24\nSubject: x\n\n", b"Subject: x\r\n\r\n"),
    "a quoted line of an mbox is dropped": (b">From a@b Tue Nov 24\nSubject: x\n\n", b"Subject: x\r\n\r\n"),
    "such a line in the body stays": (b"Subject: x\n\nFrom me to you\n", b"Subject: x\r\n\r\nFrom me to you\r\n"),
    "blind copies are removed": (
        b"To: a@a\nBCC: b@b,\n c@c\nCc: d@d\nResent-Bcc: e@e\n\nBcc: stays\n",
        b"To: a@a\r\nCc: d@d\r\n\r\nBcc: stays\r\n",
    ),
    "folded lines stay": (b"Subject: x\n y\n\tz\n\n", b"Subject: x\r\n y\r\n\tz\r\n\r\n"),
    "text without a header is a body": (b"Hello there\nBcc: b@b\n", b"\r\nHello there\r\nBcc: b@b\r\n"),
    "a body behind a header without an empty line": (b"Subject: x\nHello\n", b"Subject: x\r\n\r\nHello\r\n"),
    "nothing at all": (b"", b""),
    "no line end at the end": (b"Subject: x\n\nend", b"Subject: x\r\n\r\nend"),
}


def sent(given_: bytes, *, ends_at_dot: bool = True) -> bytes:
    """All that goes to the server."""
    message = MessageInput(io.BytesIO(given_), ends_at_dot=ends_at_dot)
    return message.header().encode() + b"".join(message.body())


@pytest.mark.parametrize(("before", "after"), CASES.values(), ids=CASES.keys())
def test_message_is_made_fit(before: bytes, after: bytes) -> None:
    assert sent(before) == after


def test_lone_dot_is_content_where_it_may_be() -> None:
    assert sent(b"\none\n.\ntwo\n", ends_at_dot=False) == b"\r\none\r\n.\r\ntwo\r\n"


@pytest.mark.parametrize("length", [LINE_MAX - 1, LINE_MAX, LINE_MAX + 1, 3 * LINE_MAX])
@pytest.mark.parametrize("end", [b"\n", b"\r\n"])
def test_long_line_passes_whole(length: int, end: bytes) -> None:
    line = b"x" * length
    assert sent(b"\n" + line + end + b".\n" + line) == b"\r\n" + line + b"\r\n"


def test_large_body_comes_in_pieces() -> None:
    message = MessageInput(io.BytesIO(b"\n" + b"0123456789\n" * 100_000), ends_at_dot=True)
    message.header()
    pieces = list(message.body())
    assert sum(map(len, pieces)) == 1_200_000
    assert max(map(len, pieces)) < PIECE + 2 * LINE_MAX


def test_header_that_never_ends_is_refused() -> None:
    with pytest.raises(MessageError, match="the header is larger than 1024 KiB"):
        sent(b"X: y\n" * (HEADER_MAX // 5 + 1))
    with pytest.raises(MessageError, match="the header is larger than 1024 KiB"):
        sent(b"X: " + b"y" * HEADER_MAX)


@pytest.mark.parametrize(
    ("header", "recipients"),
    [
        (b"To: a@a\nCc: Bob <b@b>\nBcc: c@c\nReply-To: d@d\n", ["a@a", "b@b", "c@c"]),
        (b"TO : a@a,\n b@b\nTo: c@c\n", ["a@a", "b@b", "c@c"]),
        (b"To: a@a\nResent-To: b@b\nResent-Bcc: c@c\n", ["b@b", "c@c"]),
        (b"Subject: To: a@a\n\nTo: b@b\n", []),
    ],
)
def test_header_names_recipients(header: bytes, recipients: list[str]) -> None:
    assert MessageInput(io.BytesIO(header), ends_at_dot=True).header().recipients() == recipients


@given(
    st.binary(max_size=300)
    | st.lists(st.sampled_from([b"To:", b"a@b", b"\r", b"\n", b".", b"\0", b" "])).map(b"".join)
)
def test_whatever_comes_is_fit_to_be_sent(content: bytes) -> None:
    message = MessageInput(io.BytesIO(content), ends_at_dot=True)
    header = message.header()
    assert has_only_crlf(header.encode() + b"".join(message.body()))
    try:
        header.recipients()
    except AddressListError:
        return


@given(st.lists(st.binary(max_size=20).filter(lambda line: not {10, 13, 0} & set(line))))
def test_ordinary_lines_pass_unchanged(lines: list[bytes]) -> None:
    after = sent(b"\n" + b"".join(line + b"\n" for line in lines), ends_at_dot=False)
    assert after == b"\r\n" + b"".join(line + b"\r\n" for line in lines)
