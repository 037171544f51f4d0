"""The table that `benchmarks/run` prints: medians, ratios, spread and the verdict on each target."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from benchmarks.report import (
    BRIDGEHEAD,
    NOT_MORE_THAN_POSTFIX,
    POSTFIX,
    Row,
    Sample,
    Target,
    cells,
    figure,
    line,
    missed,
    table,
    times_postfix,
)

RATE = Row("P1", "delivered", "delivered/s", times_postfix(8, defect=6))
MEMORY = Row("P6", "peak", "peak MB", Target(250, at_most=True))
UNJUDGED = Row("P1", "cpu", "CPU us")
RATES = st.lists(st.floats(1, 1e6), min_size=1, max_size=9)


def samples(row: Row, **values: list[float]) -> list[Sample]:
    """What a run measured for a row: `bridgehead=[...], postfix=[...]`."""
    return [Sample(row.number, row.key, relay, value) for relay, found in values.items() for value in found]


def test_a_median_is_of_one_relay_over_its_rounds() -> None:
    found = line(RATE, samples(RATE, bridgehead=[1000.0, 9000.0, 5000.0], postfix=[500.0, 1000.0]))
    assert found.medians == {BRIDGEHEAD: 5000.0, POSTFIX: 750.0}
    assert found.rounds == 3


def test_the_ratio_is_that_of_the_medians() -> None:
    assert line(RATE, samples(RATE, bridgehead=[4000.0], postfix=[500.0])).ratio == 8.0


def test_samples_of_other_rows_do_not_count() -> None:
    found = line(RATE, samples(RATE, bridgehead=[1.0]) + samples(UNJUDGED, bridgehead=[5.0], postfix=[2.0]))
    assert found.medians == {BRIDGEHEAD: 1.0}


@pytest.mark.parametrize(
    ("row", "bridgehead", "postfix", "verdict"),
    [
        pytest.param(RATE, 4000.0, 500.0, "met", id="exactly-the-target"),
        pytest.param(RATE, 3500.0, 500.0, "MISSED by 12 %", id="below-the-target"),
        pytest.param(RATE, 2000.0, 500.0, "DEFECT: missed by 50 %", id="below-what-may-pass"),
        pytest.param(MEMORY, 250.0, 9000.0, "met", id="own-figure-at-the-bound"),
        pytest.param(MEMORY, 275.0, 9000.0, "MISSED by 10 %", id="own-figure-above-the-bound"),
        pytest.param(UNJUDGED, 1.0, 1.0, "", id="no-target"),
    ],
)
def test_a_verdict_says_by_how_much(row: Row, bridgehead: float, postfix: float, verdict: str) -> None:
    assert line(row, samples(row, bridgehead=[bridgehead], postfix=[postfix])).verdict == verdict


def test_a_ratio_that_was_not_measured_is_neither_met_nor_missed() -> None:
    found = line(RATE, samples(RATE, bridgehead=[4000.0]))
    assert (found.ratio, found.verdict) == (None, "not measured")
    assert missed([found]) == []


def test_lower_is_better_where_postfix_is_not_to_be_exceeded() -> None:
    row = Row("P8", "p99", "ms", NOT_MORE_THAN_POSTFIX)
    assert line(row, samples(row, bridgehead=[2.0], postfix=[2.0])).verdict == "met"
    assert line(row, samples(row, bridgehead=[3.0], postfix=[2.0])).verdict == "MISSED by 50 %"


def test_a_single_lost_message_is_a_missed_target() -> None:
    row = Row("P1", "missing", "lost messages", Target(0, at_most=True))
    assert line(row, samples(row, bridgehead=[0.0])).verdict == "met"
    assert line(row, samples(row, bridgehead=[3.0])).verdict.startswith("MISSED")


def test_only_missed_targets_are_listed_again() -> None:
    good = line(MEMORY, samples(MEMORY, bridgehead=[100.0]))
    bad = line(RATE, samples(RATE, bridgehead=[1.0], postfix=[1.0]))
    assert missed([good, bad, line(UNJUDGED, [])]) == [bad]


def test_the_spread_is_of_what_is_judged() -> None:
    rates = line(RATE, samples(RATE, bridgehead=[4000.0, 6000.0], postfix=[1000.0, 1000.0]))
    assert rates.spread == (4.0, 6.0)
    assert line(MEMORY, samples(MEMORY, bridgehead=[80.0, 90.0], postfix=[1.0, 2.0])).spread == (80.0, 90.0)
    assert line(MEMORY, samples(MEMORY, bridgehead=[80.0])).spread is None


@pytest.mark.parametrize(
    ("value", "written"),
    [
        (None, "-"),
        (0.0, "0"),
        (0.1517, "0.152"),
        (3.484, "3.48"),
        (63.84, "63.8"),
        (3480.4, "3,480"),
        (-0.76, "-0.760"),
    ],
)
def test_figures_have_three_digits_that_count(value: float | None, written: str) -> None:
    assert figure(value) == written


def test_other_relays_stand_in_columns_of_their_own_with_their_ratio_to_postfix() -> None:
    found = line(RATE, samples(RATE, bridgehead=[4000.0], postfix=[500.0], floor=[5000.0]))
    assert cells(found, ["floor"])[-1] == "5,000 (10.00 x)"
    assert cells(line(RATE, samples(RATE, bridgehead=[1.0])), ["floor"])[-1] == "-"


def test_the_table_is_markdown_with_aligned_columns() -> None:
    text = table([line(RATE, samples(RATE, bridgehead=[4000.0], postfix=[500.0]))]).splitlines()
    assert len({len(row) for row in text}) == 1
    assert text[0].startswith("| #  | measured    | bridgehead | postfix | ratio  |")
    assert text[2].split("|")[1:7] == [" P1 ", " delivered/s ", " 4,000      ", " 500     ", " 8.00 x ", " 1      "]


@given(RATES, RATES, st.floats(0.1, 20))
def test_a_target_is_met_or_missed_by_something(bridgehead: list[float], postfix: list[float], bound: float) -> None:
    row = Row("P2", "delivered", "delivered/s", times_postfix(bound))
    found = line(row, samples(row, bridgehead=bridgehead, postfix=postfix))
    assert found.judged is not None
    assert row.target is not None
    assert (row.target.missed_by(found.judged) == 0) == (found.verdict == "met")
