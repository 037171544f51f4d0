"""Health and metrics over HTTP, against a real control socket."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
from httpx2 import ASGITransport, AsyncClient

from bridgehead.admin.application import application
from bridgehead.control.control_socket import ControlError, ControlServer, Request
from bridgehead.core.statistics import Statistics

SERVER = {
    "generation": "3f9a01c2",
    "workers": [{"index": 0, "fault": ""}, {"index": 1, "fault": "disk I/O error"}],
    "troubles": ["the disk is full", "worker 1 is not ready: see the log"],
    "disk": {"free_bytes": 100, "reserve_bytes": 200, "has_room": False},
    "connectors": [],
}


@pytest.fixture
async def http(tmp_path: Path) -> AsyncIterator[AsyncClient]:
    async with AsyncClient(transport=ASGITransport(app=application(tmp_path)), base_url="http://console") as client:
        yield client


def answering(*, ready: bool) -> Any:
    async def respond(request: Request) -> Any:
        match request.verb:
            case "server":
                return SERVER | {"ready": ready}
            case "statistics":
                return Statistics(received=4)
            case _:
                raise ControlError("not asked for")

    return respond


async def serve(tmp_path: Path, *, ready: bool) -> ControlServer:
    server = ControlServer(tmp_path, answering(ready=ready))
    await server.start()
    return server


async def test_health_is_live_and_ready_when_every_worker_is(http: AsyncClient, tmp_path: Path) -> None:
    server = await serve(tmp_path, ready=True)
    assert (await http.get("/healthz/live")).json() == {"status": "live"}
    ready = await http.get("/healthz/ready")
    assert (ready.status_code, ready.json()["generation"]) == (200, "3f9a01c2")
    server.close()


async def test_health_is_live_but_not_ready_while_new_mail_is_not_accepted(http: AsyncClient, tmp_path: Path) -> None:
    server = await serve(tmp_path, ready=False)
    assert (await http.get("/healthz/live")).status_code == 200
    ready = await http.get("/healthz/ready")
    assert ready.headers["content-type"] == "application/problem+json"
    assert ready.json() == {
        "type": "about:blank",
        "title": "Service Unavailable",
        "status": 503,
        "detail": "the disk is full; worker 1 is not ready: see the log",
    }
    assert ready.status_code == 503
    server.close()


@pytest.mark.parametrize("path", ["/healthz/live", "/healthz/ready", "/metrics"])
async def test_health_says_what_to_do_when_no_server_answers(http: AsyncClient, path: str) -> None:
    response = await http.get(path)
    assert response.status_code == 503
    assert response.headers["content-type"] == "application/problem+json"
    assert "bridgehead serve" in response.json()["detail"]


async def test_metrics_are_served_in_the_text_form_of_prometheus(http: AsyncClient, tmp_path: Path) -> None:
    server = await serve(tmp_path, ready=True)
    response = await http.get("/metrics")
    assert response.headers["content-type"].startswith("text/plain; version=0.0.4")
    assert "bridgehead_received_total 4.0" in response.text
    server.close()


async def test_unknown_paths_are_not_found(http: AsyncClient) -> None:
    assert (await http.get("/../etc/passwd")).status_code == 404
