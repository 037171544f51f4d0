"""`bridgehead queue`: what is asked of a server, what is shown, and the codes it ends with."""

from __future__ import annotations

import json
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import msgspec
import pytest

from bridgehead.cli import queue as module
from bridgehead.cli import waiting_mail
from bridgehead.core import queue_id
from bridgehead.core.recipient_state import Hold, RecipientState, Standing
from bridgehead.outbound.listing import QueueState, Row
from tests.cli.calling import called, called_beside, configuration
from tests.cli.waiting import ARRIVED, FIRST, SECOND, THIRD, envelope, fill_spool, row

ONE, TWO, THREE = (queue_id.write(number) for number in (FIRST, SECOND, THIRD))
NOW = ARRIVED + 7_500
DONE = {"messages": 1, "recipients": 2, "busy": 0}


@pytest.fixture(autouse=True)
def clock(monkeypatch: pytest.MonkeyPatch) -> None:
    """It is two hours and five minutes after all mail arrived."""
    for place in (module, waiting_mail):
        monkeypatch.setattr(place, "time", SimpleNamespace(time=lambda: NOW))


@pytest.fixture
def config(tmp_path: Path) -> Path:
    """A configuration whose state folder is `tmp_path / "state"`."""
    return configuration(tmp_path)


def state(config: Path) -> Path:
    """The state folder of a configuration."""
    return config.parent / "state"


def listed(*rows: Row) -> list[Any]:
    """Rows as they come over the control socket."""
    decoded: list[Any] = msgspec.json.decode(msgspec.json.encode(rows))
    return decoded


async def test_list_groups_what_waits_by_message_and_place(config: Path) -> None:
    answers = {
        "queue.list": listed(
            row(SECOND, "dave@partner.example", state=QueueState.FROZEN, next_attempt=0, reason="", sender=""),
            row(FIRST, "bob@fabrikam.com", "carol@fabrikam.com", next_attempt=NOW + 480),
            row(FIRST, "eve@proseware.com", connector="", state=QueueState.READY, next_attempt=0, reason=""),
        )
    }
    done, asked = await called_beside(state(config), answers, "queue", "list", "--config", config)
    assert done.err == ""
    assert done.out == (
        f"{ONE}  2 h 5 min  12.0 KiB  from alice@contoso.com\n"
        "    ready, goes as soon as there is room\n"
        "        eve@proseware.com  not tried yet\n"
        '    retry in 8 min, by "ISP"\n'
        "        bob@fabrikam.com    451 4.7.1 greylisted\n"
        "        carol@fabrikam.com  451 4.7.1 greylisted\n"
        f"{TWO}  2 h 5 min  12.0 KiB  from <>\n"
        '    frozen until it is released, by "ISP"\n'
        "        dave@partner.example  not tried yet\n"
        "2 messages, 4 recipients\n"
    )
    assert done.code == 0
    assert [(one.verb, one.arguments["limit"]) for one in asked] == [("queue.list", 101)]


async def test_list_says_how_much_is_not_shown(config: Path) -> None:
    answers = {
        "queue.list": listed(row(FIRST), row(SECOND), row(THIRD)),
        "queue.retry dry_run": {"messages": 240, "recipients": 300, "busy": 2},
    }
    done, _ = await called_beside(state(config), answers, "queue", "list", "--limit", "2", "--config", config)
    assert done.out.splitlines()[-1] == "… and 240 more: --limit shows more of them"
    assert THREE not in done.out


async def test_list_passes_the_whole_selection_on(config: Path) -> None:
    arguments = (ONE.lower(), TWO, "--connector", "ISP", "--domain", "@Fabrikam.COM", "--sender", "<>")
    done, asked = await called_beside(
        state(config), {"queue.list": []}, "queue", "--config", config, "list", *arguments
    )
    assert done.code == 1
    assert done.err == "bridgehead: no waiting mail matches\n"
    assert asked[0].arguments == {
        "ids": [ONE, TWO],
        "connector": "ISP",
        "domain": "fabrikam.com",
        "sender": "",
        "limit": 101,
    }


