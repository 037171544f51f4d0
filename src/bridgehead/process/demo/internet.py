"""The receiving Internet of the demo: which hosts there are, how each answers, and which one fails now and then."""

from __future__ import annotations

import asyncio
import time
from types import TracebackType
from typing import Final, Self

from bridgehead.core.error import MachineError
from bridgehead.process.demo import organization
from bridgehead.process.demo.receiver import Greylist, Receiver, refuse_unknown

GREYLIST_SECONDS: Final = 1.0
MEMORY_SECONDS: Final = 20.0
"""Then a pair is new to the greylist again, so that there is always something to see."""
FIRST_OUTAGE_SECONDS: Final = 0.5
"""From the first mail to the first outage of the main line."""
HANG_SECONDS: Final = 1.5
"""How long it still takes connections and says nothing: mail piles up that must find another way then."""
OUTAGE_SECONDS: Final = 2.5
QUIET_SECONDS: Final = 17.0
"""From the end of an outage to the next one."""
PORT_ATTEMPTS: Final = 20


class Internet:
    """All receivers, each on an address of its own and all on one port; use it as a context manager."""

    def __init__(self) -> None:
        greylist = Greylist(time.monotonic, wait_seconds=GREYLIST_SECONDS, memory_seconds=MEMORY_SECONDS)
        self.main_line = Receiver("main.northwind.example", organization.NORTHWIND_MAIN)
        self.receivers = (
            Receiver("smtp1.isp.example", organization.ISP_FIRST, refuse_unknown),
            Receiver("smtp2.isp.example", organization.ISP_SECOND, greylist),
            Receiver("mx.fabrikam.example", organization.FABRIKAM),
            Receiver("old.wingtip.example", organization.WINGTIP, knows_ehlo=False),
            self.main_line,
            Receiver("backup.northwind.example", organization.NORTHWIND_BACKUP),
        )
        self.port = 0

    async def __aenter__(self) -> Self:
        """Open all receivers; `MachineError` where this machine cannot."""
        for attempt in range(PORT_ATTEMPTS):
            try:
                await self._open()
            except OSError as error:
                self._close()
                if attempt == PORT_ATTEMPTS - 1:
                    raise MachineError(f"the demo's receivers cannot listen: {error.strerror or error}") from error
            else:
                break
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._close()

    async def have_outages(self) -> None:
        """Take the main line down again and again; runs until it is cancelled."""
        await asyncio.sleep(FIRST_OUTAGE_SECONDS)
        while True:
            self.main_line.hang()
            await asyncio.sleep(HANG_SECONDS)
            self.main_line.close()
            await asyncio.sleep(OUTAGE_SECONDS)
            await self.main_line.open(self.port)
            await asyncio.sleep(QUIET_SECONDS)

    async def _open(self) -> None:
        """The first finds a free port, on which the others listen too; another program may have it there."""
        port = 0
        for receiver in self.receivers:
            await receiver.open(port)
            port = receiver.port
        self.port = port

    def _close(self) -> None:
        for receiver in self.receivers:
            receiver.close()
