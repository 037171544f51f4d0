"""A queue, a wire without a network, and a clock: the tests of one queue alone."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace

from bridgehead.core.organization import Delivery, MessageLimits, Organization
from bridgehead.core.outcome import Outcome
from bridgehead.outbound.allowance import LocalAllowance
from bridgehead.outbound.contract import QueueKey
from bridgehead.outbound.destination import destination_of
from bridgehead.outbound.entry import Attempt
from bridgehead.outbound.opening import Wire
from bridgehead.outbound.queue import Queue
from tests.outbound.back_room import NOW, Owner, attempt, message
from tests.outbound.fake_channel import Clock, FakeDialer
from tests.outbound.post_office import HERE, organization

DELIVERY = Delivery(
    glitch_retries=2, glitch_retry_seconds=10.0, retry_seconds=(100.0, 200.0), connections_per_domain=3
)
KEY = QueueKey("", HERE, "fabrikam.com")


def here(messages: int = 20, delivery: Delivery = DELIVERY) -> Organization:
    found = organization(delivery=delivery)
    (server,) = found.virtual_servers
    return replace(
        found, virtual_servers=(replace(server, messages=MessageLimits(messages_per_connection=messages)),)
    )


class Room:
    """A queue, its wire, and its clock."""

    def __init__(self, tasks: asyncio.TaskGroup, where: Organization) -> None:
        self.clock, self.dialer, self.owner = Clock(NOW), FakeDialer(), Owner()
        self.allowance = LocalAllowance(asyncio.get_running_loop().call_soon)
        self.queue = Queue(KEY, self.owner, Wire(self.dialer, self.allowance, tasks.create_task, self.clock))
        self.queue.set_destination(destination_of(KEY, where))

    async def settle(self) -> None:
        for _ in range(40):
            await asyncio.sleep(0)

    def put(self, *numbers: int, recipients: int = 1) -> list[Attempt]:
        """Messages that are in memory and ready."""
        found = []
        for number in numbers:
            stored = message(number, *[f"u{ordinal}@fabrikam.com" for ordinal in range(recipients)])
            found.append(attempt(stored))
            self.owner.fresh[stored.message_id] = found[-1]
            self.queue.waiting.add_ready(stored.message_id)
        return found

    async def send(self, *numbers: int) -> None:
        self.put(*numbers)
        self.queue.pump()
        await self.settle()

    async def wake(self, seconds: float) -> None:
        """Let time pass, and wake the queue if its alarm is due."""
        self.clock.now += seconds
        if self.queue.alarm_at <= self.clock.now:
            self.queue.alarm_at = float("inf")
            self.queue.wake(self.clock.now)
        await self.settle()

    @property
    def sent(self) -> list[int]:
        return [transaction.message_id for _, transaction in self.dialer.transactions]

    @property
    def outcomes(self) -> list[tuple[int, Outcome]]:
        return [
            (found.message.message_id, outcome)
            for found, attempted in self.owner.ended
            for outcome in attempted.outcomes.values()
        ]


@asynccontextmanager
async def room(where: Organization | None = None) -> AsyncIterator[Room]:
    async with asyncio.TaskGroup() as tasks:
        yield Room(tasks, where or here())
