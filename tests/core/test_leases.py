"""Connection limits over all workers: never exceeded, and nobody with mail is starved."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from bridgehead.core.leases import Leases, Request

ISP = ("connector ISP", 3)


def test_leases_grant_up_to_the_maximum_and_then_wait() -> None:
    leases = Leases()
    for ticket in range(3):
        assert leases.request(Request(0, ticket, (ISP,))) == ([Request(0, ticket, (ISP,))], [])
    assert leases.request(Request(0, 3, (ISP,))) == ([], [])
    assert leases.taken("connector ISP") == 3


def test_leases_serve_the_waiting_when_one_is_given_back() -> None:
    leases = Leases()
    for ticket in range(4):
        leases.request(Request(0, ticket, (ISP,)))
    assert leases.release(0, 1) == [Request(0, 3, (ISP,))]
    assert leases.taken("connector ISP") == 3


def test_leases_need_room_under_every_limit() -> None:
    leases = Leases()
    domain = ("connector ISP domain a.example", 1)
    assert leases.try_acquire(Request(0, 0, (ISP, domain)))
    assert not leases.try_acquire(Request(0, 1, (ISP, domain)))
    assert leases.try_acquire(Request(0, 2, (ISP, ("connector ISP domain b.example", 1))))


def test_leases_without_a_maximum_are_always_granted() -> None:
    leases = Leases()
    assert all(leases.try_acquire(Request(0, ticket, (("sessions", 0),))) for ticket in range(1000))


def test_leases_ask_the_largest_holder_to_give_one_back_for_a_starving_worker() -> None:
    leases = Leases()
    for ticket in range(3):
        leases.request(Request(0, ticket, (ISP,)))
    granted, pleas = leases.request(Request(1, 0, (ISP,)))
    assert not granted
    assert pleas == [(0, "connector ISP", True)]
    assert leases.release(0, 2) == [Request(1, 0, (ISP,))]


def test_leases_ask_a_holder_of_its_share_to_take_turns_where_there_are_fewer_than_workers() -> None:
    leases, one = Leases(), (("connector ISP", 1),)
    leases.request(Request(0, 0, one))
    assert leases.request(Request(1, 0, one)) == ([], [(0, "connector ISP", False)])
    assert leases.request(Request(0, 1, one)) == ([], []), "who holds its share starves nobody"
    assert leases.release(0, 0) == [Request(1, 0, one)]


def test_leases_give_the_freed_place_to_the_worker_that_holds_least() -> None:
    leases = Leases()
    for ticket in range(4):
        leases.request(Request(0, ticket, (ISP,)))
    leases.request(Request(1, 0, (ISP,)))
    assert leases.release(0, 0) == [Request(1, 0, (ISP,))]


def test_leases_forget_a_worker_that_ended() -> None:
    leases = Leases()
    for ticket in range(3):
        leases.request(Request(0, ticket, (ISP,)))
    leases.request(Request(1, 0, (ISP,)))
    assert leases.holder_gone(0) == [Request(1, 0, (ISP,))]
    assert leases.taken("connector ISP") == 1
    assert leases.release(0, 1) == []


def test_leases_forget_a_request_that_is_withdrawn_while_it_waits() -> None:
    leases = Leases()
    for ticket in range(4):
        leases.request(Request(0, ticket, (ISP,)))
    assert leases.release(0, 3) == []
    assert leases.release(0, 0) == []


@given(st.lists(st.tuples(st.integers(0, 2), st.integers(0, 5), st.booleans()), max_size=60))
def test_leases_never_exceed_a_limit_and_never_leave_room_unused(steps: list[tuple[int, int, bool]]) -> None:
    leases = Leases()
    held: set[tuple[int, int]] = set()
    waiting: set[tuple[int, int]] = set()
    for holder, ticket, asks in steps:
        key = (holder, ticket)
        if asks and key not in held | waiting:
            granted, _ = leases.request(Request(holder, ticket, (ISP,)))
            waiting.add(key)
        else:
            granted = leases.release(holder, ticket)
            held.discard(key)
            waiting.discard(key)
        for request in granted:
            waiting.remove((request.holder, request.ticket))
            held.add((request.holder, request.ticket))
        assert leases.taken("connector ISP") == len(held) <= 3
        assert not waiting or len(held) == 3


DOMAINS = [("connector ISP to a.example", 1), ("connector ISP to b.example", 2), ("no limit", 0)]


@given(st.lists(st.tuples(st.integers(0, 2), st.integers(0, 8), st.booleans()), max_size=80))
def test_leases_under_several_limits_are_granted_as_soon_as_all_have_room(
    steps: list[tuple[int, int, bool]],
) -> None:
    leases = Leases()
    held: dict[tuple[int, int], Request] = {}
    waiting: dict[tuple[int, int], Request] = {}

    def taken(name: str) -> int:
        return sum(name in dict(request.limits) for request in held.values())

    for holder, ticket, asks in steps:
        key = (holder, ticket)
        if asks and key not in held and key not in waiting:
            request = Request(holder, ticket, (ISP, DOMAINS[ticket % 3]))
            waiting[key] = request
            granted, _ = leases.request(request)
        else:
            granted = leases.release(holder, ticket)
            held.pop(key, None)
            waiting.pop(key, None)
        for request in granted:
            held[request.holder, request.ticket] = waiting.pop((request.holder, request.ticket))
        for name, maximum in (ISP, *DOMAINS):
            assert leases.taken(name) == taken(name)
            assert not maximum or taken(name) <= maximum
        for request in waiting.values():
            assert any(maximum and taken(name) >= maximum for name, maximum in request.limits)
