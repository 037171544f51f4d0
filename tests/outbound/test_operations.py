"""What an operator can do with waiting mail."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from itertools import pairwise
from pathlib import Path

import pytest

from bridgehead.core.envelope import MessageId
from bridgehead.core.organization import NoMatch
from bridgehead.core.recipient_state import Hold
from bridgehead.core.statistics import DeliveryCount
from bridgehead.core.tracking import Step
from bridgehead.outbound.listing import EVERYTHING, QueueState, Selection, rows_without_server
from bridgehead.outbound.loader import READ_AT_ONCE
from bridgehead.outbound.operations import Affected, Operations, Verb
from bridgehead.spool.contract import Body, Insert, Remove, StoredMessage
from tests.outbound.fake_channel import LATER, LOGIN, OK, REFUSED
from tests.outbound.post_office import DAY, HOUR, MINUTE, PostOffice, connector, disabled, organization, without

NATIVE = organization()
ISP = organization(connector("ISP", "*"))
BODY = Body(6, b"x: y\r\n")
BOTH = organization(connector("Partner", "fabrikam.com"), connector("Internet", "*"))


def operations(office: PostOffice) -> Operations:
    """The verbs on an office's mail."""
    return Operations(office.dispatcher, office.spool, office.clock)


async def stuck(office: PostOffice) -> None:
    """Three messages wait for hosts that do not answer: two for fabrikam, one for elsewhere."""
    office.dialer.hosts.update({"ISP": REFUSED, "fabrikam.com": REFUSED, "else.example": REFUSED, "Partner": REFUSED})
    await office.accept("bob@fabrikam.com")
    await office.accept("carol@fabrikam.com", "dan@else.example", sender="news@contoso.com")
    await office.accept("erin@else.example", sender="")


async def test_a_listing_shows_who_waits_where_and_why(tmp_path: Path) -> None:
    async with PostOffice(tmp_path, ISP).open() as office:
        await stuck(office)
        rows = await operations(office).rows(EVERYTHING)
        assert [(row.sender, len(row.recipients), row.connector, row.next_hop) for row in rows] == [
            ("alice@contoso.com", 1, "ISP", "smart-hosts"),
            ("news@contoso.com", 2, "ISP", "smart-hosts"),
            ("", 1, "ISP", "smart-hosts"),
        ]
        assert {row.state for row in rows} == {QueueState.UNREACHABLE}
        assert {row.reason for row in rows} == {"4.4.1 connection refused"}
        assert {row.next_attempt for row in rows} == {office.clock.now + MINUTE}


async def test_mail_that_lost_its_connector_says_so_in_the_listing(tmp_path: Path) -> None:
    both = organization(connector("Partner", "*.fabrikam.com"), connector("ISP", "*"), no_match=NoMatch.NDR)
    async with PostOffice(tmp_path, both).open() as office:
        office.dialer.hosts["ISP"] = office.dialer.hosts["Partner"] = REFUSED
        await office.accept("bob@one.example")
        await office.accept("eve@x.fabrikam.com")
        assert {row.because for row in await operations(office).rows(EVERYTHING)} == {""}
        await office.apply(disabled(both, "Partner"))
        await office.settle()
        isp, partner = await operations(office).rows(EVERYTHING)
        assert (isp.state, isp.because) == (QueueState.UNREACHABLE, "")
        assert (partner.state, partner.because) == (QueueState.FROZEN, 'connector "Partner" is disabled')
        await office.apply(organization(connector("Other", "other.example"), no_match=NoMatch.NDR))
        await office.settle()
        isp, partner = await operations(office).rows(EVERYTHING)
        assert (isp.state, isp.connector, isp.because) == (
            QueueState.UNREACHABLE,
            "",
            'connector "ISP" is not in the file any more and nothing else serves it',
        )
        assert partner.because == 'connector "Partner" is not in the file any more'


async def test_a_message_that_waits_by_itself_is_in_retry(tmp_path: Path) -> None:
    async with PostOffice(tmp_path, NATIVE).open() as office:
        office.dialer.recipients["bob@fabrikam.com"] = [LATER]
        message_id = await office.accept("bob@fabrikam.com")
        (row,) = await operations(office).show(message_id)
        assert (row.state, row.reason) == (QueueState.RETRY, "451 4.7.1 greylisted")
        assert row.recipients[0].attempts == 1
        (offline,) = rows_without_server(office.spool.recover(), EVERYTHING, office.clock.now)
        assert (offline.state, offline.reason, offline.next_attempt) == (row.state, row.reason, row.next_attempt)


@pytest.mark.parametrize(
    ("selection", "affected"),
    [
        (EVERYTHING, Affected(3, 4)),
        (Selection(domain="fabrikam.com"), Affected(2, 2)),
        (Selection(sender="NEWS@contoso.com"), Affected(1, 2)),
        (Selection(sender=""), Affected(1, 1)),
        (Selection(sender="news@contoso.com", domain="else.example"), Affected(1, 1)),
        (Selection(connector="ISP"), Affected(3, 4)),
        (Selection(connector=""), Affected()),
        (Selection(domain="contoso.com"), Affected()),
    ],
)
async def test_a_selection_is_counted_as_it_is_performed(
    tmp_path: Path, selection: Selection, affected: Affected
) -> None:
    async with PostOffice(tmp_path, ISP).open() as office:
        await stuck(office)
        assert await operations(office).count(selection) == affected
        assert await operations(office).perform(Verb.HOLD, selection) == affected


