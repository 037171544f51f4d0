"""`connector test`: goes the way of a connector step by step, with every one of its hosts, and tells each step.

Names are found and hosts are dialled by the code that delivers, so what passes here passes there. What is different:
no host is left out because another one works, waits are shorter, and MAIL and RCPT go out one by one. No message is
sent unless asked for; then one, through the first host that takes its recipient.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass, field, replace
from random import SystemRandom
from typing import Final

import msgspec

from bridgehead.control.certificate_text import describe_certificate
from bridgehead.control.trial_advice import advice
from bridgehead.control.trial_steps import CERTIFICATE, DNS, MESSAGE, TCP, TLS, Result, Step, Tell, Watch
from bridgehead.core.envelope import Envelope, MessageId, Recipient
from bridgehead.core.error import ConfigurationError, ProtocolError
from bridgehead.core.header import date_line, date_text, message_id_line
from bridgehead.core.organization import Connector, Organization, Security, TlsLevel
from bridgehead.core.outcome import Delivered
from bridgehead.core.queue_id import QueueIds, write
from bridgehead.core.reply import Reply
from bridgehead.core.routing import SMART_HOSTS
from bridgehead.net.resolver import Resolvers
from bridgehead.net.tls import ClientContexts
from bridgehead.outbound.connect import HostFailure, Stage, Wiring, open_session
from bridgehead.outbound.contract import Attempted, Destination, QueueKey, Transaction, Unavailable
from bridgehead.outbound.destination import destination_of
from bridgehead.outbound.hosts import Candidate, HostFinder, ourselves
from bridgehead.outbound.smtp_channel import SmtpChannel
from bridgehead.outbound.timeouts import Timeouts
from bridgehead.smtp import client_commands
from bridgehead.smtp.client_event import Answered
from bridgehead.spool.contract import Body

TIMEOUTS: Final = Timeouts(connect=10, handshake=20, greeting=60, command=60, end=120)
"""Someone sits and waits: shorter than RFC 5321 4.5.3.2, and still long enough for a server that greets late."""

_STEP_OF: Final = {Stage.MACHINE: TCP, Stage.CONNECT: TCP, Stage.HANDSHAKE: TLS}
"""Names of stages where a step is called otherwise."""


@dataclass(frozen=True, slots=True)
class Plan:
    """What is to be tried."""

    organization: Organization
    connector: Connector
    bridgehead: str
    """Key of the virtual server whose settings are used."""
    recipient: Recipient | None = None
    """Of MAIL and RCPT; `None`: the trial ends before them."""
    sender: str = ""
    sends: bool = False
    """Send a message to the recipient."""

    @property
    def domain(self) -> str:
        """Whose MX hosts are tried, for a connector that routes by DNS; empty: nobody said."""
        if self.recipient is not None:
            return self.recipient.domain
        patterns = (space.pattern.removeprefix("*.") for space in self.connector.address_spaces)
        return next((pattern for pattern in patterns if pattern != "*"), "")


def bridgehead_of(connector: Connector, organization: Organization, server: str) -> str:
    """The bridgehead on this server, else (to be said to the operator) the first one anywhere."""
    keys = [key for key in connector.bridgeheads if organization.virtual_server(key).server == server]
    return (keys or list(connector.bridgeheads))[0]


@dataclass(slots=True)
class Trial:
    """One run over all hosts; `tell` gets every step as it ends."""

    plan: Plan
    server: str
    tell: Tell
    timeouts: Timeouts = TIMEOUTS
    resolvers: Resolvers = field(default_factory=lambda: Resolvers(time.monotonic))
    _contexts: ClientContexts = field(default_factory=ClientContexts)
    _has_failed: bool = False
    _is_sent: bool = False

    async def run(self) -> bool:
        """Try every host; whether every step passed (warnings count as passed)."""
        organization = self.plan.organization
        finder = HostFinder(self.resolvers, lambda: ourselves(organization, self.server), SystemRandom())
        tried: set[tuple[str, int]] = set()
        for label, destination in self._destinations():
            since = time.monotonic()
            found = await finder.find(destination)
            seconds = time.monotonic() - since
            if isinstance(found, Unavailable):
                words = "; ".join(found.attempts).removeprefix(f"smart host {label}: ")
                self._note(Step(label, DNS, Result.FAILED, seconds, words))
                continue
            shown = ", ".join(f"{one.name} {one.address}".strip() for one in found)
            words = shown if any(one.name for one in found) else "an address: nothing to look up"
            self._note(Step(label, DNS, Result.PASSED, seconds, words))
            for candidate in found:
                if (candidate.address, candidate.port) not in tried:
                    tried.add((candidate.address, candidate.port))
                    await self._try_host(candidate, destination)
        return not self._has_failed

    def _destinations(self) -> Iterator[tuple[str, Destination]]:
        """Each smart host by itself, so that no answer hides behind another's; else the domain."""
        plan = self.plan
        smart_hosts = plan.connector.smart_hosts
        key = QueueKey(plan.connector.name, plan.bridgehead, SMART_HOSTS if smart_hosts else plan.domain)
        # A connector may be tried before it is enabled.
        connectors = (replace(plan.connector, enabled=True),)
        destination = destination_of(key, replace(plan.organization, connectors=connectors))
        assert destination is not None, "the plan names a connector and a virtual server of this organization"
        if not smart_hosts:
            if not plan.domain:
                raise ConfigurationError(
                    f'connector "{plan.connector.name}" finds its hosts by MX: say whose with --to'
                )
            yield plan.domain, destination
        for smart_host in smart_hosts:
            yield str(smart_host), replace(destination, smart_hosts=(smart_host,))

    async def _try_host(self, candidate: Candidate, destination: Destination) -> None:
        watch = Watch(str(candidate), time.monotonic, self._note)
        session = await open_session(candidate, destination, Wiring(self._contexts, self.timeouts, watch.trace))
        if isinstance(session, HostFailure):
            watch.failed(_STEP_OF.get(session.stage, str(session.stage)), _words(session.reply))
            if session.stage is Stage.HANDSHAKE and destination.security.tls is TlsLevel.VERIFY:
                await self._look_at_certificate(candidate, destination)
            return
        watch.settle()
        if session.certificate is not None:
            self._tell_certificate(candidate, session.certificate, destination.security)
        try:
            if await self._rehearse(session, watch):
                await self._send(session, watch)
        finally:
            await self._say_goodbye(session)

    async def _say_goodbye(self, session: SmtpChannel) -> None:
        """QUIT, and wait a little for the answer: servers complain in their logs about those who just hang up."""
        if session.connection.is_idle:
            with suppress(OSError, ProtocolError):
                session.connection.quit()
                await session.wait_event(self.timeouts.goodbye)
        session.leave()

    async def _rehearse(self, session: SmtpChannel, watch: Watch) -> bool:
        """MAIL, RCPT and RSET; whether a message may follow."""
        recipient = self.plan.recipient
        if recipient is None:
            return False
        envelope = self._envelope(recipient, len(self._content(recipient)))
        extensions = session.connection.extensions
        is_utf8 = client_commands.needs_smtputf8(envelope, (recipient,))
        mail = client_commands.mail(envelope, envelope.size, extensions, is_utf8=is_utf8)
        for line in (mail, client_commands.rcpt(recipient, extensions), "RSET"):
            verb = line.partition(" ")[0]
            try:
                session.connection.rehearse(line)
                event = await session.wait_event(self.timeouts.command)
            except (OSError, ProtocolError) as error:
                watch.failed(verb, "timed out" if isinstance(error, TimeoutError) else str(error))
                return False
            if not isinstance(event, Answered) or not event.reply.is_positive:
                watch.failed(verb, "the server ended the session")
                return False
        return True

    async def _send(self, session: SmtpChannel, watch: Watch) -> None:
        """The message, once: through the first host that took its recipient."""
        recipient = self.plan.recipient
        if recipient is None or not self.plan.sends or self._is_sent:
            return
        self._is_sent = True
        loop = asyncio.get_running_loop()
        ended: asyncio.Future[Attempted] = loop.create_future()
        closed: asyncio.Future[None] = loop.create_future()
        content = self._content(recipient)
        transaction = Transaction(
            MessageId(1), self._envelope(recipient, len(content)), (recipient,), Body(len(content), content)
        )
        watch.mute()  # MAIL and RCPT were told when they were rehearsed
        session.carry(lambda: closed.set_result(None))
        session.send(transaction, ended.set_result)
        outcome = (await ended).outcomes[recipient.ordinal]  # bounded by the channel's own deadlines
        words = _words(outcome.reply)
        if isinstance(outcome, Delivered):
            watch.passed(MESSAGE, words)
        else:
            watch.failed(MESSAGE, words)
        session.close()
        await closed  # bounded likewise

    def _envelope(self, recipient: Recipient, size: int) -> Envelope:
        return Envelope(self.plan.sender, (recipient,), size, time.time(), self.plan.bridgehead)

    def _content(self, recipient: Recipient) -> bytes:
        """The message of `--send`; the same size each time."""
        now = time.time()
        fqdn = self.plan.organization.virtual_server(self.plan.bridgehead).fqdn
        name = self.plan.connector.name.encode("ascii", "replace").decode()
        lines = (
            f"From: Bridgehead connector test <{self.plan.sender or f'postmaster@{fqdn}'}>",
            f"To: <{recipient.address}>",
            "Subject: Test of a connector",
            "Auto-Submitted: auto-generated",
            "MIME-Version: 1.0",
            "Content-Type: text/plain; charset=us-ascii",
        )
        header = "".join(f"{line}\r\n" for line in lines).encode()
        text = f'\r\nThis message was sent to test the connector "{name}".\r\n'
        identity = message_id_line(write(QueueIds(0).next(now)), fqdn)
        return header + date_line(date_text(now)) + identity + text.encode()

    async def _look_at_certificate(self, candidate: Candidate, destination: Destination) -> None:
        """Dial again without checking, to see what it is that was not trusted; nothing is sent."""
        security = destination.security
        unchecked = replace(destination, security=Security(tls=TlsLevel.REQUIRE, implicit_tls=security.implicit_tls))
        session = await open_session(candidate, unchecked, Wiring(self._contexts, self.timeouts))
        if isinstance(session, SmtpChannel):
            if session.certificate is not None:
                self._tell_certificate(candidate, session.certificate, unchecked.security)
            await self._say_goodbye(session)

    def _tell_certificate(self, candidate: Candidate, certificate: bytes, security: Security) -> None:
        description = describe_certificate(certificate, time.time())
        checked = "chain and name checked" if security.tls is TlsLevel.VERIFY else f"not checked ({security.tls})"
        result = Result.WARNING if description.trouble else Result.PASSED
        words = "; ".join(part for part in (description.words, checked, description.trouble) if part)
        self._note(Step(str(candidate), CERTIFICATE, result, 0.0, words))

    def _note(self, step: Step) -> None:
        self._has_failed = self._has_failed or step.result is Result.FAILED
        if step.result is not Result.PASSED:
            step = msgspec.structs.replace(step, advice=advice(step))
        self.tell(step)


def _words(reply: Reply) -> str:
    """What a server said, or the words alone where they are ours."""
    return str(reply) if reply.code else reply.text
