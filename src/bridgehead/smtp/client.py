"""The client half of SMTP without I/O: one conversation with one server (RFC 5321, 2920, 3207, 4954).

Octets from the server go into `receive_data`, what they mean comes out of `next_event`, and `data_to_send` holds
what must go to the server. Time is the driver's: it ends a wait by calling `fail`.

Rules of this file:
* A reply belongs to the command that was sent before it. Nothing is sent while something unasked lies there: it
  would be paired with a later command. Whatever comes while no reply is due breaks the connection (but for 421).
* What came before a TLS handshake is forgotten with all that the server offered (RFC 3207 4.2).
* Passwords are in no event and no trace.
"""

from __future__ import annotations

import binascii
from collections import deque
from dataclasses import replace
from enum import Enum, auto
from typing import Final

from bridgehead.core.envelope import Envelope, Recipient
from bridgehead.core.error import ProtocolError
from bridgehead.core.outcome import Deferred, Failed, Scope
from bridgehead.core.reply import Reply
from bridgehead.smtp import client_commands, client_content
from bridgehead.smtp.client_event import (
    Answered,
    Authenticated,
    Closed,
    ContentWanted,
    Event,
    Greeted,
    Phase,
    Refused,
    TlsAgreed,
    Trace,
    TraceKind,
    TransactionEnded,
)
from bridgehead.smtp.client_extensions import Extensions, read_extensions
from bridgehead.smtp.client_transaction import ClientTransaction, Next, Peer
from bridgehead.smtp.reply_reader import ReplyReader
from bridgehead.smtp.sasl_client import CHALLENGES_MAX, Credential, Exchange, choose

_CONTENT_WANTED: Final = ContentWanted()
_DOMAINS_REACHED: Final = Reply(0, "4.5.3", "The server takes no more domains in this session")
_EHLO_UNKNOWN: Final = frozenset({500, 501, 502, 503, 504})
"""Replies of servers that know no EHLO (RFC 5321 4.1.1.1); others refuse us."""


class _State(Enum):
    """Where the conversation stands."""

    GREETING = auto()
    HELLO = auto()
    IDLE = auto()
    STARTTLS = auto()
    HANDSHAKE = auto()
    AUTHENTICATION = auto()
    TRANSACTION = auto()
    REHEARSAL = auto()
    QUIT = auto()
    CLOSED = auto()


# Bound to names once: looking a member up in its enumeration costs as much as a whole step of a transaction.
_IN_CLOSED: Final = _State.CLOSED
_IN_HANDSHAKE: Final = _State.HANDSHAKE
_IN_IDLE: Final = _State.IDLE
_IN_TRANSACTION: Final = _State.TRANSACTION
_CONTENT: Final = Next.CONTENT
_LONE_DOT: Final = Next.LONE_DOT
_WAIT: Final = Next.WAIT


