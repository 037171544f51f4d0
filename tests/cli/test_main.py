"""The command as a whole: lazy, self-explaining, and with exit codes that say whose the fault is."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import click
import pytest

from bridgehead import __version__
from bridgehead.cli.main import COMMANDS, bridgehead
from bridgehead.core.error import BridgeheadError, ConfigurationError, MachineError
from tests.cli.calling import called

HEAVY = {"pydantic", "dns", "starlette", "uvicorn", "uvloop", "asyncio", "rich", "cryptography", "sqlite3", "tomlkit"}
SCRIPT = """
import json, sys
from bridgehead.cli.main import run
try:
    run(sys.argv[1:])
except SystemExit:
    print(json.dumps(sorted(sys.modules)), file=sys.stderr)
"""


@pytest.mark.parametrize("arguments", [("--version",), ("--help",), ()], ids=["--version", "--help", "nothing"])
def test_what_shows_no_command_loads_none(arguments: tuple[str, ...]) -> None:
    command = [sys.executable, "-c", SCRIPT, *arguments]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    *_, loaded = done.stderr.splitlines()
    assert HEAVY & set(json.loads(loaded)) == set()


def test_version_is_that_of_the_package() -> None:
    assert called("--version").out == f"bridgehead {__version__}\n"


def test_help_lists_every_command_in_the_order_of_need() -> None:
    out = called("--help").out
    places = [out.index(f"\n  {name} ") for name in COMMANDS]
    assert places == sorted(places)


def verbs(command: click.Command, *path: str) -> Iterator[tuple[tuple[str, ...], click.Command]]:
    """A command and all below it, each with the words that lead to it."""
    yield path, command
    if isinstance(command, click.Group):
        context = click.Context(command)
        for name in command.list_commands(context):
            found = command.get_command(context, name)
            assert found is not None
            yield from verbs(found, *path, name)


EVERY = list(verbs(bridgehead))


@pytest.mark.parametrize(("path", "command"), EVERY, ids=[" ".join(path) or "bridgehead" for path, _ in EVERY])
def test_every_command_takes_config_and_json_and_shows_an_example(
    path: tuple[str, ...], command: click.Command
) -> None:
    if path == ("completion",):
        return
    if path not in {("sendmail",), ("mailq",)}:  # their options are those of other programs
        options = {option for parameter in command.params for option in parameter.opts}
        assert {"--config", "--json"} <= options
    out = called(*path, "--help").out
    assert "Example: " in out
    assert "..." not in out.partition("Commands:")[2], "a list of commands has whole sentences"
    example = " ".join(out.partition("Example: ")[2].split())
    assert " ".join(path) in example


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("exlpain", "bob@x.org"), "No such command 'exlpain'"),
        (("explain",), "Missing argument 'RECIPIENT'."),
        (("status", "--jsno"), "No such option '--jsno'"),
        (("config", "print"), "No such command 'print'."),
        (("check", "a.toml", "b.toml"), "Got unexpected extra argument (b.toml)"),
        (("completion", "tcsh"), "'tcsh' is not one of 'bash', 'zsh', 'fish'."),
        (("status", "--config"), "Option '--config' requires an argument."),
        (("status", "--config", "/"), "File '/' is a directory."),
    ],
)
def test_a_wrong_command_line_is_64_and_says_what_is_wrong(arguments: tuple[str, ...], message: str) -> None:
    came = called(*arguments)
    assert (came.code, came.out) == (64, "")
    assert message in came.err


class OwnError(BridgeheadError):
    """An error that says what the command ends with."""

    exit_code = 73


@pytest.mark.parametrize(
    ("error", "code"),
    [
        (ConfigurationError("what was typed is wrong"), 2),
        (MachineError("what was typed is wrong"), 69),
        (BridgeheadError("what was typed is wrong"), 70),
        (OwnError("what was typed is wrong"), 73),
    ],
    ids=["the operator's fault", "the machine's fault", "any other", "its own"],
)
def test_an_error_ends_with_one_sentence_and_the_code_of_its_kind(
    monkeypatch: pytest.MonkeyPatch, error: Exception, code: int
) -> None:
    def broken() -> None:
        raise error

    monkeypatch.setitem(COMMANDS, "check", "")
    monkeypatch.setattr("bridgehead.cli.check.check", click.Command("check", callback=broken))
    came = called("check")
    assert (came.code, came.out, came.err) == (code, "", "bridgehead: what was typed is wrong\n")


def test_a_defect_of_ours_is_70_with_its_trace(monkeypatch: pytest.MonkeyPatch) -> None:
    def broken() -> None:
        raise LookupError("a defect")

    monkeypatch.setattr("bridgehead.cli.check.check", click.Command("check", callback=broken))
    came = called("check")
    assert came.code == 70
    assert came.err.endswith("LookupError: a defect\n")


def test_an_interrupt_is_130(monkeypatch: pytest.MonkeyPatch) -> None:
    def interrupted() -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr("bridgehead.cli.check.check", click.Command("check", callback=interrupted))
    assert called("check").code == 130


@pytest.mark.parametrize("name", ["sendmail", "mailq"])
def test_a_link_with_the_name_of_an_old_command_is_that_command(tmp_path: Path, name: str) -> None:
    link = tmp_path / name
    link.write_text(f"#!{sys.executable}\nfrom bridgehead.cli.main import run\nrun()\n")
    link.chmod(0o755)
    done = subprocess.run([link, "--help"], capture_output=True, text=True, check=False, env=os.environ)
    assert f"Usage: bridgehead {name} " in done.stdout
