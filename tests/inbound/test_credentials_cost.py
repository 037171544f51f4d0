"""Who asks for an account learns nothing from the time of the answer."""

from __future__ import annotations

import time
from collections.abc import Mapping
from typing import Literal

import pytest
from argon2 import PasswordHasher

from bridgehead.inbound.credentials import Answer, CredentialCheck
from bridgehead.smtp.event import Credentials
from tests.inbound.receiving import HASHER

OTHER_COST = PasswordHasher(time_cost=2, memory_cost=16, parallelism=1)


class Recording(PasswordHasher):
    """Remembers which hashes a password was checked against."""

    def __init__(self) -> None:
        super().__init__(time_cost=1, memory_cost=8, parallelism=1)
        self.checked: list[str] = []

    def verify(self, hash: str | bytes, password: str | bytes) -> Literal[True]:  # noqa: A002 - the name is argon2's
        self.checked.append(str(hash))
        return super().verify(hash, password)


@pytest.mark.parametrize("users", [{"real": OTHER_COST.hash("secret")}, {"real": HASHER.hash("secret")}])
async def test_an_unknown_account_is_checked_at_the_cost_of_a_real_one(users: Mapping[str, str]) -> None:
    hasher = Recording()
    check = CredentialCheck(time.monotonic, hasher)
    try:
        # Even the password of the account that lends its hash opens nothing.
        assert await check.verify(Credentials("unknown", "secret"), users, "192.0.2.1") is Answer.BAD
        assert hasher.checked == [users["real"]]
    finally:
        check.close()


async def test_without_any_account_a_check_takes_its_time_too() -> None:
    hasher = Recording()
    check = CredentialCheck(time.monotonic, hasher)
    try:
        assert await check.verify(Credentials("unknown", "secret"), {}, "192.0.2.1") is Answer.BAD
        assert len(hasher.checked) == 1
    finally:
        check.close()
