"""What every channel and dialer must do: the promises of `outbound/contract.py` as tests, inherited by one class for
each kind. A class gives a `World` in which the peer behaves as the test asks."""

from __future__ import annotations

import asyncio
from abc import abstractmethod
from contextlib import AbstractAsyncContextManager as Context
from enum import Enum, auto
from typing import Protocol

from bridgehead.core.envelope import Envelope, MessageId, Recipient
from bridgehead.core.outcome import Deferred, Delivered, Failed, Scope
from bridgehead.outbound.contract import Attempted, Channel, Destination, Dialer, Transaction, Unavailable
from bridgehead.spool.contract import Body

CONTENT = b"Subject: hello\r\n\r\n.dot\r\n"
SECONDS = 5.0


class Behaviour(Enum):
    """What the peer does."""

    TAKES = auto()
    """Everything."""
    REFUSES_SECOND = auto()
    """5yz to the second recipient of each message."""
    DEFERS = auto()
    """4yz to each message."""
    HANGS = auto()
    """Takes the connection and the recipients, then says nothing more."""
    DROPS = auto()
    """Closes the connection instead of taking the message."""
    LEAVES = auto()
    """Closes the connection as soon as it is idle."""
    ABSENT = auto()
    """Cannot be reached."""


class World(Protocol):
    """A dialer and where it leads."""

    @property
    def dialer(self) -> Dialer: ...
    @property
    def destination(self) -> Destination: ...


class Owner:
    """Plays the queue: counts what a channel says."""

    def __init__(self) -> None:
        self.attempts: list[Attempted] = []
        self.ends = 0
        self.story: list[str] = []
        self._changed = asyncio.Event()

    def done(self, attempted: Attempted) -> None:
        self.attempts.append(attempted)
        self.story.append("done")
        self._changed.set()

    def closed(self) -> None:
        self.ends += 1
        self.story.append("closed")
        self._changed.set()

    async def wait(self, *, attempts: int = 0, ends: int = 0) -> None:
        """Until this much was said."""
        async with asyncio.timeout(SECONDS):
            while len(self.attempts) < attempts or self.ends < ends:
                self._changed.clear()
                await self._changed.wait()


def transaction(count: int = 2, content: bytes = CONTENT) -> Transaction:
    """A message to this many recipients."""
    recipients = tuple(Recipient(ordinal, f"r{ordinal}@fabrikam.com", "fabrikam.com") for ordinal in range(count))
    envelope = Envelope("alice@contoso.com", recipients, len(content), 0.0, "S/V")
    return Transaction(MessageId(1), envelope, recipients, Body(len(content), content))


