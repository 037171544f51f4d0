"""Replies on the wire, and the words of peers made safe."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bridgehead.core.reply import TEXT_MAX, Reply, printable

ENCODED = [
    (Reply(250, "2.1.0", "Sender OK"), b"250 2.1.0 Sender OK\r\n"),
    (Reply(354, "", "Go ahead"), b"354 Go ahead\r\n"),
    (Reply(250, "", "mx.example\nPIPELINING\nSIZE 0"), b"250-mx.example\r\n250-PIPELINING\r\n250 SIZE 0\r\n"),
    (Reply(550, "5.1.1", "two\nlines"), b"550-5.1.1 two\r\n550 5.1.1 lines\r\n"),
]


@pytest.mark.parametrize(("reply", "wire"), ENCODED)
def test_reply_is_written_with_its_code_on_every_line(reply: Reply, wire: bytes) -> None:
    assert reply.encode() == wire


@pytest.mark.parametrize(
    ("code", "kind"), [(220, "positive"), (354, "positive"), (421, "temporary"), (550, "permanent")]
)
def test_reply_is_of_one_kind(code: int, kind: str) -> None:
    reply = Reply(code, "", "")
    kinds = {"positive": reply.is_positive, "temporary": reply.is_temporary, "permanent": reply.is_permanent}
    assert [name for name, holds in kinds.items() if holds] == [kind]


def test_reply_has_a_status_even_where_the_peer_gave_none() -> None:
    assert Reply(550, "", "no").status == "5.0.0"
    assert Reply(451, "4.7.1", "later").status == "4.7.1"


@given(st.text(max_size=2000))
def test_printable_text_has_no_controls_and_is_bounded(text: str) -> None:
    safe = printable(text)
    assert len(safe) <= TEXT_MAX
    assert safe.replace("\n", "").isprintable()
