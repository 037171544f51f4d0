"""One attempt to open a session with one host: connect, TLS, greeting, EHLO, STARTTLS, AUTH.

Whatever goes wrong here is the host's trouble and a `HostFailure`; the dialer then tries the next host. Under
`opportunistic` a refused STARTTLS or a failed handshake leads to a new connection in the clear at once.
"""

from __future__ import annotations

import asyncio
import errno
import ipaddress
import os
import ssl
from collections.abc import Callable
from dataclasses import dataclass
from enum import StrEnum
from typing import Final

from bridgehead.core.error import BridgeheadError, ProtocolError
from bridgehead.core.organization import Authentication, TlsLevel
from bridgehead.core.reply import Reply
from bridgehead.net.tls import ClientContexts, ClientTls, describe_error
from bridgehead.outbound.contract import Destination
from bridgehead.outbound.hosts import Candidate
from bridgehead.outbound.smtp_channel import ChannelTerms, SmtpChannel
from bridgehead.outbound.timeouts import TIMEOUTS, Timeouts
from bridgehead.smtp.client import ClientConnection
from bridgehead.smtp.client_event import (
    Authenticated,
    Closed,
    Event,
    Greeted,
    Phase,
    Refused,
    TlsAgreed,
    Trace,
    TraceKind,
)
from bridgehead.smtp.client_transaction import CREDENTIAL_CODES
from bridgehead.smtp.sasl_client import Credential


class Stage(StrEnum):
    """How far an attempt got, in the words of a log line."""

    CONNECT = "connect"
    HANDSHAKE = "TLS handshake"
    GREETING = "greeting"
    HELLO = "EHLO"
    STARTTLS = "STARTTLS"
    AUTHENTICATION = "AUTH"
    MACHINE = "this machine"
    """Not the host's trouble: nothing can be connected from here now."""

    @property
    def is_connect_level(self) -> bool:
        """Whether a host that fails here counts as down."""
        return self in {Stage.CONNECT, Stage.HANDSHAKE, Stage.GREETING}


@dataclass(frozen=True, slots=True)
class HostFailure:
    """Why a host could not be used."""

    host: str
    stage: Stage
    reply: Reply
    """The server's refusal, or ours in its place."""

    @property
    def is_credential(self) -> bool:
        """Whether no host will do until an operator mends the credential."""
        return self.reply.code in CREDENTIAL_CODES

    @property
    def is_ours(self) -> bool:
        """Whether nothing is said about the host: no other one could be reached either."""
        return self.stage is Stage.MACHINE

    @property
    def is_tls(self) -> bool:
        """Whether the same host may do in the clear."""
        return self.stage in {Stage.STARTTLS, Stage.HANDSHAKE}

    def __str__(self) -> str:
        return f"{self.host}: {self.stage}: {self.reply}"


@dataclass(frozen=True, slots=True)
class Wiring:
    """What every attempt of a dialer has in common."""

    contexts: ClientContexts
    timeouts: Timeouts = TIMEOUTS
    trace: Trace | None = None


async def connect(
    candidate: Candidate, destination: Destination, wiring: Wiring, closed: Callable[[], None]
) -> SmtpChannel | HostFailure:
    """A channel to `candidate`, past AUTH where the destination asks for it, or why there is none."""
    result = await open_session(candidate, destination, wiring)
    if isinstance(result, SmtpChannel):
        result.carry(closed)
    return result


async def open_session(candidate: Candidate, destination: Destination, wiring: Wiring) -> SmtpChannel | HostFailure:
    """The same, before `carry`: whoever only tests a host goes on with `wait_event`."""
    attempt = _Attempt(candidate, destination, wiring)
    level = destination.security.tls
    result = await attempt.run(uses_tls=level is not TlsLevel.NONE)
    falls_back = level is TlsLevel.OPPORTUNISTIC and not destination.security.implicit_tls
    if isinstance(result, HostFailure) and result.is_tls and falls_back:
        attempt.tell(TraceKind.TLS, f"{result}; again in the clear")
        result = await attempt.run(uses_tls=False)
    return result


class _StoppedError(BridgeheadError):
    """The server refused to go on."""

    def __init__(self, stage: Stage, reply: Reply) -> None:
        super().__init__(str(reply))
        self.stage = stage
        self.reply = reply


