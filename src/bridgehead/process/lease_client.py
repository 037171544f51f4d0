"""A worker's side of the leases: asks the supervisor, remembers who waits, passes grants on.

Implements `outbound.allowance.Allowance` for connections that wait for their turn, and `try_acquire` for inbound
sessions, which are answered at once.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable

from bridgehead.core.leases import Limits
from bridgehead.outbound.allowance import slow
from bridgehead.process.messages import Acquire, Granted, Message, Release


class LeaseClient:
    """Leases of one worker. All methods are called on its event loop."""

    def __init__(self, send: Callable[[Message], None], own: Limits = ()) -> None:
        """`own`: limits of this worker, which each connection that waits for its turn falls under too."""
        self._send = send
        self._own = own
        self._last_ticket = 0
        self._waiting: dict[int, Callable[[], None]] = {}
        self._asked: dict[int, asyncio.Future[bool]] = {}

    def request(self, limits: Limits, granted: Callable[[], None]) -> int:
        """Ask for a lease; `granted` is called once it is there, never before this returns."""
        ticket = self._next_ticket()
        self._waiting[ticket] = granted
        self._send(Acquire(ticket, (*limits, *self._own), waits=True))
        return ticket

    def request_place(self, limits: Limits, granted: Callable[[], None]) -> int:
        """The same for a place among the slow."""
        ticket = self._next_ticket()
        self._waiting[ticket] = granted
        self._send(Acquire(ticket, slow((*limits, *self._own)), waits=True))
        return ticket

    def release(self, ticket: int) -> None:
        """Give a lease back, or withdraw a request that still waits."""
        self._waiting.pop(ticket, None)
        self._send(Release(ticket))

    async def try_acquire(self, limits: Limits) -> int | None:
        """A lease if there is room now, else `None`. Costs one message each way to the supervisor."""
        ticket = self._next_ticket()
        future: asyncio.Future[bool] = asyncio.get_running_loop().create_future()
        self._asked[ticket] = future
        self._send(Acquire(ticket, limits, waits=False))
        try:
            return ticket if await future else None
        except asyncio.CancelledError:
            self.release(ticket)
            raise
        finally:
            self._asked.pop(ticket, None)

    def on_granted(self, message: Granted) -> None:
        """The supervisor's answer; one that nobody waits for any more was already given back by `release`."""
        asked = self._asked.get(message.ticket)
        if asked is not None:
            if not asked.done():
                asked.set_result(message.is_granted)
            return
        granted = self._waiting.pop(message.ticket, None)
        if granted is not None:
            granted()

    def _next_ticket(self) -> int:
        self._last_ticket += 1
        return self._last_ticket
