"""The command `benchmarks/run`: which profiles it takes, what it says is missing, and that each of them runs."""

from __future__ import annotations

import json
import subprocess
from pathlib import Path
from typing import Any

import pytest

from benchmarks.bench import Bench, Options, Profile
from benchmarks.measure import Load, VoidRunError
from benchmarks.report import BRIDGEHEAD, POSTFIX, Row, Sample
from benchmarks.side_by_side import chosen, main, missing, profiles, run_rounds

COMMAND = Path(__file__).resolve().parents[2] / "benchmarks" / "run"


def numbers(words: str) -> list[str]:
    return [profile.number for profile in chosen(words, profiles())]


def test_every_target_has_a_profile() -> None:
    assert {profile.number.rstrip("ab") for profile in profiles()} == {f"P{number}" for number in range(1, 15)}


def test_every_row_belongs_to_its_profile_and_is_there_once() -> None:
    rows = [(row.number, row.key) for profile in profiles() for row in profile.rows]
    assert len(rows) == len(set(rows))
    assert all(row.number == profile.number for profile in profiles() for row in profile.rows)


def test_profiles_are_chosen_by_number_and_a_number_means_all_its_letters() -> None:
    assert numbers("P1") == ["P1"]
    assert numbers("p4, P13") == ["P4a", "P4b", "P13"]
    assert numbers("P4b") == ["P4b"]


def test_an_unknown_profile_is_named(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["--only", "P1,P99"]) == 64
    assert "no such profile: P99" in capsys.readouterr().err


def test_a_missing_program_is_named_with_its_package(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("benchmarks.side_by_side.SEARCH_PATH", "")
    said = missing(chosen("P12", profiles()), Options(postfix=False))
    assert said == [
        "nsd is missing: apt-get install nsd",
        "smtp-sink is missing: apt-get install postfix",
        "smtp-source is missing: apt-get install postfix",
    ]


def test_each_relay_begins_a_round_as_often_as_the_others() -> None:
    bench = Bench(Options(also={"floor": "floor {port}"}))
    turns = []
    for number in (1, 2, 3, 4):
        bench.round = number
        turns.append(bench.turn)
    assert [turn[0] for turn in turns] == [BRIDGEHEAD, POSTFIX, "floor", BRIDGEHEAD]
    assert all(sorted(turn) == sorted(turns[0]) for turn in turns)


def test_a_round_that_fails_is_told_and_the_others_go_on(tmp_path: Path) -> None:
    def measure(bench: Bench) -> None:
        if bench.round == 2:
            raise VoidRunError("nothing arrived")
        bench.add("P1", "delivered", BRIDGEHEAD, float(bench.round))

    bench = Bench(Options(directory=tmp_path))
    row = Row("P1", "delivered", "delivered/s")
    failures = run_rounds(bench, [Profile("P1", "one", (row,), measure)], 3)
    assert failures == ["round 2, P1: nothing arrived"]
    assert [sample.value for sample in bench.samples] == [1.0, 3.0]


def test_a_profile_is_not_measured_more_often_than_it_needs(tmp_path: Path) -> None:
    measured = []
    profile = Profile("P9", "backlog", (), lambda bench: measured.append(bench.round), rounds_max=1)
    run_rounds(Bench(Options(directory=tmp_path)), [profile], 3)
    assert measured == [1]


def test_a_median_is_asked_for_by_number_key_and_relay() -> None:
    bench = Bench(Options(), [Sample("P1", "cpu", BRIDGEHEAD, value) for value in (300.0, 500.0, 400.0)])
    assert bench.median("P1", "cpu") == 400.0
    assert bench.median("P1", "cpu", POSTFIX) is None


@pytest.mark.parametrize(
    ("load", "sender"),
    [
        (Load(10), "smtp-source"),
        (Load(10, reconnect=True, size=100_000, recipients=10), "smtp-source"),
        (Load(10, tls=True), "benchmarks.sender"),
        (Load(10, rate=200.0), "benchmarks.sender"),
        (Load(10, recipients=1000, domains=100), "benchmarks.sender"),
    ],
)
@pytest.mark.peer
def test_smtp_source_sends_what_it_can_express(load: Load, sender: str) -> None:
    assert any(word.endswith(sender) for word in load.command(2525))


def quick(tmp_path: Path, *words: str) -> dict[str, Any]:
    """Run the command as a user does, and read what it wrote."""
    kept = tmp_path / "figures.json"
    line = [str(COMMAND), "--quick", "--rounds", "1", "--json", str(kept), "--directory", str(tmp_path), *words]
    done = subprocess.run(line, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    found: dict[str, Any] = json.loads(kept.read_text())
    return found


def values(found: dict[str, Any]) -> dict[tuple[str, str, str], float]:
    return {(one["number"], one["key"], one["relay"]): one["value"] for one in found["samples"]}


@pytest.mark.slow
@pytest.mark.peer
def test_the_two_relays_run_side_by_side_and_lose_nothing(shared_directory: Path) -> None:
    found = values(quick(shared_directory, "--only", "P1,P8"))
    for relay in (BRIDGEHEAD, POSTFIX):
        assert found["P1", "delivered", relay] > 0
        assert found["P1", "missing", relay] == 0
        assert 0 < found["P8", "median", relay] <= found["P8", "p99", relay]


@pytest.mark.slow
@pytest.mark.peer
@pytest.mark.timeout(240)
def test_what_bridgehead_is_measured_in_alone_runs_too(shared_directory: Path) -> None:
    found = values(quick(shared_directory, "--no-postfix", "--only", "P4a,P7a,P9,P12,P14"))
    assert [found[number, "missing", BRIDGEHEAD] for number in ("P4a", "P7a", "P12")] == [0, 0, 0]
    assert found["P7a", "transactions", BRIDGEHEAD] == 10
    assert found["P9", "backlog", BRIDGEHEAD] == 1000
    parts = [value for (number, key, _), value in found.items() if number == "P14" and key != "total"]
    assert sum(parts) == pytest.approx(found["P14", "total", BRIDGEHEAD], rel=0.25)
