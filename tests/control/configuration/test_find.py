"""Which file is the configuration: option, environment, working folder, system."""

from __future__ import annotations

from pathlib import Path

from bridgehead.control.configuration import find as module
from bridgehead.control.configuration.find import find


def test_option_goes_before_the_environment() -> None:
    assert find("a.toml", {"BRIDGEHEAD_CONFIG": "b.toml"}, uid=1000) == Path("a.toml")


def test_environment_goes_before_the_working_folder(tmp_path: Path) -> None:
    (tmp_path / "bridgehead.toml").touch()
    assert find(None, {"BRIDGEHEAD_CONFIG": "b.toml"}, uid=1000, folder=tmp_path) == Path("b.toml")


def test_file_of_the_working_folder_is_found(tmp_path: Path) -> None:
    (tmp_path / "bridgehead.toml").touch()
    assert find(None, {}, uid=1000, folder=tmp_path) == tmp_path / "bridgehead.toml"


def test_root_does_not_take_the_file_of_the_working_folder(tmp_path: Path) -> None:
    (tmp_path / "bridgehead.toml").touch()
    assert find(None, {}, uid=0, folder=tmp_path) in {None, module.SYSTEM_FILE}


def test_no_file_is_found_where_there_is_none(tmp_path: Path) -> None:
    assert find(None, {"BRIDGEHEAD_CONFIG": ""}, uid=1000, folder=tmp_path) in {None, module.SYSTEM_FILE}
