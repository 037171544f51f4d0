"""A queue whose host is in trouble: what stops it, for how long, and what is forgiven."""

from __future__ import annotations

from dataclasses import replace

import pytest

from bridgehead.core.envelope import MessageId
from bridgehead.core.outcome import Deferred, Failed, Outcome, Scope
from bridgehead.core.reply import Reply
from bridgehead.outbound.queue import IDLE_SECONDS
from tests.outbound.back_room import attempt, message
from tests.outbound.fake_channel import CLOSING, LATER, LOGIN, LOST, NO_SUCH_DOMAIN, OK, REFUSED
from tests.outbound.queue_room import DELIVERY, here, room


async def test_a_host_in_trouble_is_left_alone_for_longer_and_longer() -> None:
    async with room() as this:
        this.dialer.hosts["fabrikam.com"] = REFUSED
        await this.send(1)
        waits = []
        for _ in range(6):
            waits.append(this.queue.retry_at - this.clock.now)
            await this.wake(waits[-1])
        assert waits == [10, 10, 100, 200, 200, 200]
        assert this.owner.dials == [False] * 7
        assert this.owner.ended == [], "the message itself was never tried"


async def test_what_waits_in_a_back_off_costs_nothing_and_keeps_its_order() -> None:
    async with room() as this:
        this.dialer.hosts["fabrikam.com"] = REFUSED
        await this.send(1, 2)
        await this.send(3)
        assert not this.queue.active
        assert len(this.dialer.dialled) == 1
        del this.dialer.hosts["fabrikam.com"]
        this.put(1, 2, 3)
        for _ in range(3):
            this.queue.waiting._ready.pop()  # only the memory was to be filled again
        await this.wake(10)
        assert this.sent == [1, 2, 3]


async def test_a_message_that_is_taken_ends_the_counting_of_rounds() -> None:
    async with room() as this:
        this.dialer.hosts["fabrikam.com"] = REFUSED
        await this.send(1)
        for _ in range(3):
            await this.wake(this.queue.retry_at - this.clock.now)
        del this.dialer.hosts["fabrikam.com"]
        this.owner.fresh[MessageId(1)] = attempt(message(1))
        await this.wake(this.queue.retry_at - this.clock.now)
        assert this.outcomes == [(1, OK)]
        await this.wake(IDLE_SECONDS)
        this.dialer.hosts["fabrikam.com"] = REFUSED
        await this.send(2)
        assert this.queue.retry_at - this.clock.now == 10


async def test_an_operator_or_a_link_ends_a_back_off() -> None:
    async with room() as this:
        this.dialer.hosts["fabrikam.com"] = REFUSED
        await this.send(1)
        del this.dialer.hosts["fabrikam.com"]
        this.owner.fresh[MessageId(1)] = attempt(message(1))
        this.queue.try_now()
        await this.settle()
        assert this.sent == [1]


ANSWERS: dict[str, tuple[Outcome, bool, int]] = {
    "taken": (OK, False, 2),
    "later, for the sake of one message": (LATER, False, 2),
    "the peer closes": (CLOSING, True, 1),
    "the connection is lost": (LOST, False, 2),
}


@pytest.mark.parametrize("name", ANSWERS)
async def test_only_trouble_of_the_host_stops_the_queue(name: str) -> None:
    outcome, is_backing_off, count = ANSWERS[name]
    async with room(here(1, replace(DELIVERY, connections_per_domain=1))) as this:
        this.dialer.recipients["u0@fabrikam.com"] = [outcome]
        await this.send(1, 2)
        assert this.queue.is_backing_off is is_backing_off
        assert len(this.owner.ended) == count


async def test_a_kept_connection_that_was_lost_is_forgiven_once() -> None:
    """Many servers hang up on idle connections without a word, and the message they lost had no fault."""
    async with room(here(delivery=replace(DELIVERY, connections_per_domain=1))) as this:
        this.dialer.recipients["u0@fabrikam.com"] = [OK, LOST, OK]
        await this.send(1)
        await this.send(2)
        assert this.outcomes == [(1, OK), (2, OK)]
        assert [found.outstanding for found, _ in this.owner.ended] == [0, 0]
        assert len(this.dialer.dialled) == 2


