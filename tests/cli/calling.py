"""Calls a command as a shell does, within this process: what it writes, and the code it ends with."""

from __future__ import annotations

import asyncio
import io
import sys
import time
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager, redirect_stderr, redirect_stdout
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from bridgehead.cli.main import run
from bridgehead.control.control_socket import ControlError, ControlServer, Request


@dataclass(frozen=True, slots=True)
class Called:
    """What came of a command."""

    code: int
    out: str
    err: str


def called(*arguments: str | Path, stdin: bytes = b"") -> Called:
    """Run `bridgehead ARGUMENTS` to its end. Not for the event loop's thread where a server in it is asked."""
    out, err = io.StringIO(), io.StringIO()
    before = sys.stdin
    sys.stdin = io.TextIOWrapper(io.BytesIO(stdin))
    try:
        with redirect_stdout(out), redirect_stderr(err), pytest.raises(SystemExit) as ended:
            run([str(argument) for argument in arguments])
    finally:
        sys.stdin = before
    code = ended.value.code
    assert isinstance(code, int)
    return Called(code, out.getvalue(), err.getvalue())


@dataclass(slots=True)
class Scripted:
    """A server on a control socket whose answers are written down, and what it was asked."""

    answers: dict[str, Any]
    """By verb; with `" dry_run"` behind it for a dry run. A string is a refusal."""
    asked: list[Request]

    async def respond(self, request: Request) -> Any:
        """Answer as written."""
        self.asked.append(request)
        dry_run = " dry_run" if request.arguments.get("dry_run") else ""
        answer = self.answers[request.verb + dry_run]
        if isinstance(answer, str):
            raise ControlError(answer)
        return answer


async def called_beside(
    state_dir: Path, answers: dict[str, Any], *arguments: str | Path
) -> tuple[Called, list[Request]]:
    """Run a command while a scripted server serves `state_dir`; what came of it, and what the server was asked."""
    scripted = Scripted(answers, [])
    return await beside(state_dir, scripted.respond, *arguments), scripted.asked


async def beside(state_dir: Path, respond: Callable[[Request], Awaitable[Any]], *arguments: str | Path) -> Called:
    """Run a command while a server that answers so serves `state_dir`."""
    server = ControlServer(state_dir, respond)
    await server.start()
    try:
        return await asyncio.to_thread(called, *arguments)
    finally:
        server.close()


def configuration(folder: Path) -> Path:
    """A file that only says where the state is: `folder/state`, which is made."""
    (folder / "state").mkdir(exist_ok=True)
    path = folder / "bridgehead.toml"
    path.write_text('[node]\nstate_dir = "state"\nvolatile_state = true\n')
    return path


@contextmanager
def in_time_zone(name: str) -> Iterator[None]:
    """This process is in another time zone for a while."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("TZ", name)
        time.tzset()
        yield
    time.tzset()
