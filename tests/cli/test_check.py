"""`bridgehead check` finds everything and says it where it stands."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from tests.cli.calling import called
from tests.cli.contoso import HEAD, ISP, PARTNER, write_file

PLACE = ("severity", "file", "line", "column", "path")


def test_check_is_content_with_a_good_file(tmp_path: Path) -> None:
    path = write_file(tmp_path, HEAD, ISP, PARTNER)
    came = called("check", path)
    first, second = came.out.splitlines()
    assert first == f"{path}: no errors, no warnings"
    assert second.startswith("generation ")
    assert second.endswith(": 1 virtual server, 2 connectors, no accepted domains")
    assert (came.code, came.err) == (0, "")


def test_check_shows_every_error_with_its_line_and_a_caret(tmp_path: Path) -> None:
    path = write_file(tmp_path, HEAD, ISP.replace("smart_hosts =", "smart_host ="), "drain = 3\n")
    came = called("check", path)
    assert came.code == 2
    assert f'{path}:18:1: error: connector "ISP": unknown key "smart_host"' in came.out
    assert 'smart_host = "[192.0.2.10];[192.0.2.11]"\n    ^\n' in came.out
    assert 'unknown key "drain"' in came.out
    assert came.out.splitlines()[-1] == f"{path}: 3 errors, no warnings"


def test_check_ends_with_1_where_there_are_warnings_only(tmp_path: Path) -> None:
    path = write_file(tmp_path, HEAD.replace(":25", ":2525"), PARTNER)
    came = called("check", path)
    assert came.code == 1
    assert ": warning: " in came.out


@pytest.mark.parametrize("arguments", [("check", "--config"), ("--config",)], ids=["after the verb", "before it"])
def test_check_takes_the_file_of_the_option(tmp_path: Path, arguments: tuple[str, ...]) -> None:
    path = write_file(tmp_path, HEAD, ISP)
    verb = () if "check" in arguments else ("check",)
    assert called(*arguments, path, *verb).code == 0


def test_check_takes_the_file_of_the_environment(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = write_file(tmp_path, HEAD, ISP)
    monkeypatch.setenv("BRIDGEHEAD_CONFIG", str(path))
    assert called("check").out.startswith(f"{path}: no errors")


def test_check_says_that_a_file_is_missing(tmp_path: Path) -> None:
    came = called("check", tmp_path / "none.toml")
    assert came.code == 2
    assert came.out.startswith(f"{tmp_path}/none.toml: error: the file cannot be read: No such file or directory\n")


def test_check_knows_the_defaults_that_hold_without_a_file(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("BRIDGEHEAD_CONFIG", raising=False)
    monkeypatch.setattr("bridgehead.control.configuration.find.SYSTEM_FILE", tmp_path / "none.toml")
    assert called("check").out.startswith("no file, built-in defaults: no errors")


def test_check_writes_json(tmp_path: Path) -> None:
    path = write_file(tmp_path, HEAD, ISP, "colour = 1\n")
    came = called("check", path, "--json")
    answer = json.loads(came.out)
    assert (came.code, answer["file"], answer["errors"], answer["generation"]) == (2, str(path), 1, None)
    (issue,) = answer["issues"]
    assert set(issue) == {*PLACE, "found", "expected", "suggestion", "message", "excerpt"}
    assert [issue[key] for key in PLACE] == ["error", str(path), 20, 1, "connector[0].colour"]
    assert (issue["found"], issue["excerpt"]) == ("colour", "colour = 1")
