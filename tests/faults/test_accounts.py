"""The accounts themselves: what they call lost, foreign and explained."""

from __future__ import annotations

from dataclasses import dataclass

import pytest

from tests.faults.accounts import Balance, balance
from tests.peers.sender import Account
from tests.peers.sink import Received


@dataclass
class Books:
    """As a sink keeps them."""

    received: list[Received]
    cuts: dict[int, float]
    goodbyes: dict[int, float]


def sink_with(
    *copies: tuple[int, int, float], cuts: dict[int, float] | None = None, goodbyes: dict[int, float] | None = None
) -> Books:
    """Copies as number of the message, connection, and time of the 250."""
    return Books(
        [
            Received(b"", (), b"Message-ID: %d\r\n\r\n" % number, is_tls=False, connection=connection, at=at)
            for number, connection, at in copies
        ],
        cuts or {},
        goodbyes or {},
    )


def told(*numbers: int) -> list[dict[str, str]]:
    return [{"event": "delivered", "message_id": str(number)} for number in numbers]


def compared(
    sink: Books,
    *accepted: int,
    events: tuple[int, ...] = (),
    unanswered: tuple[bytes, ...] = (),
    kills: tuple[float, ...] = (),
) -> Balance:
    account = Account([b"%d" % number for number in accepted], unanswered=list(unanswered))
    return balance([sink], [account], told(*events), seconds=0.0, kills=kills)


def test_what_was_accepted_and_came_once_is_in_order() -> None:
    compared(sink_with((1, 1, 0.0), (2, 1, 0.1)), 1, 2).check_exactly_once()


def test_what_was_accepted_and_did_not_come_is_lost() -> None:
    assert compared(sink_with((1, 1, 0.0)), 1, 2).lost == (b"2",)


def test_what_had_no_answer_may_come_and_what_was_refused_may_not() -> None:
    found = compared(sink_with((1, 1, 0.0), (2, 1, 0.0), (3, 1, 0.0)), 1, unanswered=(b"2",))
    assert found.strangers == (b"3",)
    with pytest.raises(AssertionError, match="never accepted"):
        found.check()


@pytest.mark.parametrize(
    ("cuts", "events", "is_explained"),
    [
        ({1: 5.01}, (7,), True),
        ({1: 5.01}, (7, 7), False),
        ({1: 9.0}, (7,), False),
        ({2: 9.0}, (7,), False),
        ({}, (7,), False),
    ],
    ids=["cut at once", "told before", "cut much later", "another connection was cut", "no cut"],
)
def test_a_second_copy_is_explained_by_a_cut_just_behind_the_first_reply(
    cuts: dict[int, float], events: tuple[int, ...], is_explained: bool
) -> None:
    found = compared(sink_with((7, 1, 5.0), (7, 2, 6.0), cuts=cuts), 7, events=events)
    assert [one.is_explained for one in found.duplicates] == [is_explained]
    if not is_explained:
        with pytest.raises(AssertionError, match="NOT EXPLAINED"):
            found.check()
    with pytest.raises(AssertionError):
        found.check_exactly_once()


@pytest.mark.parametrize(
    ("goodbye", "kill", "is_explained"),
    [(5.01, 5.02, True), (5.01, 9.0, False), (9.0, 5.02, False), (5.01, 4.99, True)],
    ids=["killed behind QUIT", "killed much later", "QUIT much later", "killed while the reply left"],
)
def test_a_second_copy_is_explained_by_a_kill_just_behind_the_last_message_of_a_connection(
    goodbye: float, kill: float, is_explained: bool
) -> None:
    found = compared(sink_with((7, 1, 5.0), (7, 2, 6.0), goodbyes={1: goodbye}), 7, events=(7,), kills=(kill,))
    assert [one.is_explained for one in found.duplicates] == [is_explained]
