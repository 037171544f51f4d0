"""Idle connections to the hosts of domains take little of the room that others need."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from bridgehead.core.organization import ConnectorLimits, Delivery
from bridgehead.outbound.contract import Destination, QueueKey
from bridgehead.outbound.destination import destination_of
from bridgehead.outbound.idle import PART, UNLIMITED_MAX, IdleLines
from bridgehead.outbound.line import Line
from bridgehead.outbound.queue import IDLE_SECONDS
from tests.outbound.post_office import HERE, PostOffice, connector, organization


class Owner:
    """A queue that notes what it was asked to end."""

    def __init__(self) -> None:
        self.asked: list[tuple[Line, int]] = []

    def let_go(self, line: Line, carried: int) -> None:
        self.asked.append((line, carried))

    def transaction_done(self, line: Line, transaction: object, attempted: object) -> None:
        raise AssertionError("nothing is sent here")

    def line_closed(self, line: Line) -> None:
        raise AssertionError("nothing is closed here")


def destination(own: int, connectors: int = 0) -> Destination:
    """A domain by MX, by a connector with a limit of its own or (0) with none."""
    delivery = Delivery(connections=own)
    where = replace(connector("ISP", "*", dns=True), limits=ConnectorLimits(connectors, 0, 0))
    found = destination_of(QueueKey("ISP", HERE, "fabrikam.com"), organization(where, delivery=delivery))
    assert found is not None
    return found


@pytest.mark.parametrize(
    ("own", "connectors", "kept"),
    [
        (1000, 0, 125),
        (1000, 20, 2),
        (16, 20, 2),
        (4, 4, 1),
        (0, 0, UNLIMITED_MAX),
    ],
)
def test_as_many_are_kept_as_the_smaller_limit_allows(own: int, connectors: int, kept: int) -> None:
    owner, idle, where = Owner(), IdleLines(), destination(own, connectors)
    lines = [Line(owner) for _ in range(kept + 2)]
    for number, line in enumerate(lines):
        line.carried = number
        idle.keep(owner, line, where)
    assert owner.asked == [(lines[0], 0), (lines[1], 1)]


def test_connectors_do_not_take_each_others_place() -> None:
    owner, idle = Owner(), IdleLines()
    here = destination(PART)
    there = replace(here, key=QueueKey("Other", HERE, "fabrikam.com"))
    for where in (here, there):
        idle.keep(owner, Line(owner), where)
    assert owner.asked == []


async def test_mail_to_many_domains_does_not_wait_for_idle_connections(tmp_path: Path) -> None:
    limited = replace(connector("Direct", "*", dns=True), limits=ConnectorLimits(connections=8))
    async with PostOffice(tmp_path, organization(limited)).open() as office:
        for number in range(50):
            await office.accept(f"a@d{number}.example")
        assert len(office.dialer.delivered) == 50
        assert office.dispatcher.statistics().connections == 1


async def test_a_connection_that_was_taken_again_is_not_ended_for_its_former_idleness(tmp_path: Path) -> None:
    limited = replace(connector("Direct", "*", dns=True), limits=ConnectorLimits(connections=8))
    async with PostOffice(tmp_path, organization(limited)).open() as office:
        await office.accept("a@one.example")
        await office.passes(IDLE_SECONDS / 2)
        await office.accept("a@one.example")
        assert [len(channel.sent) for channel in office.dialer.channels] == [2]
        assert not office.dialer.channels[0].is_ended


async def test_connections_to_smart_hosts_stay_as_long_as_ever(tmp_path: Path) -> None:
    limited = replace(connector("ISP", "*"), limits=ConnectorLimits(connections=8))
    async with PostOffice(tmp_path, organization(limited)).open() as office:
        office.dialer.is_slow = True
        for _ in range(5):
            await office.accept("a@one.example")
        for channel in list(office.dialer.channels):
            channel.answer()
        await office.settle()
        assert office.dispatcher.statistics().connections == len(office.dialer.channels) > 1
