"""`bridgehead serve` as a child process of the demo: started, listened to, and ended without a trace."""

from __future__ import annotations

import asyncio
import ctypes
import os
import signal
import sys
from collections import deque
from collections.abc import Callable
from pathlib import Path
from typing import Final, Self

STOP_SECONDS: Final = 12.0
"""For the drain of the demo's configuration and the grace beyond it."""
LINE_MAX: Final = 1024 * 1024
"""Octets of one log line; a routing decision takes some thousand."""
TAIL_LINES: Final = 20
_PR_SET_PDEATHSIG: Final = 1
"""Of <linux/prctl.h>."""


class ServerChild:
    """The server's process. `ended` is set when it and everything below it is gone."""

    def __init__(self, process: asyncio.subprocess.Process) -> None:
        self.tail: deque[str] = deque(maxlen=TAIL_LINES)
        """The last lines of its log, for the case that it ends by itself."""
        self.ended = asyncio.Event()
        self._process = process

    @classmethod
    async def start(cls, configuration: Path) -> Self:
        """Start it, out of reach of a ^C at the terminal: the demo ends it when its senders have stopped.

        It also ends by itself when this process is gone, however that came about; call it on the main thread.
        """
        process = await asyncio.create_subprocess_exec(
            *(sys.executable, "-m", "bridgehead.cli.main", "serve", "--json", "--config", str(configuration)),
            stdin=asyncio.subprocess.DEVNULL,
            stdout=asyncio.subprocess.DEVNULL,
            stderr=asyncio.subprocess.PIPE,
            start_new_session=True,
            limit=LINE_MAX,
            preexec_fn=_end_with(os.getpid()),
        )
        return cls(process)

    async def listen(self, hear: Callable[[bytes], None]) -> None:
        """Pass every line of its log on; returns when all its processes have ended."""
        output = self._process.stderr
        assert output is not None
        # Workers write to the same pipe, so it ends with the last of them.
        async for line in output:
            self.tail.append(line.decode("utf-8", "replace").rstrip())
            hear(line)
        await self._process.wait()
        self.ended.set()

    async def stop(self) -> None:
        """Ask it to end and wait until it has, with a limit; someone must be listening."""
        if not self.ended.is_set() and self._process.returncode is None:
            self._process.terminate()
        try:
            async with asyncio.timeout(STOP_SECONDS):
                await self.ended.wait()
        except TimeoutError:
            self.kill()
            await self.ended.wait()

    def kill(self) -> None:
        """End it at once; its workers end when they miss it."""
        if self._process.returncode is None:
            self._process.kill()


def _end_with(parent: int) -> Callable[[], None]:
    """What a child does before it becomes the server: have the kernel send SIGTERM when its parent ends."""
    library = ctypes.CDLL(None, use_errno=True)

    def tie() -> None:
        library.prctl(_PR_SET_PDEATHSIG, signal.SIGTERM)
        if os.getppid() != parent:
            os._exit(1)  # it ended before we asked

    return tie
