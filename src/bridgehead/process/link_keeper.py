"""The link state of a server: made from what all workers report, told to all of them.

Workers report the end of each round of connect attempts to a connector's smart hosts; `core.liveness` decides
what that means. Without mail nobody would notice that a host is back, so the workers probe (see `outbound`).
"""

from __future__ import annotations

import logging
from collections.abc import Callable
from typing import Final

from bridgehead.core.link_state import LinkState
from bridgehead.core.liveness import Liveness
from bridgehead.core.organization import Organization
from bridgehead.process.messages import Links, Message

log: Final = logging.getLogger(__name__)


class LinkKeeper:
    """Owns the `LinkState` of this server; all methods are called on the supervisor's loop."""

    def __init__(
        self,
        broadcast: Callable[[Message], None],
        current: Callable[[], Organization],
        clock: Callable[[], float],
    ) -> None:
        self._broadcast = broadcast
        self._current = current
        self._clock = clock
        self._liveness = Liveness()

    @property
    def state(self) -> LinkState:
        """What is up and down now."""
        return self._liveness.state

    def report(self, connector: str, *, is_success: bool) -> None:
        """Take the end of one round of attempts: every host failed, or one gave a good greeting."""
        found = self._current().connector(connector)
        if found is None:
            return
        before = self._liveness.state
        if is_success:
            self._liveness = self._liveness.after_success(connector)
        else:
            delivery = self._current().virtual_server(found.bridgeheads[0]).delivery
            self._liveness = self._liveness.after_failure(connector, self._clock(), delivery)
        if self._liveness.state != before:
            self._tell(connector, before)

    def forget_removed(self) -> None:
        """Drop what is known of connectors that are not in the organization any more."""
        before = self._liveness.state
        self._liveness = self._liveness.restricted_to(frozenset(one.name for one in self._current().connectors))
        if self._liveness.state != before:
            self._broadcast(self.message())

    def message(self) -> Links:
        """The link state as it is sent to workers."""
        state = self._liveness.state
        return Links(dict(state.down), state.suspect, state.version)

    def _tell(self, connector: str, before: LinkState) -> None:
        state = self._liveness.state
        self._broadcast(self.message())
        if (connector in state.down) != (connector in before.down):
            word = "down" if connector in state.down else "up"
            log.warning(
                "connector %r is %s", connector, word, extra={"event": f"connector-{word}", "connector": connector}
            )
