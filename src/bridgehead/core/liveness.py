"""How failures to connect become link state: suspect, down, up again.

A round is one attempt to reach a connector in which every smart host failed in connect, greeting or TLS handshake.
After the first round the connector is suspect: mail that has another way of the same specificity takes it at once.
After `glitch_retries` + 1 rounds it is down. The next good greeting makes it up. A reply to a message never counts,
and a connector without smart hosts is never down.

All workers of a server report to one `Liveness`. Their rounds overlap, so a failure within `ROUND_SHARE` of the
glitch retry time after the last counted one belongs to the same round: many connections that fail together are one
failure, and the time until a connector counts as down does not depend on the number of workers.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass, field, replace
from types import MappingProxyType
from typing import Final

from bridgehead.core.link_state import ALL_UP, LinkState
from bridgehead.core.organization import Delivery

ROUND_SHARE: Final = 0.5
"""Of `glitch_retry_seconds`; one worker's own rounds are a whole glitch retry time apart."""


@dataclass(frozen=True, slots=True)
class Rounds:
    """Failed rounds of one connector since its last good greeting."""

    count: int
    latest: float
    """When the latest counted round failed, in seconds since the epoch."""


@dataclass(frozen=True, slots=True)
class Liveness:
    """The rounds behind a link state. A value: each event gives a new one, or the same where nothing changed."""

    state: LinkState = ALL_UP
    rounds: Mapping[str, Rounds] = field(default_factory=lambda: MappingProxyType({}))

    def after_failure(self, connector: str, now: float, delivery: Delivery) -> Liveness:
        """A round failed at every host of `connector`; `delivery` is that of the virtual server that dialled."""
        before = self.rounds.get(connector, Rounds(0, 0.0))
        since = now - before.latest  # negative: the clock was set back, and says nothing
        if before.count and 0 <= since < delivery.glitch_retry_seconds * ROUND_SHARE:
            return self
        count = before.count + 1
        rounds = {**self.rounds, connector: Rounds(count, now)}
        return Liveness(self._with_failure(connector, now, is_down=count > delivery.glitch_retries), rounds)

    def after_success(self, connector: str) -> Liveness:
        """A host of `connector` gave a good greeting."""
        if connector not in self.rounds:
            return self
        return self.restricted_to(self.rounds.keys() - {connector})

    def restricted_to(self, connectors: Collection[str]) -> Liveness:
        """Forget all other connectors, as after they left the configuration: they count as up."""
        if all(name in connectors for name in self.rounds):
            return self
        rounds = {name: rounds for name, rounds in self.rounds.items() if name in connectors}
        down = {name: since for name, since in self.state.down.items() if name in connectors}
        suspect = self.state.suspect.intersection(connectors)
        return Liveness(LinkState(down, suspect, self.state.version + 1), rounds)

    def _with_failure(self, connector: str, now: float, *, is_down: bool) -> LinkState:
        """The link state after one more counted round; the same value, same version, where it says so already."""
        state = self.state
        if connector in state.down or (not is_down and connector in state.suspect):
            return state
        if not is_down:
            return replace(state, suspect=state.suspect | {connector}, version=state.version + 1)
        return LinkState({**state.down, connector: now}, state.suspect - {connector}, state.version + 1)
