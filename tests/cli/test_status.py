"""`bridgehead status` says how the server is; without one, what lies on disk."""

from __future__ import annotations

import json
import re
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from bridgehead.control.configuration.load import load
from bridgehead.core.envelope import Envelope, MessageId, Recipient
from bridgehead.core.recipient_state import Hold, RecipientState
from bridgehead.core.statistics import DeliveryCount, QueueCount, Statistics
from bridgehead.spool.contract import Body, Insert, Update
from bridgehead.spool.sqlite import SqliteSpool
from tests.cli.calling import called, called_beside
from tests.cli.contoso import HEAD, ISP, write_file

NOW = 1_790_000_000.0


@pytest.fixture
def path(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    monkeypatch.setattr(time, "time", lambda: NOW)
    monkeypatch.setenv("TZ", "UTC")
    time.tzset()
    yield write_file(tmp_path, HEAD, ISP)
    monkeypatch.undo()
    time.tzset()


@pytest.fixture
def generation(path: Path) -> str:
    """What the file comes to."""
    configuration = load(path).configuration
    assert configuration is not None
    return configuration.organization.generation


def server(**changes: Any) -> dict[str, Any]:
    """The answer of a server that is well."""
    connectors = [
        {"name": "ISP", "enabled": True, "up": True, "down_since": 0.0, "suspect": False},
        {"name": "Partner", "enabled": True, "up": True, "down_since": 0.0, "suspect": False},
        {"name": "Old", "enabled": False, "up": True, "down_since": 0.0, "suspect": False},
    ]
    return {
        "organization": "Contoso",
        "server": "BRIDGE01",
        "generation": "3f9a01c2",
        "started": NOW - 7_500,
        "state_dir": "/var/lib/bridgehead",
        "workers": [
            {"index": 0, "pid": 101, "ready": True, "fault": ""},
            {"index": 1, "pid": 102, "ready": True, "fault": ""},
        ],
        "ready": True,
        "troubles": [],
        "disk": {"free_bytes": 12 * 2**30, "reserve_bytes": 2**28, "has_room": True},
        "refusals": [],
        "connectors": connectors,
    } | changes


BUSY = Statistics(
    received=15_000,
    refused=12,
    sessions={"BRIDGE01/Default": 3, "BRIDGE01/Other": 0},
    queues=(
        QueueCount("ISP", "active", 2, NOW - 1),
        QueueCount("ISP", "retry", 40, NOW - 3_600),
        QueueCount("", "ready", 1, NOW - 5),
    ),
    deliveries=(
        DeliveryCount("ISP", "delivered", 14_900),
        DeliveryCount("ISP", "deferred", 52),
        DeliveryCount("Old", "bounced", 1),
        DeliveryCount("Old", "expired", 2),
        DeliveryCount("Old", "failed", 6),
    ),
    spooled=43,
    commits=1_000,
    commit_seconds=1.5,
    memory_bytes=159_383_552,
)


async def test_status_of_a_server_that_is_well(path: Path, generation: str) -> None:
    answers = {"server": server(generation=generation), "statistics": BUSY}
    came, _ = await called_beside(path.parent / "state", answers, "status", "--config", path)
    assert came.out == (
        'Bridgehead "Contoso" on BRIDGE01: healthy\n'
        f"  generation  {generation}\n"
        "  running     for 2 h 5 min, since 2026-09-21 12:08:20\n"
        "  workers     2 of 2 ready (pid 101, 102), 152.0 MiB\n"
        "  received    15,000 messages, 2.00 a second since the start\n"
        "  refused     12\n"
        "  delivered   14,900 recipients, 1.99 a second since the start\n"
        "  failed      6 recipients: 2 expired, 1 returned by an operator, 3 refused\n"
        "  sessions    BRIDGE01/Default 3\n"
        "  disk        12.0 GiB free, new mail is taken above 256.0 MiB\n"
        "  spool       43 messages, 1.5 ms a commit\n"
        "\n"
        "CONNECTOR       STATE     WAITING  MESSAGES  OLDEST  DELIVERED  DEFERRED  FAILED\n"
        "ISP             up        active          2  1 s        14,900        52       0\n"
        "                          retry          40  1 h\n"
        "Partner         up        -                                  0         0       0\n"
        "Old             disabled  -                                  0         0       6\n"
        "(no connector)            ready           1  5 s             0         0       0\n"
    )
    assert (came.code, came.err) == (0, "")


async def test_status_puts_what_needs_a_person_at_the_end(path: Path, generation: str) -> None:
    troubled = server(
        refusals=['bridgehead.toml:3:1: error: unknown key "colour"'],
        workers=[{"index": 0, "pid": 101, "ready": True}, {"index": 1, "pid": 0, "ready": False}],
        ready=False,
        troubles=["the disk has 12 MB free", "worker 1 is not ready: see the log"],
        connectors=[{"name": "ISP", "enabled": True, "up": False, "down_since": NOW - 7_500, "suspect": False}],
    )
    statistics = Statistics(
        queues=(QueueCount("ISP", "credential", 7, NOW - 60), QueueCount("ISP", "frozen", 1, NOW - 60)),
        damaged=1,
        badmail=2,
        unconfirmed=1,
        events_dropped=3,
    )
    answers = {"server": troubled, "statistics": statistics}
    came, _ = await called_beside(path.parent / "state", answers, "status", "--config", path)
    heading, _, rest = came.out.partition("\n")
    assert heading == 'Bridgehead "Contoso" on BRIDGE01: not ready'
    assert re.search(r"ISP +DOWN for 2 h 5 min +credential +7 +1 min +0 +0 +0\n +frozen +1", rest)
    _, _, warnings = rest.partition("Warnings\n")
    assert warnings == (
        "  ! the disk has 12 MB free\n"
        "  ! worker 1 is not ready: see the log\n"
        "  ! the changed configuration file was not taken, the old one stays:"
        ' bridgehead.toml:3:1: error: unknown key "colour"\n'
        '  ! connector "ISP" is down since 2026-09-21 12:08:20: `bridgehead connector test "ISP"`\n'
        "  ! 3 tracking events lost: the disk could not keep up\n"
        "  ! 1 final reply was lost on the way: those messages were sent again, so a duplicate is possible\n"
        f"  ! the configuration file is not in force: it has generation {generation};"
        " a reload (SIGHUP) applies it\n"
        '  ! 7 messages of connector "ISP": the next hop refused our credentials;'
        " mend them, then `bridgehead queue retry`\n"
        '  ! 1 message of connector "ISP": frozen; `bridgehead queue release` lets it go\n'
        "  ! 1 damaged entry set aside in state_dir/damaged\n"
        "  ! 2 undeliverable DSNs kept in state_dir/badmail for 7 days\n"
    )
    assert came.code == 0


async def test_status_warns_of_mail_that_nothing_serves(path: Path, generation: str) -> None:
    statistics = Statistics(queues=(QueueCount("", "unreachable", 2, NOW - 60),))
    answers = {"server": server(generation=generation), "statistics": statistics}
    came, _ = await called_beside(path.parent / "state", answers, "status", "--config", path)
    assert "  ! 2 messages: nothing serves that mail since the file was changed; `bridgehead queue list`" in came.out


async def test_status_writes_json(path: Path, generation: str) -> None:
    answers = {"server": server(generation=generation), "statistics": BUSY}
    came, _ = await called_beside(path.parent / "state", answers, "status", "--json", "--config", path)
    answer = json.loads(came.out)
    assert set(answer) == {*server(), "running", "statistics", "warnings"}
    assert (answer["running"], answer["warnings"]) == (True, [])
    assert answer["statistics"]["queues"][0] == {
        "connector": "ISP",
        "state": "active",
        "messages": 2,
        "oldest": NOW - 1,
    }


async def test_status_is_told_even_while_no_worker_can_answer(path: Path) -> None:
    answers = {"server": server(ready=False), "statistics": "no worker is ready: see the log of the server"}
    came, _ = await called_beside(path.parent / "state", answers, "status", "--config", path)
    assert came.code == 0
    assert "  ! nothing is known of the mail: no worker is ready: see the log of the server\n" in came.out


async def test_status_finds_the_server_while_its_file_has_errors(path: Path) -> None:
    path.write_text(path.read_text() + "colour = 1\n")
    answers = {"server": server(refusals=["colour"]), "statistics": BUSY}
    came, _ = await called_beside(path.parent / "state", answers, "status", "--config", path)
    assert came.code == 0
    assert "was not taken, the old one stays: colour" in came.out


async def test_status_without_a_server_counts_what_waits_on_disk(path: Path) -> None:
    state_dir = path.parent / "state"
    spool = SqliteSpool(state_dir, 0)
    for number, state in enumerate(
        (RecipientState(), RecipientState(hold=Hold.FROZEN, connector="ISP"), RecipientState(connector="ISP"))
    ):
        recipient = Recipient(0, "bob@fabrikam.com", "fabrikam.com")
        envelope = Envelope("alice@contoso.com", (recipient,), 3, NOW - 60 * (number + 1), "LOCAL/Default")
        spool.submit([Insert(MessageId(number + 1), envelope, Body(3, b"x\r\n"))])
        spool.submit([Update(MessageId(number + 1), {0: state})])
    await spool.close()
    (state_dir / "badmail").mkdir()
    (state_dir / "badmail" / "3CTQ8WM5ZK002.eml").touch()
    came = called("status", "--config", path)
    assert came.out == (
        f"No server is running. In {state_dir}:\n"
        "\n"
        "CONNECTOR       WAITING  MESSAGES  OLDEST\n"
        "(no connector)  ready           1  1 min\n"
        "ISP             frozen          1  2 min\n"
        "ISP             ready           1  3 min\n"
        "\n"
        "Warnings\n"
        '  ! 1 message of connector "ISP": frozen; `bridgehead queue release` lets it go\n'
        "  ! 1 undeliverable DSN kept in state_dir/badmail for 7 days\n"
    )
    assert came.code == 69
    assert came.err == (
        f"bridgehead: no server answers on {state_dir}/control.sock (No such file or directory):"
        " start it with `bridgehead serve`\n"
    )


def test_status_without_a_server_writes_json(path: Path) -> None:
    came = called("status", "--json", "--config", path)
    assert (came.code, json.loads(came.out)) == (
        69,
        {
            "running": False,
            "state_dir": str(path.parent / "state"),
            "queues": [],
            "badmail": 0,
            "damaged": 0,
            "warnings": [],
        },
    )
