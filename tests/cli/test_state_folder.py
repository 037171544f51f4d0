"""Where the state is, for accounts that may not read the configuration."""

from __future__ import annotations

from pathlib import Path

import pytest

from bridgehead.cli import state_folder as module
from bridgehead.cli.state_folder import state_folder
from bridgehead.core.error import ConfigurationError


@pytest.fixture(autouse=True)
def system(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The system's folder, empty, and a working folder without a configuration."""
    folder = tmp_path / "system"
    folder.mkdir()
    monkeypatch.setattr(module, "SYSTEM_FOLDER", folder)
    monkeypatch.chdir(folder)
    return folder


def found(config: Path | None, **environ: str) -> Path:
    return state_folder(config, environ, uid=1000, holds=("submit.sock",))


def test_configuration_names_the_folder(tmp_path: Path) -> None:
    config = tmp_path / "b.toml"
    config.write_text('[node]\nstate_dir = "state"\n[connector]\nunknown = true\n')
    assert found(config) == tmp_path / "state"
    assert found(None, BRIDGEHEAD_CONFIG=str(config)) == tmp_path / "state"


def test_usual_folders_are_tried_in_order(tmp_path: Path, system: Path) -> None:
    home = tmp_path / "home/.local/state/bridgehead"
    environ = {"STATE_DIRECTORY": f"{tmp_path}/unit:{tmp_path}/other", "HOME": str(tmp_path / "home")}
    assert found(None, **environ) == tmp_path / "unit"
    (system / "submit.sock").touch()
    assert found(None, **environ) == system
    home.mkdir(parents=True)
    (home / "submit.sock").touch()
    assert found(None, **environ) == home


@pytest.mark.parametrize("text", ["[node", "[[node]]", "[node]\nstate_dir = 3\n", "\udcff", "x = 1\n"])
def test_broken_file_does_not_keep_mail_back(tmp_path: Path, system: Path, text: str) -> None:
    config = tmp_path / "b.toml"
    config.write_bytes(text.encode("utf-8", "surrogateescape"))
    (system / "submit.sock").touch()
    assert found(config) == system


def test_broken_file_is_named_where_there_is_no_server(tmp_path: Path) -> None:
    config = tmp_path / "b.toml"
    config.write_text("[node")
    with pytest.raises(ConfigurationError, match=r"b\.toml cannot be read: not valid TOML: "):
        found(config)


def test_missing_file_that_was_named_is_an_error(tmp_path: Path, system: Path) -> None:
    (system / "submit.sock").touch()
    with pytest.raises(ConfigurationError, match=r"b\.toml cannot be read: No such file or directory"):
        found(tmp_path / "b.toml")
