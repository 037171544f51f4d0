"""Hands a message to the running server over `submit.sock`: what `sendmail` does, and the form of what is said.

Both directions speak in frames: four octets of length (big endian) and so many octets. The client sends a
`Submission` as JSON, the content in frames of any size with CRLF line ends, and an empty frame; the server answers
with one frame, an `Answer` as JSON. Plain blocking sockets: a command has nothing else to do.
"""

from __future__ import annotations

import socket
import struct
from collections.abc import Iterable
from pathlib import Path
from typing import Final

import msgspec

from bridgehead.core.error import MachineError

LENGTH: Final = struct.Struct("!I")
REQUEST_MAX: Final = 1024 * 1024
"""Octets of a `Submission`: some 20,000 recipients."""
ANSWER_MAX: Final = 64 * 1024
FRAME_MAX: Final = 1024 * 1024
"""Octets of content in one frame."""
TIMEOUT_SECONDS: Final = 300.0
"""For each step with the server; it answers only once the message is on its disk."""

DATA_ERROR: Final = 65
"""EX_DATAERR of sysexits: the message or an address is wrong."""
TEMPORARY_FAILURE: Final = 75
"""EX_TEMPFAIL: try again."""


class Submission(msgspec.Struct, frozen=True, omit_defaults=True):
    """Who sends what to whom."""

    recipients: tuple[str, ...]
    sender: str | None = None
    """`""` is the null reverse path; `None`: the submitting account at our fqdn."""
    full_name: str = ""
    """For a From that is missing."""
    notify: int = -1
    """`Notify` flags for all recipients; -1: none given."""
    ret: str = ""
    envid: str = ""
    """As xtext."""


class Answer(msgspec.Struct, frozen=True, omit_defaults=True):
    """What came of it."""

    queue_id: str = ""
    """Empty: not accepted."""
    error: str = ""
    """One sentence for a person."""
    status: int = 0
    """Exit status by sysexits."""


def submit(path: Path, submission: Submission, content: Iterable[bytes]) -> Answer:
    """Submit one message; `MachineError` where no server answers (exit 75: nothing was lost, try again).

    What the `content` raises while it is read passes through.
    """
    try:
        with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as connection:
            connection.settimeout(TIMEOUT_SECONDS)
            connection.connect(str(path))
            _send(connection, submission, content)
            return _receive(connection)
    except (OSError, EOFError, msgspec.DecodeError) as error:
        raise MachineError(f"cannot submit through {path}: {_in_words(error)}") from error


def _in_words(error: Exception) -> str:
    """What happened, and what to do."""
    match error:
        case PermissionError():
            return "this account may not use it. Ask for the right to write to it, and to enter the folders above it"
        case FileNotFoundError():
            return "there is no such socket. Start the server with `bridgehead serve`, or name its configuration"
        case ConnectionRefusedError():
            return "no server listens there. Start it with `bridgehead serve`"
        case TimeoutError():
            return "the server timed out. Look at its log, and try again"
        case msgspec.DecodeError():
            what = "what answers there is no server of this version"
        case _:
            what = (error.strerror if isinstance(error, OSError) else None) or str(error)
    return f"{what}. Look whether `bridgehead serve` is running and what its log says"


def _send(connection: socket.socket, submission: Submission, content: Iterable[bytes]) -> None:
    request = msgspec.json.encode(submission)
    try:
        connection.sendall(LENGTH.pack(len(request)) + request)
        for piece in content:
            for start in range(0, len(piece), FRAME_MAX):
                part = piece[start : start + FRAME_MAX]
                connection.sendall(LENGTH.pack(len(part)) + part)
        connection.sendall(LENGTH.pack(0))
    except (BrokenPipeError, ConnectionResetError):
        # Refused before all of it was sent; the answer says why, where there is one.
        return


def _receive(connection: socket.socket) -> Answer:
    (length,) = LENGTH.unpack(_exactly(connection, LENGTH.size))
    if length > ANSWER_MAX:
        raise EOFError("the answer is no answer of ours")
    return msgspec.json.decode(_exactly(connection, length), type=Answer)


def _exactly(connection: socket.socket, length: int) -> bytes:
    received = b""
    while len(received) < length:
        part = connection.recv(length - len(received))
        if not part:
            raise EOFError("the server hung up")
        received += part
    return received
