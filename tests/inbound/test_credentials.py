"""Credential checks: right, wrong, unknown, too often, remembered."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator

import pytest
from argon2 import PasswordHasher

from bridgehead.inbound import credentials as module
from bridgehead.inbound.credentials import Answer, CredentialCheck
from bridgehead.smtp.event import Credentials
from tests.inbound.receiving import HASHER, USERS

RIGHT = Credentials("user", "secret")
WRONG = Credentials("user", "wrong")
UNKNOWN = Credentials("nobody", "secret")


class Clock:
    """Seconds that pass when the test says so."""

    now = 1000.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def check(clock: Clock) -> Iterator[CredentialCheck]:
    made = CredentialCheck(clock, HASHER)
    yield made
    made.close()


async def test_right_wrong_and_unknown(check: CredentialCheck) -> None:
    assert await check.verify(RIGHT, USERS, "192.0.2.1") is Answer.GOOD
    assert await check.verify(WRONG, USERS, "192.0.2.1") is Answer.BAD
    assert await check.verify(UNKNOWN, USERS, "192.0.2.1") is Answer.BAD


async def test_what_stands_behind_the_hash_is_ignored(check: CredentialCheck) -> None:
    users = {"user": USERS["user"] + ":SCRAM-SHA-256$4096:c2FsdA==$a:b"}
    assert await check.verify(RIGHT, users, "192.0.2.1") is Answer.GOOD


async def test_a_damaged_hash_matches_nothing(check: CredentialCheck) -> None:
    for stored in ("", "x", "$argon2id$", "secret"):
        assert await check.verify(RIGHT, {"user": stored}, "192.0.2.1") is Answer.BAD


async def test_unknown_accounts_are_hashed_for_too(check: CredentialCheck, monkeypatch: pytest.MonkeyPatch) -> None:
    """The same work is done for both, so the time tells nothing."""
    verified: list[str] = []
    verify = module._verify

    def watched(hasher: PasswordHasher, stored: str, password: str) -> bool:
        verified.append(password)
        return verify(hasher, stored, password)

    monkeypatch.setattr(module, "_verify", watched)
    await check.verify(WRONG, USERS, "192.0.2.1")
    await check.verify(UNKNOWN, USERS, "192.0.2.1")
    assert verified == ["wrong", "secret"]


async def test_a_client_that_failed_often_waits_before_anything_is_hashed(
    check: CredentialCheck, clock: Clock
) -> None:
    for _ in range(module.FAILURES_MAX):
        assert await check.verify(WRONG, USERS, "192.0.2.1") is Answer.BAD
    assert await check.verify(WRONG, USERS, "192.0.2.1") is Answer.LATER
    assert await check.verify(RIGHT, USERS, "192.0.2.1") is Answer.LATER
    assert await check.verify(RIGHT, USERS, "192.0.2.2") is Answer.GOOD
    clock.now += module.FAILURE_SECONDS
    assert await check.verify(WRONG, USERS, "192.0.2.1") is Answer.BAD


async def test_many_checks_at_once_cannot_outrun_the_limit(check: CredentialCheck) -> None:
    async with asyncio.TaskGroup() as tasks:
        checks = [tasks.create_task(check.verify(WRONG, USERS, "192.0.2.1")) for _ in range(30)]
    answers = [one.result() for one in checks]
    assert answers.count(Answer.BAD) == module.FAILURES_MAX


async def test_success_is_remembered_for_a_while_and_for_this_hash_alone(
    check: CredentialCheck, clock: Clock, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert await check.verify(RIGHT, USERS, "192.0.2.1") is Answer.GOOD
    monkeypatch.setattr(module, "_verify", lambda hasher, stored, password: False)
    assert await check.verify(RIGHT, USERS, "192.0.2.1") is Answer.GOOD
    assert await check.verify(RIGHT, {"user": HASHER.hash("other")}, "192.0.2.1") is Answer.BAD
    assert await check.verify(RIGHT, {}, "192.0.2.1") is Answer.BAD
    clock.now += module.REMEMBERED_SECONDS + 1
    assert await check.verify(RIGHT, USERS, "192.0.2.1") is Answer.BAD


async def test_what_is_remembered_is_bounded(check: CredentialCheck, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "REMEMBERED_MAX", 2)
    monkeypatch.setattr(module, "CLIENTS_MAX", 2)
    monkeypatch.setattr(module, "_verify", lambda hasher, stored, password: True)
    for number in range(5):
        await check.verify(Credentials("user", f"{number}"), USERS, f"192.0.2.{number}")
    assert len(check._remembered) == len(check._failures) == 2


async def test_too_many_waiting_checks_are_put_off(check: CredentialCheck, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "WAITING_MAX", 0)
    assert await check.verify(RIGHT, USERS, "192.0.2.1") is Answer.LATER
