"""Checks the credentials of SMTP AUTH: slow on purpose, so in threads, and remembered for a while.

Rules of this file:
* Unknown accounts cost the same time and get the same answer as wrong passwords.
* Who guessed too often is put off before anything is hashed, and before anything remembered is looked at; `guesses`
  counts. A wrong password that is said again is wrong again, for nothing.
* Equal checks that come together are one.
* What is remembered is a keyed hash under a key of this process, bounded in number and age. A changed password is
  another entry, since the stored hash is part of it. Nothing here is ever logged.
"""

from __future__ import annotations

import asyncio
import hashlib
import hmac
import logging
import secrets
from collections import OrderedDict
from collections.abc import Awaitable, Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from enum import Enum
from typing import Final

from argon2 import PasswordHasher
from argon2.exceptions import InvalidHashError, VerificationError

from bridgehead.inbound.guesses import ATTACK_MIN, ATTACK_SECONDS, Guess, Guesses
from bridgehead.smtp.event import Credentials

THREADS: Final = 2
WAITING_MAX: Final = 64
"""Checks that may wait for a thread: with some 50 ms each, a client waits at most 2 seconds."""
MARK_OCTETS: Final = 16
REMEMBERED_MAX: Final = 10_000
REMEMBERED_SECONDS: Final = 600.0
SLOWED_MAX: Final = 200
"""Checks that wait because of guesses before them; together they may come to wait for a thread as well."""

_log: Final = logging.getLogger(__name__)


class Answer(Enum):
    """What came of a check."""

    GOOD = "good"
    BAD = "bad"
    LATER = "later"
    """Too many guesses before it, or too many checks at once: 454."""


class CredentialCheck:
    """Verifies passwords against argon2 hashes. One for a worker; used on its event loop alone."""

    def __init__(
        self,
        monotonic: Callable[[], float],
        hasher: PasswordHasher | None = None,
        pause: Callable[[float], Awaitable[None]] = asyncio.sleep,
    ) -> None:
        """`monotonic` gives seconds; `hasher` makes the hash that is checked where there is no account at all."""
        self._now = monotonic
        self._hasher = hasher or PasswordHasher()
        self._pause = pause
        self._threads = ThreadPoolExecutor(THREADS, "credentials")
        self._key = secrets.token_bytes(32)
        self._unknown = self._hasher.hash(secrets.token_urlsafe(16))
        self._remembered: OrderedDict[bytes, float] = OrderedDict()
        self._guesses = Guesses()
        self._under_way: dict[bytes, asyncio.Future[bool]] = {}
        self._slowed = 0

    async def verify(self, credentials: Credentials, users: Mapping[str, str], client: str) -> Answer:
        """Check name and password; `users` holds argon2 hashes by name, `client` is an address for the limits."""
        stored = users.get(credentials.user)
        mark = self._mark(credentials, stored or "")
        guess = self._guesses.guess(client, credentials.user, mark, self._now())
        if guess.is_known_wrong:
            return Answer.BAD
        if guess.is_refused:
            return Answer.LATER
        if stored is not None and self._remembers(mark):
            return Answer.GOOD
        if len(self._under_way) >= WAITING_MAX or (guess.delay and self._slowed >= SLOWED_MAX):
            return Answer.LATER
        is_right = await self._try(guess, mark, stored or self._costly(users), credentials.password)
        if stored is None or not is_right:
            self._end_wrong(guess, credentials.user if stored is not None else "")
            return Answer.BAD
        guess.end(is_wrong=False)
        self._remember(mark)
        return Answer.GOOD

    async def _try(self, guess: Guess, mark: bytes, stored: str, password: str) -> bool:
        """Begin a guess, wait as long as it must, and check it; one that was not checked is over."""
        delay = guess.delay
        guess.begin()
        try:
            if delay:
                await self._slow(delay)
            return await self._check(mark, stored, password)
        except BaseException:
            guess.end(is_wrong=False)
            raise

    async def _slow(self, seconds: float) -> None:
        self._slowed += 1
        try:
            await self._pause(seconds)
        finally:
            self._slowed -= 1

    async def _check(self, mark: bytes, stored: str, password: str) -> bool:
        check = self._under_way.get(mark)
        if check is None:
            loop = asyncio.get_running_loop()
            check = loop.run_in_executor(self._threads, _verify, self._hasher, stored, password)
            self._under_way[mark] = check
            check.add_done_callback(lambda _: self._under_way.pop(mark))
        # Whoever waits for the same check must not lose it by the end of one of them.
        return await asyncio.shield(check)

    def _end_wrong(self, guess: Guess, account: str) -> None:
        """`account` is empty where there is none of the name: what a stranger typed there is not ours to log."""
        if guess.end(is_wrong=True) and account:
            reason = f"account {account}: {ATTACK_MIN} wrong passwords within {ATTACK_SECONDS / 60:.0f} minutes"
            _log.warning("passwords are being guessed", extra={"event": "password-guessing", "reason": reason})

    def _costly(self, users: Mapping[str, str]) -> str:
        """A hash for an unknown account that costs what a known one does, however the hashes were made."""
        return next(iter(users.values()), self._unknown)

    def close(self) -> None:
        """Let the threads end; checks that wait are dropped."""
        self._threads.shutdown(wait=False, cancel_futures=True)

    def _mark(self, credentials: Credentials, stored: str) -> bytes:
        text = f"{credentials.user}\0{stored}\0{credentials.password}"
        return hmac.digest(self._key, text.encode("utf-8"), hashlib.sha256)[:MARK_OCTETS]

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


def _verify(hasher: PasswordHasher, stored: str, password: str) -> bool:
    """Runs in a thread. What stands behind the argon2 hash of an account (SCRAM keys) is not ours."""
    try:
        return hasher.verify(stored.partition(":")[0], password)
    except (VerificationError, InvalidHashError):
        return False
