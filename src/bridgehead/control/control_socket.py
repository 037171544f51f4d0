"""The control socket: how the command line and the console talk to a running server.

`control.sock` lies in `state_dir`, mode 0660: the user that serves, and the members of that user's group, may operate
the server. A connection carries one request and one answer, each one line of JSON:

    {"verb": "status", "arguments": {}}
    {"result": {...}}    or    {"error": "no connector is called \"ISP\"", "exit_code": 1}
"""

from __future__ import annotations

import asyncio
import socket
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any, Final, TypeAlias

import msgspec

from bridgehead.core.error import BridgeheadError, MachineError

NAME: Final = "control.sock"
LINE_MAX: Final = 64 * 1024 * 1024
"""Octets of one request or answer: a listing of 100,000 queue entries fits."""
ANSWER_SECONDS: Final = 60.0
"""How long the server may take; the slowest verb walks over every waiting message."""
CONNECTIONS_MAX: Final = 64


class Request(msgspec.Struct, frozen=True):
    """What is asked of the server."""

    verb: str
    """`"status"`, `"queue.list"`, ..."""
    arguments: dict[str, Any] = msgspec.field(default_factory=dict)


class Answer(msgspec.Struct, frozen=True, omit_defaults=True):
    """What came of it: a result, or an error in words for a person."""

    result: msgspec.Raw = msgspec.Raw(b"null")
    error: str = ""
    exit_code: int = 0


class ControlError(BridgeheadError):
    """The server refused the request; `exit_code` is what the command line ends with."""

    def __init__(self, message: str, exit_code: int = 1) -> None:
        super().__init__(message)
        self.exit_code = exit_code


class NotRunningError(MachineError):
    """No server answers on the control socket."""

    def __init__(self, path: Path, cause: str) -> None:
        super().__init__(f"no server answers on {path} ({cause}): start it with `bridgehead serve`")


def call(state_dir: Path, verb: str, **arguments: Any) -> Any:
    """Ask the server of a state folder and wait for its answer; blocks at most `ANSWER_SECONDS`.

    Raises `NotRunningError` (exit 69) where no server listens, `ControlError` where it refuses.
    """
    path = state_dir / NAME
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as connection:
        connection.settimeout(ANSWER_SECONDS)
        try:
            connection.connect(str(path))
            connection.sendall(msgspec.json.encode(Request(verb, arguments)) + b"\n")
            line = _read_line(connection)
        except OSError as error:
            raise NotRunningError(path, error.strerror or str(error)) from error
    try:
        answer = msgspec.json.decode(line, type=Answer)
    except msgspec.DecodeError as error:
        raise NotRunningError(path, "it closed the connection without an answer") from error
    if answer.error:
        raise ControlError(answer.error, answer.exit_code or 1)
    return msgspec.json.decode(answer.result)


def is_running(state_dir: Path) -> bool:
    """Whether a server listens on the control socket of this state folder."""
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as connection:
        connection.settimeout(ANSWER_SECONDS)
        try:
            connection.connect(str(state_dir / NAME))
        except OSError:
            return False
        return True


def _read_line(connection: socket.socket) -> bytes:
    chunks: list[bytes] = []
    size = 0
    while size < LINE_MAX:
        chunk = connection.recv(256 * 1024)
        if not chunk:
            break
        chunks.append(chunk)
        size += len(chunk)
        if chunk.endswith(b"\n"):
            break
    return b"".join(chunks)


Respond: TypeAlias = Callable[[Request], Awaitable[Any]]
"""Answers a request with a value that msgspec can write as JSON, or raises `BridgeheadError`."""


class ControlServer:
    """Listens on the control socket and passes each request to `respond`."""

    def __init__(self, state_dir: Path, respond: Respond) -> None:
        self.path = state_dir / NAME
        """The socket. Owner and group may use it; who they are is the caller's to say."""
        self._respond = respond
        self._server: asyncio.Server | None = None
        self._connections = 0

    async def start(self) -> None:
        """Begin to listen. The caller holds the lock of the state folder, so a socket left there is stale."""
        self.path.unlink(missing_ok=True)
        self._server = await asyncio.start_unix_server(self._converse, self.path, limit=LINE_MAX)
        self.path.chmod(0o660)

    def close(self) -> None:
        """Stop listening and remove the socket."""
        if self._server is not None:
            self._server.close()
            self.path.unlink(missing_ok=True)

    async def _converse(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._connections += 1
        try:
            async with asyncio.timeout(ANSWER_SECONDS):
                if self._connections > CONNECTIONS_MAX:
                    answer = Answer(error="too many requests at once: try again", exit_code=69)
                else:
                    answer = await self._answer(await reader.readline())
                writer.write(msgspec.json.encode(answer) + b"\n")
                await writer.drain()
        except (OSError, TimeoutError, ValueError):
            writer.transport.abort()  # the peer is gone, or sent a line beyond all bounds
        finally:
            self._connections -= 1
            writer.close()

    async def _answer(self, line: bytes) -> Answer:
        try:
            request = msgspec.json.decode(line, type=Request)
            return Answer(result=msgspec.Raw(msgspec.json.encode(await self._respond(request))))
        except msgspec.DecodeError as error:
            return Answer(error=f"not a request: {error}", exit_code=64)
        except ControlError as error:
            return Answer(error=str(error), exit_code=error.exit_code)
        except BridgeheadError as error:
            return Answer(error=str(error), exit_code=1)
