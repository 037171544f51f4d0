"""The end of a dispatcher and its next start: nothing is lost, nothing is told twice."""

from __future__ import annotations

import asyncio
from collections import Counter
from dataclasses import replace
from pathlib import Path

import msgspec
import pytest

from bridgehead.core.envelope import Notify, Recipient
from bridgehead.core.link_state import LinkState
from bridgehead.core.tracking import Step
from bridgehead.outbound import recorder
from bridgehead.outbound.loader import LOADERS
from tests.outbound.fake_channel import LATER, NO_SUCH_USER, OK, REFUSED
from tests.outbound.post_office import HOUR, MINUTE, PostOffice, connector, organization

NATIVE = organization()
ISP = organization(connector("ISP", "*"))


async def test_draining_finishes_what_is_under_way_and_begins_nothing(tmp_path: Path) -> None:
    office = PostOffice(tmp_path, ISP)
    async with office.open():
        office.dialer.is_slow = True
        for _ in range(25):
            await office.accept("a@one.example")
        async with asyncio.TaskGroup() as tasks:
            draining = tasks.create_task(office.dispatcher.drain(5))
            await office.settle()
            for channel in list(office.dialer.channels):
                channel.answer()
            await draining
        assert len(office.dialer.transactions) == 20
    assert office.count() == 5
    office.dialer.is_slow = False
    office.restart()
    async with office.open():
        await office.passes(10)
    assert sorted(Counter(office.dialer.delivered).values()) == [1] * 25


async def test_what_does_not_end_in_time_is_cut_off_and_tried_again_at_the_next_start(tmp_path: Path) -> None:
    office = PostOffice(tmp_path, ISP)
    async with office.open():
        office.dialer.is_slow = True
        message_id = await office.accept("a@one.example")
        await office.dispatcher.drain(0.01)
        assert await office.states(message_id) == {}
    office.restart()
    office.dialer.is_slow = False
    async with office.open():
        assert office.count() == 0


async def test_a_host_that_never_greets_does_not_delay_the_end(tmp_path: Path) -> None:
    """Since the first version, a dial that was under way kept the worker until its supervisor killed it."""
    office = PostOffice(tmp_path, ISP)
    office.dialer.is_silent = True
    async with asyncio.timeout(10), asyncio.TaskGroup() as tasks:
        tasks.create_task(office.dispatcher.run())
        await office.settle()
        message_id = await office.accept("a@one.example")
        assert len(office.dialer.dialled) == 1
        await office.dispatcher.drain(300)
    assert await office.states(message_id) == {}


async def test_what_the_disk_refuses_is_written_again_before_anything_follows(tmp_path: Path) -> None:
    async with PostOffice(tmp_path, NATIVE).open() as office:
        office.dialer.recipients["a@one.example"] = [NO_SUCH_USER]
        office.dialer.is_slow = True
        await office.accept("a@one.example")
        office.spool.fail_next(OSError("disk full"))
        office.dialer.is_slow = False
        office.dialer.channels[0].answer()
        await office.settle()
        assert office.steps() == [Step.ROUTED]
        await office.passes(2)
        assert office.steps() == [Step.ROUTED, Step.FAILED, Step.DSN, Step.ROUTED, Step.DELIVERED]


async def test_a_crash_before_the_outcome_is_durable_repeats_the_attempt_and_doubles_no_dsn(tmp_path: Path) -> None:
    office = PostOffice(tmp_path, NATIVE)
    async with office.open():
        office.dialer.recipients["a@one.example"] = [NO_SUCH_USER]
        office.dialer.is_slow = True
        await office.accept("a@one.example")
        office.dialer.channels[0].answer()
        office.restart()
    office.dialer.is_slow = False
    async with office.open():
        assert office.dialer.ways() == ["one.example", "one.example", "contoso.com"]
        assert office.steps().count(Step.DSN) == 1
        assert office.count() == 0


async def test_start_up_finds_retry_times_and_holds_as_they_were(tmp_path: Path) -> None:
    office = PostOffice(tmp_path, NATIVE)
    async with office.open():
        office.dialer.recipients["a@one.example"] = [LATER, OK]
        await office.accept("a@one.example", "b@one.example")
    office.restart()
    async with office.open():
        await office.passes(9 * MINUTE)
        assert len(office.dialer.delivered) == 1
        await office.passes(2 * MINUTE)
        assert len(office.dialer.delivered) == 2