class ChannelContract:
    """Inherit, name the class `Test…`, and give `world`."""

    @abstractmethod
    def world(self, behaviour: Behaviour) -> Context[World]:
        """A dialer whose peer behaves so until the block ends."""

    async def opened(self, world: World, owner: Owner) -> Channel:
        """A channel; the peer is there."""
        result = await world.dialer.open(world.destination, owner.closed)
        assert not isinstance(result, Unavailable), result.attempts
        return result

    async def test_each_recipient_is_delivered_once_and_the_channel_serves_again(self) -> None:
        owner = Owner()
        async with self.world(Behaviour.TAKES) as world:
            channel = await self.opened(world, owner)
            for number in (1, 2):
                channel.send(transaction(), owner.done)
                assert len(owner.attempts) == number - 1, "never before send has returned"
                await owner.wait(attempts=number)
                attempted = owner.attempts[-1]
                assert sorted(attempted.outcomes) == [0, 1]
                assert not attempted.remaining
                assert attempted.is_reusable
                assert all(isinstance(outcome, Delivered) for outcome in attempted.outcomes.values())
            channel.close()
            await owner.wait(ends=1)
        assert owner.story == ["done", "done", "closed"]

    async def test_channel_names_its_host(self) -> None:
        owner = Owner()
        async with self.world(Behaviour.TAKES) as world:
            channel = await self.opened(world, owner)
            assert channel.host
            channel.abort()
            await owner.wait(ends=1)

    async def test_send_from_within_done_is_a_new_transaction(self) -> None:
        owner = Owner()
        async with self.world(Behaviour.TAKES) as world:
            channel = await self.opened(world, owner)

            def again(attempted: Attempted) -> None:
                owner.done(attempted)
                channel.send(transaction(), owner.done)

            channel.send(transaction(), again)
            await owner.wait(attempts=2)
            channel.close()
            await owner.wait(ends=1)
        assert all(isinstance(one.outcomes[0], Delivered) for one in owner.attempts)

    async def test_refused_recipient_fails_and_the_others_are_delivered(self) -> None:
        owner = Owner()
        async with self.world(Behaviour.REFUSES_SECOND) as world:
            channel = await self.opened(world, owner)
            channel.send(transaction(3), owner.done)
            await owner.wait(attempts=1)
            [attempted] = owner.attempts
            assert isinstance(attempted.outcomes[0], Delivered)
            assert isinstance(attempted.outcomes[1], Failed)
            assert isinstance(attempted.outcomes[2], Delivered)
            channel.close()
            await owner.wait(ends=1)

    async def test_temporary_refusal_is_the_message_s(self) -> None:
        owner = Owner()
        async with self.world(Behaviour.DEFERS) as world:
            channel = await self.opened(world, owner)
            channel.send(transaction(), owner.done)
            await owner.wait(attempts=1)
            for outcome in owner.attempts[0].outcomes.values():
                assert isinstance(outcome, Deferred)
                assert outcome.scope is Scope.MESSAGE
            channel.abort()
            await owner.wait(ends=1)

    async def test_lost_connection_defers_every_recipient_then_ends(self) -> None:
        owner = Owner()
        async with self.world(Behaviour.DROPS) as world:
            channel = await self.opened(world, owner)
            channel.send(transaction(), owner.done)
            await owner.wait(attempts=1, ends=1)
        [attempted] = owner.attempts
        assert sorted(attempted.outcomes) == [0, 1]
        assert not attempted.is_reusable
        for outcome in attempted.outcomes.values():
            assert isinstance(outcome, Deferred)
            assert not outcome.is_connect_failure
        assert owner.story == ["done", "closed"]

    async def test_abort_defers_for_the_host_then_ends(self) -> None:
        owner = Owner()
        async with self.world(Behaviour.HANGS) as world:
            channel = await self.opened(world, owner)
            channel.send(transaction(), owner.done)
            channel.abort()
            await owner.wait(attempts=1, ends=1)
        for outcome in owner.attempts[0].outcomes.values():
            assert isinstance(outcome, Deferred)
            assert outcome.scope is Scope.HOST
        assert not owner.attempts[0].is_reusable
        assert owner.story == ["done", "closed"]

    async def test_close_lets_the_transaction_in_flight_end(self) -> None:
        owner = Owner()
        async with self.world(Behaviour.TAKES) as world:
            channel = await self.opened(world, owner)
            channel.send(transaction(), owner.done)
            channel.close()
            await owner.wait(attempts=1, ends=1)
        assert isinstance(owner.attempts[0].outcomes[0], Delivered)
        assert owner.story == ["done", "closed"]

    async def test_closing_twice_and_aborting_afterwards_ends_once(self) -> None:
        owner = Owner()
        async with self.world(Behaviour.TAKES) as world:
            channel = await self.opened(world, owner)
            channel.close()
            channel.close()
            channel.abort()
            await owner.wait(ends=1)
            channel.abort()
            channel.close()
            await asyncio.sleep(0)
        assert owner.ends == 1

    async def test_idle_channel_that_the_peer_closes_ends(self) -> None:
        owner = Owner()
        async with self.world(Behaviour.LEAVES) as world:
            await self.opened(world, owner)
            await owner.wait(ends=1)
        assert not owner.attempts

    async def test_absent_peer_is_unavailable_and_nothing_ends(self) -> None:
        owner = Owner()
        async with self.world(Behaviour.ABSENT) as world:
            result = await world.dialer.open(world.destination, owner.closed)
        assert isinstance(result, Unavailable)
        assert isinstance(result.outcome, Deferred)
        assert result.outcome.scope is Scope.HOST
        assert result.outcome.is_connect_failure
        assert result.attempts
        assert owner.story == []
