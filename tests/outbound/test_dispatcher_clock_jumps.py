"""A clock on the wall that is set by hours while mail waits: nothing waits longer for it, and nothing ends early."""

from __future__ import annotations

from pathlib import Path

import pytest

from bridgehead.core.organization import Delivery
from bridgehead.core.recipient_state import RecipientState
from bridgehead.core.tracking import Step
from bridgehead.outbound.aging import SWEEP_SECONDS
from bridgehead.outbound.recorder import RESUBMIT_SECONDS
from bridgehead.spool.contract import Update
from tests.outbound.fake_channel import LATER, NO_SUCH_USER, OK, REFUSED
from tests.outbound.post_office import DAY, HOUR, MINUTE, PostOffice, connector, organization

ORGANIZATION = organization(connector("ISP", "*"))
LONGEST = max(Delivery().retry_seconds)
JUMPS = pytest.mark.parametrize("jump", [-5 * HOUR, 5 * HOUR], ids=["back", "forward"])


@JUMPS
async def test_back_off_of_a_queue_lasts_as_long_as_it_should(jump: float, tmp_path: Path) -> None:
    async with PostOffice(tmp_path, ORGANIZATION).open() as office:
        office.dialer.hosts["ISP"] = REFUSED
        await office.accept("bob@fabrikam.com")
        dials = len(office.dialer.dialled)
        await office.jump(jump)
        assert len(office.dialer.dialled) == dials
        await office.passes(MINUTE + 1)
        assert len(office.dialer.dialled) > dials


@JUMPS
async def test_a_recipient_is_tried_again_when_it_should_be(jump: float, tmp_path: Path) -> None:
    async with PostOffice(tmp_path, ORGANIZATION).open() as office:
        office.dialer.recipients["bob@fabrikam.com"] = [LATER, OK]
        await office.accept("bob@fabrikam.com")
        await office.jump(jump)
        await office.passes(9 * MINUTE)
        assert office.dialer.delivered == []
        await office.passes(2 * MINUTE)
        assert len(office.dialer.delivered) == 1


async def test_what_the_disk_refused_is_submitted_again_soon(tmp_path: Path) -> None:
    async with PostOffice(tmp_path, ORGANIZATION).open() as office:
        office.dialer.is_slow = True
        number = await office.accept("bob@fabrikam.com")
        office.spool.fail_next(OSError("no space left on device"))
        office.dialer.channels[0].answer()
        await office.settle()
        await office.jump(-5 * HOUR)
        await office.passes(RESUBMIT_SECONDS + 1)
        assert await office.states(number) is None


async def test_a_time_that_was_written_down_before_the_clock_was_set_back_waits_no_longer(tmp_path: Path) -> None:
    office = PostOffice(tmp_path, ORGANIZATION)
    async with office.open():
        office.dialer.hosts["ISP"] = REFUSED
        number = await office.accept("bob@fabrikam.com")
        due = office.clock.now + 5 * HOUR + LONGEST
        await office.commit(Update(number, {0: RecipientState(attempts=1, next_attempt=due, connector="ISP")}))
    office.dialer.hosts.clear()
    office.restart()
    async with office.open():
        await office.passes(LONGEST - MINUTE)
        assert office.dialer.delivered == []
        await office.passes(2 * MINUTE)
        assert office.dialer.delivered == [(number, 0)]


async def test_a_jump_by_days_expires_nothing_that_can_be_delivered(tmp_path: Path) -> None:
    async with PostOffice(tmp_path, ORGANIZATION).open() as office:
        office.dialer.recipients["bob@fabrikam.com"] = [LATER, OK]
        office.dialer.recipients["eve@fabrikam.com"] = [LATER]
        good = await office.accept("bob@fabrikam.com")
        bad = await office.accept("eve@fabrikam.com")
        await office.jump(3 * DAY)
        await office.passes(LONGEST + 2 * SWEEP_SECONDS)
        assert (good, 0) in office.dialer.delivered
        assert [event.recipient for event in office.events_of(Step.FAILED)] == ["eve@fabrikam.com"]
        assert await office.states(bad) is None


async def test_the_next_attempt_is_told_as_the_clock_shows_it_now(tmp_path: Path) -> None:
    async with PostOffice(tmp_path, ORGANIZATION).open() as office:
        await office.jump(5 * HOUR)
        office.dialer.hosts["ISP"] = REFUSED
        await office.accept("bob@fabrikam.com")
        told = office.events_of(Step.DEFERRED)[-1].next_attempt
        assert 0 < told - office.clock.now <= MINUTE


@JUMPS
async def test_a_connection_that_nobody_uses_is_closed_in_time(jump: float, tmp_path: Path) -> None:
    async with PostOffice(tmp_path, ORGANIZATION).open() as office:
        office.dialer.recipients["bob@fabrikam.com"] = [NO_SUCH_USER]
        await office.accept("bob@fabrikam.com")
        await office.jump(jump)
        assert not office.dialer.channels[0].is_ended
        await office.passes(10, step=1)
        assert office.dialer.channels[0].is_ended
