"""Verbs of the control socket that the supervisor answers by itself: state of the server, link state, `explain`."""

from __future__ import annotations

from typing import Any, Protocol

import msgspec

from bridgehead.control.control_socket import Request
from bridgehead.core.explanation import Question, explain
from bridgehead.core.organization import Node, Organization
from bridgehead.process.child_process import ChildProcess
from bridgehead.process.health import Health
from bridgehead.process.link_keeper import LinkKeeper


class Server(Protocol):
    """What is asked of the supervisor."""

    node: Node
    organization: Organization
    started: float
    refusals: tuple[str, ...]
    links: LinkKeeper
    health: Health

    def workers(self) -> list[ChildProcess | None]:
        """The workers by index; `None` while one is being started again."""
        ...


def answer_alone(server: Server, request: Request) -> Any:
    """The answer as plain values, or `NotImplemented` for a verb that concerns mail."""
    match request.verb:
        case "server":
            return _server(server)
        case "links":
            return _links(server)
        case "explain":
            question = msgspec.convert(request.arguments, Question)
            return explain(question, server.organization, server.links.state)
        case _:
            return NotImplemented


def _server(server: Server) -> dict[str, Any]:
    room = server.health.room()
    troubles = server.health.reasons()
    return {
        "organization": server.organization.name,
        "server": server.node.server,
        "generation": server.organization.generation,
        "started": server.started,
        "state_dir": server.node.state_dir,
        "workers": [
            {
                "index": index,
                "pid": worker.pid if worker else 0,
                "ready": bool(worker and worker.is_ready),
                "fault": server.health.fault_of(index),
            }
            for index, worker in enumerate(server.workers())
        ],
        "ready": not troubles,
        "troubles": list(troubles),
        "disk": {"free_bytes": room.free, "reserve_bytes": room.reserve, "has_room": room.is_enough},
        "refusals": list(server.refusals),
        **_links(server),
    }


def _links(server: Server) -> dict[str, Any]:
    state = server.links.state
    return {
        "connectors": [
            {
                "name": connector.name,
                "enabled": connector.enabled,
                "up": connector.name not in state.down,
                "down_since": state.down.get(connector.name, 0.0),
                "suspect": connector.name in state.suspect,
            }
            for connector in server.organization.connectors
        ]
    }
