"""Finds out whether a connector that is not up has come back, where no mail does it.

Mail that waits for the connector is the better probe: its attempts keep the retry times. Only a connector for which
nothing waits is dialled without a transaction, once a minute (Exchange does the same, KB 263249).
"""

from __future__ import annotations

import logging
from collections.abc import Callable
from math import inf
from typing import Final

from bridgehead.core.link_state import LinkState
from bridgehead.core.organization import Organization
from bridgehead.core.routing import SMART_HOSTS
from bridgehead.outbound.allowance import limits_of
from bridgehead.outbound.contract import Destination, QueueKey, Unavailable
from bridgehead.outbound.destination import destination_of
from bridgehead.outbound.opening import Wire
from bridgehead.outbound.queues import Queues

log: Final = logging.getLogger(__name__)

PROBE_SECONDS: Final = 60.0


class Probes:
    """Dials connectors that are not up. `dialled` takes the name and whether a host gave a good greeting."""

    def __init__(self, server: str, queues: Queues, wire: Wire, dialled: Callable[[str, bool], None]) -> None:
        self._server = server
        self._queues = queues
        self._wire = wire
        self._dialled = dialled
        self._due: dict[str, float] = {}
        """By connector that is not up."""

    def probe(self, now: float, link_state: LinkState, organization: Organization) -> None:
        """Dial what is due."""
        if not self._due and not link_state.down and not link_state.suspect:
            return
        names = link_state.down.keys() | link_state.suspect
        self._due = {name: self._due.get(name, now + PROBE_SECONDS) for name in names}
        for name in [name for name, due in self._due.items() if due <= now]:
            self._due[name] = inf  # until the answer is there
            destination = self._destination(name, organization)
            if destination is None or self._has_mail(name):
                self._due[name] = now + PROBE_SECONDS
            else:
                self._ask(name, destination)

    def _ask(self, name: str, destination: Destination) -> None:
        """A probe is a connection like any other: it waits for its lease."""

        def granted() -> None:
            self._wire.spawn(self._dial(name, destination, ticket))

        ticket = self._wire.allowance.request(limits_of(destination), granted)

    async def _dial(self, name: str, destination: Destination, ticket: int) -> None:
        is_success = False
        try:
            result = await self._wire.dialer.open(destination, lambda: self._wire.allowance.release(ticket))
            if not isinstance(result, Unavailable):
                is_success = True
                result.close()
        except Exception:  # the root of a dial: a defect there must not end the dispatcher
            log.exception("a probe failed", extra={"connector": name})
        finally:
            if not is_success:
                self._wire.allowance.release(ticket)
        self._due[name] = self._wire.clock() + PROBE_SECONDS
        self._dialled(name, is_success)

    def _destination(self, name: str, organization: Organization) -> Destination | None:
        """By the first bridgehead on this server."""
        connector = organization.connector(name)
        if connector is None:
            return None
        here = {one.key for one in organization.virtual_servers if one.server == self._server}
        key = next((key for key in connector.bridgeheads if key in here), None)
        return destination_of(QueueKey(name, key, SMART_HOSTS), organization) if key is not None else None

    def _has_mail(self, name: str) -> bool:
        return any(queue.key.connector == name and (len(queue.waiting) or queue.active) for queue in self._queues)
