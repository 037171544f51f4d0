"""`bridgehead config` shows what is in force, and never a secret."""

from __future__ import annotations

import json
import tomllib
from pathlib import Path

import pytest

from tests.cli.calling import called
from tests.cli.contoso import HEAD, ISP, TWINS, write_file


@pytest.fixture
def path(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("TWIN_PASSWORD", "open sesame")
    return write_file(tmp_path, HEAD, ISP, TWINS)


def test_show_fills_in_defaults_and_makes_paths_absolute(path: Path) -> None:
    shown = tomllib.loads(called("config", "show", "--config", path).out)
    assert shown["node"]["state_dir"] == str(path.parent / "state")
    assert shown["virtual_server"][0]["delivery"]["hop_count"] == 30


def test_show_writes_a_file_that_means_the_same(path: Path) -> None:
    first = called("config", "show", "--config", path)
    again = path.with_name("again.toml")
    again.write_text(first.out)
    assert called("config", "show", "--config", again).out == first.out


@pytest.mark.parametrize("form", [(), ("--json",)], ids=["TOML", "JSON"])
def test_show_tells_where_a_secret_is_and_not_what(path: Path, form: tuple[str, ...]) -> None:
    came = called("config", "show", "--config", path, *form)
    assert "TWIN_PASSWORD" in came.out
    assert "sesame" not in came.out


def test_show_writes_json(path: Path) -> None:
    shown = json.loads(called("config", "--config", path, "--json", "show").out)
    assert [one["name"] for one in shown["connector"]] == ["ISP", "Twin A", "Twin B"]


def test_show_refuses_a_file_with_errors_and_says_where(tmp_path: Path) -> None:
    came = called("config", "show", "--config", write_file(tmp_path, HEAD, "colour = 1\n"))
    assert (came.code, came.out) == (2, "")
    assert came.err.startswith("bridgehead: the configuration cannot be used\n")
    assert 'unknown key "colour"' in came.err
    assert "    colour = 1\n    ^" in came.err


def test_schema_describes_every_table_of_the_file() -> None:
    schema = json.loads(called("config", "schema").out)
    assert set(schema["properties"]) >= {"node", "organization", "virtual_server", "connector", "accepted_domain"}
