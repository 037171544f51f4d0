"""The control socket: one request, one answer, and clear words when nobody is there."""

from __future__ import annotations

import asyncio
import socket
import stat
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from bridgehead.control.control_socket import (
    ControlError,
    ControlServer,
    NotRunningError,
    Request,
    call,
    is_running,
)
from bridgehead.core.error import ConfigurationError


async def respond(request: Request) -> Any:
    match request.verb:
        case "echo":
            return request.arguments
        case "refuse":
            raise ControlError("no connector is called 'ISP'", 2)
        case _:
            raise ConfigurationError("that is not known here")


@pytest.fixture
async def state_dir(tmp_path: Path) -> AsyncIterator[Path]:
    server = ControlServer(tmp_path, respond)
    await server.start()
    yield tmp_path
    server.close()


async def ask(state_dir: Path, verb: str, **arguments: Any) -> Any:
    return await asyncio.to_thread(call, state_dir, verb, **arguments)


async def test_control_socket_answers_a_request(state_dir: Path) -> None:
    assert await ask(state_dir, "echo", connector="ISP", count=3) == {"connector": "ISP", "count": 3}


async def test_control_socket_is_open_to_owner_and_group_only(state_dir: Path) -> None:
    assert stat.S_IMODE((state_dir / "control.sock").stat().st_mode) == 0o660


async def test_control_socket_passes_on_the_refusal_and_its_exit_code(state_dir: Path) -> None:
    with pytest.raises(ControlError, match="no connector is called") as refusal:
        await ask(state_dir, "refuse")
    assert refusal.value.exit_code == 2


async def test_control_socket_turns_errors_of_ours_into_words(state_dir: Path) -> None:
    with pytest.raises(ControlError, match="that is not known here"):
        await ask(state_dir, "anything")


async def test_control_socket_survives_what_is_no_request(state_dir: Path) -> None:
    def converse(line: bytes) -> bytes:
        with socket.socket(socket.AF_UNIX) as connection:
            connection.connect(str(state_dir / "control.sock"))
            connection.sendall(line)
            return connection.recv(4096)

    assert b"not a request" in await asyncio.to_thread(converse, b"GET / HTTP/1.1\r\n")
    assert await ask(state_dir, "echo") == {}


async def test_control_socket_says_how_to_start_a_server_when_none_runs(tmp_path: Path) -> None:
    assert not is_running(tmp_path)
    with pytest.raises(NotRunningError, match="start it with `bridgehead serve`"):
        await ask(tmp_path, "echo")


async def test_control_socket_is_recognised_as_running(state_dir: Path) -> None:
    assert await asyncio.to_thread(is_running, state_dir)
