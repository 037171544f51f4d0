"""What the console process serves over HTTP: health and metrics. It asks the server over the control socket.

/healthz/live    200 while the server answers on its control socket
/healthz/ready   200 while every worker accepts mail, else 503 with the reason: a worker that is not ready or cannot
                 write its spool, a disk without room for new mail
/metrics         Prometheus
"""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import msgspec
from starlette.applications import Starlette
from starlette.concurrency import run_in_threadpool
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from bridgehead.admin.metrics import render
from bridgehead.control.control_socket import call
from bridgehead.core.error import BridgeheadError
from bridgehead.core.statistics import Statistics


def application(state_dir: Path) -> Starlette:
    """The ASGI application for the server whose state lies in `state_dir`."""

    async def ask(verb: str) -> Any:
        return await run_in_threadpool(call, state_dir, verb)

    async def live(_: Request) -> Response:
        return await _guarded(lambda: ask("server"), lambda _: JSONResponse({"status": "live"}))

    async def ready(_: Request) -> Response:
        return await _guarded(lambda: ask("server"), _readiness)

    async def metrics(_: Request) -> Response:
        try:
            server = await ask("server")
            statistics = msgspec.convert(await ask("statistics"), Statistics)
        except BridgeheadError as error:
            return _unavailable(error)
        return Response(render(server, statistics, time.time()), media_type="text/plain; version=0.0.4")

    return Starlette(
        routes=[
            Route("/healthz/live", live),
            Route("/healthz/ready", ready),
            Route("/metrics", metrics),
        ]
    )


async def _guarded(ask: Callable[[], Any], respond: Callable[[Any], Response]) -> Response:
    try:
        return respond(await ask())
    except BridgeheadError as error:
        return _unavailable(error)


def _readiness(server: Any) -> Response:
    if server["ready"]:
        return JSONResponse({"status": "ready", "generation": server["generation"]})
    return _unavailable("; ".join(server["troubles"]))


def _unavailable(reason: BridgeheadError | str) -> Response:
    """An RFC 9457 problem."""
    problem = {"type": "about:blank", "title": "Service Unavailable", "status": 503, "detail": str(reason)}
    return JSONResponse(problem, status_code=503, media_type="application/problem+json")
