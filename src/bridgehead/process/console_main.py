"""The console process: serves HTTP until the supervisor hangs up.

Started by the supervisor as `python -m bridgehead.process.console_main PIPE LANE STATE_DIR CONSOLE METRICS`.
"""

from __future__ import annotations

import asyncio
import logging
import socket
import sys
from contextlib import suppress
from pathlib import Path
from typing import Final

import uvicorn

from bridgehead.admin.application import application
from bridgehead.control.log import set_up
from bridgehead.core.error import MachineError
from bridgehead.process.messages import Pipe

DATE_SECONDS: Final = 1.0
"""How old the Date of a response may be."""

_log: Final = logging.getLogger(__name__)


class Server(uvicorn.Server):
    """A server that sleeps while nobody asks for anything; uvicorn's own looks around ten times a second."""

    def __init__(self, config: uvicorn.Config, ended: asyncio.Event) -> None:
        """It ends with `ended`."""
        super().__init__(config)
        self._ended = ended

    async def main_loop(self) -> None:
        """Keep the Date of responses true until the end."""
        while not self._ended.is_set():
            await self.on_tick(0)
            with suppress(TimeoutError):
                async with asyncio.timeout(DATE_SECONDS):
                    await self._ended.wait()


async def serve(pipe: socket.socket, state_dir: Path, addresses: list[str]) -> None:
    """Serve on every address until the other end of `pipe` is closed; `MachineError` where one cannot be had."""
    bound = [bind(address) for address in addresses]
    ended = asyncio.Event()
    await asyncio.get_running_loop().create_connection(lambda: Pipe(lambda _: None, ended.set), sock=pipe)
    app = application(state_dir)
    servers = [Server(_configuration(app), ended) for _ in bound]
    for server in servers:
        server.install_signal_handlers = lambda: None  # type: ignore[attr-defined]  # the supervisor's business
    async with asyncio.TaskGroup() as tasks:
        for server, one in zip(servers, bound, strict=True):
            tasks.create_task(server.serve([one]))


def bind(address: str) -> socket.socket:
    """A socket that listens on "ADDRESS:PORT"; `MachineError` says what to do where that cannot be."""
    host, _, port = address.rpartition(":")
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    try:
        return socket.create_server((host.strip("[]"), int(port)), family=family)
    except OSError as error:
        raise MachineError(
            f"the console cannot listen on {address}: {(error.strerror or str(error)).partition(' (')[0]}."
            " Free it, or change `console` or `metrics` in [node]; mail goes on without"
        ) from error


def _configuration(app: object) -> uvicorn.Config:
    return uvicorn.Config(
        app,  # type: ignore[arg-type]  # an ASGI application, which uvicorn types more narrowly than Starlette
        log_config=None,
        log_level="warning",
        access_log=False,
        lifespan="off",
        server_header=False,
    )


def main() -> None:
    """Entry of the process."""
    pipe_fd, _, state_dir, *addresses = sys.argv[1:]
    set_up()
    try:
        asyncio.run(
            serve(socket.socket(fileno=int(pipe_fd)), Path(state_dir), [address for address in addresses if address])
        )
    except MachineError as error:
        _log.error("%s", error)
        sys.exit(1)


if __name__ == "__main__":
    main()
