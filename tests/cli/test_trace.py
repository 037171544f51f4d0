"""`bridgehead trace`: the story of a message, told from the tracking stores without a server."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from bridgehead.cli import trace as module
from bridgehead.core import queue_id
from bridgehead.core.tracking import Step, TrackingEvent
from tests.cli.calling import called, configuration, in_time_zone
from tests.cli.tracked import EVENTS, ONE, STORY, write_events
from tests.cli.waiting import ARRIVED, SECOND

TWO = queue_id.write(SECOND)


@pytest.fixture(autouse=True)
def time_zone() -> Iterator[None]:
    """Times are in UTC."""
    with in_time_zone("UTC"):
        yield


@pytest.fixture
def config(tmp_path: Path) -> Path:
    """A configuration whose tracking knows two messages, one of them in the stores of two workers."""
    path = configuration(tmp_path)
    write_events(tmp_path / "state", *EVENTS[:3])
    write_events(tmp_path / "state", *EVENTS[3:], worker=1)
    other = TrackingEvent(
        ts=ARRIVED + 7_200, step=Step.RECEIVED, queue_id=TWO, sender="", recipient="eve@contoso.com"
    )
    write_events(tmp_path / "state", other, worker=1)
    return path


@pytest.mark.parametrize(
    "arguments",
    [
        ("--message-id", ONE),
        ("--message-id", "1@contoso.com"),
        (ONE,),
        (ONE.lower(),),
        ("--sender", "alice@contoso.com"),
        ("--recipient", "bob@fabrikam.com"),
        ("--recipient", "carol", "--sender", "alice"),
        ("held by an operator",),
        ("--since", "2026-09-21 14:00", "mx.isp.example"),
    ],
)
def test_trace_tells_the_story_in_order_of_time(config: Path, arguments: tuple[str, ...]) -> None:
    done = called("trace", *arguments, "--config", config)
    assert (done.code, done.out, done.err) == (0, STORY, "")


def test_trace_without_criteria_tells_of_the_newest(config: Path) -> None:
    done = called("trace", "--config", config)
    assert done.out == (
        f"{STORY}\n{TWO}  from <>\n  2026-09-21 16:13:20  received   eve@contoso.com from this machine\n"
    )
    bounded = called("trace", "--limit", "1", "--config", config)
    assert STORY not in bounded.out
    assert bounded.err == "bridgehead: these are the newest 1: --limit or --since changes that\n"


def test_trace_since_leaves_older_ones_out(config: Path) -> None:
    assert STORY not in called("trace", "--since", "2026-09-21T15:00:00Z", "--config", config).out


def test_trace_writes_json(config: Path) -> None:
    shown = json.loads(called("trace", ONE, "--json", "--config", config).out)
    (story,) = shown["stories"]
    assert (story["queue_id"], [event["event"] for event in story["events"]]) == (
        ONE,
        ["received", "routed", "deferred", "delivered", "held"],
    )


@pytest.mark.parametrize(
    "arguments", [("nobody@nowhere.example",), ("--sender", "bob@fabrikam.com"), (f"{ONE[:-1]}9",)]
)
def test_trace_of_what_is_not_known_says_so(config: Path, arguments: tuple[str, ...]) -> None:
    done = called("trace", *arguments, "--config", config)
    assert (done.code, done.out, done.err) == (1, "", "bridgehead: nothing is known of such a message\n")


def test_trace_refuses_a_time_that_is_none(config: Path) -> None:
    done = called("trace", "--since", "yesterday", "--config", config)
    assert done.code == 64
    assert 'Error: --since "yesterday" is no time: give "2h", "1d", "08:30", "2026-11-24" or so' in done.err


def test_trace_says_that_it_may_not_read(config: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "os", _Forbidden)
    done = called("trace", "--config", config)
    assert done.code == 69
    assert done.err == (
        f"bridgehead: this account may not read {config.parent}/state/tracking:"
        " try again as root, or as the user that serves\n"
    )


class _Forbidden:
    """An operating system that refuses."""

    R_OK = os.R_OK
    X_OK = os.X_OK

    @staticmethod
    def access(_path: Path, _mode: int) -> bool:
        return False


def test_trace_names_a_store_that_is_damaged(config: Path) -> None:
    (config.parent / "state/tracking/w0.db").write_bytes(b"no database" * 1000)
    done = called("trace", "--config", config)
    assert done.code == 69
    assert done.err.startswith(f"bridgehead: cannot read the tracking stores in {config.parent}/state/tracking: ")


def test_help_shows_an_example() -> None:
    assert "Example: bridgehead trace --recipient bob@fabrikam.com --since 2h" in called("trace", "--help").out