class ClientConnection:
    """One conversation; changed only by the driver that owns the connection.

    `fqdn` is what we call ourselves, `host` names the server in outcomes. With `helo` EHLO is not tried; with
    `lmtp` the server is greeted with LHLO, and delivers (RFC 2033). With `one_domain` all recipients are of the same
    one, so that a limit on domains means nothing.
    """

    def __init__(
        self,
        fqdn: str,
        host: str,
        *,
        helo: bool = False,
        lmtp: bool = False,
        one_domain: bool = False,
        trace: Trace | None = None,
    ) -> None:
        self.extensions = Extensions()
        self.peer = Peer(host, lmtp=lmtp)
        self.replies = 0  # whole ones so far: what the driver's deadlines go by, since a dribble is no progress
        self._fqdn = fqdn
        self._first_hello = "LHLO" if lmtp else "HELO" if helo else "EHLO"
        self._trace = trace
        self._reader = ReplyReader()
        self._state = _State.GREETING
        self._hello = ""
        self._output: list[bytes] = []
        self._events: deque[Event] = deque()
        self._exchange: Exchange | None = None
        self._challenges = 0
        self._transaction: ClientTransaction | None = None
        self._pending: deque[str] = deque()
        self._needs_reset = False
        self._messages = 0
        self._one_domain = one_domain
        self._domains: set[str] = set()
        """Of recipients named so far; kept only where the server limits them."""

    # What the driver asks

    @property
    def is_idle(self) -> bool:
        """Whether `begin` may be called."""
        return self._state is _IN_IDLE

    @property
    def is_reusable(self) -> bool:
        """Whether the server takes another message: it has not closed, and no limit on the session is reached."""
        most, most_domains = self.extensions.messages_max, self.extensions.domains_max
        if self._state is not _IN_IDLE or (most and self._messages >= most):
            return False
        # One more domain would not fit, and nobody knows which the next message needs.
        return not most_domains or self._one_domain or len(self._domains) < most_domains

    def next_event(self) -> Event | None:
        """The oldest event not yet handed out."""
        return self._events.popleft() if self._events else None

    def data_to_send(self) -> bytes:
        """All that is to go to the server now; handed out once."""
        output = self._output
        if not output:
            return b""
        data = output[0] if len(output) == 1 else b"".join(output)
        output.clear()
        return data

    # What comes from the server

    def receive_data(self, data: bytes) -> None:
        """Take octets off the wire. `ProtocolError`: see to the events, then `fail` and drop the connection."""
        if self._is_deaf():
            return
        reader = self._reader
        reader.receive(data)
        while (reply := reader.next_reply()) is not None:
            self.replies += 1
            if self._trace is not None:
                self._trace(TraceKind.RECEIVED, str(reply))
            if self._state is _IN_TRANSACTION:
                self._take_in_transaction(reply)
            else:
                self._take_outside_transaction(reply)
            if self._is_deaf():
                reader.discard()
                return

    def tls_established(self, description: str) -> None:
        """The handshake went well; says EHLO anew unless TLS was there from the first byte."""
        self.peer = replace(self.peer, tls=description)
        self.extensions = Extensions()
        if self._state is _IN_HANDSHAKE:
            self._say_hello(self._first_hello)

    def fail(self, reply: Reply, scope: Scope | None = None) -> None:
        """The connection is gone or given up: whoever is in flight is deferred with `reply`; nothing follows.

        Without a `scope` the transaction's own holds: before any answer the host's trouble, then the message's.
        """
        transaction = self._transaction
        if transaction is not None:
            transaction.interrupt(reply, scope)
            self._end_transaction(transaction)
        self._state = _IN_CLOSED
        self._output.clear()

    # What the driver wants

    def start_tls(self) -> None:
        """Send STARTTLS: `TlsAgreed` or `Refused` follows."""
        self._ask(_State.STARTTLS, "STARTTLS")

    def authenticate(self, credential: Credential) -> None:
        """Log in with the best mechanism offered: `Authenticated` or `Refused` follows (also if none is offered)."""
        exchange = choose(self.extensions.authentication, credential, is_private=bool(self.peer.tls))
        if exchange is None:
            reply = Reply(0, "5.7.4", "The server offers no authentication that we know")
            self._events.append(Refused(Phase.AUTHENTICATION, reply))
            return
        self._exchange, self._challenges = exchange, 0
        initial = exchange.initial()
        line = f"AUTH {exchange.mechanism}"
        if initial is None:
            self._ask(_State.AUTHENTICATION, line)
            return
        self._ask(_State.AUTHENTICATION, f"{line} {_base64(initial) or '='}", f"{line} <hidden>")

    def begin(self, envelope: Envelope, recipients: tuple[Recipient, ...], size: int) -> None:
        """Begin a transaction; `size` is that of the content that will be sent.

        `ContentWanted` may and `TransactionEnded` will follow, the latter at once where this server can never take
        the message. Whether 8-bit content may go out as it is is for the driver to see to beforehand.
        """
        self._require(_IN_IDLE)
        is_utf8 = client_commands.needs_smtputf8(envelope, recipients)
        extensions = self.extensions
        mail = client_commands.mail(envelope, size, extensions, is_utf8=is_utf8)
        refusal = client_commands.cannot_take(mail, size, extensions, is_utf8=is_utf8)
        if refusal is not None:
            outcome = Failed(refusal, self.peer.host)
            self._events.append(TransactionEnded({recipient.ordinal: outcome for recipient in recipients}, ()))
            return
        taken, rest = client_commands.within_limits(recipients, extensions, self._domains)
        if not taken:  # the driver may not have asked `is_reusable`
            full = Deferred(_DOMAINS_REACHED, Scope.HOST, self.peer.host)
            self._events.append(TransactionEnded({recipient.ordinal: full for recipient in recipients}, ()))
            return
        named, lines = client_commands.rcpts(taken, extensions)
        transaction = ClientTransaction(
            named, self.peer, is_pipelined=extensions.pipelining, is_after_reset=self._needs_reset
        )
        transaction.remaining.extend(rest)
        if len(named) < len(taken):
            transaction.fail_unsafe(taken, client_commands.UNSAFE_RECIPIENT)
        if not named:
            self._end_transaction(transaction)
            return
        lines = ["RSET", mail, *lines, "DATA"] if self._needs_reset else [mail, *lines, "DATA"]
        self._transaction = transaction
        self._state = _IN_TRANSACTION
        self._needs_reset = True
        self._messages += 1
        if extensions.pipelining:
            self._send(lines)
        else:
            self._pending.extend(lines)
            self._send([self._pending.popleft()])

    def send_content(self, content: bytes) -> None:
        """Send the whole content, lines ended by CRLF, not yet dot-stuffed."""
        self._content_ends()
        self._output.append(client_content.stuff(content))

    def send_block(self, stuffed: bytes) -> None:
        """Send a part of the content that a `DotStuffer` has seen."""
        self._output.append(stuffed)

    def end_content(self, end: bytes) -> None:
        """Send what the `DotStuffer` says ends the content. Never call it for content that is not whole."""
        self._content_ends()
        self._output.append(end)

    def rehearse(self, line: str) -> None:
        """Send a command that leads to no transaction (MAIL and RCPT without DATA, RSET): `Answered` follows."""
        self._ask(_State.REHEARSAL, line)

    def quit(self) -> None:
        """Say goodbye: `Closed` follows, if the server is polite."""
        self._ask(_State.QUIT, "QUIT")

    # Sending

    def _is_deaf(self) -> bool:
        """Whether what comes now is not looked at: in the clear though TLS was agreed, or after the end."""
        return self._state is _IN_HANDSHAKE or self._state is _IN_CLOSED

    def _send(self, lines: list[str]) -> None:
        """Send commands together; each has been checked to be one line."""
        self._expect_silence()
        if self._trace is not None:
            for line in lines:
                self._trace(TraceKind.SENT, line)
        lines.append("")
        self._output.append("\r\n".join(lines).encode())

    def _ask(self, state: _State, line: str, shown: str = "") -> None:
        """Send one command outside a transaction; `shown` replaces it in the trace."""
        self._require(_IN_IDLE)
        self._write_line(line, shown)
        self._state = state

    def _write_line(self, line: str, shown: str = "") -> None:
        if not client_commands.is_safe(line):
            raise ValueError("a command must be one line")
        self._expect_silence()
        if self._trace is not None:
            self._trace(TraceKind.SENT, shown or line)
        self._output.append(f"{line}\r\n".encode())

    def _require(self, state: _State) -> None:
        """A driver that does something at the wrong time is a defect of ours."""
        if self._state is not state:
            raise RuntimeError(f"not possible while {self._state.name}")

    def _expect_silence(self) -> None:
        """No reply is due, and something is to be sent: what lies there already was said too early to answer it."""
        if not self._reader.is_empty:
            raise ProtocolError("the server speaks without being asked")

    def _say_hello(self, verb: str) -> None:
        self._hello = verb
        self._state = _State.HELLO
        self._write_line(f"{verb} {self._fqdn}")

    def _content_ends(self) -> None:
        self._expect_silence()
        if self._transaction is None or not self._transaction.sends_content:
            raise RuntimeError("no content is wanted")
        self._transaction.content_sent()

    # Receiving

    def _take_outside_transaction(self, reply: Reply) -> None:
        match self._state:
            case _State.GREETING:
                self._take_greeting(reply)
            case _State.HELLO:
                self._take_hello(reply)
            case _State.STARTTLS:
                self._take_starttls(reply)
            case _State.AUTHENTICATION:
                self._take_authentication(reply)
            case _State.REHEARSAL:
                self._state = _IN_CLOSED if reply.code == 421 else _IN_IDLE
                self._events.append(Answered(reply))
            case _State.QUIT:
                self._close(reply)
            case _:
                if reply.code != 421:
                    raise ProtocolError(f"the server says {reply.code} without being asked")
                self._close(reply)

    def _take_in_transaction(self, reply: Reply) -> None:
        transaction = self._transaction
        assert transaction is not None  # the state says so
        following = transaction.receive(reply)
        if following is _WAIT:
            if self._pending:
                self._send([self._pending.popleft()])
        elif following is _CONTENT:
            self._events.append(_CONTENT_WANTED)
        elif following is _LONE_DOT:
            self._expect_silence()
            self._output.append(client_content.END)
        else:
            self._state = _IN_IDLE
            self._end_transaction(transaction)
            if reply.code == 421 or transaction.sends_content:  # gone, or lost in the middle of the content
                self._state = _IN_CLOSED

    def _end_transaction(self, transaction: ClientTransaction) -> None:
        self._transaction = None
        self._pending.clear()
        self._needs_reset = self._needs_reset and not transaction.has_ended_content
        self._events.append(TransactionEnded(transaction.outcomes, tuple(transaction.remaining)))

    def _take_greeting(self, reply: Reply) -> None:
        if reply.code // 100 != 2:
            self._refuse(Phase.GREETING, reply)
            return
        self._say_hello(self._first_hello)

    def _take_hello(self, reply: Reply) -> None:
        if reply.code // 100 == 2:
            self.extensions = Extensions() if self._hello == "HELO" else read_extensions(reply.text)
            self.peer = replace(self.peer, dsn=self.extensions.dsn)
            self._state = _IN_IDLE
            self._events.append(Greeted())
        elif self._hello == "EHLO" and reply.code in _EHLO_UNKNOWN:
            self._say_hello("HELO")
        else:
            self._refuse(Phase.HELLO, reply)

    def _take_starttls(self, reply: Reply) -> None:
        if reply.code != 220:
            self._refuse(Phase.STARTTLS, reply)
            return
        self._state = _IN_HANDSHAKE
        self._events.append(TlsAgreed())

    def _take_authentication(self, reply: Reply) -> None:
        exchange = self._exchange
        if reply.code == 334 and exchange is not None and self._challenges < CHALLENGES_MAX:
            self._challenges += 1
            try:
                challenge = binascii.a2b_base64(reply.text)
            except ValueError:  # binascii.Error, or a letter that is not ASCII
                challenge = b""  # LOGIN and PLAIN do not look at it; CRAM-MD5 will be refused
            self._write_line(_base64(exchange.answer(challenge)), "<hidden>")
            return
        self._exchange = None
        if reply.code // 100 == 2:
            self._state = _IN_IDLE
            self._events.append(Authenticated())
        else:
            self._refuse(Phase.AUTHENTICATION, reply)

    def _refuse(self, phase: Phase, reply: Reply) -> None:
        self._state = _IN_CLOSED if reply.code in {421, 334} or phase is Phase.GREETING else _IN_IDLE
        self._events.append(Refused(phase, reply))

    def _close(self, reply: Reply) -> None:
        self._state = _IN_CLOSED
        self._events.append(Closed(reply))


def _base64(octets: bytes) -> str:
    return binascii.b2a_base64(octets, newline=False).decode("ascii")
