"""The server half of an SMTP session without I/O: bytes in, events out, replies as bytes (RFC 5321 and extensions).

    connection = ServerConnection(Offer("mx.example.org"))
    connection.greet()
    connection.receive_data(...)
    while (event := connection.next_event()) is not None: ...   # answer questions by `accept` or `refuse`
    transport.write(connection.data_to_send())

Rules of this file:
* Every command and every answer passes the table of `server_state`.
* What comes behind a command that must be the last of its group is refused as unsynchronized (RFC 2920 3.1), and so
  is whatever a client that said HELO, or nothing yet, sends without waiting.
* Nothing that arrived before a TLS handshake is ever looked at behind it (RFC 3207 4.2).
* A message with a bare CR, bare LF or NUL is read to its real end, refused with 550, and the session closes: what
  comes behind such a message might have been meant as part of it, so none of it is run.
* Any bytes at all give events or replies, never an exception, and the buffer never exceeds `Limits.buffer_max`.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import ClassVar, Final

from bridgehead.core.reply import Reply
from bridgehead.smtp import replies, sasl_server
from bridgehead.smtp.command import parse_chunk, parse_hello, parse_mail, parse_rcpt
from bridgehead.smtp.data_reader import ChunkReader, DataReader, Measure
from bridgehead.smtp.event import (
    Abandoned,
    Authenticate,
    Content,
    ContentEnd,
    DataBegin,
    Event,
    Fault,
    Hello,
    Noted,
    Quit,
    StartTls,
)
from bridgehead.smtp.limits import LIMITS, Limits
from bridgehead.smtp.offer import Offer, greeting, hello
from bridgehead.smtp.receive_buffer import CR, INCOMPLETE, LF, NUL, TOO_LONG, ReceiveBuffer
from bridgehead.smtp.server_state import COMMANDS, QUESTIONS, TABLE, Input, State

_CONTENT: Final = frozenset({State.DATA, State.CHUNK, State.LAST_CHUNK})
_CHUNK_QUESTIONS: Final = frozenset({State.CHUNK_ASKED, State.LAST_CHUNK_ASKED})
_LAST_OF_GROUP: Final = frozenset({b"EHLO", b"HELO", b"DATA", b"AUTH"})
"""Commands that a client must not send anything behind before it has our reply (RFC 2920 3.1, RFC 4954 4).

