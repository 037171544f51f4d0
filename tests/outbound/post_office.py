"""A whole dispatcher on a spool in memory, a fake wire and a simulated clock: tests read as specification."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import replace
from pathlib import Path
from typing import Self

from bridgehead.core.envelope import Envelope, MessageId, Recipient
from bridgehead.core.liveness import Liveness
from bridgehead.core.organization import (
    AddressSpace,
    Connector,
    Delivery,
    NoMatch,
    Organization,
    Security,
    Server,
    SmartHost,
    SmartHostKind,
    TlsLevel,
    VirtualServer,
)
from bridgehead.core.queue_id import QueueIds
from bridgehead.core.recipient_state import RecipientState
from bridgehead.core.tracking import Step, TrackingEvent
from bridgehead.outbound.allowance import LocalAllowance
from bridgehead.outbound.dispatcher import Dispatcher, Surroundings
from bridgehead.outbound.hand_back import Badmail
from bridgehead.spool.contract import Body, Change, Insert, StoredMessage
from bridgehead.spool.memory import MemorySpool
from tests.outbound.fake_channel import Clock, FakeDialer

HERE = "BRIDGE01/Default"
MINUTE, HOUR, DAY = 60.0, 3600.0, 86_400.0
TEXT = b"Subject: hello\r\nMessage-ID: <1@contoso.com>\r\n\r\nhello\r\n"


def connector(name: str, *spaces: str, tls: TlsLevel = TlsLevel.OPPORTUNISTIC, dns: bool = False) -> Connector:
    """A connector for patterns such as `"*"` or `"*.fabrikam.com;10"`, by one smart host unless `dns`."""
    patterns = [space.partition(";") for space in spaces]
    return Connector(
        name,
        tuple(AddressSpace(pattern, int(cost or 1)) for pattern, _, cost in patterns),
        (HERE,),
        "First",
        smart_hosts=() if dns else (SmartHost("192.0.2.10", SmartHostKind.ADDRESS),),
        security=Security(tls=tls),
    )


def organization(
    *connectors: Connector, no_match: NoMatch = NoMatch.NATIVE_DNS, delivery: Delivery | None = None
) -> Organization:
    """One server with one virtual server, and these connectors."""
    virtual_server = VirtualServer("Default", "BRIDGE01", (), "mail.contoso.com", delivery=delivery or Delivery())
    return Organization(
        "Contoso",
        (Server("BRIDGE01", routing_group="First"),),
        (virtual_server,),
        connectors,
        postmaster="postmaster@contoso.com",
        no_match=no_match,
    )


class PostOffice:
    """A dispatcher and everything around it."""

    def __init__(self, folder: Path, organization: Organization, *, clock: Clock | None = None) -> None:
        self.clock = clock or Clock()
        self.offset = 0.0
        """By how much the wall clock was set; the steady one was not."""
        self.dialer = FakeDialer()
        self.spool = MemorySpool()
        self.events: list[TrackingEvent] = []
        self.liveness = Liveness()
        self.reports: list[tuple[str, bool]] = []
        self.organization = organization
        self.ids = QueueIds(0)
        self.badmail = Badmail(folder / "badmail")
        self.dispatcher = self._dispatcher()

    def _dispatcher(self) -> Dispatcher:
        loop = asyncio.get_running_loop()
        surroundings = Surroundings(
            spool=self.spool,
            dialer=self.dialer,
            allowance=LocalAllowance(loop.call_soon),
            emit=self.events.append,
            clock=self.clock,
            new_id=lambda: self.ids.next(self.clock.now),
            report_link=self._report_link,
            badmail=self.badmail,
            steady=lambda: self.clock.now - self.offset,
        )
        return Dispatcher(surroundings, "BRIDGE01", self.organization, self.liveness.state)

    def _report_link(self, name: str, is_success: bool) -> None:
        self.reports.append((name, is_success))
        delivery = self.organization.virtual_servers[0].delivery
        if is_success:
            self.liveness = self.liveness.after_success(name)
        else:
            self.liveness = self.liveness.after_failure(name, self.clock.now, delivery)
        state = self.liveness.state
        asyncio.get_running_loop().call_soon(lambda: self.dispatcher.set_link_state(state))

    @asynccontextmanager
    async def open(self) -> AsyncIterator[Self]:
        """Run the dispatcher meanwhile."""
        async with asyncio.TaskGroup() as tasks:
            running = tasks.create_task(self.dispatcher.run())
            await self.settle()
            try:
                yield self
            finally:
                running.cancel()

    def restart(self) -> None:
        """What a crash leaves: only what is durable. Follow with `open`."""
        self.spool = self.spool.crash()
        self.dispatcher = self._dispatcher()
        for entry in self.spool.recover():
            self.dispatcher.restore(entry)

    async def settle(self) -> None:
        """Let everything happen that happens without time passing."""
        for _ in range(60):
            await asyncio.sleep(0)

    async def passes(self, seconds: float, *, step: float | None = None) -> None:
        """Let time pass, in steps so small that everything due is done in time."""
        end = self.clock.now + seconds
        step = step or max(1.0, seconds / 200)
        while self.clock.now < end:
            self.clock.now = min(end, self.clock.now + step)
            self.dispatcher.tick()
            await self.settle()

    async def jump(self, seconds: float) -> None:
        """Somebody sets the clock on the wall."""
        self.clock.now += seconds
        self.offset += seconds
        await self.passes(0.1)

    def envelope(self, addresses: Sequence[str | Recipient], sender: str = "alice@contoso.com") -> Envelope:
        """An envelope to these recipients, arriving now."""
        recipients = tuple(
            Recipient(ordinal, one, one.rpartition("@")[2])
            if isinstance(one, str)
            else Recipient(ordinal, one.address, one.domain, one.notify, one.original)
            for ordinal, one in enumerate(addresses)
        )
        return Envelope(sender, recipients, len(TEXT), self.clock.now, HERE, client="192.0.2.7")

    async def accept(
        self, *addresses: str | Recipient, envelope: Envelope | None = None, sender: str = "alice@contoso.com"
    ) -> MessageId:
        """Accept a message, as inbound does: commit, then hand over."""
        message_id = self.ids.next(self.clock.now)
        envelope = envelope or self.envelope(addresses, sender)
        body = Body(len(TEXT), TEXT)
        await self.commit(Insert(message_id, envelope, body))
        self.dispatcher.accepted(StoredMessage(message_id, envelope, body))
        await self.settle()
        return message_id

    async def commit(self, *changes: Change) -> None:
        """Wait until changes are durable."""
        future: asyncio.Future[Exception | None] = asyncio.get_running_loop().create_future()
        self.spool.submit(changes, future.set_result)
        assert await future is None

    async def apply(self, organization: Organization) -> None:
        """A changed configuration."""
        self.organization = organization
        self.dispatcher.set_organization(organization)
        await self.settle()

    async def states(self, message_id: MessageId) -> dict[int, RecipientState] | None:
        """What is durable of a message's recipients; `None`: it left the spool."""
        stored = await self.spool.load(message_id)
        return None if stored is None else dict(stored.states)

    def count(self) -> int:
        """Messages in the spool."""
        return self.spool.statistics().messages

    def steps(self) -> list[Step]:
        """The steps of all events so far."""
        return [event.step for event in self.events]

    def events_of(self, step: Step) -> list[TrackingEvent]:
        """The events of one step."""
        return [event for event in self.events if event.step is step]


def without(organization: Organization, name: str) -> Organization:
    """The organization without a connector."""
    return replace(organization, connectors=tuple(one for one in organization.connectors if one.name != name))


def disabled(organization: Organization, name: str) -> Organization:
    """The organization with a connector switched off."""
    return replace(
        organization,
        connectors=tuple(replace(one, enabled=one.name != name) for one in organization.connectors),
    )
