"""What is counted of waiting mail: by connector and state, with the age of the oldest."""

from __future__ import annotations

from pathlib import Path

import pytest

from bridgehead.core.envelope import MessageId
from bridgehead.core.link_state import ALL_UP, LinkState
from bridgehead.core.organization import Delivery
from bridgehead.core.queue_id import QueueIds
from bridgehead.core.recipient_state import Hold
from bridgehead.core.statistics import DeliveryCount, QueueCount
from bridgehead.core.tracking import Step, TrackingEvent
from bridgehead.outbound.contract import QueueKey
from bridgehead.outbound.entry import Part
from bridgehead.outbound.listing import QueueState, Selection
from bridgehead.outbound.operations import Operations, Verb
from bridgehead.outbound.queue import Queue
from bridgehead.outbound.statistics import Results, queue_counts, state_of, state_of_entry
from tests.outbound.back_room import NOW, Owner, still_wire
from tests.outbound.fake_channel import CLOSING
from tests.outbound.post_office import HERE, HOUR, PostOffice, connector, organization

DOWN = LinkState({"ISP": NOW})
SUSPECT = LinkState(suspect=frozenset({"ISP"}))


def arrived(seconds_ago: float) -> MessageId:
    return QueueIds(0).next(NOW - seconds_ago)


def queue(connector: str = "ISP", next_hop: str = "smart-hosts") -> Queue:
    return Queue(QueueKey(connector, HERE, next_hop), Owner(), still_wire())


def test_no_mail_is_no_count() -> None:
    assert queue_counts([queue()], ALL_UP) == ()


def test_each_state_has_its_count_and_its_oldest() -> None:
    found = queue()
    for age in (30, 20):
        found.waiting.add_ready(arrived(age))
    for age in (50, 70):
        found.waiting.add_later(arrived(age), NOW + age)
    found.active.add(arrived(40))
    for age, hold in ((90, Hold.FROZEN), (80, Hold.FROZEN), (60, Hold.CREDENTIAL), (10, Hold.CONFIGURATION)):
        found.waiting.held[arrived(age)] = hold
    assert queue_counts([found], ALL_UP) == (
        QueueCount("ISP", QueueState.ACTIVE, 1, NOW - 40),
        QueueCount("ISP", QueueState.CREDENTIAL, 1, NOW - 60),
        QueueCount("ISP", QueueState.FROZEN, 2, NOW - 90),
        QueueCount("ISP", QueueState.READY, 2, NOW - 30),
        QueueCount("ISP", QueueState.RETRY, 2, NOW - 70),
        QueueCount("ISP", QueueState.UNREACHABLE, 1, NOW - 10),
    )


def test_queues_of_one_connector_are_added_up_and_those_of_others_are_not() -> None:
    queues = [queue(), queue(next_hop="other"), queue(connector="")]
    for age, found in zip((30, 10, 20), queues, strict=True):
        found.waiting.add_ready(arrived(age))
    assert queue_counts(queues, ALL_UP) == (
        QueueCount("", QueueState.READY, 1, NOW - 20),
        QueueCount("ISP", QueueState.READY, 2, NOW - 30),
    )


def test_a_message_in_parts_counts_once_for_each() -> None:
    found = queue()
    number = arrived(10)
    for ordinal in (0, 1):
        found.waiting.add_ready(Part(number, (ordinal,)))
    assert queue_counts([found], ALL_UP) == (QueueCount("ISP", QueueState.READY, 2, NOW - 10),)


def test_what_was_taken_out_of_the_middle_is_not_counted() -> None:
    found = queue()
    gone, stays = arrived(30), arrived(20)
    for entry in (gone, stays):
        found.waiting.add_ready(entry)
    found.waiting.take(gone)
    assert queue_counts([found], ALL_UP) == (QueueCount("ISP", QueueState.READY, 1, NOW - 20),)


@pytest.mark.parametrize("links", [DOWN, SUSPECT], ids=["down", "suspect"])
def test_mail_for_a_connector_that_is_not_up_is_unreachable_whenever_it_is_due(links: LinkState) -> None:
    found = queue()
    found.waiting.add_ready(arrived(10))
    found.waiting.add_later(arrived(20), NOW + 60)
    assert queue_counts([found], links) == (QueueCount("ISP", QueueState.UNREACHABLE, 2, NOW - 20),)


def test_a_queue_that_backs_off_waits_for_its_retry() -> None:
    found = queue()
    found.waiting.add_ready(arrived(10))
    found.back_off(CLOSING)
    assert state_of(found, ALL_UP) is QueueState.RETRY
    assert state_of(found, DOWN) is QueueState.UNREACHABLE
    assert [one.state for one in queue_counts([found], ALL_UP)] == [QueueState.RETRY]


def test_links_say_nothing_of_mail_that_goes_by_no_connector() -> None:
    assert state_of(queue(connector=""), LinkState({"": NOW})) is QueueState.READY


def test_the_state_of_an_entry_is_its_own_before_that_of_its_queue() -> None:
    found = queue()
    active, frozen, ready = arrived(1), arrived(2), arrived(3)
    found.active.add(active)
    found.waiting.held[frozen] = Hold.FROZEN
    assert [state_of_entry(found, entry, DOWN) for entry in (active, frozen, ready)] == [
        QueueState.ACTIVE,
        QueueState.FROZEN,
        QueueState.UNREACHABLE,
    ]


EVENTS = {
    "delivered": (Step.DELIVERED, "", ("delivered",)),
    "deferred": (Step.DEFERRED, "", ("deferred",)),
    "refused credentials defer": (Step.HELD, "credentials refused", ("deferred",)),
    "refused by the next hop": (Step.FAILED, "", ("failed",)),
    "expired is failed, too": (Step.FAILED, "expired", ("expired", "failed")),
    "bounced is failed, too": (Step.FAILED, "bounced", ("bounced", "failed")),
    "held by an operator": (Step.HELD, "held by an operator", ()),
    "routed": (Step.ROUTED, "", ()),
    "a dsn": (Step.DSN, "", ()),
}


@pytest.mark.parametrize(("step", "reason", "results"), EVENTS.values(), ids=EVENTS.keys())
def test_results_count_what_became_of_a_recipient(step: Step, reason: str, results: tuple[str, ...]) -> None:
    counted = Results()
    counted.note(TrackingEvent(ts=NOW, step=step, connector="ISP", reason=reason))
    assert counted.counts() == tuple(DeliveryCount("ISP", result, 1) for result in results)


async def test_mail_that_expires_or_is_bounced_is_counted_where_it_waited(tmp_path: Path) -> None:
    short = Delivery(expire_seconds=HOUR)
    async with PostOffice(tmp_path, organization(connector("ISP", "*"), delivery=short)).open() as office:
        office.dialer.hosts["ISP"] = CLOSING
        returned = await office.accept("a@one.example", "b@one.example", sender="")
        await office.accept("c@one.example", sender="")
        await Operations(office.dispatcher, office.spool, office.clock).perform(
            Verb.BOUNCE, Selection(frozenset((returned,)))
        )
        await office.passes(2 * HOUR)
        assert office.count() == 0
        assert office.dispatcher.statistics().deliveries == (
            DeliveryCount("ISP", "bounced", 2),
            DeliveryCount("ISP", "expired", 1),
            DeliveryCount("ISP", "failed", 3),
        )
