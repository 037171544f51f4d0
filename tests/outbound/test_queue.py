"""One queue: when it opens connections, what it gives them, and how it ends."""

from __future__ import annotations

import asyncio
from dataclasses import replace

import pytest

from bridgehead.core.envelope import MessageId
from bridgehead.core.outcome import Deferred, Scope
from bridgehead.outbound.contract import Attempted
from bridgehead.outbound.destination import destination_of
from bridgehead.outbound.queue import IDLE_SECONDS, TURN_MESSAGES
from tests.outbound.back_room import attempt, message
from tests.outbound.fake_channel import LOST, OK
from tests.outbound.queue_room import DELIVERY, KEY, here, room

# Connections


async def test_mail_opens_a_connection_and_goes_over_it_in_order() -> None:
    async with room(here(delivery=replace(DELIVERY, connections_per_domain=1))) as this:
        await this.send(1, 2, 3)
        assert this.sent == [1, 2, 3]
        assert len(this.dialer.dialled) == 1
        assert this.outcomes == [(1, OK), (2, OK), (3, OK)]
        assert this.owner.dials == [True]


async def test_one_connection_finds_out_whether_the_host_answers_then_others_follow_up_to_the_limit() -> None:
    async with room() as this:
        this.dialer.is_slow = True
        this.put(*range(1, 9))
        this.queue.pump()
        assert this.queue.connection_count == 1
        await this.settle()
        assert (this.queue.connection_count, this.queue.busy_count) == (3, 3)
        assert this.sent == [1, 2, 3]


async def test_no_more_connections_than_there_is_mail() -> None:
    async with room() as this:
        this.dialer.is_slow = True
        await this.send(1, 2)
        assert this.queue.connection_count == 2


@pytest.mark.parametrize(("maximum", "dials"), [(1, 5), (2, 3), (5, 1), (0, 1)])
async def test_a_connection_carries_so_many_messages(maximum: int, dials: int) -> None:
    async with room(here(maximum, replace(DELIVERY, connections_per_domain=1))) as this:
        await this.send(1, 2, 3, 4, 5)
        assert this.sent == [1, 2, 3, 4, 5]
        assert len(this.dialer.dialled) == dials


async def test_a_connection_is_kept_for_the_next_message_and_closed_when_none_comes() -> None:
    async with room() as this:
        await this.send(1)
        await this.wake(IDLE_SECONDS - 1)
        await this.send(2)
        assert len(this.dialer.dialled) == 1
        await this.wake(IDLE_SECONDS - 1)
        assert this.queue.connection_count == 1
        await this.wake(1)
        assert this.queue.connection_count == 0
        assert this.dialer.channels[0].is_ended


async def test_a_kept_connection_that_the_peer_closed_is_forgotten() -> None:
    async with room() as this:
        await this.send(1)
        this.dialer.channels[0].end()
        assert this.queue.connection_count == 0
        await this.send(2)
        assert len(this.dialer.dialled) == 2
        assert this.outcomes == [(1, OK), (2, OK)]


async def test_of_two_kept_connections_mail_takes_the_one_that_is_still_there() -> None:
    async with room(here(delivery=replace(DELIVERY, connections_per_domain=2))) as this:
        this.dialer.is_slow = True
        await this.send(1, 2)
        for channel in this.dialer.channels:
            channel.answer()
        this.dialer.channels[1].end()
        this.dialer.is_slow = False
        await this.send(3)
        assert [len(channel.sent) for channel in this.dialer.channels] == [2, 1]


async def test_no_connection_is_opened_for_mail_that_left_before_there_was_room() -> None:
    async with room() as this:
        this.put(1)
        this.queue.pump()
        assert this.queue.connection_count == 1
        assert this.queue.waiting.pop_ready() == 1
        await this.settle()
        assert (this.dialer.dialled, this.queue.connection_count) == ([], 0)


async def test_leases_come_back_with_their_connections() -> None:
    """A lease that leaked would stop a next hop for ever after as many connections as its limit."""
    async with room(here(1, replace(DELIVERY, connections_per_domain=1))) as this:
        for number in range(1, 6):
            await this.send(number)
        assert this.sent == [1, 2, 3, 4, 5]


async def test_a_connection_can_be_given_back_for_the_sake_of_another_worker() -> None:
    async with room() as this:
        assert not this.queue.give_back()
        await this.send(1)
        assert this.queue.give_back()
        await this.settle()
        assert this.queue.connection_count == 0


async def test_a_connection_ends_for_another_worker_as_soon_as_nothing_is_left_to_send() -> None:
    async with room() as this:
        this.dialer.is_slow = True
        await this.send(1, 2)
        assert this.queue.give_back(is_urgent=False)
        this.dialer.channels[0].answer()
        await this.settle()
        assert this.sent == [1, 2]
        this.dialer.channels[0].answer()
        await this.settle()
        assert this.dialer.channels[0].is_ended


async def test_a_connection_that_is_kept_busy_ends_for_another_worker_when_it_has_had_its_turn() -> None:
    async with room(here(0, replace(DELIVERY, connections_per_domain=1))) as this:
        this.dialer.is_slow = True
        this.put(*range(100))
        this.queue.pump()
        await this.settle()
        assert this.queue.give_back(is_urgent=False)
        while not this.dialer.channels[0].is_ended:
            this.dialer.channels[0].answer()
            await this.settle()
        assert len(this.dialer.channels[0].sent) == 1 + TURN_MESSAGES


