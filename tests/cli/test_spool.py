"""`bridgehead spool`: what an operator is told, and the exit codes that scripts read."""

from __future__ import annotations

import json
import socket
from pathlib import Path

import pytest

from bridgehead.cli import spool
from bridgehead.core import queue_id
from tests.cli.calling import called, configuration
from tests.cli.waiting import FIRST, SECOND, envelope, fill_spool
from tests.spool.places import sql

TWO = queue_id.write(SECOND)


@pytest.fixture
def config(tmp_path: Path) -> Path:
    """The configuration of a server that left two messages."""
    path = configuration(tmp_path)
    fill_spool(tmp_path / "state", [(number, envelope("bob@fabrikam.com"), {}) for number in (FIRST, SECOND)])
    return path


def damage(config: Path) -> None:
    sql(config.parent / "state", "UPDATE message SET entry = x'0000000001' WHERE id = ?", SECOND)


def test_whole_spool_is_said_to_be_whole(config: Path) -> None:
    done = called("spool", "verify", "--config", config)
    assert (done.code, done.err) == (0, "")
    assert done.out.startswith(f"{config.parent}/state/spool/p0.db: whole, 2 messages, ")
    assert called("spool", "salvage", "--config", config).code == 0


def test_damage_is_named_and_then_set_aside(config: Path) -> None:
    damage(config)
    done = called("spool", "verify", "--config", config)
    assert done.code == 1
    assert "DAMAGED, 1 message, " in done.out
    assert f"  {TWO}: checksum does not match\n" in done.out
    assert "`bridgehead spool salvage`" in done.out
    done = called("spool", "salvage", "--config", config)
    assert done.code == 1
    assert "whole, 1 message" in done.out
    assert "set aside in state_dir/damaged: 1 entry" in done.out
    assert called("spool", "verify", "--config", config).code == 0


def test_json_names_every_damaged_message(config: Path) -> None:
    damage(config)
    answer = json.loads(called("spool", "verify", "--json", "--config", config).out)
    assert answer["whole"] is False
    assert [found["damaged"] for found in answer["partitions"]] == [
        [{"queue_id": TWO, "reason": "checksum does not match"}]
    ]
    answer = json.loads(called("spool", "salvage", "--json", "--config", config).out)
    assert (answer["whole"], answer["set_aside"], answer["partitions"][0]["messages"]) == (True, 1, 1)


def test_salvage_asks_for_the_server_to_be_stopped(config: Path) -> None:
    with socket.socket(socket.AF_UNIX) as server:
        server.bind(str(config.parent / "state" / "control.sock"))
        server.listen()
        done = called("spool", "salvage", "--config", config)
    assert (done.code, done.out) == (69, "")
    assert "a server runs on" in done.err


def test_state_folder_without_a_spool_is_told(tmp_path: Path) -> None:
    done = called("spool", "verify", "--config", configuration(tmp_path))
    assert done.code == 69
    assert "there is no spool in" in done.err


def test_spool_that_may_not_be_read_is_told(config: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def forbidden(_: Path) -> list[int]:
        raise PermissionError

    monkeypatch.setattr(spool, "_numbers", forbidden)
    done = called("spool", "verify", "--config", config)
    assert done.code == 69
    assert "may not read" in done.err


@pytest.mark.parametrize("verb", ["verify", "salvage"])
def test_help_shows_an_example_and_the_exits(verb: str) -> None:
    out = called("spool", verb, "--help").out
    assert "Example: " in out
    assert "Exits: 0" in out