async def test_retry_attempts_at_once_whatever_the_times_say(tmp_path: Path) -> None:
    async with PostOffice(tmp_path, NATIVE).open() as office:
        await stuck(office)
        office.dialer.recipients["grey@late.example"] = [LATER, OK]
        await office.accept("grey@late.example")
        office.dialer.hosts.clear()
        await operations(office).perform(Verb.RETRY, EVERYTHING)
        await office.settle()
        assert office.count() == 0


async def test_retry_dials_even_a_connector_that_is_down(tmp_path: Path) -> None:
    async with PostOffice(tmp_path, ISP).open() as office:
        await stuck(office)
        await office.passes(HOUR)
        dialled = len(office.dialer.dialled)
        await operations(office).perform(Verb.RETRY, EVERYTHING)
        await office.settle()
        assert len(office.dialer.dialled) == dialled + 1


async def test_held_mail_stands_still_for_ever_and_goes_on_when_released(tmp_path: Path) -> None:
    async with PostOffice(tmp_path, NATIVE).open() as office:
        await stuck(office)
        await operations(office).perform(Verb.HOLD, EVERYTHING)
        office.dialer.hosts.clear()
        await office.passes(10 * DAY, step=HOUR)
        assert office.dialer.delivered == []
        assert office.count() == 3
        assert [event.level for event in office.events_of(Step.HELD)].count("error") == 4
        await operations(office).perform(Verb.RELEASE, EVERYTHING)
        await office.settle()
        assert office.count() == 0


async def test_held_mail_that_turns_out_to_be_damaged_is_not_counted_for_ever(tmp_path: Path) -> None:
    async with PostOffice(tmp_path, ISP).open() as office:
        await stuck(office)
        verbs = operations(office)
        await verbs.perform(Verb.HOLD, EVERYTHING)
        office.spool.submit([Remove(min(office.dispatcher.index.messages))])  # as the spool does when it sets aside
        office.spool.commit()
        assert await verbs.count(EVERYTHING) == Affected(2, 3)
        assert len(office.dispatcher.index.messages) == 2
        assert await verbs.perform(Verb.RELEASE, EVERYTHING) == Affected(2, 3)


async def test_a_hold_lengthens_the_time_until_expiry(tmp_path: Path) -> None:
    async with PostOffice(tmp_path, NATIVE).open() as office:
        office.dialer.hosts["fabrikam.com"] = REFUSED
        await office.accept("bob@fabrikam.com")
        await office.passes(HOUR)
        await operations(office).perform(Verb.HOLD, EVERYTHING)
        await office.passes(5 * DAY, step=HOUR)
        await operations(office).perform(Verb.RELEASE, EVERYTHING)
        await office.passes(46 * HOUR)
        assert office.count() == 1
        await office.passes(90 * MINUTE)
        assert office.count() == 0
        assert office.events_of(Step.FAILED)[0].reason == "expired"


async def test_one_domain_of_a_message_can_be_held_alone(tmp_path: Path) -> None:
    async with PostOffice(tmp_path, ISP).open() as office:
        await stuck(office)
        await operations(office).perform(Verb.HOLD, Selection(domain="else.example"))
        office.dialer.hosts.clear()
        await office.passes(5 * MINUTE)
        assert [one for _, one in office.dialer.delivered] == [0, 0]
        rows = await operations(office).rows(EVERYTHING)
        assert [row.recipients[0].address for row in rows] == ["dan@else.example", "erin@else.example"]
        await operations(office).perform(Verb.RELEASE, EVERYTHING)
        await office.settle()
        assert office.count() == 0


async def test_deleted_mail_is_gone_and_nobody_is_told(tmp_path: Path) -> None:
    async with PostOffice(tmp_path, NATIVE).open() as office:
        await stuck(office)
        assert await operations(office).perform(Verb.DELETE, EVERYTHING) == Affected(3, 4)
        assert office.count() == 0
        assert office.badmail.count() == 0
        assert Step.DSN not in office.steps()
        assert not office.dispatcher.index.messages


async def test_bounced_mail_goes_back_but_never_to_the_null_reverse_path(tmp_path: Path) -> None:
    async with PostOffice(tmp_path, NATIVE).open() as office:
        await stuck(office)
        await operations(office).perform(Verb.BOUNCE, EVERYTHING)
        await office.settle()
        assert [one.recipients[0].address for _, one in office.dialer.transactions] == [
            "alice@contoso.com",
            "news@contoso.com",
        ], "one DSN on both parts of a message"
        assert office.badmail.count() == 1
        assert office.count() == 0


