"""`submit.sock`: takes messages of local accounts for `sendmail` (frames as in `submission_client`).

Rules of this file:
* Everyone on this machine may submit, so the socket does nothing else. Who it is comes from the kernel
  (SO_PEERCRED), is recorded in the message, and is limited in messages a minute.
* A message is held to the same rules as one by SMTP: size, line ends, and `queued` only after the commit.
* Date, Message-ID and From are added where they are missing (RFC 6409 8).
"""

from __future__ import annotations

import asyncio
import logging
import pwd
import secrets
import socket
import struct
from collections import OrderedDict
from collections.abc import Callable
from typing import Final, cast

import msgspec

from bridgehead.core.address import Mailbox, parse_mailbox
from bridgehead.core.client import Client
from bridgehead.core.envelope import Notify
from bridgehead.core.header import Hop
from bridgehead.core.organization import VirtualServer
from bridgehead.core.reply import Reply, printable
from bridgehead.core.routing import here_at
from bridgehead.inbound import refusals
from bridgehead.inbound.deadline import Deadline
from bridgehead.inbound.draft import Draft, Origin
from bridgehead.inbound.reception import Reception
from bridgehead.inbound.submission_client import (
    DATA_ERROR,
    FRAME_MAX,
    LENGTH,
    REQUEST_MAX,
    TEMPORARY_FAILURE,
    Answer,
    Submission,
)
from bridgehead.smtp.data_reader import ChunkReader
from bridgehead.smtp.event import ContentEnd, MailFrom
from bridgehead.smtp.limits import LIMITS
from bridgehead.smtp.parameters import is_envelope_id
from bridgehead.smtp.receive_buffer import ReceiveBuffer
from bridgehead.spool.contract import Insert

MESSAGES_A_MINUTE: Final = 600
"""Of one uid; more is put off with EX_TEMPFAIL."""
UIDS_MAX: Final = 1_000
"""Accounts whose messages are counted; the longest unseen is forgotten."""
CONNECTIONS_MAX: Final = 100
CONNECTIONS_PER_UID_MAX: Final = 50
"""Nobody on this machine keeps all others from submitting."""
REQUEST_SECONDS: Final = 300.0
"""For a whole submission; `sendmail` may be fed by a slow program."""

_NOTIFY_MAX: Final = int(Notify.SUCCESS | Notify.FAILURE | Notify.DELAY)
_PEER: Final = struct.Struct("3i")
_log: Final = logging.getLogger(__name__)