NOOP, VRFY and QUIT belong to the list too, but nothing can be smuggled behind them.
"""
_DROP_THE_REST: Final = frozenset({b"QUIT", b"STARTTLS"})
"""What follows these is thrown away anyway."""

# Bound to names once: looking a member up in its enumeration costs as much as the table itself.
_IN_AUTHENTICATING: Final = State.AUTHENTICATING
_IN_CLOSED: Final = State.CLOSED
_IN_CREDENTIALS_ASKED: Final = State.CREDENTIALS_ASKED
_IN_DATA: Final = State.DATA
_IN_DATA_ASKED: Final = State.DATA_ASKED
_IN_END_ASKED: Final = State.END_ASKED
_IN_TLS: Final = State.TLS
_ON_ACCEPTED: Final = Input.ACCEPTED
_ON_CONTENT_END: Final = Input.CONTENT_END
_ON_DATA: Final = Input.DATA
_ON_MAIL: Final = Input.MAIL
_ON_RCPT: Final = Input.RCPT


class ServerConnection:
    """One session. Changed only through its methods, by its driver."""

    def __init__(self, offer: Offer, limits: Limits = LIMITS) -> None:
        self.offer = offer
        """What is offered from the next command on; the driver replaces it when something changes."""
        self.is_authenticated = False
        self.is_tls = False
        self.is_extended = False
        """The client said EHLO, not HELO."""
        self.errors = 0
        """Faults of the client so far, refused recipients and credentials included."""
        self.state = State.CONNECTED
        """Where the session is; changed here alone."""
        self._limits = limits
        self._buffer = ReceiveBuffer()
        self._replies: list[bytes] = []
        self._smtputf8 = False
        self._idle_commands = 0
        self._data = DataReader(Measure(0))
        self._chunks = ChunkReader(0)
        self._unwanted: int | None = None
        self._unwanted_reply = replies.BAD_SEQUENCE
        self._exchange: sasl_server.Exchange = sasl_server.Plain()
        self._mechanism = ""

    @property
    def is_asking(self) -> bool:
        """Whether the last event waits for `accept` or `refuse`."""
        return self.state in QUESTIONS

    @property
    def is_closed(self) -> bool:
        """Whether to send what is queued and close; nothing is read any more."""
        return self.state is _IN_CLOSED

    @property
    def buffered(self) -> int:
        """Octets received and not yet used; the driver stops reading while there are some and a question is open."""
        return len(self._buffer)

    def receive_data(self, data: bytes) -> None:
        """Take what arrived; then ask `next_event` until it is `None`."""
        if self.state is _IN_CLOSED or self.state is _IN_TLS:
            return
        self._buffer.receive(data)
        if len(self._buffer.octets) > self._limits.buffer_max:
            self.close(replies.BUFFER_FULL)

    def next_event(self) -> Event | None:
        """The next thing the client did; `None`: more data, or the answer to the last event, is needed."""
        buffer = self._buffer
        while buffer.position < len(buffer.octets) or self.state in _CONTENT or self._unwanted is not None:
            state = self.state
            if self._unwanted is not None:
                event = self._throw_away(self._unwanted)
                if event is None:
                    break
            elif state in COMMANDS:
                event = self._read_command()
            elif state is _IN_DATA:
                event = self._read_data()
            elif state in _CONTENT:
                event = self._read_chunk()
            elif state is _IN_AUTHENTICATING:
                event = self._read_authentication()
            else:
                return None
            if event is not None:
                return event
            if self.state is state and self._unwanted is None:
                # What there is cannot be used before more of it arrives.
                break
        buffer.trim()
        return None

    def data_to_send(self) -> bytes:
        """All replies since the last call, in one piece."""
        waiting = self._replies
        data = waiting[0] if len(waiting) == 1 else b"".join(waiting)
        waiting.clear()
        return data

    def greet(self) -> None:
        """Send the greeting. Whoever spoke before it is refused (RFC 5321 4.3.1)."""
        self._move(Input.GREETED)
        if len(self._buffer):
            self.close(replies.UNSYNCHRONIZED)
        else:
            self._replies.append(greeting(self.offer))

    def accept(self, reply: Reply | None = None) -> None:
        """Answer the last event positively, with the usual reply or another of the same class."""
        state = self.state
        self.state = TABLE[state][_ON_ACCEPTED]
        self._replies.append(replies.ACCEPTANCE[state] if reply is None else reply.encode())
        if state is _IN_DATA_ASKED:
            self._data = DataReader(Measure(self.offer.size_max))
        elif state is _IN_END_ASKED:
            self._idle_commands = 0
        elif state is _IN_CREDENTIALS_ASKED:
            self.is_authenticated = True

    def refuse(self, reply: Reply) -> None:
        """Answer the last event negatively. 421 closes, and so does the refusal of a message with bare line ends."""
        state = self.state
        self.state = TABLE[state][Input.REFUSED]
        if state in _CHUNK_QUESTIONS:
            self._unwanted = self._chunks.remaining
            self._unwanted_reply = reply
            return
        self._send(reply)
        self._count_error()
        if reply.code == 421 or reply is replies.BARE_CONTENT:
            self._end()

    def close(self, reply: Reply) -> None:
        """Say good-bye (421, or 554 instead of a greeting) whatever the state; what was received is dropped."""
        if self.state is not State.CLOSED:
            self._send(reply)
            self._end()

    def tls_started(self, offer: Offer) -> None:
        """The handshake is done, behind STARTTLS or before the greeting: nothing said before it counts any more."""
        if self.state is State.TLS:
            self._move(Input.TLS_STARTED)
        self.offer = offer
        self.is_tls = True
        self.is_authenticated = False
        self.is_extended = False
        self._buffer.clear()

    # Lines

    def _read_command(self) -> Event | None:
        buffer = self._buffer
        line = buffer.next_line(self._limits.command_line_max)
        if not isinstance(line, bytes):
            return self._fault(replies.LINE_TOO_LONG) if line is TOO_LONG else None
        if LF in line or CR in line or NUL in line:
            return self._fault(replies.BARE_CONTROL)
        verb, _, argument = line.partition(b" ")
        verb = verb.upper()
        if buffer.position < len(buffer.octets) and (
            verb in _LAST_OF_GROUP or (not self.is_extended and verb not in _DROP_THE_REST)
        ):
            return self._unsynchronized()
        act = self._VERBS.get(verb)
        return act(self, argument) if act is not None else self._fault(replies.UNKNOWN_COMMAND)

    def _read_authentication(self) -> Event | None:
        line = self._buffer.next_line(self._limits.authentication_line_max)
        if line is INCOMPLETE:
            return None
        if not isinstance(line, bytes):
            self._move(Input.CANCELLED)
            return self._fault(replies.AUTHENTICATION_LINE_TOO_LONG)
        return self._unsynchronized() if len(self._buffer) else self._authenticate(line)

    # Commands: each is called with what stands behind the verb

    def _hello(self, argument: bytes, is_extended: bool) -> Event:
        name = parse_hello(argument, self._limits)
        if name is None:
            return self._fault(replies.BAD_HELLO)
        self._move(Input.EHLO if is_extended else Input.HELO)
        self.is_extended = is_extended
        self._replies.append(hello(self.offer, is_extended=is_extended))
        return self._idle(Hello(name, is_extended))

    def _mail(self, argument: bytes) -> Event:
        following = TABLE[self.state].get(_ON_MAIL)
        if following is None:
            return self._fault(self._sequence_reply())
        mail = parse_mail(argument, self.is_extended, self._limits)
        if isinstance(mail, Reply):
            return self._fault(mail)
        self._smtputf8 = mail.smtputf8
        self.state = following
        return mail

    def _rcpt(self, argument: bytes) -> Event:
        following = TABLE[self.state].get(_ON_RCPT)
        if following is None:
            return self._fault(self._sequence_reply())
        recipient = parse_rcpt(argument, self.is_extended, self._smtputf8, self._limits)
        if isinstance(recipient, Reply):
            return self._fault(recipient)
        self.state = following
        return recipient

    def _start_data(self, argument: bytes) -> Event:
        if argument:
            return self._fault(replies.NO_ARGUMENT)
        following = TABLE[self.state].get(_ON_DATA)
        if following is None:
            return self._fault(self._sequence_reply())
        self.state = following
        return DataBegin(is_chunked=False)

    def _bdat(self, argument: bytes) -> Event | None:
        chunk = parse_chunk(argument)
        if chunk is None:
            # How many octets follow is not known, so nothing behind this can be read (RFC 3030 2).
            fault = self._fault(replies.SYNTAX)
            self._end()
            return fault
        step = Input.BDAT_LAST if chunk.is_last else Input.BDAT
        if not self.is_extended or step not in TABLE[self.state]:
            # Its octets are on their way all the same.
            self._unwanted, self._unwanted_reply = chunk.octets, self._sequence_reply()
            return None
        is_first = self.state is State.RCPT
        if is_first:
            self._chunks = ChunkReader(self.offer.size_max)
        self._chunks.begin(chunk.octets)
        self._move(step)
        return DataBegin(is_chunked=True) if is_first else None

    def _reset(self, argument: bytes) -> Event:
        if argument:
            return self._fault(replies.NO_ARGUMENT)
        self._move(Input.RSET)
        self._send(replies.RESET)
        return self._idle(Abandoned())

    def _note(self, verb: str, reply: Reply) -> Event:
        self._send(reply)
        return self._idle(Noted(verb))

    def _quit(self, _argument: bytes) -> Event:
        self._send(replies.BYE)
        self._end()
        return Quit()

    def _starttls(self, argument: bytes) -> Event:
        if self.is_tls:
            return self._fault(replies.TLS_TWICE)
        if not self.offer.starttls:
            return self._fault(replies.NO_TLS)
        if argument:
            return self._fault(replies.NO_ARGUMENT)
        if Input.STARTTLS not in TABLE[self.state]:
            return self._fault(self._sequence_reply())
        self._move(Input.STARTTLS)
        self._send(replies.TLS_READY)
        # What the client, or someone between us, put behind STARTTLS is thrown away (CVE-2011-0411).
        self._buffer.clear()
        return StartTls()

    def _auth(self, argument: bytes) -> Event | None:
        refusal = self._auth_refusal()
        if refusal is not None:
            return self._fault(refusal)
        word, _, initial = argument.partition(b" ")
        mechanism = word.upper().decode("ascii", "replace")
        if mechanism not in self.offer.mechanisms or mechanism not in sasl_server.MECHANISMS:
            return self._fault(replies.AUTH_MECHANISM)
        self._mechanism = mechanism
        self._exchange = sasl_server.MECHANISMS[mechanism]()
        self._move(Input.AUTH)
        if initial:
            # "=" is an initial response of no octets (RFC 4954 4).
            return self._authenticate(b"" if initial == b"=" else initial)
        self._replies.append(sasl_server.encode_challenge(self._exchange.begin()))
        return None

    def _auth_refusal(self) -> Reply | None:
        if self.is_authenticated:
            return replies.AUTH_TWICE
        if not self.offer.mechanisms or not self.is_extended:
            return replies.AUTH_NEEDS_TLS if self.offer.auth_after_tls else replies.AUTH_UNAVAILABLE
        return None if Input.AUTH in TABLE[self.state] else self._sequence_reply()

    def _authenticate(self, line: bytes) -> Event | None:
        response = sasl_server.decode_response(line)
        step = None if response is None else self._exchange.step(response)
        if isinstance(step, bytes):
            self._replies.append(sasl_server.encode_challenge(step))
            return None
        if step is None:
            self._move(Input.CANCELLED)
            return self._fault(replies.AUTH_CANCELLED if line == b"*" else replies.AUTH_MALFORMED)
        self._move(Input.CREDENTIALS)
        return Authenticate(self._mechanism, step)

    # Content

    def _read_data(self) -> Event | None:
        reader = self._data
        if not reader.is_ended:
            content = reader.read(self._buffer)
            if content:
                return Content(content)
            if not reader.is_ended:
                return None
        return self._content_end(reader.measure)

    def _read_chunk(self) -> Event | None:
        reader = self._chunks
        content = reader.read(self._buffer)
        if content:
            return Content(content)
        if reader.remaining:
            return None
        if self.state is State.LAST_CHUNK:
            content = reader.finish()
            return Content(content) if content else self._content_end(reader.measure)
        if reader.measure.fault is not None:
            # The transaction ends here; chunks that are still to come are thrown away as out of sequence.
            return self._content_end(reader.measure)
        self._move(Input.CHUNK_END)
        self._send(Reply(250, "2.0.0", f"{reader.octets} octets received"))
        return None

    def _content_end(self, measure: Measure) -> ContentEnd:
        self.state = TABLE[self.state][_ON_CONTENT_END]
        return ContentEnd(measure.size, measure.has_eight_bit and measure.fault is None, measure.fault)

    def _throw_away(self, octets: int) -> Event | None:
        """The octets of a refused chunk go; then comes the reply."""
        taken = min(octets, len(self._buffer))
        self._buffer.position += taken
        self._unwanted = octets - taken or None
        return None if octets > taken else self._fault(self._unwanted_reply)

    # Replies and states

    def _move(self, step: Input) -> None:
        self.state = TABLE[self.state][step]

    def _send(self, reply: Reply) -> None:
        self._replies.append(reply.encode())

    def _end(self) -> None:
        self._move(Input.CLOSE)
        self._buffer.clear()
        self._unwanted = None

    def _idle(self, event: Event) -> Event:
        self._idle_commands += 1
        if self._idle_commands > self._limits.idle_commands_max:
            self.close(replies.TOO_MANY_IDLE)
        return event

    def _fault(self, reply: Reply) -> Fault:
        self._send(reply)
        self._count_error()
        return Fault(reply)

    def _count_error(self) -> None:
        self.errors += 1
        if self.errors > self._limits.errors_max:
            self.close(replies.TOO_MANY_ERRORS)

    def _sequence_reply(self) -> Reply:
        return replies.NO_HELLO if self.state is State.STRANGER else replies.BAD_SEQUENCE

    def _unsynchronized(self) -> Fault:
        self.close(replies.UNSYNCHRONIZED)
        return Fault(replies.UNSYNCHRONIZED)

    _VERBS: ClassVar[Mapping[bytes, Callable[[ServerConnection, bytes], Event | None]]] = {
        b"EHLO": lambda self, argument: self._hello(argument, is_extended=True),
        b"HELO": lambda self, argument: self._hello(argument, is_extended=False),
        b"MAIL": _mail,
        b"RCPT": _rcpt,
        b"DATA": _start_data,
        b"BDAT": _bdat,
        b"RSET": _reset,
        b"NOOP": lambda self, _: self._note("NOOP", replies.ACCEPTED),
        b"VRFY": lambda self, _: self._note("VRFY", replies.CANNOT_VERIFY),
        b"HELP": lambda self, _: self._note("HELP", replies.HELP),
        b"EXPN": lambda self, _: self._fault(replies.NOT_IMPLEMENTED),
        b"QUIT": _quit,
        b"STARTTLS": _starttls,
        b"AUTH": _auth,
    }
