"""Times as people type them."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bridgehead.cli.instant import read_instant
from tests.cli.calling import in_time_zone

NOW = 1_790_000_000.0  # Mon 2026-09-21 14:13:20 UTC
MIDNIGHT = 1_789_948_800.0


@pytest.fixture(autouse=True)
def time_zone() -> Iterator[None]:
    """Tokyo, nine hours ahead."""
    with in_time_zone("Asia/Tokyo"):
        yield


@pytest.mark.parametrize(
    ("text", "instant"),
    [
        ("30s", NOW - 30),
        ("2h", NOW - 7_200),
        ("1d12h", NOW - 129_600),
        (" 15m ", NOW - 900),
        ("99999999d", 0.0),
        ("2026-09-21T00:00:00Z", MIDNIGHT),
        ("2026-09-21 00:00:00+00:00", MIDNIGHT),
        ("2026-09-21 09:00", MIDNIGHT),
        ("2026-09-21", MIDNIGHT - 9 * 3_600),
        ("09:00", MIDNIGHT),
        ("9:00:30", MIDNIGHT + 30),
    ],
)
def test_instant_is_understood(text: str, instant: float) -> None:
    assert read_instant(text, NOW) == instant


@pytest.mark.parametrize("text", ["", "yesterday", "2", "h", "2w", "-2h", "25:00", "2026-13-01", "0001-01-01x"])
def test_text_is_no_time(text: str) -> None:
    assert read_instant(text, NOW) is None


@given(st.text(alphabet=st.one_of(st.sampled_from("0123456789smhd:-TZ "), st.characters()), max_size=20))
def test_any_text_is_a_time_or_none(text: str) -> None:
    instant = read_instant(text, NOW)
    assert instant is None or instant >= 0