class _Attempt:
    """The steps of one connection; `stage` is the one being tried."""

    def __init__(self, candidate: Candidate, destination: Destination, wiring: Wiring) -> None:
        self.candidate = candidate
        self.destination = destination
        self.wiring = wiring
        self.timeouts = wiring.timeouts.at_most(destination.virtual_server.delivery.connection_timeout_seconds)
        self.stage = Stage.CONNECT

    def tell(self, kind: TraceKind, text: str) -> None:
        """Say a step to whoever watches."""
        if self.wiring.trace is not None:
            self.wiring.trace(kind, text)

    async def run(self, *, uses_tls: bool) -> SmtpChannel | HostFailure:
        """Connect and go through the session's beginning; never raises but for cancellation."""
        channel = self._channel()
        is_open = False
        try:
            await self._connect(channel)
            await self._converse(channel, uses_tls=uses_tls)
            is_open = True
        except _StoppedError as error:
            return self._failure(error.stage, error.reply)
        except (TimeoutError, OSError, ProtocolError) as error:
            return self._failure(_stage_of(error) or self._reached(channel), _trouble(error))
        finally:
            if not is_open:
                channel.leave()
        return channel

    def _channel(self) -> SmtpChannel:
        destination = self.destination
        connection = ClientConnection(
            destination.virtual_server.fqdn,
            str(self.candidate),
            helo=destination.helo,
            one_domain=bool(destination.domain),
            trace=self.wiring.trace,
        )
        terms = ChannelTerms(self.timeouts, destination.messages_per_connection)
        return SmtpChannel(connection, terms)

    async def _connect(self, channel: SmtpChannel) -> None:
        self.stage = Stage.CONNECT
        address = self.candidate.address
        source = _source(self.destination.virtual_server.delivery.source_addresses, address)
        self.tell(TraceKind.DIAL, f"{self.candidate}" + (f" from {source}" if source else ""))
        async with asyncio.timeout(self.timeouts.connect):
            await asyncio.get_running_loop().create_connection(
                lambda: channel, address, self.candidate.port, local_addr=(source, 0) if source else None
            )
        self.tell(TraceKind.CONNECTED, "")

    async def _converse(self, channel: SmtpChannel, *, uses_tls: bool) -> None:
        security = self.destination.security
        if security.implicit_tls and uses_tls:
            await self._handshake(channel)
        self.stage = Stage.GREETING
        await self._expect(channel, Greeted, self.timeouts.greeting)
        if uses_tls and not security.implicit_tls:
            await self._start_tls(channel)
        if security.authentication is not Authentication.ANONYMOUS:
            await self._authenticate(channel)

    async def _start_tls(self, channel: SmtpChannel) -> None:
        """STARTTLS, where the level wants it or the server offers it."""
        self.stage = Stage.STARTTLS
        if not channel.connection.extensions.starttls:
            if self.destination.security.tls is TlsLevel.OPPORTUNISTIC:
                return
            raise _StoppedError(Stage.STARTTLS, Reply(0, "4.7.4", "the server does not offer TLS"))
        channel.connection.start_tls()
        await self._expect(channel, TlsAgreed, self.timeouts.command)
        await self._handshake(channel)
        self.stage = Stage.HELLO
        await self._expect(channel, Greeted, self.timeouts.command)

    async def _handshake(self, channel: SmtpChannel) -> None:
        self.stage = Stage.HANDSHAKE
        description = await channel.start_tls(self._tls(), self.timeouts.handshake)
        self.tell(TraceKind.TLS, description)

    def _tls(self) -> ClientTls:
        candidate = self.candidate
        return self.wiring.contexts.tls(
            self.destination.security, candidate.trusted_name, candidate.name or candidate.address
        )

    async def _authenticate(self, channel: SmtpChannel) -> None:
        self.stage = Stage.AUTHENTICATION
        security = self.destination.security
        if not channel.connection.peer.tls and security.tls is not TlsLevel.NONE:
            raise _StoppedError(Stage.STARTTLS, Reply(0, "4.7.11", "no authentication without TLS"))
        password = security.password.value if security.password is not None else ""
        channel.connection.authenticate(Credential(security.username, password))
        await self._expect(channel, Authenticated, self.timeouts.command)

    async def _expect(self, channel: SmtpChannel, wanted: type[Event], seconds: float) -> None:
        """Wait for this event; anything else ends the attempt."""
        event = await channel.wait_event(seconds)
        match event:
            case Refused(phase, reply):
                raise _StoppedError(_STAGES[phase], reply)
            case Closed(reply):
                raise _StoppedError(self.stage, reply)
            case _:
                if not isinstance(event, wanted):
                    raise ProtocolError(f"{type(event).__name__} instead of {wanted.__name__}")

    def _reached(self, channel: SmtpChannel) -> Stage:
        """The stage that failed: one wait covers greeting and EHLO, and a greeting may have come."""
        greeted = self.stage is Stage.GREETING and channel.connection.replies
        return Stage.HELLO if greeted else self.stage

    def _failure(self, stage: Stage, reply: Reply) -> HostFailure:
        return HostFailure(str(self.candidate), stage, reply)


_SHORTAGES: Final = frozenset({errno.EMFILE, errno.ENFILE, errno.ENOBUFS, errno.ENOMEM})
"""What the kernel says where this machine has too little for one more connection."""
_STAGES = {
    Phase.GREETING: Stage.GREETING,
    Phase.HELLO: Stage.HELLO,
    Phase.STARTTLS: Stage.STARTTLS,
    Phase.AUTHENTICATION: Stage.AUTHENTICATION,
}


def _stage_of(error: OSError | ProtocolError) -> Stage | None:
    """`MACHINE` where the trouble is this machine's; a connector must not count as down for it."""
    return Stage.MACHINE if isinstance(error, OSError) and error.errno in _SHORTAGES else None


def _source(source_addresses: tuple[str, ...], address: str) -> str:
    """The local address to dial from: the first of the same family; empty: the kernel's choice."""
    if not source_addresses:
        return ""
    version = ipaddress.ip_address(address).version
    return next((one for one in source_addresses if ipaddress.ip_address(one).version == version), "")


def _trouble(error: OSError | ProtocolError) -> Reply:
    """What went wrong, in words: `"connection refused"` instead of a text full of numbers."""
    match error:
        case ProtocolError():
            return Reply(0, "4.5.0", str(error))
        case TimeoutError() if not error.errno:  # ours, not the kernel's
            return Reply(0, "4.4.1", "timed out")
        case ssl.SSLError():
            return Reply(0, "4.7.5", describe_error(error))
        case OSError() if error.errno:
            return Reply(0, "4.4.1", os.strerror(error.errno).lower())
        case _:
            return Reply(0, "4.4.1", str(error) or type(error).__name__)