async def test_list_of_an_empty_queue_says_so(config: Path) -> None:
    done, _ = await called_beside(state(config), {"queue.list": []}, "queue", "list", "--config", config)
    assert (done.code, done.out, done.err) == (1, "The queue is empty.\n", "")


async def test_list_writes_json_before_or_after_the_verb(config: Path) -> None:
    answers = {"queue.list": listed(row(FIRST))}
    for arguments in (("--json", "queue", "list"), ("queue", "--json", "list"), ("queue", "list", "--json")):
        done, _ = await called_beside(state(config), answers, "--config", config, *arguments)
        shown = json.loads(done.out)
        assert shown == {"live": True, "rows": listed(row(FIRST)), "more": 0}


def test_list_reads_the_spool_where_no_server_runs(config: Path) -> None:
    waits = RecipientState(attempts=2, next_attempt=NOW + 60, connector="ISP", code=451, text="busy")
    held = RecipientState(hold=Hold.FROZEN, text="held by an operator")
    fill_spool(state(config), [(SECOND, envelope("bob@fabrikam.com", "carol@fabrikam.com"), {0: waits})])
    fill_spool(state(config), [(FIRST, envelope("dave@partner.example", sender=""), {0: held})], partition=1)
    done = called("queue", "list", "--config", config)
    assert done.err == (
        f"bridgehead: no server runs on {state(config)}: this is read from its spool, states are derived\n"
    )
    assert done.out == (
        f"{ONE}  2 h 5 min  12.0 KiB  from <>\n"
        "    frozen until it is released\n"
        "        dave@partner.example  held by an operator\n"
        f"{TWO}  2 h 5 min  12.0 KiB  from alice@contoso.com\n"
        "    ready, goes as soon as there is room\n"
        "        carol@fabrikam.com  not tried yet\n"
        '    retry in 1 min, by "ISP"\n'
        "        bob@fabrikam.com  451 busy\n"
        "2 messages, 3 recipients\n"
    )
    assert done.code == 0


def test_list_without_a_server_selects_and_bounds_too(config: Path) -> None:
    fill_spool(state(config), [(one, envelope("bob@fabrikam.com"), {}) for one in (FIRST, SECOND, THIRD)])
    assert called("queue", "list", "--domain", "contoso.com", "--config", config).code == 1
    shown = json.loads(called("queue", "list", "--limit", "2", "--json", "--config", config).out)
    assert ([one["queue_id"] for one in shown["rows"]], shown["more"], shown["live"]) == ([ONE, TWO], 1, False)


def test_list_says_that_something_could_not_be_read(config: Path) -> None:
    fill_spool(state(config), [(FIRST, envelope("bob@fabrikam.com"), {})])
    (state(config) / "spool" / "p7.db").write_bytes(b"no database" * 1000)
    done = called("queue", "list", "--config", config)
    assert done.code == 0
    assert "bridgehead: 1 entry of the spool is left out: not readable\n" in done.err


def test_show_tells_everything_without_a_server(config: Path) -> None:
    states = {
        0: RecipientState(attempts=3, next_attempt=NOW + 300, connector="ISP", code=451, text="greylisted"),
        1: RecipientState(Standing.DELIVERED, host="mx1.example [192.0.2.1]", code=250, enhanced="2.0.0", text="ok"),
    }
    fill_spool(state(config), [(FIRST, envelope("bob@fabrikam.com", "carol@fabrikam.com"), states)])
    done = called("queue", "show", ONE, "--config", config)
    arrived = done.out.splitlines()[1].split("Arrived")[1].strip()
    assert done.out == (
        f"{ONE}\n"
        f"  Arrived      {arrived}\n"
        "  Size         12.0 KiB\n"
        "  Sender       alice@contoso.com\n"
        "  Message-ID   <1@contoso.com>\n"
        "  Received by  BRIDGE01/Default with ESMTP\n"
        "  From client  client.test [192.0.2.7]\n"
        "  Options      7BIT\n"
        "  From         Alice <alice@contoso.com>\n"
        "  To           bob@fabrikam.com\n"
        "  Subject      件名 ?[2J\n"
        "  Date         Tue, 24 Nov 2026 08:00:00 +0000\n"
        "  Recipients\n"
        '    bob@fabrikam.com    retry in 5 min, by "ISP", 3 attempts so far  451 greylisted\n'
        "    carol@fabrikam.com  delivered at mx1.example [192.0.2.1]         250 2.0.0 ok\n"
    )
    assert done.code == 0


