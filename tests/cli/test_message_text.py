"""How one message looks."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bridgehead.cli.message_detail import Detail
from bridgehead.cli.message_text import decoded, message_text
from bridgehead.control.trace import Story
from tests.cli.tracked import ONE
from tests.cli.waiting import ARRIVED, FIRST, row


def test_what_is_not_known_is_left_out() -> None:
    story = Story(ONE, ({"ts": "x", "event": "received"},))
    text = message_text(Detail(ONE, (row(FIRST, next_attempt=ARRIVED + 90),), None, {}, story), ARRIVED + 60)
    lines = text.splitlines()
    assert lines[0] == ONE
    assert lines[1].startswith("  Arrived     ")
    assert lines[1].endswith(", 1 min ago")
    assert lines[2:] == [
        "  Size        12.0 KiB",
        "  Sender      alice@contoso.com",
        "  Message-ID  <1@contoso.com>",
        "  Recipients",
        '    bob@fabrikam.com  retry in 30 s, by "ISP", 3 attempts so far  451 4.7.1 greylisted',
        "  Story",
        "    -  received   from this machine",
    ]


@pytest.mark.parametrize(
    ("value", "text"),
    [
        ("Hello", "Hello"),
        ("=?utf-8?B?5Lu25ZCN?=", "件名"),
        ("=?iso-2022-jp?B?GyRCN29MPhsoQg==?=", "件名"),
        ("=?utf-8?Q?a=1B=5B2J?=", "a?[2J"),
        ("=?nonsense?B?AAAA?=", "=?nonsense?B?AAAA?="),
        ("=?utf-8?B?A?=", "=?utf-8?B?A?="),
    ],
)
def test_header_value_is_decoded_where_it_decodes(value: str, text: str) -> None:
    assert decoded(value) == text


@given(
    st.text() | st.builds("=?{}?{}?{}?=".format, st.text(max_size=8), st.sampled_from("bqBQ"), st.text(max_size=20))
)
def test_any_header_value_is_shown_on_one_printable_line(value: str) -> None:
    assert decoded(value).isprintable()