async def test_a_success_report_is_made_where_the_peer_makes_none(tmp_path: Path) -> None:
    wanting = Recipient(0, "a@one.example", "one.example", notify=int(Notify.SUCCESS))
    async with PostOffice(tmp_path, NATIVE).open() as office:
        await office.accept(wanting)
        assert b"Action: relayed" in (office.dialer.transactions[1][1].body.content or b"")
        office.dialer.recipients["a@one.example"] = [msgspec.structs.replace(OK, relays_dsn=True)]
        await office.accept(wanting)
        assert office.dialer.ways() == ["one.example", "contoso.com", "one.example"]


async def test_the_sender_who_asked_for_nothing_is_told_nothing(tmp_path: Path) -> None:
    async with PostOffice(tmp_path, NATIVE).open() as office:
        office.dialer.recipients["a@one.example"] = [NO_SUCH_USER]
        await office.accept(Recipient(0, "a@one.example", "one.example", notify=int(Notify.NEVER)))
        assert office.dialer.ways() == ["one.example"]
        assert office.count() == 0


async def test_a_link_that_returns_is_used_at_once_by_what_waits_for_it(tmp_path: Path) -> None:
    async with PostOffice(tmp_path, ISP).open() as office:
        office.dialer.hosts["ISP"] = REFUSED
        await office.accept("a@one.example")
        await office.passes(HOUR)
        office.dialer.hosts.clear()
        office.dispatcher.set_link_state(LinkState(version=99))
        await office.settle()
        assert office.count() == 0


async def test_a_queue_that_is_not_used_any_more_is_forgotten(tmp_path: Path) -> None:
    async with PostOffice(tmp_path, NATIVE).open() as office:
        for number in range(20):
            await office.accept(f"a@d{number}.example")
        assert len(list(office.dispatcher.queues)) == 20
        await office.passes(10)
        assert list(office.dispatcher.queues) == []
        assert office.dispatcher.statistics().connections == 0


async def test_a_worker_gives_back_an_idle_connection_for_another_that_starves(tmp_path: Path) -> None:
    async with PostOffice(tmp_path, ISP).open() as office:
        await office.accept("a@one.example")
        office.dispatcher.give_back("connector Other")
        await office.settle()
        assert not office.dialer.channels[0].is_ended
        office.dispatcher.give_back("connector ISP")
        await office.settle()
        assert office.dialer.channels[0].is_ended


async def test_a_reload_that_changes_nothing_for_mail_reads_no_mail(tmp_path: Path) -> None:
    async with PostOffice(tmp_path, NATIVE).open() as office:
        office.dialer.hosts["one.example"] = REFUSED
        await office.accept("a@one.example")
        await office.apply(replace(NATIVE, generation="3f9a01c2"))
        (queue,) = office.dispatcher.queues
        assert not queue.waiting.unexamined
        assert queue.is_backing_off


async def test_a_disk_that_takes_no_outcomes_has_only_so_many_known_and_nothing_sent_twice(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What is known and cannot be noted is in memory; the rest waits in the spool until the disk takes it again."""
    monkeypatch.setattr(recorder, "UNTAKEN_MAX", 5)
    office = PostOffice(tmp_path, ISP)
    office.dialer.hosts["ISP"] = REFUSED
    async with office.open():
        for number in range(60):
            await office.accept(f"{number}@one.example")
    office.dialer.hosts.clear()
    office.restart()
    for _ in range(10_000):
        office.spool.fail_next(OSError("read-only file system"))
    async with office.open():
        await office.passes(10 * MINUTE)
        sent = Counter(office.dialer.delivered)
        assert 5 <= len(sent) <= 5 + LOADERS + 20, "a few more, which were being read or sent"
        assert set(sent.values()) == {1}
        assert office.count() == 60
        office.spool._failures.clear()
        await office.passes(MINUTE)
    assert sorted(Counter(office.dialer.delivered).values()) == [1] * 60
    assert office.count() == 0
