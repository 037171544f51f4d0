"""What is up and what is down: a frozen value beside the configuration (Exchange: link state, KB 263249).

Only connectors that hand mail to smart hosts can be down; a connector that routes by DNS is always up. The value
is replaced whole, so a routing decision sees one consistent picture. How failures become "down" is `Liveness`.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from types import MappingProxyType


@dataclass(frozen=True, slots=True)
class LinkState:
    """The connectors that are down on this server, by name."""

    down: Mapping[str, float] = field(default_factory=lambda: MappingProxyType({}))
    """Name -> since when, in seconds since the epoch."""
    suspect: frozenset[str] = frozenset()
    """Up, but the latest round failed at every host: an alternative of the same specificity is preferred at once."""
    version: int = 0
    """Grows with every change; waiting mail is routed anew when it does."""

    def is_up(self, connector: str) -> bool:
        """Whether mail may be sent to the connector now."""
        return connector not in self.down and connector not in self.suspect


ALL_UP = LinkState()
"""What holds without a running server."""
