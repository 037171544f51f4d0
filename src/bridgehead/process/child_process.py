"""A child process as the supervisor sees it, and the pair of sockets to talk over."""

from __future__ import annotations

import asyncio
import os
import pwd
import socket
import sys
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from typing import Any, Final

from bridgehead.process.messages import Message, Pipe

DESCRIPTORS_MAX: Final = 200
"""Descriptors in one message: below the kernel's SCM_MAX_FD of 253."""
LAST_WORDS_SECONDS: Final = 1.0
"""How long a child that ended is listened to: what it said is in the pipe already."""


@dataclass(frozen=True, slots=True)
class Identity:
    """What a child process is told on its command line."""

    module: str
    arguments: tuple[str, ...]
    user: str
    """Whom it becomes; empty: stays what the supervisor is."""


class ChildProcess:
    """A running worker or console. Owned by the supervisor's task for it."""

    def __init__(
        self, process: asyncio.subprocess.Process, pipe: Pipe, lane: socket.socket, hung_up: asyncio.Event
    ) -> None:
        self._process = process
        self._pipe = pipe
        self._lane = lane
        self._hung_up = hung_up
        """Set at the end of the pipe: everything it said has been heard."""
        self.is_ready = False
        self.fault = ""
        """Why it cannot write its spool; empty: it can."""

    @property
    def pid(self) -> int:
        """Process id."""
        return self._process.pid

    def send(self, message: Message, descriptors: Sequence[int] = ()) -> None:
        """Send a message; descriptors go ahead of it, so that they are there when it is read."""
        for start in range(0, len(descriptors), DESCRIPTORS_MAX):
            part = descriptors[start : start + DESCRIPTORS_MAX]
            socket.send_fds(self._lane, [len(part).to_bytes(2, "big")], part)
        self._pipe.send(message)

    async def wait_ended(self) -> int:
        """Wait until the process has ended; returns its exit status (negative: the signal)."""
        try:
            status = await self._process.wait()
            with suppress(TimeoutError):
                async with asyncio.timeout(LAST_WORDS_SECONDS):
                    await self._hung_up.wait()
            return status
        finally:
            self._pipe.close()
            self._lane.close()

    def hang_up(self) -> None:
        """Close the pair: a child whose supervisor is gone ends by itself."""
        self._pipe.close()

    def kill(self) -> None:
        """End it at once."""
        if self._process.returncode is None:
            self._process.kill()


async def start(identity: Identity, received: Callable[[Message], None]) -> ChildProcess:
    """Start a child process that talks over a pair of sockets, given to it as descriptors 'PIPE LANE'."""
    ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_STREAM)
    our_lane, their_lane = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    with theirs, their_lane:
        process = await asyncio.create_subprocess_exec(
            sys.executable,
            "-m",
            identity.module,
            str(theirs.fileno()),
            str(their_lane.fileno()),
            *identity.arguments,
            pass_fds=(theirs.fileno(), their_lane.fileno()),
            stdin=asyncio.subprocess.DEVNULL,
            start_new_session=True,  # a ^C at the terminal reaches the supervisor alone, which drains
            **_become(identity.user),
        )
    ours.setblocking(False)
    hung_up = asyncio.Event()
    pipe = Pipe(received, hung_up.set)
    loop = asyncio.get_running_loop()
    await loop.create_connection(lambda: pipe, sock=ours)
    return ChildProcess(process, pipe, our_lane, hung_up)


def _become(user: str) -> dict[str, Any]:
    """Arguments that make the child another user, with that user's groups alone."""
    if not user or os.geteuid() != 0:
        return {}
    entry = pwd.getpwnam(user)
    return {"user": entry.pw_uid, "group": entry.pw_gid, "extra_groups": os.getgrouplist(user, entry.pw_gid)}


def receive_descriptors(lane: socket.socket, count: int) -> list[int]:
    """In the child: take `count` descriptors that the supervisor sent ahead of its message."""
    descriptors: list[int] = []
    while len(descriptors) < count:
        _, part, _, _ = socket.recv_fds(lane, 2, DESCRIPTORS_MAX)
        if not part:
            raise ConnectionError("the supervisor ended while it handed over sockets")
        descriptors += part
    return descriptors
