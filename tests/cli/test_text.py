"""How tables, times, ages and amounts look."""

from __future__ import annotations

import io
import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bridgehead.cli.text import age, amount, count, duration, moment, paint, plain, size, table, width


@pytest.mark.parametrize(
    ("seconds", "expected"),
    [
        (0, "0 s"),
        (0.4, "0 s"),
        (-5, "0 s"),
        (59, "59 s"),
        (60, "1 min"),
        (65.4, "1 min 5 s"),
        (3_600, "1 h"),
        (3_605, "1 h"),
        (7_500, "2 h 5 min"),
        (90_000, "1 d 1 h"),
        (86_400 * 40 + 60, "40 d"),
    ],
)
def test_a_duration_has_its_two_largest_units(seconds: float, expected: str) -> None:
    assert duration(seconds) == expected


def test_an_age_that_is_not_known_is_a_dash() -> None:
    assert age(0.0, 1_000.0) == "-"
    assert age(940.0, 1_000.0) == "1 min"


def test_a_moment_is_in_the_time_of_this_machine(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TZ", "Asia/Tokyo")
    time.tzset()
    try:
        assert moment(1_790_000_000.0) == "2026-09-21 23:13:20"
    finally:
        monkeypatch.undo()
        time.tzset()
    assert moment(0.0) == "-"


@pytest.mark.parametrize(
    ("number", "expected"), [(0, "no messages"), (1, "1 message"), (2, "2 messages"), (12_345, "12,345 messages")]
)
def test_a_count_agrees_with_its_noun(number: int, expected: str) -> None:
    assert count(number, "message") == expected


def test_a_count_takes_an_odd_plural() -> None:
    assert count(2, "damaged entry", "damaged entries") == "2 damaged entries"


@pytest.mark.parametrize(
    ("octets", "expected"),
    [(0, "0 bytes"), (1023, "1023 bytes"), (1536, "1.5 KiB"), (159_383_552, "152.0 MiB"), (1 << 42, "4096.0 GiB")],
)
def test_a_size_has_the_largest_unit_that_fits(octets: int, expected: str) -> None:
    assert size(octets) == expected


def test_an_amount_has_its_thousands_apart() -> None:
    assert amount(1_234_567) == "1,234,567"


def test_a_table_stands_in_columns_with_numbers_to_the_right() -> None:
    rows = [("ISP", "1", "a"), ("Partner", "1,000", "")]
    assert table(rows, ("CONNECTOR", "COST", ""), numbers=[1], indent="  ") == (
        "  CONNECTOR   COST\n"
        "  ISP            1  a\n"
        "  Partner    1,000\n"
    )  # fmt: skip


def test_a_table_without_rows_is_nothing() -> None:
    assert table([], ("CONNECTOR",)) == ""


def test_a_table_counts_wide_characters_twice_and_colours_not_at_all() -> None:
    assert table([("東京", "x"), ("\x1b[31mab\x1b[0m", "y")]) == "東京  x\n\x1b[31mab\x1b[0m    y\n"
    assert width("e\u0301") == 1


@given(st.text())
def test_what_is_plain_holds_nothing_that_a_terminal_obeys(text: str) -> None:
    assert plain(text).isprintable()


class Terminal(io.StringIO):
    """Standard output that is a terminal."""

    def isatty(self) -> bool:
        return True


def test_colours_are_for_terminals_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("NO_COLOR", raising=False)
    monkeypatch.setenv("TERM", "xterm")
    monkeypatch.setattr("sys.stdout", io.StringIO())
    assert paint("down", "red") == "down"
    monkeypatch.setattr("sys.stdout", Terminal())
    assert paint("down", "red") == "\x1b[31mdown\x1b[0m"


@pytest.mark.parametrize(("variable", "value"), [("NO_COLOR", "1"), ("TERM", "dumb")])
def test_colours_can_be_refused(monkeypatch: pytest.MonkeyPatch, variable: str, value: str) -> None:
    monkeypatch.setattr("sys.stdout", Terminal())
    monkeypatch.setenv(variable, value)
    assert paint("down", "red") == "down"
