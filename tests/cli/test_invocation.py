"""Options on both sides of the verb, output for people and for programs, and where the state lies."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from bridgehead.cli.invocation import Exit, Invocation
from bridgehead.control.control_socket import NAME, ControlServer, NotRunningError, Request
from bridgehead.core.error import ConfigurationError
from tests.cli.calling import called
from tests.cli.contoso import HEAD, ISP, write_file


@pytest.mark.parametrize(
    "arguments",
    [
        ("--config", "FILE", "--json", "connector", "list"),
        ("connector", "--config", "FILE", "--json", "list"),
        ("connector", "list", "--config", "FILE", "--json"),
        ("--json", "connector", "--config", "FILE", "list"),
    ],
    ids=["before", "in the middle", "after", "on both sides"],
)
def test_config_and_json_stand_before_or_after_the_verb(tmp_path: Path, arguments: tuple[str, ...]) -> None:
    path = write_file(tmp_path, HEAD)
    came = called(*(path if argument == "FILE" else argument for argument in arguments))
    assert (came.code, came.out) == (0, "[]\n")


def test_the_option_after_the_verb_wins(tmp_path: Path) -> None:
    path = write_file(tmp_path, HEAD)
    assert called("--config", "none.toml", "connector", "list", "--config", path).code == 0


def test_the_file_is_read_once(tmp_path: Path) -> None:
    given = Invocation(write_file(tmp_path, HEAD, ISP))
    first = given.load()
    write_file(tmp_path, "colour = 1")
    assert given.load() is first


def test_a_configuration_with_errors_is_refused_with_all_of_them(tmp_path: Path) -> None:
    given = Invocation(write_file(tmp_path, HEAD, 'colour = "red"\nsize = 1\n'))
    with pytest.raises(ConfigurationError) as refused:
        given.configuration()
    assert 'unknown key "colour"' in str(refused.value)
    assert 'unknown key "size"' in str(refused.value)


def test_the_state_folder_is_the_one_that_the_file_names(tmp_path: Path) -> None:
    assert Invocation(write_file(tmp_path, HEAD)).state_dir() == tmp_path / "state"


async def answer_nothing(_: Request) -> None:
    """A server that knows no verb."""


async def test_a_file_with_errors_leads_to_the_server_that_runs_on(tmp_path: Path) -> None:
    path = write_file(tmp_path, HEAD, "colour = 1\n")
    server = ControlServer(tmp_path / "state", answer_nothing)
    await server.start()
    try:
        assert Invocation(path).state_dir() == tmp_path / "state"
    finally:
        server.close()


def test_a_file_with_errors_leads_nowhere_without_a_server(tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError, match='unknown key "colour"'):
        Invocation(write_file(tmp_path, HEAD, "colour = 1\n")).state_dir()


@pytest.mark.parametrize("text", ["[node\n", "[node]\nstate_dir = 3\n", "\x00"], ids=["no TOML", "no text", "NUL"])
def test_a_file_that_names_no_folder_leads_nowhere(
    tmp_path: Path, text: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.delenv("STATE_DIRECTORY", raising=False)
    with pytest.raises(ConfigurationError, match=r"bridgehead\.toml"):
        Invocation(write_file(tmp_path, text)).state_dir()


def test_without_a_server_a_call_says_how_to_start_one(tmp_path: Path) -> None:
    with pytest.raises(NotRunningError, match=f"{NAME}.*start it with `bridgehead serve`"):
        Invocation(write_file(tmp_path, HEAD)).call("server")


def test_a_reader_that_went_away_ends_the_command_quietly(tmp_path: Path) -> None:
    """As in `bridgehead config schema | head -1`."""
    command = [sys.executable, "-m", "bridgehead.cli.main", "config", "schema"]
    reading, writing = os.pipe()
    os.close(reading)
    done = subprocess.run(command, stdout=writing, stderr=subprocess.PIPE, check=False, cwd=tmp_path)
    os.close(writing)
    assert (done.returncode, done.stderr) == (0, b"")


def test_exit_codes_are_those_that_are_promised() -> None:
    assert (Exit.USAGE, Exit.UNAVAILABLE, Exit.INTERNAL, Exit.STATE, Exit.TEMPORARY) == (64, 69, 70, 73, 75)
