"""Checks the credentials of SMTP AUTH: slow on purpose, so in threads, and remembered for a while.

Rules of this file:
* Unknown accounts cost the same time and get the same answer as wrong passwords.
* A client that failed too often waits before anything is hashed for it.
* What is remembered is a keyed hash under a key of this process, bounded in number and age. A changed password is
  another entry, since the stored hash is part of it. Nothing here is ever logged.
"""

from __future__ import annotations

import asyncio
import hashlib
import hmac
import secrets
from collections import OrderedDict
from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from enum import Enum
from typing import Final

from argon2 import PasswordHasher
from argon2.exceptions import InvalidHashError, VerificationError

from bridgehead.smtp.event import Credentials

THREADS: Final = 2
WAITING_MAX: Final = 64
"""Checks that may wait for a thread: with some 50 ms each, a client waits at most 2 seconds."""
REMEMBERED_MAX: Final = 10_000
REMEMBERED_SECONDS: Final = 600.0
FAILURES_MAX: Final = 10
"""Failures of one client address within `FAILURE_SECONDS` before it is put off."""
FAILURE_SECONDS: Final = 60.0
CLIENTS_MAX: Final = 10_000
"""Client addresses whose failures are counted; the longest unseen is forgotten."""


class Answer(Enum):
    """What came of a check."""

    GOOD = "good"
    BAD = "bad"
    LATER = "later"
    """Too many failures of this client, or too many checks at once: 454."""


class CredentialCheck:
    """Verifies passwords against argon2 hashes. One for a worker; used on its event loop alone."""

    def __init__(self, monotonic: Callable[[], float], hasher: PasswordHasher | None = None) -> None:
        """`monotonic` gives seconds; `hasher` makes the hash that is checked where there is no account at all."""
        self._now = monotonic
        self._hasher = hasher or PasswordHasher()
        self._threads = ThreadPoolExecutor(THREADS, "credentials")
        self._key = secrets.token_bytes(32)
        self._unknown = self._hasher.hash(secrets.token_urlsafe(16))
        self._remembered: OrderedDict[bytes, float] = OrderedDict()
        self._failures: OrderedDict[str, tuple[float, int]] = OrderedDict()
        self._waiting = 0

    async def verify(self, credentials: Credentials, users: Mapping[str, str], client: str) -> Answer:
        """Check name and password; `users` holds argon2 hashes by name, `client` is an address for the limits."""
        stored = users.get(credentials.user)
        mark = self._mark(credentials, stored or "")
        if stored is not None and self._remembers(mark):
            return Answer.GOOD
        if self._has_failed_often(client) or self._waiting >= WAITING_MAX:
            return Answer.LATER
        # A check that runs counts as a failure until it succeeds, so that many at once cannot outrun the limit.
        self._count_failure(client, 1)
        self._waiting += 1
        try:
            is_right = await asyncio.get_running_loop().run_in_executor(
                self._threads, _verify, self._hasher, stored or self._costly(users), credentials.password
            )
        finally:
            self._waiting -= 1
        if stored is None or not is_right:
            return Answer.BAD
        self._count_failure(client, -1)
        self._remember(mark)
        return Answer.GOOD

    def _costly(self, users: Mapping[str, str]) -> str:
        """A hash for an unknown account that costs what a known one does, however the hashes were made."""
        return next(iter(users.values()), self._unknown)

    def close(self) -> None:
        """Let the threads end; checks that wait are dropped."""
        self._threads.shutdown(wait=False, cancel_futures=True)

    def _mark(self, credentials: Credentials, stored: str) -> bytes:
        text = f"{credentials.user}\0{stored}\0{credentials.password}"
        return hmac.digest(self._key, text.encode("utf-8"), hashlib.sha256)

    def _remembers(self, mark: bytes) -> bool:
        until = self._remembered.get(mark)
        if until is None:
            return False
        if until < self._now():
            del self._remembered[mark]
            return False
        return True

    def _remember(self, mark: bytes) -> None:
        self._remembered[mark] = self._now() + REMEMBERED_SECONDS
        if len(self._remembered) > REMEMBERED_MAX:
            self._remembered.popitem(last=False)

    def _has_failed_often(self, client: str) -> bool:
        since, count = self._failures.get(client, (0.0, 0))
        return count >= FAILURES_MAX and self._now() < since + FAILURE_SECONDS

    def _count_failure(self, client: str, by: int) -> None:
        now = self._now()
        since, count = self._failures.pop(client, (now, 0))
        if now >= since + FAILURE_SECONDS:
            since, count = now, 0
        self._failures[client] = (since, max(0, count + by))
        if len(self._failures) > CLIENTS_MAX:
            self._failures.popitem(last=False)


def _verify(hasher: PasswordHasher, stored: str, password: str) -> bool:
    """Runs in a thread. What stands behind the argon2 hash of an account (SCRAM keys) is not ours."""
    try:
        return hasher.verify(stored.partition(":")[0], password)
    except (VerificationError, InvalidHashError):
        return False
