"""What a shell is told, and what it is offered when somebody presses Tab."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from click.shell_completion import ShellComplete

from bridgehead.cli.invocation import Invocation
from bridgehead.cli.main import bridgehead
from tests.cli.calling import called
from tests.cli.contoso import HEAD, ISP, PARTNER, write_file


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_there_is_a_script_for_each_shell(shell: str) -> None:
    came = called("completion", shell)
    assert came.code == 0
    assert "_BRIDGEHEAD_COMPLETE" in came.out


@pytest.mark.parametrize("words", [("completion", "bash", "--json"), ("--json", "completion", "bash")])
def test_the_script_comes_as_json_too(words: tuple[str, ...]) -> None:
    found = json.loads(called(*words).out)
    assert found == {"shell": "bash", "script": called("completion", "bash").out}


def offered(incomplete: str, *words: str | Path) -> list[str]:
    """What may come next."""
    completion = ShellComplete(bridgehead, {"obj": Invocation()}, "bridgehead", "_BRIDGEHEAD_COMPLETE")
    return [item.value for item in completion.get_completions([str(word) for word in words], incomplete)]


def test_commands_are_completed() -> None:
    assert offered("ex") == ["explain"]


@pytest.mark.parametrize(
    "words",
    [
        ("explain", "--config", "FILE", "--down"),
        ("--config", "FILE", "explain", "--down"),
        ("--config", "FILE", "connector", "show"),
        ("connector", "test", "--config", "FILE"),
        ("queue", "retry", "--config", "FILE", "--connector"),
    ],
)
def test_connectors_are_completed_from_the_file(tmp_path: Path, words: tuple[str, ...]) -> None:
    path = write_file(tmp_path, HEAD, ISP, PARTNER)
    given = [path if word == "FILE" else word for word in words]
    assert offered("", *given) == ["ISP", "Partner"]
    assert offered("P", *given) == ["Partner"]


def test_virtual_servers_are_completed_from_the_file(tmp_path: Path) -> None:
    assert offered("", "explain", "--config", write_file(tmp_path, HEAD), "--virtual-server") == ["Default"]


@pytest.mark.parametrize("option", ["--down", "--virtual-server"])
def test_a_file_with_errors_completes_nothing_and_says_nothing(tmp_path: Path, option: str) -> None:
    assert offered("", "explain", "--config", write_file(tmp_path, "colour = 1"), option) == []
