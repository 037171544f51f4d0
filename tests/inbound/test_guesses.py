"""Wrong passwords are counted by client and by account and network; the owner of an account is never locked out."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bridgehead.inbound import guesses as module
from bridgehead.inbound.guesses import (
    ATTACK_MIN,
    ATTACK_SECONDS,
    CLIENT_MAX,
    CLIENT_SECONDS,
    DELAY_SECONDS_MAX,
    FREE_GUESSES,
    NETWORK_MAX,
    NETWORK_MAX_UNDER_ATTACK,
    NETWORK_SECONDS,
    Guess,
    Guesses,
    places,
)


def mark(number: int) -> bytes:
    return number.to_bytes(16, "big")


def look(guesses: Guesses, client: str, number: int = 999_999, account: str = "amy", now: float = 0.0) -> Guess:
    return guesses.guess(client, account, mark(number), now)


def guess_wrong(guesses: Guesses, client: str, number: int, account: str = "amy", now: float = 0.0) -> bool:
    """Guess if that is let; whether it was."""
    guess = look(guesses, client, number, account, now)
    if guess.is_refused or guess.is_known_wrong:
        return False
    guess.begin()
    guess.end(is_wrong=True)
    return True


def guess_many(guesses: Guesses, client: str, numbers: range, account: str = "amy", now: float = 0.0) -> int:
    return sum(guess_wrong(guesses, client, number, account, now) for number in numbers)


def attack(guesses: Guesses, now: float = 0.0) -> None:
    """As many different guesses at amy as make an attack, from networks of their own."""
    for number in range(ATTACK_MIN):
        assert guess_wrong(guesses, f"198.51.{number}.1", number, now=now)


@pytest.mark.parametrize(
    ("client", "expected"),
    [
        ("192.0.2.7", ("192.0.2.7", "192.0.2.0/24")),
        ("2001:db8:1:2:3:4:5:6", ("2001:db8:1:2::/64", "2001:db8:1:2::/64")),
        ("", ("", "")),
    ],
)
def test_who_counts_as_one_client_and_as_one_network(client: str, expected: tuple[str, str]) -> None:
    assert places(client) == expected


def test_a_client_has_so_many_guesses_a_minute_at_whatever_accounts() -> None:
    guesses = Guesses()
    for number in range(CLIENT_MAX):
        assert guess_wrong(guesses, "192.0.2.1", number, f"account{number}")
    assert look(guesses, "192.0.2.1", account="new").is_refused
    assert not look(guesses, "192.0.2.2", account="new").is_refused, "a neighbour"
    assert not look(guesses, "192.0.2.1", account="new", now=CLIENT_SECONDS).is_refused


def test_an_ipv6_client_is_its_whole_network() -> None:
    guesses = Guesses()
    for number in range(CLIENT_MAX):
        assert guess_wrong(guesses, f"2001:db8::{number:x}", number, f"account{number}")
    assert look(guesses, "2001:db8::ffff", account="new").is_refused
    assert not look(guesses, "2001:db8:0:1::1", account="new").is_refused


def test_a_network_has_so_many_guesses_at_one_account_however_many_addresses_it_has() -> None:
    guesses = Guesses()
    assert sum(guess_wrong(guesses, f"192.0.2.{number}", number) for number in range(100)) == NETWORK_MAX
    assert look(guesses, "192.0.2.200", now=NETWORK_SECONDS - 1).is_refused, "for half an hour"
    assert not look(guesses, "192.0.2.200", now=NETWORK_SECONDS).is_refused
    assert not look(guesses, "192.0.2.200", account="bob").is_refused, "another account"


def test_nobody_locks_an_account_out_for_other_networks() -> None:
    guesses = Guesses()
    attack(guesses)
    for third in range(0, 256, 4):
        guess_many(guesses, f"203.0.{third}.1", range(1000, 1015))
    for owner in ("192.0.2.1", "2001:db8::1"):
        right = look(guesses, owner)
        assert not right.is_refused
        assert right.delay == 0


def test_an_account_under_attack_leaves_each_network_fewer_guesses() -> None:
    guesses = Guesses()
    attack(guesses)
    assert guess_many(guesses, "192.0.2.1", range(1000, 1100)) == NETWORK_MAX_UNDER_ATTACK
    assert guess_many(guesses, "192.0.2.2", range(1000, 1100), "bob") == NETWORK_MAX
    later = max(ATTACK_SECONDS, NETWORK_SECONDS)
    assert guess_many(guesses, "192.0.2.1", range(1000, 1100), now=later) == NETWORK_MAX


def test_an_attack_is_told_once() -> None:
    guesses = Guesses()
    told = 0
    for number in range(ATTACK_MIN * 2):
        guess = look(guesses, f"198.51.{number}.1", number)
        guess.begin()
        told += guess.end(is_wrong=True)
    assert told == 1


def test_the_same_wrong_password_is_one_guess() -> None:
    """A device with an old password does not shut out the others behind the same address."""
    guesses = Guesses()
    assert guess_wrong(guesses, "192.0.2.1", 1)
    assert [guess_wrong(guesses, "192.0.2.1", 1) for _ in range(100)] == [False] * 100
    assert look(guesses, "192.0.2.1", 1).is_known_wrong
    assert not look(guesses, "192.0.2.1", 2).is_refused
    assert not look(guesses, "192.0.2.1", 1, now=NETWORK_SECONDS).is_known_wrong


def test_further_guesses_wait_a_second_longer_each() -> None:
    guesses = Guesses()
    delays = []
    for number in range(NETWORK_MAX):
        delays.append(look(guesses, f"192.0.2.{number}").delay)
        guess_wrong(guesses, f"192.0.2.{number}", number)
    assert delays == [0] * FREE_GUESSES + [1, 2, 3, 4, 5, 5, 5]
    assert max(delays) == DELAY_SECONDS_MAX


def test_guesses_under_way_count_until_they_are_right() -> None:
    guesses = Guesses()
    under_way = []
    for number in range(CLIENT_MAX):
        under_way.append(look(guesses, "192.0.2.1", number))
        under_way[-1].begin()
    assert look(guesses, "192.0.2.1").is_refused
    assert not look(guesses, "192.0.2.1", 0).is_refused, "one of them, said again: a client with many connections"
    for guess in under_way:
        guess.end(is_wrong=False)
    assert not look(guesses, "192.0.2.1").is_refused
    assert look(guesses, "192.0.2.1").delay == 0


def test_right_passwords_leave_nothing_behind_that_counts() -> None:
    guesses = Guesses()
    for number in range(100):
        guess = look(guesses, "192.0.2.1", number, f"account{number}")
        assert not guess.is_refused
        guess.begin()
        guess.end(is_wrong=False)


def test_every_table_is_bounded_and_forgets_the_longest_unseen(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "TALLIES_MAX", 3)
    guesses = Guesses()
    for number in range(20):
        guess_wrong(guesses, f"198.51.{number}.1", number, f"account{number}")
        guess_wrong(guesses, "192.0.2.1", number)
    assert [len(kind) for kind in guesses.kinds] == [3, 3, 3]
    assert look(guesses, "192.0.2.1").is_refused, "seen all the time"


@given(st.lists(st.tuples(st.integers(0, 4), st.integers(0, 30), st.integers(0, 7200)), max_size=200))
def test_no_order_of_guesses_beats_the_limit_of_a_network(steps: list[tuple[int, int, int]]) -> None:
    guesses = Guesses()
    made: list[int] = []
    for host, number, now in sorted(steps, key=lambda step: step[2]):
        if guess_wrong(guesses, f"192.0.2.{host}", number, now=now):
            made.append(now)
    for start in made:
        assert sum(start <= now < start + NETWORK_SECONDS for now in made) <= 2 * NETWORK_MAX
