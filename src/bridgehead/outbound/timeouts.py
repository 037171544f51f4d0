"""How long the wire waits for each step (RFC 5321 4.5.3.2), in seconds."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

_TICK_MAX: Final = 5.0


@dataclass(frozen=True, slots=True)
class Timeouts:
    """Every wait of a channel has its bound here; the defaults are what the RFC asks for, where it asks."""

    connect: float = 30.0
    """TCP connect; the RFC has none, and a kernel's two minutes hold up the other hosts."""
    handshake: float = 60.0
    """A whole TLS handshake; ours."""
    greeting: float = 300.0
    """RFC 5321 4.5.3.2.1."""
    command: float = 300.0
    """EHLO, STARTTLS, AUTH, MAIL, RCPT, each (RFC 5321 4.5.3.2.2 and .3); DATA may take as long."""
    block: float = 180.0
    """Until the peer takes the next block of content (RFC 5321 4.5.3.2.5)."""
    end: float = 600.0
    """The answer to the end of the content (RFC 5321 4.5.3.2.6): giving up early makes duplicates."""
    goodbye: float = 5.0
    """The answer to QUIT; nothing depends on it."""
    idle: float = 600.0
    """A channel nobody uses."""

    @property
    def tick(self) -> float:
        """How often a channel looks at its deadline: one timer for all steps, late by this much at most."""
        return min(_TICK_MAX, *self._waits())

    def at_most(self, seconds: float) -> Timeouts:
        """The same, but no wait longer than `seconds`, the `connection_timeout` of the virtual server that sends."""
        waits = self._waits()
        return self if seconds >= max(waits) else Timeouts(*(min(wait, seconds) for wait in waits))

    def _waits(self) -> tuple[float, ...]:
        """All of them, in order: every connection asks, and `astuple` would take as long as the rest of it."""
        return (
            self.connect,
            self.handshake,
            self.greeting,
            self.command,
            self.block,
            self.end,
            self.goodbye,
            self.idle,
        )


TIMEOUTS: Final = Timeouts()
"""The defaults."""