async def test_show_of_mail_that_does_not_wait_points_to_trace(config: Path) -> None:
    done, _ = await called_beside(state(config), {"queue.list": []}, "queue", "show", ONE, "--config", config)
    assert done.code == 1
    assert done.err == (
        "bridgehead: no waiting mail matches; `bridgehead trace` tells what became of mail that is gone\n"
    )


async def test_show_says_what_the_server_knows_where_the_spool_cannot_be_read(config: Path) -> None:
    answers = {"queue.list": listed(row(FIRST, next_attempt=NOW + 480))}
    done, _ = await called_beside(state(config), answers, "queue", "show", ONE, "--config", config)
    assert '    bob@fabrikam.com  retry in 8 min, by "ISP", 3 attempts so far  451 4.7.1 greylisted\n' in done.out
    assert "  Sender      alice@contoso.com\n" in done.out
    assert done.err == "bridgehead: envelope and header are left out: this account may not read the spool\n"
    as_json, _ = await called_beside(state(config), answers, "queue", "show", ONE, "--json", "--config", config)
    (message,) = json.loads(as_json.out)["messages"]
    assert (message["queue_id"], message["envelope"], message["events"]) == (ONE, None, [])


@pytest.mark.parametrize(
    ("verb", "words"),
    [
        ("retry", "Set going 1 message (2 recipients)."),
        ("hold", "Held 1 message (2 recipients)."),
        ("release", "Released 1 message (2 recipients)."),
        ("reroute", "Rerouted 1 message (2 recipients)."),
        ("delete", "Deleted 1 message (2 recipients)."),
        ("bounce", "Returned 1 message (2 recipients)."),
    ],
)
async def test_verb_is_done_on_one_message(config: Path, verb: str, words: str) -> None:
    done, asked = await called_beside(state(config), {f"queue.{verb}": DONE}, "queue", verb, ONE, "--config", config)
    assert (done.code, done.out, done.err) == (0, f"{words}\n", "")
    assert [one.verb for one in asked] == [f"queue.{verb}"]
    assert asked[0].arguments["ids"] == [ONE]


@pytest.mark.parametrize("verb", ["delete", "bounce"])
async def test_more_than_one_message_needs_consent(config: Path, verb: str) -> None:
    answers = {f"queue.{verb} dry_run": {"messages": 3, "recipients": 5, "busy": 0}}
    done, asked = await called_beside(state(config), answers, "queue", verb, "--all", "--config", config)
    assert done.code == 64
    assert f"Error: {verb} would concern 3 messages: add --yes if that is meant, or select less" in done.err
    assert [one.arguments["dry_run"] for one in asked] == [True]


@pytest.mark.parametrize("verb", ["delete", "bounce"])
async def test_consent_lets_more_than_one_go(config: Path, verb: str) -> None:
    answers = {f"queue.{verb}": {"messages": 3, "recipients": 5, "busy": 1}}
    done, asked = await called_beside(state(config), answers, "queue", verb, "--all", "--yes", "--config", config)
    assert done.code == 0
    assert done.out.splitlines()[1] == "1 is being sent at this moment and left alone: try again."
    assert len(asked) == 1