@pytest.mark.parametrize(("is_urgent", "messages"), [(True, 1), (False, TURN_MESSAGES)])
async def test_a_connection_that_is_asked_for_while_it_is_being_opened_is_not_forgotten(
    is_urgent: bool, messages: int
) -> None:
    async with room(here(0, replace(DELIVERY, connections_per_domain=1))) as this:
        this.put(*range(30))
        this.queue.pump()
        await asyncio.sleep(0)
        assert this.queue.give_back(is_urgent=is_urgent)
        await this.settle()
        assert len(this.dialer.channels[0].sent) == messages


# What is read first


async def test_what_is_not_in_memory_is_loaded_and_sent_when_it_is_here() -> None:
    async with room() as this:
        this.queue.waiting.add_ready(MessageId(1))
        this.queue.pump()
        await this.settle()
        assert this.owner.wanted == [1]
        assert this.sent == []
        this.queue.loaded(attempt(message(1)))
        await this.settle()
        assert this.sent == [1]


async def test_no_more_is_loaded_than_connections_could_take() -> None:
    async with room() as this:
        for number in range(1, 50):
            this.queue.waiting.add_ready(MessageId(number))
        this.queue.pump()
        await this.settle()
        assert len(this.owner.wanted) <= 3


async def test_an_entry_that_is_gone_makes_room_for_the_next() -> None:
    async with room(here(delivery=replace(DELIVERY, connections_per_domain=1))) as this:
        for number in (1, 2):
            this.queue.waiting.add_ready(MessageId(number))
        this.queue.pump()
        await this.settle()
        assert this.owner.wanted == [1]
        this.queue.not_loaded()
        assert this.owner.wanted == [1, 2]


# Recipients that remain


async def test_recipients_over_the_limit_of_the_peer_go_at_once_in_the_next_transaction() -> None:
    async with room(here(delivery=replace(DELIVERY, connections_per_domain=1))) as this:
        this.dialer.answer = lambda _, sent: Attempted({sent.recipients[0].ordinal: OK}, sent.recipients[1:])
        this.put(1, recipients=3)
        await this.send(2)
        assert [[one.ordinal for one in sent.recipients] for _, sent in this.dialer.transactions] == [
            [0, 1, 2],
            [1, 2],
            [2],
            [0],
        ]


async def test_many_recipients_go_in_several_transactions_one_behind_the_other() -> None:
    async with room(here(delivery=replace(DELIVERY, connections_per_domain=1))) as this:
        this.put(1, recipients=250)
        await this.send(2)
        assert [(sent.message_id, len(sent.recipients)) for _, sent in this.dialer.transactions] == [
            (1, 100),
            (1, 100),
            (1, 50),
            (2, 1),
        ]


async def test_a_peer_that_takes_no_recipient_is_not_asked_for_ever() -> None:
    async with room() as this:
        this.dialer.answer = lambda _, sent: Attempted({}, sent.recipients)
        this.put(1, recipients=2)
        this.queue.pump()
        await this.settle()
        assert len(this.dialer.transactions) == 1
        ((_, attempted),) = this.owner.ended
        outcomes = list(attempted.outcomes.values())
        assert len(outcomes) == 2
        assert all(isinstance(one, Deferred) and one.scope is Scope.MESSAGE for one in outcomes)


# Change and end


async def test_without_a_way_nothing_is_sent_until_there_is_one() -> None:
    async with room() as this:
        way = this.queue.destination
        this.queue.set_destination(None)
        await this.send(1)
        assert this.dialer.dialled == []
        this.queue.set_destination(way)
        this.queue.pump()
        await this.settle()
        assert this.sent == [1]


async def test_a_changed_way_ends_the_old_connections_behind_their_transaction() -> None:
    async with room() as this:
        this.dialer.is_slow = True
        await this.send(1)
        this.queue.set_destination(destination_of(KEY, here(5)))
        (channel,) = this.dialer.channels
        assert channel.is_closing
        assert not channel.is_ended
        channel.answer()
        await this.settle()
        await this.send(2)
        assert len(this.dialer.dialled) == 2
        assert this.outcomes == [(1, OK)]


async def test_a_draining_queue_begins_nothing_and_ends_what_is_under_way() -> None:
    async with room() as this:
        this.dialer.is_slow = True
        await this.send(1)
        this.queue.drain()
        await this.send(2)
        assert this.sent == [1]
        this.dialer.channels[0].answer()
        await this.settle()
        assert this.outcomes == [(1, OK)]
        assert this.queue.connection_count == 0


async def test_a_draining_queue_closes_idle_connections() -> None:
    async with room() as this:
        await this.send(1)
        this.queue.drain()
        await this.settle()
        assert this.dialer.channels[0].is_ended
        assert this.queue.connection_count == 0


async def test_an_aborted_transaction_has_its_outcome() -> None:
    async with room() as this:
        this.dialer.is_slow = True
        await this.send(1)
        this.queue.abort()
        await this.settle()
        assert this.outcomes == [(1, LOST)]
        assert this.queue.connection_count == 0
