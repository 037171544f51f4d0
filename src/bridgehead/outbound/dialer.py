"""Opens SMTP channels: tries the hosts of a destination in turn, those that failed lately last.

A host that just failed, or hangs, is remembered for a while, so that one dead host among many costs one connection a
wait and not each of them. The memory changes the order only: where no other host is left, it is tried all the same.
Nor does a host that hangs keep mail from the others of its destination: after a while it is passed over, and waited
for again, as long as RFC 5321 says, when none of them was ready.
"""

from __future__ import annotations

import asyncio
from collections import OrderedDict, deque
from collections.abc import Callable, Iterable
from typing import Final

from bridgehead.core.outcome import Deferred, Scope
from bridgehead.core.reply import Reply
from bridgehead.outbound.connect import HostFailure, Wiring, connect
from bridgehead.outbound.contract import Channel, Destination, Unavailable
from bridgehead.outbound.hosts import Candidate, HostFinder
from bridgehead.outbound.smtp_channel import SmtpChannel

FAILED_SECONDS: Final = 60.0
"""How long a host that failed goes last: as long as a probe of a connector that is down waits."""
FAILED_MAX: Final = 10_000
"""Hosts remembered; the oldest are forgotten first."""
SUSPECT_SECONDS: Final = 3.0
"""A host that is not ready after this goes last for others while the first one still waits for it."""
PATIENCE_SECONDS: Final = 10.0
"""A host that is not ready after this is passed over: more than the 5 or 6 seconds that many let clients wait."""


class FailedHosts:
    """Remembers hosts that failed lately. Owned by one dialer; `clock` counts seconds, monotonic."""

    def __init__(self, clock: Callable[[], float]) -> None:
        self._clock = clock
        self._until: OrderedDict[tuple[str, int], float] = OrderedDict()

    def __len__(self) -> int:
        return len(self._until)

    def remember(self, candidate: Candidate) -> None:
        """It failed, or hangs."""
        key = (candidate.address, candidate.port)
        self._until[key] = self._clock() + FAILED_SECONDS
        self._until.move_to_end(key)
        if len(self._until) > FAILED_MAX:
            self._until.popitem(last=False)

    def forget(self, candidate: Candidate) -> None:
        """It was ready."""
        self._until.pop((candidate.address, candidate.port), None)

    def last(self, candidates: Iterable[Candidate]) -> list[Candidate]:
        """The same candidates in the same order, but for those that failed lately: they go last."""
        now = self._clock()
        return sorted(
            candidates, key=lambda candidate: self._until.get((candidate.address, candidate.port), 0.0) > now
        )


class SmtpDialer:
    """The `Dialer` for SMTP. Owned by one worker."""

    def __init__(self, finder: HostFinder, wiring: Wiring, clock: Callable[[], float]) -> None:
        self._finder = finder
        self._wiring = wiring
        self._failed = FailedHosts(clock)

    async def open(self, destination: Destination, closed: Callable[[], None]) -> Channel | Unavailable:
        """Try the hosts in their order until one is ready, as the contract says."""
        candidates = await self._finder.find(destination)
        if isinstance(candidates, Unavailable):
            return candidates
        failures: list[HostFailure] = []
        waiting = deque(self._failed.last(candidates))
        may_pass = len(waiting) - 1
        while waiting:
            candidate = waiting.popleft()
            result = await self._try(candidate, destination, closed, PATIENCE_SECONDS if may_pass > 0 else None)
            may_pass -= 1
            if isinstance(result, SmtpChannel):
                return result
            if result is None:
                waiting.append(candidate)
                continue
            failures.append(result)
            if result.is_credential or result.is_ours:  # the same everywhere; trying on locks accounts
                break
        return _unavailable(failures)

    async def _try(
        self, candidate: Candidate, destination: Destination, closed: Callable[[], None], seconds: float | None
    ) -> SmtpChannel | HostFailure | None:
        """`None`: it was not ready within `seconds`."""
        suspect = asyncio.get_running_loop().call_later(SUSPECT_SECONDS, self._failed.remember, candidate)
        try:
            async with asyncio.timeout(seconds):
                result = await connect(candidate, destination, self._wiring, closed)
        except TimeoutError:  # of this timeout: `connect` raises none
            return None
        finally:
            suspect.cancel()
        if isinstance(result, SmtpChannel):
            self._failed.forget(candidate)
        elif not result.is_credential and not result.is_ours:
            self._failed.remember(candidate)
        return result


def _unavailable(failures: list[HostFailure]) -> Unavailable:
    """What the failures of all hosts come to; the last one speaks for them."""
    last = failures[-1]
    reply = Reply(last.reply.code, last.reply.enhanced, f"{last.stage}: {last.reply.text}")
    scope = Scope.CREDENTIAL if last.is_credential else Scope.HOST
    outcome = Deferred(reply, scope, last.host, all(failure.stage.is_connect_level for failure in failures))
    return Unavailable(outcome, tuple(str(failure) for failure in failures))
