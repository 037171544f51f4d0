"""Credential checks: right, wrong, unknown, too often, remembered."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator

import pytest
from argon2 import PasswordHasher

from bridgehead.inbound import credentials as module
from bridgehead.inbound import guesses
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
    made = CredentialCheck(clock, HASHER, at_once)
    yield made
    made.close()


async def at_once(_seconds: float) -> None:
    """A pause that is over."""


@pytest.fixture
def verified(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The passwords that were hashed."""
    found: list[str] = []
    verify = module._verify

    def watched(hasher: PasswordHasher, stored: str, password: str) -> bool:
        found.append(password)
        return verify(hasher, stored, password)

    monkeypatch.setattr(module, "_verify", watched)
    return found


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


async def test_unknown_accounts_are_hashed_for_too(check: CredentialCheck, verified: list[str]) -> None:
    """The same work is done for both, so the time tells nothing."""
    await check.verify(WRONG, USERS, "192.0.2.1")
    await check.verify(UNKNOWN, USERS, "192.0.2.1")
    assert verified == ["wrong", "secret"]


def wrong(number: int) -> Credentials:
    return Credentials("user", f"wrong {number}")


async def test_a_client_that_failed_often_waits_before_anything_is_hashed(
    check: CredentialCheck, clock: Clock, verified: list[str]
) -> None:
    for number in range(guesses.CLIENT_MAX):
        assert await check.verify(wrong(number), USERS, "192.0.2.1") is Answer.BAD
    assert len(verified) == guesses.CLIENT_MAX
    assert await check.verify(wrong(-1), USERS, "192.0.2.1") is Answer.LATER
    assert await check.verify(RIGHT, USERS, "192.0.2.1") is Answer.LATER
    assert len(verified) == guesses.CLIENT_MAX
    clock.now += guesses.NETWORK_SECONDS
    assert await check.verify(wrong(-1), USERS, "192.0.2.1") is Answer.BAD


async def test_the_right_password_from_elsewhere_works_while_an_account_is_attacked(check: CredentialCheck) -> None:
    for number in range(2 * guesses.ATTACK_MIN):
        await check.verify(wrong(number), USERS, f"198.51.{number}.1")
    assert await check.verify(RIGHT, USERS, "192.0.2.1") is Answer.GOOD


async def test_many_networks_have_few_guesses_each_at_one_account(check: CredentialCheck) -> None:
    answers = [
        await check.verify(wrong(number), USERS, f"198.51.{network}.{number % 100}")
        for network in range(20)
        for number in range(network * 100, network * 100 + 20)
    ]
    before, under_attack = answers[: 20 * 5], answers[20 * 5 :]
    assert before.count(Answer.BAD) == guesses.ATTACK_MIN
    assert under_attack.count(Answer.BAD) == 15 * guesses.NETWORK_MAX_UNDER_ATTACK


async def test_the_operator_is_told_of_an_attack_on_an_account_once_and_of_no_name_that_is_none(
    check: CredentialCheck, caplog: pytest.LogCaptureFixture
) -> None:
    for number in range(2 * guesses.ATTACK_MIN):
        for name in ("user", "a password in the wrong field"):
            await check.verify(Credentials(name, f"{number}"), USERS, f"198.51.{number}.1")
    (record,) = caplog.records
    assert record.__dict__["event"] == "password-guessing"
    assert record.__dict__["reason"] == "account user: 50 wrong passwords within 60 minutes"


async def test_a_wrong_password_that_is_said_again_is_wrong_again_for_nothing(
    check: CredentialCheck, verified: list[str]
) -> None:
    answers = [await check.verify(WRONG, USERS, "192.0.2.1") for _ in range(50)]
    assert set(answers) == {Answer.BAD}
    assert verified == ["wrong"]
    assert await check.verify(RIGHT, USERS, "192.0.2.1") is Answer.GOOD
    changed = {"user": HASHER.hash("wrong")}
    assert await check.verify(WRONG, changed, "192.0.2.1") is Answer.GOOD, "it is right since the password changed"


async def test_what_is_remembered_helps_nobody_who_guessed_too_often(check: CredentialCheck) -> None:
    """Else one could guess on, at no cost, while the owner is at work."""
    assert await check.verify(RIGHT, USERS, "192.0.2.1") is Answer.GOOD
    for number in range(guesses.CLIENT_MAX):
        await check.verify(wrong(number), USERS, "198.51.100.1")
    assert await check.verify(RIGHT, USERS, "198.51.100.1") is Answer.LATER
    assert await check.verify(RIGHT, USERS, "192.0.2.1") is Answer.GOOD


async def test_guesses_are_slowed_before_they_are_refused(clock: Clock) -> None:
    waited: list[float] = []

    async def pause(seconds: float) -> None:
        waited.append(seconds)

    check = CredentialCheck(clock, HASHER, pause)
    try:
        for number in range(20):
            await check.verify(wrong(number), USERS, f"192.0.2.{number}")
    finally:
        check.close()
    assert waited == [1, 2, 3, 4, 5, 5, 5]


async def test_slowed_guesses_take_no_thread_and_are_bounded(clock: Clock, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "SLOWED_MAX", 2)
    going = asyncio.Event()

    async def pause(_seconds: float) -> None:
        await going.wait()

    check = CredentialCheck(clock, HASHER, pause)
    try:
        for number in range(3):
            await check.verify(wrong(number), USERS, "198.51.100.1")
        async with asyncio.TaskGroup() as tasks:
            slowed = [
                tasks.create_task(check.verify(wrong(number), USERS, f"198.51.100.{number}")) for number in (3, 4, 5)
            ]
            await asyncio.sleep(0)
            assert await check.verify(RIGHT, USERS, "192.0.2.1") is Answer.GOOD
            going.set()
    finally:
        check.close()
    assert [one.result() for one in slowed] == [Answer.BAD, Answer.BAD, Answer.LATER]


async def test_many_checks_at_once_cannot_outrun_the_limit(check: CredentialCheck, verified: list[str]) -> None:
    async with asyncio.TaskGroup() as tasks:
        checks = [tasks.create_task(check.verify(wrong(number), USERS, "192.0.2.1")) for number in range(30)]
    answers = [one.result() for one in checks]
    assert answers.count(Answer.BAD) == guesses.CLIENT_MAX == len(verified)


async def test_a_client_with_many_connections_has_its_password_checked_once(
    check: CredentialCheck, verified: list[str]
) -> None:
    async with asyncio.TaskGroup() as tasks:
        checks = [tasks.create_task(check.verify(RIGHT, USERS, "192.0.2.1")) for _ in range(100)]
    assert {one.result() for one in checks} == {Answer.GOOD}
    assert verified == ["secret"]


async def test_a_check_that_is_given_up_takes_none_away_from_others(check: CredentialCheck) -> None:
    async with asyncio.TaskGroup() as tasks:
        first = tasks.create_task(check.verify(RIGHT, USERS, "192.0.2.1"))
        second = tasks.create_task(check.verify(RIGHT, USERS, "192.0.2.1"))
        await asyncio.sleep(0)
        first.cancel()
    assert second.result() is Answer.GOOD


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
    monkeypatch.setattr(module, "_verify", lambda hasher, stored, password: True)
    for number in range(5):
        await check.verify(Credentials("user", f"{number}"), USERS, f"192.0.2.{number}")
    assert len(check._remembered) == 2
    assert check._under_way == {}


async def test_too_many_waiting_checks_are_put_off(check: CredentialCheck, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "WAITING_MAX", 0)
    assert await check.verify(RIGHT, USERS, "192.0.2.1") is Answer.LATER