async def test_a_second_kept_connection_that_is_lost_under_the_same_message_is_not_forgiven() -> None:
    async with room(here(delivery=replace(DELIVERY, connections_per_domain=2))) as this:
        this.dialer.is_slow = True
        await this.send(1, 2)
        for channel in this.dialer.channels:
            channel.answer()
        this.dialer.is_slow = False
        this.dialer.recipients["u0@fabrikam.com"] = [LOST]
        await this.send(3)
        assert [number for number, outcome in this.outcomes if outcome is LOST] == [3]
        assert this.sent == [1, 2, 3, 3]


async def test_a_host_that_closes_two_connections_had_one_round_of_trouble() -> None:
    async with room() as this:
        this.dialer.is_slow = True
        await this.send(1, 2)
        this.dialer.recipients["u0@fabrikam.com"] = [CLOSING]
        for channel in this.dialer.channels:
            channel.answer()
        await this.settle()
        assert this.owner.troubles == [CLOSING]
        assert this.queue.retry_at - this.clock.now == 10
        this.dialer.hosts["fabrikam.com"] = REFUSED
        this.queue.waiting.add_ready(MessageId(3))
        await this.wake(10)
        assert this.queue.retry_at - this.clock.now == 10, "the second of two glitches"


async def test_what_was_read_and_not_begun_goes_back_to_the_front_in_its_order() -> None:
    async with room() as this:
        this.dialer.is_slow = True
        await this.send(1, 2, 3)
        for number in (4, 5, 6, 7):
            this.queue.waiting.add_ready(MessageId(number))
        this.dialer.channels[0].answer()
        assert this.owner.wanted == [4, 5, 6]
        for number in (4, 5, 6):
            this.queue.loaded(attempt(message(number)))
        assert this.sent == [1, 2, 3, 4]
        this.dialer.recipients["u0@fabrikam.com"] = this.dialer.recipients["bob@fabrikam.com"] = [CLOSING]
        this.dialer.channels[1].answer()
        assert [this.queue.waiting.pop_ready() for _ in range(3)] == [5, 6, 7]
        assert not this.queue.active & {MessageId(5), MessageId(6), MessageId(7)}
        this.queue.abort()


async def test_a_host_that_answers_and_refuses_service_is_not_down() -> None:
    """Only a failed connect, greeting or handshake counts towards a connector being down."""
    async with room() as this:
        this.dialer.hosts["fabrikam.com"] = CLOSING
        await this.send(1)
        assert this.queue.is_backing_off
        assert this.owner.dials == []


async def test_a_first_message_whose_connection_was_lost_is_not_forgiven() -> None:
    async with room() as this:
        this.dialer.recipients["u0@fabrikam.com"] = [LOST, OK]
        await this.send(1)
        assert this.outcomes == [(1, LOST)]


async def test_a_host_that_limits_connections_keeps_those_that_work() -> None:
    async with room() as this:
        this.dialer.is_slow = True
        await this.send(1)
        this.dialer.hosts["fabrikam.com"] = Deferred(Reply(421, "4.7.0", "too many"), Scope.HOST)
        await this.send(2, 3)
        assert not this.queue.is_backing_off
        dials = len(this.dialer.dialled)
        await this.send(4)
        assert len(this.dialer.dialled) == dials, "it is not asked again at once"
        assert this.queue.busy_count == 1
        del this.dialer.hosts["fabrikam.com"]
        await this.wake(DELIVERY.glitch_retry_seconds)
        assert this.queue.busy_count == 3


async def test_a_defect_of_the_dialer_backs_off_and_ends_nothing(
    caplog: pytest.LogCaptureFixture,
) -> None:
    async with room() as this:

        async def broken(*_: object) -> None:
            raise RuntimeError("a defect")

        this.dialer.open = broken  # type: ignore[assignment,method-assign]  # what no dialer should be
        await this.send(1)
        assert this.queue.is_backing_off
        assert this.queue.connection_count == 0
        assert "4.3.0" in this.owner.troubles[0].reply.enhanced
    assert "dialling failed" in caplog.text


@pytest.mark.parametrize("outcome", [LOGIN, NO_SUCH_DOMAIN], ids=["credentials", "no such domain"])
async def test_an_answer_for_all_condemns_all_that_waits(outcome: Deferred | Failed) -> None:
    async with room() as this:
        this.dialer.hosts["fabrikam.com"] = outcome
        await this.send(1, 2, 3)
        assert this.owner.condemned == [(1, outcome), (2, outcome), (3, outcome)]
        assert this.queue.active == {1, 2, 3}
        assert not this.queue.is_backing_off
        assert (this.queue.refusal is outcome) is isinstance(outcome, Deferred)
