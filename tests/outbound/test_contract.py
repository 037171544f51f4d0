"""The queue's tests send over a fake; the contract of the real wire holds for it too."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass

from bridgehead.outbound.contract import Attempted, Channel, Destination, Transaction, Unavailable
from tests.outbound.channel_contract import Behaviour, ChannelContract
from tests.outbound.fake_channel import LATER, LOST, NO_SUCH_USER, OK, REFUSED, FakeDialer
from tests.outbound.wire import to_smart_hosts


@dataclass
class FakeWorld:
    """A fake dialer that behaves as asked."""

    fake: FakeDialer
    destination: Destination
    leaves: bool

    @property
    def dialer(self) -> FakeWorld:
        """Itself: it ends channels at once where the peer leaves."""
        return self

    async def open(self, destination: Destination, closed: Callable[[], None]) -> Channel | Unavailable:
        """As in `Dialer`."""
        result = await self.fake.open(destination, closed)
        if self.leaves and not isinstance(result, Unavailable):
            asyncio.get_running_loop().call_soon(result.end)
        return result


def lost(destination: Destination, transaction: Transaction) -> Attempted:
    del destination
    return Attempted({recipient.ordinal: LOST for recipient in transaction.recipients}, is_reusable=False)


class TestFakeChannelContract(ChannelContract):
    """The contract, over nothing."""

    @asynccontextmanager
    async def world(self, behaviour: Behaviour) -> AsyncIterator[FakeWorld]:
        fake = FakeDialer()
        fake.is_slow = behaviour is Behaviour.HANGS
        match behaviour:
            case Behaviour.REFUSES_SECOND:
                fake.recipients = {"r1@fabrikam.com": [NO_SUCH_USER], "r0@fabrikam.com": [OK]}
            case Behaviour.DEFERS:
                fake.recipients = {f"r{ordinal}@fabrikam.com": [LATER] for ordinal in range(3)}
            case Behaviour.DROPS:
                fake.answer = lost
            case Behaviour.ABSENT:
                fake.hosts = {"c": REFUSED}
            case _:
                pass
        yield FakeWorld(fake, to_smart_hosts(), behaviour is Behaviour.LEAVES)
