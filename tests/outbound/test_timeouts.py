"""The bounds of RFC 5321 4.5.3.2, and how often they are looked at."""

from __future__ import annotations

from bridgehead.outbound.timeouts import TIMEOUTS, Timeouts


def test_defaults_are_no_shorter_than_the_rfc_asks_for() -> None:
    assert TIMEOUTS.greeting >= 300
    assert TIMEOUTS.command >= 300
    assert TIMEOUTS.block >= 180
    assert TIMEOUTS.end >= 600


def test_deadline_is_looked_at_often_enough_for_the_shortest_wait() -> None:
    assert TIMEOUTS.tick == 5.0
    assert Timeouts(goodbye=0.1).tick == 0.1


def test_no_wait_is_longer_than_the_virtual_server_says() -> None:
    assert Timeouts().at_most(600.0) == Timeouts()
    assert Timeouts().at_most(60.0) == Timeouts(
        connect=30, handshake=60, greeting=60, command=60, block=60, end=60, goodbye=5, idle=60
    )