class SubmissionRate:
    """Messages of each uid in the present minute. Used on the event loop alone."""

    def __init__(self) -> None:
        self._counts: OrderedDict[int, tuple[int, int]] = OrderedDict()

    def count(self, uid: int, now: float) -> bool:
        """One more; whether it is within the limit."""
        minute = int(now // 60)
        since, count = self._counts.pop(uid, (minute, 0))
        count = count + 1 if since == minute else 1
        self._counts[uid] = (minute, count)
        if len(self._counts) > UIDS_MAX:
            self._counts.popitem(last=False)
        return count <= MESSAGES_A_MINUTE


class SubmissionServer:
    """Listens on `submit.sock`. Used on the event loop of its worker alone."""

    def __init__(self, reception: Reception, server: str) -> None:
        """`server` is this machine's name: its first virtual server lends fqdn and limits."""
        self._reception = reception
        self._server = server
        self._rate = SubmissionRate()
        self._open: set[_Connection] = set()
        self._listening: asyncio.Server | None = None

    async def listen(self, bound: socket.socket) -> None:
        """Accept on a socket that listens already; it belongs to this object from now on."""
        self._listening = await asyncio.get_running_loop().create_unix_server(self._connection, sock=bound)

    def close(self) -> None:
        """Accept nothing more, and hang up on who is still sending; what is being committed is still answered."""
        if self._listening is not None:
            self._listening.close()
        for connection in tuple(self._open):
            connection.stop()

    def _connection(self) -> asyncio.Protocol:
        return _Connection(self._reception, self._server, self._rate, self._open)


class _RefusedError(Exception):
    """Ends a submission; becomes its answer."""

    def __init__(self, error: str, status: int = DATA_ERROR) -> None:
        super().__init__(error)
        self.answer = Answer(error=error, status=status)


class _Connection(asyncio.Protocol):
    """One submission."""

    def __init__(
        self, reception: Reception, server: str, rate: SubmissionRate, connections: set[_Connection]
    ) -> None:
        self._reception = reception
        self._server = server
        self._rate = rate
        self._connections = connections
        self._deadline = Deadline(asyncio.get_running_loop(), self.abort)
        self._transport: asyncio.Transport | None = None
        self._buffer = ReceiveBuffer()
        self._draft: Draft | None = None
        self._reader = ChunkReader(0)
        self._take: Callable[[], bool] = self._take_request
        self.uid = -1
        self._is_committing = False

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Learn who it is."""
        self._transport = cast("asyncio.Transport", transport)
        self._connections.add(self)
        self._deadline.set(asyncio.get_running_loop().time() + REQUEST_SECONDS)
        peer = transport.get_extra_info("socket").getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, _PEER.size)
        _, self.uid, _ = _PEER.unpack(peer)
        own = sum(one.uid == self.uid for one in self._connections)
        if len(self._connections) > CONNECTIONS_MAX or own > CONNECTIONS_PER_UID_MAX:
            self._answer(Answer(error="Too many submissions at once", status=TEMPORARY_FAILURE))

    def data_received(self, data: bytes) -> None:
        """Take what is there; behind the end of the message nothing is."""
        if self._is_committing:
            return
        self._buffer.receive(data)
        try:
            while self._transport is not None and self._take():
                pass
        except _RefusedError as refusal:
            self._answer(refusal.answer)
        except OSError:
            _log.exception("cannot store a submission")
            self._answer(_answer_of(refusals.NO_STORAGE))
        except Exception:  # noqa: BLE001 - the root of a connection: nothing may reach the event loop
            _log.exception("submission failed")
            self._answer(_answer_of(refusals.OUR_FAULT))

    def connection_lost(self, exc: Exception | None) -> None:
        """Forget everything but a message that is being committed."""
        self._transport = None
        self._deadline.cancel()
        self._connections.discard(self)
        self._drop()

    def stop(self) -> None:
        """Hang up, unless the answer is on its way."""
        if not self._is_committing:
            self.abort()

    def abort(self) -> None:
        """Hang up."""
        if self._transport is not None:
            self._transport.abort()

    # Each of these takes one piece of the submission and says whether there may be more to take

    def _take_request(self) -> bool:
        length = self._next_length(REQUEST_MAX)
        if length is None or len(self._buffer) < LENGTH.size + length:
            return False
        start = self._buffer.position + LENGTH.size
        self._buffer.position = start + length
        try:
            submission = msgspec.json.decode(self._buffer.octets[start : start + length], type=Submission)
        except msgspec.DecodeError as error:
            raise _RefusedError("not a submission") from error
        self._begin(submission)
        self._take = self._take_length
        return True

    def _take_length(self) -> bool:
        length = self._next_length(FRAME_MAX)
        if length is None:
            return False
        self._buffer.position += LENGTH.size
        if not length:
            self._finish()
            return False
        self._reader.begin(length)
        self._take = self._take_content
        return True

    def _take_content(self) -> bool:
        assert self._draft is not None
        content = self._reader.read(self._buffer)
        if content:
            self._draft.write(content)
            if self._draft.is_large and not self._reception.has_room():
                self._draft.run_out()
        if self._reader.remaining:
            return False
        self._take = self._take_length
        return True

    def _next_length(self, length_max: int) -> int | None:
        if len(self._buffer) < LENGTH.size:
            return None
        (length,) = LENGTH.unpack_from(self._buffer.octets, self._buffer.position)
        if length > length_max:
            raise _RefusedError("a frame is too long")
        return int(length)

    def _begin(self, submission: Submission) -> None:
        now = self._reception.clock()
        if not self._rate.count(self.uid, now):
            raise _RefusedError("Too many messages in a minute", TEMPORARY_FAILURE)
        if not self._reception.has_room():
            raise _RefusedError(refusals.NO_STORAGE.text, TEMPORARY_FAILURE)
        origin = self._origin()
        server = origin.virtual_server
        if not submission.recipients:
            raise _RefusedError("No recipients")
        if 0 < server.messages.recipients_max < len(submission.recipients):
            raise _RefusedError(f"More than {server.messages.recipients_max} recipients")
        if not _has_good_options(submission):
            raise _RefusedError("notify, ret or envid is not one of RFC 3461")
        own = f"{origin.client.user}@{server.fqdn}"
        sender = own if submission.sender is None else submission.sender
        if sender:
            sender = _mailbox(sender, server).address
        smtputf8 = not all(text.isascii() for text in (sender, *submission.recipients))
        mail = MailFrom(sender, 0, "8BITMIME", smtputf8, submission.ret, submission.envid)
        memory = self._reception.draft_memory
        self._draft = Draft(origin, mail, memory, missing_from=_from_line(submission.full_name, sender or own))
        for text in submission.recipients:
            self._draft.add(_mailbox(text, server), submission.notify)
        self._draft.open(self._reception.spool, self._reception.next_id(), now)
        self._reader = ChunkReader(server.messages.size_max)

    def _origin(self) -> Origin:
        organization = self._reception.current().organization
        server = next(found for found in organization.virtual_servers if found.server == self._server)
        try:
            user = pwd.getpwuid(self.uid).pw_name
        except KeyError:
            user = f"uid{self.uid}"
        hop = Hop(server.fqdn, "LOCAL", user=user)
        here = here_at(organization, server.key)
        return Origin(organization, server, here, Client(None, "", user=user), hop, secrets.token_hex(6))

    def _finish(self) -> None:
        draft, reader = self._draft, self._reader
        assert draft is not None
        content = reader.finish()
        if content:
            draft.write(content)
        self._draft = None
        measure = reader.measure
        finished = draft.finish(ContentEnd(measure.size, measure.has_eight_bit, measure.fault), -1)
        if isinstance(finished, Reply):
            self._answer(_answer_of(finished))
            return
        self._is_committing = True
        self._reception.spool.submit([finished], lambda error: self._committed(draft, finished, error))

    def _committed(self, draft: Draft, insert: Insert, error: Exception | None) -> None:
        draft.discard()
        if error is not None:
            _log.error("cannot store a submission", exc_info=error)
            self._answer(_answer_of(refusals.not_stored(error)))
            return
        self._answer(Answer(queue_id=draft.queue_id))
        self._reception.hand_over(insert, draft.queue_id)

    def _answer(self, answer: Answer) -> None:
        self._drop()
        if self._transport is not None:
            data = msgspec.json.encode(answer)
            self._transport.write(LENGTH.pack(len(data)) + data)
            self._transport.close()

    def _drop(self) -> None:
        draft, self._draft = self._draft, None
        if draft is not None:
            draft.discard()


def _has_good_options(submission: Submission) -> bool:
    """Whether what goes into the command lines of next hops is what RCPT and MAIL would have let in."""
    envid = submission.envid
    is_envid = not envid or (" " not in envid and is_envelope_id(envid, LIMITS))
    return is_envid and submission.ret in {"", "FULL", "HDRS"} and -1 <= submission.notify <= _NOTIFY_MAX


def _mailbox(text: str, server: VirtualServer) -> Mailbox:
    """An address as a person types it; one without a domain is at our fqdn, as `sendmail` has it."""
    mailbox = parse_mailbox(text if "@" in text else f"{text}@{server.fqdn}")
    if mailbox is None:
        raise _RefusedError(f"not an address: {printable(text, 200)}")
    return mailbox


def _from_line(full_name: str, address: str) -> bytes:
    """`b'From: "Full Name" <a@example.org>\\r\\n'`; the name is cut to what needs no encoding."""
    name = "".join(c for c in full_name[:100] if c.isascii() and c.isprintable() and c not in '"\\').strip()
    return (f'From: "{name}" <{address}>\r\n' if name else f"From: {address}\r\n").encode()


def _answer_of(reply: Reply) -> Answer:
    return Answer(error=reply.text, status=TEMPORARY_FAILURE if reply.is_temporary else DATA_ERROR)
