"""A worker asks for leases, and gives back what nobody waits for any more."""

from __future__ import annotations

import asyncio

import pytest

from bridgehead.process.lease_client import LeaseClient
from bridgehead.process.messages import Acquire, Granted, Message, Release

ISP = (("connector ISP", 2),)


def test_lease_client_passes_a_grant_to_whoever_asked() -> None:
    sent: list[Message] = []
    granted: list[str] = []
    client = LeaseClient(sent.append)
    first = client.request(ISP, lambda: granted.append("first"))
    second = client.request(ISP, lambda: granted.append("second"))
    assert sent == [Acquire(first, ISP, waits=True), Acquire(second, ISP, waits=True)]
    client.on_granted(Granted(second, is_granted=True))
    assert granted == ["second"]


def test_lease_client_adds_the_limits_of_its_worker_to_those_of_a_connection() -> None:
    sent: list[Message] = []
    client = LeaseClient(sent.append, (("descriptors of worker 0", 384),))
    ticket = client.request(ISP, lambda: None)
    assert sent == [Acquire(ticket, (*ISP, ("descriptors of worker 0", 384)), waits=True)]


def test_lease_client_asks_for_a_place_among_the_slow_of_its_worker_too() -> None:
    """Places that fell under the limit of the connections would take them from one another for ever."""
    sent: list[Message] = []
    granted: list[str] = []
    client = LeaseClient(sent.append, (("descriptors of worker 0", 384),))
    ticket = client.request_place(ISP, lambda: granted.append("place"))
    assert sent == [Acquire(ticket, (("connector ISP, slow", 1), ("descriptors of worker 0, slow", 192)), waits=True)]
    client.on_granted(Granted(ticket, is_granted=True))
    assert granted == ["place"]


def test_lease_client_does_not_pass_on_a_grant_that_crossed_a_withdrawal() -> None:
    sent: list[Message] = []
    granted: list[str] = []
    client = LeaseClient(sent.append)
    ticket = client.request(ISP, lambda: granted.append("late"))
    client.release(ticket)
    client.on_granted(Granted(ticket, is_granted=True))
    assert granted == []
    assert sent[-1] == Release(ticket)


@pytest.mark.parametrize("is_granted", [True, False])
async def test_lease_client_answers_at_once_for_sessions(is_granted: bool) -> None:
    sent: list[Message] = []
    client = LeaseClient(sent.append)
    async with asyncio.TaskGroup() as tasks:
        asked = tasks.create_task(client.try_acquire(ISP))
        await asyncio.sleep(0)
        assert sent == [Acquire(1, ISP, waits=False)]
        client.on_granted(Granted(1, is_granted))
    assert asked.result() == (1 if is_granted else None)


async def test_lease_client_gives_back_the_lease_of_a_session_that_ended_while_it_asked() -> None:
    sent: list[Message] = []
    client = LeaseClient(sent.append)
    async with asyncio.TaskGroup() as tasks:
        asked = tasks.create_task(client.try_acquire(ISP))
        await asyncio.sleep(0)
        asked.cancel()
    assert sent == [Acquire(1, ISP, waits=False), Release(1)]
