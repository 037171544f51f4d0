"""A client that has mail and does not give up: it comes back until every recipient was taken or refused for good."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from random import Random
from typing import Final

from bridgehead.core.envelope import Envelope, MessageId, Recipient
from bridgehead.core.organization import Security, SmartHostOrder, VirtualServer
from bridgehead.core.outcome import Deferred, Delivered, Failed
from bridgehead.net.tls import ClientContexts
from bridgehead.outbound.connect import Wiring, connect
from bridgehead.outbound.contract import Attempted, Destination, QueueKey, Transaction
from bridgehead.outbound.hosts import Candidate
from bridgehead.outbound.smtp_channel import SmtpChannel
from bridgehead.outbound.timeouts import Timeouts
from bridgehead.spool.contract import Body
from tests.simulation.ledger import Ledger

AGAIN_SECONDS: Final = 3.0
TIMEOUTS: Final = Timeouts(connect=5.0, greeting=15.0, command=15.0, block=15.0, end=20.0, goodbye=1.0)
_SERVER: Final = VirtualServer("Client", "CLIENT", (), "client.example")
_DESTINATION: Final = Destination(
    QueueKey("", "", ""), _SERVER, None, (), SmartHostOrder.FAILOVER, "", None, Security(), False, 1
)
_WIRING: Final = Wiring(ClientContexts(), TIMEOUTS)


@dataclass(frozen=True)
class Mail:
    """One mail to be sent."""

    number: int
    sender: str
    recipients: tuple[Recipient, ...]
    content: bytes


class Sender:
    """Sends one mail to one server."""

    def __init__(self, mail: Mail, address: str, ledger: Ledger, random: Random) -> None:
        self.is_done = False
        self._mail = mail
        self._candidate = Candidate(address, 25)
        self._ledger = ledger
        self._random = random
        self._left = {one.ordinal: one for one in mail.recipients}

    async def run(self) -> None:
        """Try until nothing is left."""
        while self._left:
            await self._try()
            if self._left:
                await asyncio.sleep(AGAIN_SECONDS * (0.5 + self._random.random()))
        self.is_done = True

    async def _try(self) -> None:
        channel = await connect(self._candidate, _DESTINATION, _WIRING, lambda: None)
        if not isinstance(channel, SmtpChannel):
            return
        mail, recipients = self._mail, tuple(self._left.values())
        envelope = Envelope(mail.sender, mail.recipients, len(mail.content), 0.0, "", ret="HDRS")
        body = Body(len(mail.content), mail.content)
        ended: asyncio.Future[Attempted] = asyncio.get_running_loop().create_future()
        channel.send(Transaction(MessageId(mail.number), envelope, recipients, body), ended.set_result)
        self._settle(await ended)
        channel.close()

    def _settle(self, attempted: Attempted) -> None:
        for ordinal, outcome in attempted.outcomes.items():
            address = self._left[ordinal].address
            match outcome:
                case Delivered():
                    self._ledger.note(f"mail {self._mail.number} to {address} was accepted: {outcome.reply}")
                    self._ledger.accepted.add((self._mail.number, address))
                    del self._left[ordinal]
                case Failed():
                    self._ledger.note(f"mail {self._mail.number} to {address} was refused: {outcome.reply}")
                    del self._left[ordinal]
                case Deferred():
                    pass
