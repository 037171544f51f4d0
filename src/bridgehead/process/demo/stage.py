"""The demo from beginning to end: folder, receiving Internet, server, senders; and everything gone at the end.

It ends in four steps: senders and outages stop, the server is asked to end, waited for with a limit, killed.
"""

from __future__ import annotations

import asyncio
import contextlib
import errno
import os
import signal
import socket
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from random import Random
from tempfile import TemporaryDirectory
from typing import Final, Protocol

from bridgehead.core.error import MachineError
from bridgehead.process.demo import organization
from bridgehead.process.demo.internet import Internet
from bridgehead.process.demo.organization import Ports
from bridgehead.process.demo.senders import send_letters
from bridgehead.process.demo.server_child import ServerChild

START_SECONDS: Final = 60.0
"""Until the server is ready; a second or two, but machines are busy at times."""
STOP_SIGNALS: Final = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
"""The last one comes when the terminal is closed."""


@dataclass(frozen=True, slots=True)
class Stage:
    """Where it all happens."""

    configuration: Path
    ports: Ports

    @property
    def state_dir(self) -> Path:
        """Where the running server is reached."""
        return self.configuration.parent / "state"

    @property
    def console(self) -> str:
        """ADDRESS:PORT of metrics and health."""
        return f"{organization.INSIDE}:{self.ports.console}"


class Audience(Protocol):
    """Who looks on."""

    def hear(self, line: bytes) -> bool:
        """One line of the server's log; whether it says that the server is ready."""
        ...

    async def watch(self, stage: Stage) -> None:
        """Called when the server is ready; runs until it is cancelled, or ends earlier."""
        ...


@contextmanager
def folder(keep: Path | None) -> Iterator[Path]:
    """A folder for everything: `keep`, made if need be, or one that is removed at the end.

    `MachineError` where `keep` cannot be made or written to.
    """
    if keep is not None:
        try:
            keep.mkdir(parents=True, exist_ok=True)
            if not os.access(keep, os.W_OK | os.X_OK):
                raise PermissionError(errno.EACCES, os.strerror(errno.EACCES))
        except OSError as error:
            raise MachineError(f"cannot write to {keep}: {error.strerror}. Give another folder to --keep") from error
        yield keep.resolve()
        return
    # What a killed worker still writes while the folder goes is no reason to fail.
    with TemporaryDirectory(prefix="bridgehead-demo-", ignore_cleanup_errors=True) as path:
        yield Path(path).resolve()


async def perform(place: Path, audience: Audience, seconds: float | None) -> None:
    """Run the demo in a folder until a signal comes, `seconds` have passed since the first mail, or the server ends.

    `MachineError` where it cannot be begun, or the server ends by itself.
    """
    async with Internet() as internet:
        ports = Ports(*_free_ports(), internet=internet.port)
        stage = Stage(organization.write_files(place, ports), ports)
        server = await ServerChild.start(stage.configuration)
        show = _Show(stage, internet, audience, server)
        with _signals(show.end):
            await show.run(seconds)


def _free_ports() -> tuple[int, int, int]:
    """Ports of `INSIDE`, `OUTSIDE` and the console that nothing listens on now."""
    # All three at once, so that they differ.
    with socket.socket() as inside, socket.socket() as outside, socket.socket() as console:
        for one, address in ((inside, organization.INSIDE), (outside, organization.OUTSIDE)):
            one.bind((address, 0))
        console.bind((organization.INSIDE, 0))
        return inside.getsockname()[1], outside.getsockname()[1], console.getsockname()[1]


@contextmanager
def _signals(end: Callable[[], None]) -> Iterator[None]:
    loop = asyncio.get_running_loop()
    for number in STOP_SIGNALS:
        loop.add_signal_handler(number, end)
    try:
        yield
    finally:
        for number in STOP_SIGNALS:
            loop.remove_signal_handler(number)


class _Show:
    """One performance. Owned by its event loop."""

    def __init__(self, stage: Stage, internet: Internet, audience: Audience, server: ServerChild) -> None:
        self._stage = stage
        self._internet = internet
        self._audience = audience
        self._server = server
        self._is_ready = asyncio.Event()
        self._is_over = asyncio.Event()

    def end(self) -> None:
        """End it; called a second time, at once."""
        if self._is_over.is_set():
            self._server.kill()
        self._is_over.set()
        self._is_ready.set()  # whoever waits for the beginning waits no longer

    async def run(self, seconds: float | None) -> None:
        """Play, and end the server whatever happens."""
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(self._listen())
            try:
                trouble = await self._play(seconds)
            finally:
                await self._server.stop()
        if trouble:
            raise MachineError(trouble)

    async def _listen(self) -> None:
        await self._server.listen(self._hear)
        self._is_over.set()
        self._is_ready.set()

    def _hear(self, line: bytes) -> None:
        if self._audience.hear(line):
            self._is_ready.set()

    async def _play(self, seconds: float | None) -> str:
        """Play to the end; what went wrong, or nothing. Raised here, a TaskGroup would wrap it."""
        try:
            async with asyncio.timeout(START_SECONDS):
                await self._is_ready.wait()
        except TimeoutError:
            return f"the demo's server was not ready within {START_SECONDS:g} s"
        if not self._is_over.is_set():
            await self._play_acts(seconds)
        if self._server.ended.is_set():
            return "\n".join(("the demo's server ended by itself:", *self._server.tail))
        return ""

    async def _play_acts(self, seconds: float | None) -> None:
        async with asyncio.TaskGroup() as tasks:
            acts = [
                tasks.create_task(act)
                for act in (
                    self._audience.watch(self._stage),
                    self._internet.have_outages(),
                    send_letters(self._stage.ports, Random()),
                )
            ]
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(seconds):
                    await self._is_over.wait()
            for act in acts:
                act.cancel()
