"""Findings get their place and subject; what follows from an earlier one is dropped."""

from __future__ import annotations

import tomllib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bridgehead.control.configuration.issue import NotationError
from bridgehead.control.configuration.positions import Positions
from bridgehead.control.configuration.report import FOUND_MAX, Report, nearest, one_of, quoted

TEXT = '[node]\nuser = "x"\n[[connector]]\nname = "Internet"\nnote = ""\n[[connector]]\nnote = ""\n'


@pytest.fixture
def report() -> Report:
    return Report("x.toml", tomllib.loads(TEXT), Positions(TEXT))


def test_issues_are_in_the_order_of_the_file(report: Report) -> None:
    report.error(("connector", 1, "note"), "two")
    report.error_at_key(("node", "user"), "one")
    assert [str(issue) for issue in report.issues] == [
        "x.toml:2:1: error: node: one",
        "x.toml:7:8: error: connector number 2: two",
    ]


def test_message_is_made_of_its_parts(report: Report) -> None:
    report.notation(("connector", 0, "note"), NotationError("a\tb", "a word", "ab"))
    (issue,) = report.issues
    assert issue.message == 'connector "Internet": "a?b" is not right here; expected a word; did you mean "ab"?'
    assert (issue.expected, issue.suggestion) == ("a word", "ab")


def test_warnings_do_not_refuse_the_file(report: Report) -> None:
    report.warning(("node", "user"), "x")
    assert not report.has_errors
    report.error(("node", "user"), "x")
    assert report.has_errors


@pytest.mark.parametrize(
    ("path", "is_kept"),
    [
        (("connector", 0, "security", "tls"), False),
        (("connector", 0, "security"), False),
        (("connector",), False),
        (("connector", 0, "note"), True),
        (("connector", 1, "security"), True),
    ],
)
def test_later_findings_about_a_wrong_place_are_dropped(
    report: Report, path: tuple[str | int, ...], is_kept: bool
) -> None:
    report.error(("connector", 0, "security"), "wrong")
    report.end_stage()
    report.error(path, "follows")
    assert (len(report.issues) == 2) is is_kept


def test_findings_of_one_stage_stand_beside_each_other(report: Report) -> None:
    report.error(("node", "user"), "one")
    report.error(("node", "user"), "two")
    assert len(report.issues) == 2


def test_warning_is_dropped_where_what_it_depends_on_is_wrong(report: Report) -> None:
    report.error(("node", "user"), "wrong")
    report.end_stage()
    report.warning(("connector", 0, "note"), "follows", depends_on=("node", "user"))
    assert len(report.issues) == 1


def test_report_knows_what_the_file_sets(report: Report) -> None:
    assert report.has(("node", "user"))
    assert not report.has(("node", "server"))
    assert not report.has(("organization", "postmaster"))


@pytest.mark.parametrize(
    ("word", "expected"),
    [("smart_host", "smart_hosts"), ("allow-relay", "allow_relay"), ("NOTE", "note"), ("xyzzy", ""), ("", "")],
)
def test_nearest_is_what_was_probably_meant(word: str, expected: str) -> None:
    assert nearest(word, ["smart_hosts", "smart_host_order", "allow_relay", "note"]) == expected


def test_choices_are_listed_for_people() -> None:
    assert one_of([]) == "nothing"
    assert one_of(["a"]) == '"a"'
    assert one_of(["a", "b", "c"]) == '"a", "b" or "c"'
    assert one_of([str(number) for number in range(100)]).endswith('"23", …')


@given(st.text())
def test_quoted_text_is_short_and_printable(text: str) -> None:
    assert quoted(text).isprintable()
    assert len(quoted(text)) <= FOUND_MAX + 2
