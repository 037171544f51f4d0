"""The demo from beginning to end, without and with a server that starts."""

from __future__ import annotations

import asyncio
import os
import signal
from pathlib import Path

import pytest

from bridgehead.core.error import MachineError
from bridgehead.process.demo import organization, stage
from bridgehead.process.demo.stage import Stage, folder, perform


class Spectator:
    """Looks on, and may end it from the terminal."""

    def __init__(self, *, presses_control_c: bool = False) -> None:
        self.stage: Stage | None = None
        self.lines = 0
        self._presses_control_c = presses_control_c

    def hear(self, line: bytes) -> bool:
        """Count; the server says when it is ready."""
        self.lines += 1
        return b'"event":"ready"' in line

    async def watch(self, stage: Stage) -> None:
        """Look at the stage once."""
        self.stage = stage
        if self._presses_control_c:
            os.kill(os.getpid(), signal.SIGINT)


def test_a_folder_that_cannot_be_made_is_told_in_words(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(MachineError, match=r"cannot write to .*file/demo: Not a directory\. Give another folder"):
        folder(tmp_path / "file" / "demo").__enter__()


def test_a_folder_that_belongs_to_others_is_told_in_words(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "access", lambda path, mode: False)  # root, who runs tests too, may write everywhere
    with pytest.raises(MachineError, match=r"cannot write to .*: Permission denied\. Give another folder to --keep"):
        folder(tmp_path).__enter__()


def test_a_temporary_folder_is_gone_at_the_end_and_a_named_one_stays(tmp_path: Path) -> None:
    with folder(None) as place:
        (place / "file").touch()
    assert not place.exists()
    with folder(tmp_path / "new") as place:
        (place / "file").touch()
    assert (tmp_path / "new" / "file").exists()


async def test_a_server_that_does_not_start_is_an_error_with_its_own_words(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(organization, "_TEXT", "[nodes]\n")
    spectator = Spectator()
    with pytest.raises(MachineError, match=r"ended by itself:(.|\n)*nodes"):
        await perform(tmp_path, spectator, None)
    assert spectator.stage is None


async def test_a_server_that_is_never_ready_is_an_error(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(stage, "START_SECONDS", 0.05)
    with pytest.raises(MachineError, match="not ready within"):
        await perform(tmp_path, Spectator(), None)


@pytest.mark.slow
@pytest.mark.parametrize(("presses_control_c", "seconds"), [(False, 0.2), (True, None)])
async def test_it_ends_when_its_time_is_over_or_when_asked(presses_control_c: bool, seconds: float | None) -> None:
    spectator = Spectator(presses_control_c=presses_control_c)
    with folder(None) as place:
        async with asyncio.timeout(60):
            await perform(place, spectator, seconds)
        assert spectator.stage is not None
        assert spectator.stage.configuration == place / "bridgehead.toml"
        assert not (spectator.stage.state_dir / "control.sock").exists()
    assert spectator.lines
