"""`bridgehead check` finds everything and says it where it stands."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import msgspec
import pytest

from bridgehead.core.recipient_state import RecipientState
from bridgehead.outbound.waiting_for import Sample, WaitingFor
from tests.cli.calling import called, called_beside
from tests.cli.contoso import HEAD, ISP, PARTNER, write_file
from tests.cli.waiting import FIRST, SECOND, envelope, fill_spool

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


# Mail that waits

FROZEN = "frozen until `queue release` or `queue reroute`: that way is less specific or has a weaker TLS level"


def connectors(*names: str, enabled: bool = True) -> dict[str, Any]:
    """The answer of a server that has these."""
    state = {"enabled": enabled, "up": True, "down_since": 0.0, "suspect": False}
    return {"connectors": [{"name": name} | state for name in names]}


def waiting(name: str, *domains: str, messages: int = 3) -> Any:
    """What a server says of mail that waits."""
    made = [envelope(f"bob@{domain}") for domain in domains]
    samples = tuple(Sample(FIRST, one, one.recipients[0], (1, 1)) for one in made)
    return [msgspec.to_builtins(WaitingFor(name, messages, samples=samples))]


async def test_check_says_what_becomes_of_mail_that_waits_for_a_connector_which_the_file_removes(
    tmp_path: Path,
) -> None:
    path = write_file(tmp_path, HEAD, ISP)
    answers = {"server": connectors("ISP", "Old"), "queue.waiting_for": waiting("Old", "one.test", "two.test")}
    came, asked = await called_beside(tmp_path / "state", answers, "check", path)
    assert came.out.splitlines()[-2:] == [
        'connector "Old" is removed: 3 messages wait for it',
        '    one.test, two.test: by "ISP"',
    ]
    assert came.code == 0
    assert asked[-1].arguments == {"connectors": ["Old"]}


async def test_check_has_nothing_to_say_where_no_connector_leaves(tmp_path: Path) -> None:
    path = write_file(tmp_path, HEAD, ISP)
    came, asked = await called_beside(tmp_path / "state", {"server": connectors("ISP")}, "check", path)
    assert len(came.out.splitlines()) == 2
    assert [one.verb for one in asked] == ["server"]


async def test_check_writes_what_waits_as_json(tmp_path: Path) -> None:
    path = write_file(tmp_path, HEAD, ISP.replace("[[connector]]", "[[connector]]\nenabled = false"))
    answers = {"server": connectors("ISP"), "queue.waiting_for": waiting("ISP", "one.test")}
    came, _ = await called_beside(tmp_path / "state", answers, "check", path, "--json")
    assert json.loads(came.out)["waiting"] == {
        "source": "server",
        "departures": [
            {
                "connector": "ISP",
                "change": "disabled",
                "messages": 3,
                "held": 0,
                "ways": [{"kind": "unroutable", "connectors": [], "is_frozen": False, "domains": ["one.test"]}],
                "is_whole": True,
            }
        ],
        "trouble": "",
    }


async def test_check_works_where_the_server_cannot_say(tmp_path: Path) -> None:
    path = write_file(tmp_path, HEAD, ISP)
    answers = {"server": connectors("Old"), "queue.waiting_for": "no worker is ready: see the log of the server"}
    came, _ = await called_beside(tmp_path / "state", answers, "check", path)
    assert came.code == 0
    assert came.out.splitlines()[-1] == (
        "what waits for connectors that this file does not use is not known: "
        "no worker is ready: see the log of the server"
    )


def test_check_reads_the_spool_where_no_server_runs(tmp_path: Path) -> None:
    path = write_file(tmp_path, HEAD, ISP)
    tried = RecipientState(attempts=1, connector="Old")
    fill_spool(
        tmp_path / "state", [(FIRST, envelope("a@one.test"), {0: tried}), (SECOND, envelope("b@two.test"), {})]
    )
    came = called("check", path)
    assert came.code == 0
    assert came.out.splitlines()[2:] == [
        'connector "Old" is removed: 1 message waits for it',
        f'    one.test: by "ISP", {FROZEN}',
        "no server runs: this is what its spool says of mail that was tried before",
    ]


def test_check_needs_no_spool_that_can_be_read(tmp_path: Path) -> None:
    path = write_file(tmp_path, HEAD, ISP)
    (tmp_path / "state" / "spool").mkdir()
    (tmp_path / "state" / "spool" / "p0.db").write_bytes(b"not a database")
    assert called("check", path).code == 0
