"""The queues of a worker: one for a key, made for mail and forgotten without it, woken by one clock."""

from __future__ import annotations

from collections.abc import Callable
from math import inf

from hypothesis import given
from hypothesis import strategies as st

from bridgehead.core.envelope import MessageId
from bridgehead.core.organization import Delivery, Organization
from bridgehead.core.recipient_state import Hold
from bridgehead.outbound.contract import QueueKey
from bridgehead.outbound.queue import Queue
from bridgehead.outbound.queues import UNROUTED, Queues
from tests.outbound.back_room import NOW, Owner, still_wire
from tests.outbound.fake_channel import CLOSING
from tests.outbound.post_office import HERE, connector, disabled, organization

NATIVE = QueueKey("", HERE, "fabrikam.com")
ISP = QueueKey("ISP", HERE, "smart-hosts")
WITH_ISP = organization(connector("ISP", "*"))


def queues(here: Organization = WITH_ISP) -> Queues:
    return Queues(here, Owner(), still_wire())


def test_a_key_has_one_queue() -> None:
    found = queues()
    assert found.get(NATIVE) is found.get(NATIVE)
    assert found.get(NATIVE) is not found.get(ISP)
    assert list(found) == [found.get(NATIVE), found.get(ISP)]


def test_looking_for_a_queue_makes_none() -> None:
    found = queues()
    assert found.find(NATIVE) is None
    made = found.get(NATIVE)
    assert found.find(NATIVE) is made


def test_a_queue_knows_its_way_from_the_beginning_and_one_without_has_none() -> None:
    found = queues()
    assert [found.get(key).destination is not None for key in (NATIVE, ISP, UNROUTED)] == [True, True, False]


def test_a_changed_organization_tells_the_queues_whose_way_changed() -> None:
    found = queues()
    native, isp = found.get(NATIVE), found.get(ISP)
    assert found.set_organization(organization(connector("ISP", "*", "x.example"))) == [isp]
    assert found.set_organization(disabled(WITH_ISP, "ISP")) == [isp]
    assert isp.destination is None
    assert native.destination is not None
    assert found.set_organization(organization(delivery=Delivery(glitch_retries=9))) == [native]
    assert native.delivery.glitch_retries == 9


def test_a_queue_that_is_made_later_follows_the_organization_in_force() -> None:
    found = queues()
    found.set_organization(disabled(WITH_ISP, "ISP"))
    assert found.get(ISP).destination is None


KEEPING: dict[str, Callable[[Queue], object]] = {
    "waits": lambda queue: queue.waiting.add_ready(MessageId(1)),
    "waits for later": lambda queue: queue.waiting.add_later(MessageId(1), NOW + 60),
    "is held": lambda queue: queue.waiting.held.update({MessageId(1): Hold.FROZEN}),
    "is active": lambda queue: queue.active.add(MessageId(1)),
    "backs off": lambda queue: queue.back_off(CLOSING),
    "was refused our credentials": lambda queue: setattr(queue, "refusal", CLOSING),
}


def test_a_queue_is_forgotten_unless_something_keeps_it() -> None:
    found = queues()
    unused = found.get(NATIVE)
    found.forget_unused(unused)
    assert found.find(NATIVE) is None
    for name, keep in KEEPING.items():
        queue = found.get(QueueKey("", HERE, f"{name.replace(' ', '-')}.example"))
        keep(queue)
        found.forget_unused(queue)
        assert found.find(queue.key) is queue, name


def test_a_queue_that_was_replaced_is_not_forgotten_in_the_place_of_its_successor() -> None:
    found = queues()
    former = found.get(NATIVE)
    found.forget_unused(former)
    successor = found.get(NATIVE)
    found.forget_unused(former)
    assert found.find(NATIVE) is successor


# The clock


def held(found: Queues, number: int) -> Queue:
    """A queue that something keeps."""
    queue = found.get(QueueKey("", HERE, f"{number}.example"))
    queue.waiting.held[MessageId(number)] = Hold.FROZEN
    return queue


@given(st.lists(st.tuples(st.integers(0, 3), st.integers(1, 20)), max_size=12), st.lists(st.integers(0, 25)))
def test_each_queue_is_woken_at_the_first_look_at_or_behind_its_time(
    alarms: list[tuple[int, int]], looks: list[int]
) -> None:
    found = queues()
    by_number = {number: held(found, number) for number in range(4)}
    due: dict[int, float] = dict.fromkeys(by_number, inf)
    for number, when in alarms:
        if when < due[number]:  # as every caller does
            due[number] = when
            found.wake_at(by_number[number], when)
    for now in sorted(looks):
        found.wake(now)
        for number, queue in by_number.items():
            if due[number] <= now:
                due[number] = inf
            assert queue.alarm_at == due[number]


def test_an_earlier_alarm_takes_the_place_of_a_later_one() -> None:
    found = queues()
    queue = found.get(NATIVE)
    queue.waiting.add_later(MessageId(1), NOW + 10)
    queue.waiting.add_later(MessageId(2), NOW + 90)
    found.wake_at(queue, NOW + 90)
    found.wake_at(queue, NOW + 10)
    found.wake(NOW + 10)
    assert (queue.waiting.ready_count, queue.waiting.next_due()) == (1, NOW + 90)


def test_a_queue_that_wakes_up_to_nothing_is_forgotten() -> None:
    found = queues()
    queue = found.get(NATIVE)
    found.wake_at(queue, NOW)
    found.wake(NOW - 1)
    assert found.find(NATIVE) is queue
    found.wake(NOW)
    assert found.find(NATIVE) is None
