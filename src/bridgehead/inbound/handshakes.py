"""TLS handshakes of clients that are under way at one worker, begun by STARTTLS or with the first octet.

Rules of this file:
* An unfinished handshake holds some 50 KiB: those under way are bounded, by client and in all, and so is their time.
* A handshake that fails is the client's trouble, or someone who only looks for open ports: the first one is logged,
  and of those that follow there is one line a minute for a virtual server.
"""

from __future__ import annotations

import asyncio
import logging
from collections import Counter
from dataclasses import dataclass, field
from typing import Final

from bridgehead.inbound.guesses import places
from bridgehead.net.tls import describe_error

HANDSHAKE_SECONDS: Final = 20.0
"""A handshake takes two round trips; RFC 5321 knows no time limit for it."""
HANDSHAKES_MAX: Final = 1_000
HANDSHAKES_PER_CLIENT_MAX: Final = 100
"""Of an IPv4 address or an IPv6 /64: more than an honest client begins, few enough to leave room for others."""
SUMMARY_SECONDS: Final = 60.0
"""Between two log lines about failed handshakes of one virtual server."""
CLIENTS_MAX: Final = 1_000
"""Clients, and reasons, that a summary tells apart."""

_log: Final = logging.getLogger(__name__)


@dataclass(slots=True)
class _Failures:
    """Of one virtual server since its last line in the log."""

    timer: asyncio.TimerHandle
    count: int = 0
    clients: Counter[str] = field(default_factory=Counter)
    reasons: Counter[str] = field(default_factory=Counter)


class Handshakes:
    """Counts them, and writes of those that fail. Used on the event loop of its worker alone."""

    def __init__(self) -> None:
        self._under_way: Counter[str] = Counter()
        self._total = 0
        self._failures: dict[str, _Failures] = {}

    def __len__(self) -> int:
        return self._total

    def begin(self, client: str) -> bool:
        """Whether there is room for one more of this client; if so it is counted until `end`."""
        client, _ = places(client)
        if self._total >= HANDSHAKES_MAX or self._under_way[client] >= HANDSHAKES_PER_CLIENT_MAX:
            return False
        self._total += 1
        self._under_way[client] += 1
        return True

    def end(self, client: str) -> None:
        """One has come to its end, good or bad."""
        client, _ = places(client)
        self._total -= 1
        self._under_way[client] -= 1
        if not self._under_way[client]:
            del self._under_way[client]

    def failed(self, key: str, client: str, error: Exception) -> None:
        """Log a failure at the virtual server `key`, now or with others."""
        reason = describe_error(error)
        failures = self._failures.get(key)
        if failures is None:
            timer = asyncio.get_running_loop().call_later(SUMMARY_SECONDS, self._sum_up, key)
            self._failures[key] = _Failures(timer)
            _log.info("TLS handshake failed", extra={"virtual_server": key, "client": client, "reason": reason})
            return
        failures.count += 1
        for counter, one in ((failures.clients, client), (failures.reasons, reason)):
            if one in counter or len(counter) < CLIENTS_MAX:
                counter[one] += 1

    def close(self) -> None:
        """Write what is left to be written."""
        for key, failures in self._failures.items():
            failures.timer.cancel()
            _write(key, failures)
        self._failures.clear()

    def _sum_up(self, key: str) -> None:
        """Behind a minute without any failure the next one is a first one again."""
        failures = self._failures.pop(key)
        _write(key, failures)
        if failures.count:
            timer = asyncio.get_running_loop().call_later(SUMMARY_SECONDS, self._sum_up, key)
            self._failures[key] = _Failures(timer)


def _write(key: str, failures: _Failures) -> None:
    if failures.count:
        _log.info("TLS handshakes failed", extra={"virtual_server": key, "reason": _words(failures)})


def _words(failures: _Failures) -> str:
    number = f"{CLIENTS_MAX} or more" if len(failures.clients) >= CLIENTS_MAX else f"{len(failures.clients)}"
    ((client, _),), ((reason, _),) = failures.clients.most_common(1), failures.reasons.most_common(1)
    return f"{failures.count} more; clients: {number}, most of all {client}; most of all: {reason}"
