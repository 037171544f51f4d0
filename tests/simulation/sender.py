"""A client that has mail and does not give up: it comes back until every recipient was taken or refused for good."""

from __future__ import annotations

import asyncio
import re
from dataclasses import dataclass, replace
from random import Random
from typing import Final

from bridgehead.core.envelope import BodyType, Envelope, MessageId, Recipient
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
DETAILS: Final = re.compile(r"ISP|Partner|Backup|Edge|Wingtip|10\.0\.|Errno|Error|Exception|sqlite|space left|/")
"""What is none of a client's business: names of connectors, addresses of hosts, faults of the machine."""
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
    helo: bool = False
    """Sent by a client that knows no extensions."""
    smtputf8: bool = False


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
        destination = replace(_DESTINATION, helo=self._mail.helo)
        channel = await connect(self._candidate, destination, _WIRING, lambda: None)
        if not isinstance(channel, SmtpChannel):
            return
        mail, recipients = self._mail, tuple(self._left.values())
        has_eight_bit = not mail.content.isascii()
        envelope = Envelope(
            mail.sender,
            mail.recipients,
            len(mail.content),
            0.0,
            "",
            ret="HDRS",
            body_type=BodyType.EIGHT_BIT if has_eight_bit else BodyType.SEVEN_BIT,
            smtputf8=mail.smtputf8,
            has_eight_bit=has_eight_bit,
        )
        body = Body(len(mail.content), mail.content)
        ended: asyncio.Future[Attempted] = asyncio.get_running_loop().create_future()
        channel.send(Transaction(MessageId(mail.number), envelope, recipients, body), ended.set_result)
        self._settle(await ended)
        channel.close()

    def _settle(self, attempted: Attempted) -> None:
        for ordinal, outcome in attempted.outcomes.items():
            address = self._left[ordinal].address
            if outcome.reply.code and (found := DETAILS.search(outcome.reply.text)):
                self._ledger.fail(f"a client is told more than it should know: {found[0]} in {outcome.reply}")
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
