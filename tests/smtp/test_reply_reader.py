"""Replies as octets on the wire, honest and hostile, and what the reader makes of them."""

from __future__ import annotations

import csv
import os
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bridgehead.core.error import ProtocolError
from bridgehead.core.reply import Reply
from bridgehead.smtp.reply_reader import LINE_MAX, LINES_MAX, REPLY_MAX, ReplyReader


def read(*pieces: bytes) -> list[Reply | str]:
    """All replies in these pieces; last the text of the error, if one ended it."""
    reader = ReplyReader()
    replies: list[Reply | str] = []
    for piece in pieces:
        reader.receive(piece)
        try:
            while (reply := reader.next_reply()) is not None:
                replies.append(reply)
        except ProtocolError as error:
            return [*replies, str(error)]
    return replies


GOOD = {
    "with enhanced status": (b"250 2.1.0 Ok\r\n", Reply(250, "2.1.0", "Ok")),
    "without enhanced status": (b"220 mx.example ESMTP\r\n", Reply(220, "", "mx.example ESMTP")),
    "code alone": (b"250\r\n", Reply(250, "", "")),
    "code and space": (b"250 \r\n", Reply(250, "", "")),
    "status without text": (b"550 5.1.1\r\n", Reply(550, "5.1.1", "")),
    "line ended by LF alone": (b"250 Ok\n", Reply(250, "", "Ok")),
    "several lines": (b"250-a\r\n250-SIZE 10\r\n250 DSN\r\n", Reply(250, "", "a\nSIZE 10\nDSN")),
    "several lines with status": (b"550-5.7.1 No\r\n550 5.7.1 way\r\n", Reply(550, "5.7.1", "No\nway")),
    "status on the first line alone": (b"550-5.7.1 No\r\n550 way\r\n", Reply(550, "5.7.1", "No\nway")),
    "several lines, the last one bare": (b"250-a\r\n250\r\n", Reply(250, "", "a\n")),
    "status of another class is text": (b"550 4.7.1 hm\r\n", Reply(550, "", "4.7.1 hm")),
    "status with a part too long": (b"550 5.1.1234 hm\r\n", Reply(550, "", "5.1.1234 hm")),
    "an address is no status": (b"550 5.1.1.1 hm\r\n", Reply(550, "", "5.1.1.1 hm")),
    "status with foreign digits": ("550 5.１.1 hm\r\n".encode(), Reply(550, "", "5.１.1 hm")),
    "control characters": (b"550 a\x1b[2Jb\x00c\td\r\n", Reply(550, "", "a?[2Jb?c?d")),
    "bare CR inside": (b"550 a\rb\r\n", Reply(550, "", "a?b")),
    "UTF-8": ("550 5.1.1 利用者不明\r\n".encode(), Reply(550, "5.1.1", "利用者不明")),
    "no UTF-8": (b"550 caf\xe9\r\n", Reply(550, "", "caf\ufffd")),
    "longest line": (b"250 " + b"x" * (LINE_MAX - 4) + b"\r\n", Reply(250, "", "x" * (LINE_MAX - 4))),
    "most lines": (b"250-x\r\n" * (LINES_MAX - 1) + b"250 x\r\n", Reply(250, "", "\n".join("x" * LINES_MAX))),
}


@pytest.mark.parametrize(("octets", "reply"), GOOD.values(), ids=GOOD.keys())
def test_reply_is_read(octets: bytes, reply: Reply) -> None:
    assert read(octets) == [reply]