async def test_the_one_message_that_was_counted_is_the_one_that_goes(config: Path) -> None:
    answers = {
        "queue.delete dry_run": DONE,
        "queue.list": listed(row(FIRST)),
        "queue.delete": DONE,
    }
    done, asked = await called_beside(
        state(config), answers, "queue", "delete", "--domain", "fabrikam.com", "--config", config
    )
    assert done.code == 0
    assert (asked[-1].verb, asked[-1].arguments["ids"], asked[-1].arguments["domain"]) == (
        "queue.delete",
        [ONE],
        "fabrikam.com",
    )


async def test_nothing_is_deleted_where_nothing_matched_at_the_count(config: Path) -> None:
    answers = {"queue.delete dry_run": {"messages": 0, "recipients": 0, "busy": 0}, "queue.list": []}
    done, asked = await called_beside(state(config), answers, "queue", "delete", "--all", "--config", config)
    assert (done.code, done.err) == (1, "bridgehead: no waiting mail matches\n")
    assert "queue.delete" not in [one.verb for one in asked if not one.arguments.get("dry_run")]


async def test_dry_run_only_counts(config: Path) -> None:
    answers = {"queue.bounce dry_run": {"messages": 3, "recipients": 5, "busy": 0}}
    done, _ = await called_beside(state(config), answers, "queue", "bounce", "--all", "--dry-run", "--config", config)
    assert (done.code, done.out) == (0, "Would return 3 messages (5 recipients).\n")


async def test_what_is_being_sent_is_not_called_done(config: Path) -> None:
    answers = {"queue.hold": {"messages": 0, "recipients": 0, "busy": 1}}
    done, _ = await called_beside(state(config), answers, "queue", "hold", ONE, "--config", config)
    assert done.code == 1
    assert done.out == (
        "Held no messages (no recipients).\n1 is being sent at this moment and left alone: try again.\n"
    )


async def test_a_refusal_of_the_server_is_passed_on(config: Path) -> None:
    done, _ = await called_beside(
        state(config), {"queue.retry": "worker 0 ended while it was asked"}, "queue", "retry", ONE, "--config", config
    )
    assert (done.code, done.err) == (1, "bridgehead: worker 0 ended while it was asked\n")


@pytest.mark.parametrize("verb", ["show", "retry", "hold", "release", "delete", "bounce", "reroute"])
def test_a_verb_without_a_selection_is_refused(config: Path, verb: str) -> None:
    done = called("queue", verb, "--config", config)
    assert done.code == 64
    assert "Error: say which mail: queue ids, --connector, --domain, --sender or --all\n" in done.err


@pytest.mark.parametrize(
    ("arguments", "code", "words"),
    [
        (("list", "nonsense"), 64, 'Error: "nonsense" is not a queue id: `bridgehead queue list` shows them'),
        (("hold", "--domain", "a b"), 64, 'Error: "a b" is not a domain'),
        (("hold", "--all", "--domain", "a.example"), 64, "Error: --all takes everything: leave it or the other"),
        (("list", "--limit", "0"), 64, "Error: Invalid value for '--limit'"),
        (("thaw", ONE), 64, "Error: No such command 'thaw'"),
        (("hold", ONE), 69, "bridgehead: no server answers on "),
        (("list",), 69, "bridgehead: no server answers on "),
    ],
)
def test_errors_of_usage(config: Path, arguments: tuple[str, ...], code: int, words: str) -> None:
    done = called("queue", *arguments, "--config", config)
    assert done.code == code
    assert words in done.err
    assert done.out == ""


@pytest.mark.parametrize("verb", ["", "list", "show", "retry", "hold", "release", "delete", "bounce", "reroute"])
def test_help_shows_an_example(verb: str) -> None:
    done = called("queue", *verb.split(), "--help")
    assert done.code == 0
    assert f"Example: bridgehead queue {verb or 'list'}" in done.out
