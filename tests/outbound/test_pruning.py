"""Badmail is deleted after a week by a clock that is believed, and by no other."""

from __future__ import annotations

from pathlib import Path

import pytest

from bridgehead.outbound.clocks import Clocks
from bridgehead.outbound.hand_back import BADMAIL_SECONDS, Badmail
from bridgehead.outbound.pruning import BELIEVED_SECONDS, LOOK_SECONDS, Pruning
from bridgehead.spool.contract import Body
from tests.outbound.fake_channel import Clock
from tests.outbound.test_hand_back import message

NOW = 1_790_000_000.0
YEARS = 5 * 365 * 86_400.0


class Machine:
    """Badmail, and two clocks that the test moves."""

    def __init__(self, folder: Path) -> None:
        self.badmail = Badmail(folder)
        self.wall, self.steady = Clock(NOW), Clock(1000.0)
        self.starts()

    def starts(self) -> None:
        """The server starts, again or for the first time."""
        self.pruning = Pruning(self.badmail, Clocks(self.wall, self.steady))

    def passes(self, seconds: float) -> None:
        """Both clocks go on, and are looked at on the way."""
        for _ in range(int(seconds // LOOK_SECONDS)):
            self.wall.now += LOOK_SECONDS
            self.steady.now += LOOK_SECONDS
            self.pruning.look()

    def keeps(self) -> int:
        """Keep one more message; its id."""
        number = self.badmail.count() + 1
        self.badmail.keep(message(number, Body(1, b"a")), "", self.wall.now)
        return number


@pytest.fixture
def machine(tmp_path: Path) -> Machine:
    return Machine(tmp_path)


def test_badmail_is_deleted_when_a_week_has_passed(machine: Machine) -> None:
    machine.keeps()
    machine.passes(BADMAIL_SECONDS - LOOK_SECONDS)
    assert machine.badmail.count() == 1
    machine.passes(3 * LOOK_SECONDS)
    assert machine.badmail.count() == 0


def test_a_clock_that_jumps_ahead_by_years_and_is_set_right_deletes_nothing(machine: Machine) -> None:
    machine.keeps()
    machine.passes(BELIEVED_SECONDS)
    machine.wall.now += YEARS
    machine.passes(BELIEVED_SECONDS - LOOK_SECONDS)
    machine.wall.now -= YEARS
    machine.passes(2 * BELIEVED_SECONDS)
    assert machine.badmail.count() == 1


def test_a_server_that_starts_with_a_clock_that_is_years_ahead_deletes_nothing_for_hours(machine: Machine) -> None:
    machine.keeps()
    machine.wall.now += YEARS
    machine.starts()
    machine.pruning.look()
    machine.passes(BELIEVED_SECONDS - LOOK_SECONDS)
    assert machine.badmail.count() == 1


def test_a_clock_that_stays_where_it_jumped_to_is_believed(machine: Machine) -> None:
    machine.keeps()
    machine.passes(LOOK_SECONDS)
    machine.wall.now += YEARS
    machine.passes(BELIEVED_SECONDS + LOOK_SECONDS)
    assert machine.badmail.count() == 0