async def test_what_is_being_sent_is_left_alone(tmp_path: Path) -> None:
    async with PostOffice(tmp_path, NATIVE).open() as office:
        office.dialer.is_slow = True
        await office.accept("bob@fabrikam.com")
        assert await operations(office).perform(Verb.DELETE, EVERYTHING) == Affected(0, 0, 1)
        office.dialer.channels[0].answer()
        await office.settle()
        assert len(office.dialer.delivered) == 1


@pytest.mark.parametrize("verb", [Verb.RELEASE, Verb.REROUTE])
async def test_mail_frozen_for_a_weaker_way_takes_it_when_ordered(tmp_path: Path, verb: Verb) -> None:
    async with PostOffice(tmp_path, BOTH).open() as office:
        office.dialer.hosts["Partner"] = REFUSED
        message_id = await office.accept("bob@fabrikam.com")
        await office.apply(without(BOTH, "Partner"))
        states = await office.states(message_id)
        assert states is not None
        assert states[0].hold is Hold.FROZEN
        assert await operations(office).perform(verb, EVERYTHING) == Affected(1, 1)
        await office.settle()
        assert office.dialer.ways() == ["Internet"]


async def test_a_credential_hold_ends_with_release_or_a_mended_connector(tmp_path: Path) -> None:
    async with PostOffice(tmp_path, ISP).open() as office:
        office.dialer.hosts["ISP"] = LOGIN
        await office.accept("a@one.example")
        await operations(office).perform(Verb.RELEASE, EVERYTHING)
        await office.settle()
        assert len(office.dialer.dialled) == 2
        office.dialer.hosts.clear()
        mended = replace(ISP.connectors[0], note="a new password")
        await office.apply(organization(mended))
        await office.settle()
        assert office.dialer.ways() == ["ISP"]


async def test_statistics_count_by_connector_and_state(tmp_path: Path) -> None:
    async with PostOffice(tmp_path, ISP).open() as office:
        await stuck(office)
        await operations(office).perform(Verb.HOLD, Selection(sender=""))
        statistics = office.dispatcher.statistics()
        assert [(one.connector, one.state, one.messages) for one in statistics.queues] == [
            ("ISP", "frozen", 1),
            ("ISP", "unreachable", 2),
        ]
        assert all(abs(one.oldest - office.clock.now) < 1 for one in statistics.queues)
        office.dialer.hosts.clear()
        await operations(office).perform(Verb.RETRY, EVERYTHING)
        await office.settle()
        assert office.dispatcher.statistics().deliveries == (DeliveryCount("ISP", "delivered", 3),)


async def test_held_mail_that_is_bounced_is_told_as_failed(tmp_path: Path) -> None:
    async with PostOffice(tmp_path, ISP).open() as office:
        office.dialer.hosts["ISP"] = LOGIN
        await office.accept("a@one.example")
        await operations(office).perform(Verb.BOUNCE, EVERYTHING)
        assert [event.reply for event in office.events_of(Step.FAILED)] == [
            "Returned by the postmaster of this system"
        ]


async def test_a_dry_run_of_release_counts_held_mail_alone(tmp_path: Path) -> None:
    async with PostOffice(tmp_path, ISP).open() as office:
        await stuck(office)
        await operations(office).perform(Verb.HOLD, Selection(sender=""))
        assert await operations(office).count(EVERYTHING, Verb.RELEASE) == Affected(1, 1)


async def test_a_large_backlog_is_listed_and_changed_without_keeping_others_waiting(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with PostOffice(tmp_path, ISP).open() as office:
        office.dialer.hosts["ISP"] = REFUSED
        for _ in range(5 * READ_AT_ONCE):
            await office.commit(Insert(office.ids.next(office.clock.now), office.envelope(["bob@x.example"]), BODY))
        office.restart()
        rows = {
            entry.message_id: StoredMessage(entry.message_id, entry.envelope, BODY)
            for entry in office.spool.recover()
        }
        read: list[int] = []

        async def at_once(message_id: MessageId) -> StoredMessage:
            read.append(message_id)
            return rows[message_id]

        monkeypatch.setattr(office.spool, "load", at_once)
        async with asyncio.TaskGroup() as tasks:
            counting = tasks.create_task(operations(office).count(EVERYTHING))
            seen = [0]
            while not counting.done():
                await asyncio.sleep(0)
                seen.append(len(read))
        assert counting.result().messages == 5 * READ_AT_ONCE
        assert max(after - before for before, after in pairwise(seen)) <= READ_AT_ONCE


async def test_a_host_for_which_nothing_waits_any_more_is_not_dialled(tmp_path: Path) -> None:
    async with PostOffice(tmp_path, NATIVE).open() as office:
        office.dialer.hosts["dead.example"] = REFUSED
        await office.accept("bob@dead.example")
        await operations(office).perform(Verb.DELETE, EVERYTHING)
        told = len(office.events_of(Step.DEFERRED))
        await office.passes(HOUR)
        assert len(office.dialer.dialled) == 1
        assert len(office.events_of(Step.DEFERRED)) == told
        assert not list(office.dispatcher.queues)
