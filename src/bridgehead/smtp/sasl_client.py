"""The client's side of SMTP AUTH: PLAIN, LOGIN and CRAM-MD5 (RFC 4954, RFC 4616, RFC 2195).

An exchange answers the server's challenges with octets; base64 and the AUTH command line belong to `smtp.client`.
"""

from __future__ import annotations

import hmac
from collections.abc import Collection
from dataclasses import dataclass, field
from typing import Final, Protocol

CHALLENGES_MAX: Final = 3
"""Challenges that we answer in one exchange: no mechanism of ours needs more than two."""


@dataclass(frozen=True, slots=True)
class Credential:
    """Who we say we are; the password never shows in `repr`."""

    username: str
    password: str = field(repr=False)


class Exchange(Protocol):
    """One run of a mechanism."""

    mechanism: str

    def initial(self) -> bytes | None:
        """The initial response for the AUTH line; `None`: the mechanism begins with a challenge."""
        ...

    def answer(self, challenge: bytes) -> bytes:
        """The answer to the next challenge."""
        ...


class Plain:
    """PLAIN: account and password in one response."""

    mechanism = "PLAIN"

    def __init__(self, credential: Credential) -> None:
        self._response = f"\0{credential.username}\0{credential.password}".encode()

    def initial(self) -> bytes:
        """The whole of it."""
        return self._response

    def answer(self, challenge: bytes) -> bytes:
        """The same again: some servers overlook the initial response and ask."""
        del challenge
        return self._response


class Login:
    """LOGIN: the account is asked for, then the password. The wording of the challenges is not looked at."""

    mechanism = "LOGIN"

    def __init__(self, credential: Credential) -> None:
        self._answers = [credential.password.encode(), credential.username.encode()]

    def initial(self) -> None:
        """None: servers differ in whether they take one."""

    def answer(self, challenge: bytes) -> bytes:
        """Account, then password, then nothing."""
        del challenge
        return self._answers.pop() if self._answers else b""


class CramMd5:
    """CRAM-MD5: the password itself stays here."""

    mechanism = "CRAM-MD5"

    def __init__(self, credential: Credential) -> None:
        self._credential = credential

    def initial(self) -> None:
        """None: the server begins."""

    def answer(self, challenge: bytes) -> bytes:
        """Account and keyed digest of the challenge."""
        digest = hmac.new(self._credential.password.encode(), challenge, "md5").hexdigest()
        return f"{self._credential.username} {digest}".encode()


def choose(offered: Collection[str], credential: Credential, *, is_private: bool) -> Exchange | None:
    """The best mechanism that the server offers, or `None`.

    Inside TLS (`is_private`) PLAIN goes first: one round trip, any password store. In the clear CRAM-MD5 does.
    """
    private: tuple[type[Plain | Login | CramMd5], ...] = (Plain, Login, CramMd5)
    in_the_clear: tuple[type[Plain | Login | CramMd5], ...] = (CramMd5, Plain, Login)
    for mechanism in private if is_private else in_the_clear:
        if mechanism.mechanism in offered:
            return mechanism(credential)
    return None