BAD = {
    "no digits": b"hello\r\n",
    "two digits": b"25 Ok\r\n",
    "four digits": b"2500 Ok\r\n",
    "empty line": b"\r\n",
    "code below 200": b"150 wait\r\n",
    "code above 599": b"600 what\r\n",
    "code 000": b"000 what\r\n",
    "foreign digits": "２５０ Ok\r\n".encode(),
    "signed": b"+50 Ok\r\n",
    "no mark after the code": b"250_Ok\r\n",
    "another code later": b"250-a\r\n550 b\r\n",
    "line too long": b"250 " + b"x" * LINE_MAX + b"\r\n",
    "too many lines": b"250-x\r\n" * (LINES_MAX + 1),
    "too many octets": (b"250-" + b"x" * 4000 + b"\r\n") * (REPLY_MAX // 4000 + 1),
    "line without end": b"2" * (LINE_MAX + 2),
}


@pytest.mark.parametrize("octets", BAD.values(), ids=BAD.keys())
def test_what_is_no_reply_is_a_protocol_error(octets: bytes) -> None:
    result = read(octets)
    assert len(result) == 1
    assert isinstance(result[0], str)


def test_good_replies_before_a_bad_one_are_handed_out() -> None:
    assert read(b"250 a\r\n250 b\r\nnonsense\r\n") == [
        Reply(250, "", "a"),
        Reply(250, "", "b"),
        "not an SMTP reply: 'nonsense'",
    ]


def test_what_is_kept_of_an_endless_line_is_bounded() -> None:
    """64 MB without a line end: the first piece is enough to give up."""
    reader = ReplyReader()
    reader.receive(b"250 " + b"x" * 65536)
    with pytest.raises(ProtocolError):
        reader.next_reply()


def test_reader_knows_whether_anything_is_left() -> None:
    reader = ReplyReader()
    seen = [reader.is_empty]
    reader.receive(b"250-a\r\n")
    assert reader.next_reply() is None
    seen.append(reader.is_empty)
    reader.receive(b"250 b\r\n25")
    assert reader.next_reply() == Reply(250, "", "a\nb")
    seen.append(reader.is_empty)
    reader.discard()
    seen.append(reader.is_empty)
    assert seen == [True, False, False, True]
    reader.receive(b"220 new\r\n")
    assert reader.next_reply() == Reply(220, "", "new")


LINES = st.sampled_from(
    [b"250 ok\r\n", b"250-2.0.0 a\r\n", b"250 2.0.0 b\n", b"421 4.3.2 bye\r\n", b"x\r\n", b"250\r\n"]
)


@given(st.lists(LINES, max_size=6), st.binary(max_size=12), st.data())
def test_any_split_gives_the_same_replies(lines: list[bytes], noise: bytes, data: st.DataObject) -> None:
    octets = b"".join(lines) + noise
    cuts = sorted(data.draw(st.lists(st.integers(0, len(octets)), max_size=5)))
    pieces = [octets[start:end] for start, end in zip([0, *cuts], [*cuts, len(octets)], strict=True)]
    whole = read(octets)
    assert read(*pieces) == whole
    assert read(*(octets[index : index + 1] for index in range(len(octets)))) == whole


@given(st.binary(max_size=300))
def test_arbitrary_octets_give_printable_replies_or_a_protocol_error(octets: bytes) -> None:
    for reply in read(octets):
        if isinstance(reply, Reply):
            assert 200 <= reply.code <= 599
            assert reply.text.replace("\n", "").isprintable()


def corpus_replies() -> Iterator[tuple[int, str]]:
    folder = Path(os.environ.get("BRIDGEHEAD_CORPUS") or Path(__file__).parents[2] / ".." / "shared" / "corpus")
    for path in sorted((folder / "replies" / "open").glob("*.csv")):
        with path.open(encoding="utf-8", newline="") as file:
            for row in csv.DictReader(file):
                if row["code"].isdigit() and "\n" not in row["text"]:
                    yield int(row["code"]), row["text"]


def test_replies_of_real_providers_are_read() -> None:
    replies = list(corpus_replies())
    if not replies and "CI" not in os.environ:
        pytest.skip("no corpus here")
    assert replies
    for code, text in replies:
        [reply] = read(f"{code} {text}\r\n".encode())
        assert isinstance(reply, Reply)
        assert reply.code == code
