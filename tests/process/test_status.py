"""Verbs that the supervisor answers by itself."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import msgspec
import pytest

from bridgehead.control.control_socket import Request
from bridgehead.core.organization import Node
from bridgehead.process.child_process import ChildProcess
from bridgehead.process.free_space import FreeSpace
from bridgehead.process.health import Health
from bridgehead.process.link_keeper import LinkKeeper
from bridgehead.process.status import answer_alone
from tests.process.test_link_keeper import Keeper


class Server:
    """What is asked of the supervisor, with one worker that is being started again."""

    def __init__(self) -> None:
        keeper = Keeper("ISP", "Backup")
        keeper.fail("ISP")
        keeper.fail("ISP")
        self.node = Node("S", "/var/lib/bridgehead")
        self.organization = keeper.organization
        self.started = 500.0
        self.refusals: tuple[str, ...] = ("bridgehead.toml:3:1: error: unknown key",)
        self.links: LinkKeeper = keeper.links
        self.health = Health(FreeSpace(Path("/"), lambda: 2**62, lambda: 0.0), self.workers)

    def workers(self) -> list[ChildProcess | None]:
        return [None]


def ask(verb: str, **arguments: Any) -> Any:
    answer = answer_alone(Server(), Request(verb, arguments))
    return answer if answer is NotImplemented else msgspec.to_builtins(answer)


def test_status_tells_workers_links_and_the_refused_file() -> None:
    answer = ask("server")
    assert answer["ready"] is False
    assert answer["workers"] == [{"index": 0, "pid": 0, "ready": False, "fault": ""}]
    assert answer["refusals"] == ["bridgehead.toml:3:1: error: unknown key"]
    full, starting = answer["troubles"]
    assert full.startswith("the disk has ")
    assert starting == "worker 0 is not ready: see the log"
    assert answer["disk"]["reserve_bytes"] == 2**62
    assert answer["disk"]["has_room"] is False
    assert answer["connectors"] == ask("links")["connectors"]


def test_status_tells_since_when_a_connector_is_down() -> None:
    isp, backup = ask("links")["connectors"]
    assert (isp["name"], isp["up"], isp["down_since"]) == ("ISP", False, 1020.0)
    assert (backup["name"], backup["up"], backup["down_since"]) == ("Backup", True, 0.0)


def test_status_explains_with_the_link_state_of_the_server() -> None:
    explanation = ask("explain", recipient="eve@fabrikam.com", client="192.0.2.9", user="amy")
    assert explanation["verdict"] == "routed"
    dropped = {one["name"]: one["rule"] for one in explanation["connectors"]}
    assert dropped == {"ISP": "down", "Backup": "kept"}


@pytest.mark.parametrize("verb", ["statistics", "queue.list", "unknown"])
def test_status_leaves_the_verbs_of_mail_to_the_workers(verb: str) -> None:
    assert ask(verb) is NotImplemented
