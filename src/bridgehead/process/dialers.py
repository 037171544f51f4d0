"""One `Dialer` for all kinds of next hops: SMTP, LMTP, a Maildir."""

from __future__ import annotations

from collections.abc import Callable

from bridgehead.outbound.contract import Channel, Destination, Dialer, Unavailable


class Dialers:
    """Passes each destination to the dialer of its kind."""

    def __init__(self, smtp: Dialer, lmtp: Dialer, maildir: Dialer) -> None:
        self._smtp = smtp
        self._local = {"lmtp": lmtp, "maildir": maildir}

    async def open(self, destination: Destination, closed: Callable[[], None]) -> Channel | Unavailable:
        """As in `Dialer`."""
        if destination.local is None:
            return await self._smtp.open(destination, closed)
        return await self._local[destination.local.kind].open(destination, closed)
