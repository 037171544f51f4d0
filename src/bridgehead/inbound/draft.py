"""A message being received: its envelope grows, its body streams into the spool, and it is judged at its end.

Rules of this file: no sockets, no event loop. The configuration is the one that MAIL found. The Received line is
written before the first octet of content, and nothing else is added, but Date and Message-ID for authenticated
clients (RFC 6409 8), and an empty line before content that would else continue our own line (RFC 5322 2.2.3): what a
client sends must not stand in a line that we wrote. RFC 5321 4.1.1.4, 4.4, 6.3.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Final

import msgspec

from bridgehead.core import queue_id
from bridgehead.core.address import Mailbox
from bridgehead.core.client import Client
from bridgehead.core.envelope import Envelope, MessageId, Recipient
from bridgehead.core.header import (
    Hop,
    begins_with_a_continuation,
    count_received,
    date_line,
    date_text,
    end_of_header,
    has_header,
    header_value,
    message_id_line,
    received_line,
)
from bridgehead.core.organization import Organization, VirtualServer
from bridgehead.core.policy import ALL_REFUSED, Admission, Admitted, Gate, Refused, recheck
from bridgehead.core.reply import Reply
from bridgehead.core.routing import Here, MessageProperties
from bridgehead.inbound import refusals
from bridgehead.inbound.draft_memory import DraftMemory
from bridgehead.smtp.event import ContentEnd, MailFrom, RcptTo
from bridgehead.spool.contract import BODY_IN_ROW_MAX, BodyWriter, Insert, Spool

HEADER_MAX: Final = 64 * 1024
"""Octets of header that are held back to see whether Date and Message-ID are there; longer ones get none."""
_EMPTY_LINE: Final = b"\r\n"
RECIPIENT_OCTETS: Final = 300
"""What a recipient takes in memory, beside its texts."""

NO_ID: Final = MessageId(0)
"""Before the content begins there is no id."""


@dataclass(frozen=True, slots=True)
class Origin:
    """Where a message comes from: what holds for all of a session until something in it changes."""

    organization: Organization
    virtual_server: VirtualServer
    here: Here
    client: Client
    hop: Hop
    trace_id: str
    gate: Gate = field(init=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "gate", Gate(self.client, self.here, self.organization))


class Draft(msgspec.Struct):
    """One transaction. Changed by its session alone."""

    origin: Origin
    mail: MailFrom
    memory: DraftMemory
    recipients: list[Recipient] = []
    message_id: MessageId = NO_ID
    queue_id: str = ""
    received_at: float = 0.0
    missing_from: bytes = b""
    """The line to add where there is no From; empty: add none."""
    trouble: Reply | None = None
    """Why the message cannot be taken, found while it was being written."""
    _admitted: list[Admitted] = []
    _body: BodyWriter | None = None
    _held: bytes | None = None
    _is_begun: bool = False
    """Some content was written."""
    _octets: int = 0
    """Taken from `memory`."""

    def admit(self, event: RcptTo) -> Reply | None:
        """Ask policy for a recipient; it is added, or the reply says why not."""
        origin = self.origin
        if 0 < origin.virtual_server.messages.recipients_max <= len(self.recipients):
            return refusals.TOO_MANY_RECIPIENTS
        message = MessageProperties(self.mail.reverse_path, self.mail.size)
        verdict = origin.gate.admit(event.mailbox, message)
        if isinstance(verdict, Refused):
            return verdict.reply
        if not self._take(RECIPIENT_OCTETS + len(event.mailbox.address) + len(event.original)):
            return refusals.NO_STORAGE
        self.recipients.append(
            Recipient(len(self.recipients), verdict.address, verdict.domain, event.notify, event.original)
        )
        self._admitted.append(verdict)
        return None

    def add(self, mailbox: Mailbox, notify: int) -> None:
        """Add a recipient without asking policy: for local accounts, who may send anywhere."""
        self.recipients.append(Recipient(len(self.recipients), mailbox.address, mailbox.domain, notify))

    def open(self, spool: Spool, message_id: MessageId, now: float) -> None:
        """Begin the body with the Received line; `OSError` if the disk refuses."""
        self.message_id = message_id
        self.queue_id = queue_id.write(message_id)
        self.received_at = now
        self._body = spool.new_body()
        if self.origin.client.user:
            self._held = b""
        self._body.write(received_line(self._hop(), self.queue_id, date_text(now)))

    def write(self, data: bytes) -> None:
        """Take content. Trouble with disk or memory is remembered; the rest is then dropped."""
        if self._body is None:
            return
        if self._body.size <= BODY_IN_ROW_MAX and not self._take(len(data)):
            self.run_out()
            return
        try:
            if self._held is not None:
                self._hold(data)
                return
            if not self._is_begun and data:
                self._is_begun = True
                if begins_with_a_continuation(data):
                    self._body.write(_EMPTY_LINE)
            self._body.write(data)
        except OSError:
            self.run_out()

    @property
    def is_large(self) -> bool:
        """Whether the body lies in a file by now, so that it could fill the disk."""
        return self._body is not None and self._body.size > BODY_IN_ROW_MAX

    def run_out(self) -> None:
        """There is no room left for this message: forget what arrived, refuse it at its end.

        Its recipients stay until then, so all of it stays counted.
        """
        self.trouble = refusals.NO_STORAGE
        self._drop_body()

    def finish(self, end: ContentEnd, octets_left: int) -> Insert | Reply:
        """Judge the whole message: what to store, or why not. `octets_left` of the session; -1: no limit.

        What is to be stored is in memory until the caller calls `discard`.
        """
        body = self._body
        refusal = end.fault or self.trouble
        if refusal is None and body is not None:
            try:
                if self._held is not None:
                    self._release_header()
                head = body.head
                refusal = self._refusal(end.size, head, octets_left)
                if refusal is None:
                    self._body = None
                    return Insert(self.message_id, self._envelope(end, head), body.finish())
            except OSError:
                refusal = refusals.NO_STORAGE
                body.discard()
        self.discard()
        return refusal or refusals.OUR_FAULT

    def discard(self) -> None:
        """Forget the body, and give back the memory. Needed also when the message was stored."""
        self._drop_body()
        self.memory.give_back(self._octets)
        self._octets = 0

    def _drop_body(self) -> None:
        if self._body is not None:
            self._body.discard()
            self._body = None

    def _take(self, octets: int) -> bool:
        """Whether there is memory for so much."""
        is_taken = self.memory.take(octets)
        if is_taken:
            self._octets += octets
        return is_taken

    def _refusal(self, size: int, head: bytes, octets_left: int) -> Reply | None:
        origin = self.origin
        # Our own Received line is one of those counted.
        if count_received(head) > origin.virtual_server.delivery.hop_count_max + 1:
            return refusals.TOO_MANY_HOPS
        if 0 <= octets_left < size:
            return refusals.SESSION_FULL
        if not self._admitted:
            return None
        message = MessageProperties(self.mail.reverse_path, size)
        verdicts = [recheck(one, origin.client, message, origin.here, origin.organization) for one in self._admitted]
        if all(isinstance(verdict, Refused) for verdict in verdicts):
            return ALL_REFUSED
        # Recipients that alone became impossible are settled by the queue, with a DSN. What has no route it sees for
        # itself; who may relay it does not ask.
        for ordinal, verdict in enumerate(verdicts):
            if isinstance(verdict, Refused) and verdict.rule is Admission.NOT_ALLOWED:
                self.recipients[ordinal] = msgspec.structs.replace(self.recipients[ordinal], is_refused=True)
        return None

    def _envelope(self, end: ContentEnd, head: bytes) -> Envelope:
        mail, origin = self.mail, self.origin
        return Envelope(
            mail.reverse_path,
            tuple(self.recipients),
            end.size,
            self.received_at,
            origin.virtual_server.key,
            origin.client.text,
            origin.hop.helo,
            self._hop().protocol,
            origin.client.user,
            mail.body_type,
            mail.smtputf8,
            mail.ret,
            mail.envid,
            header_value(head, "message-id"),
            origin.trace_id,
            has_eight_bit=end.has_eight_bit,
        )

    def _hop(self) -> Hop:
        hop = self.origin.hop
        if not self.mail.smtputf8 or not hop.client:
            return hop
        # RFC 6531 4.3: UTF8SMTP, UTF8SMTPS, UTF8SMTPA, UTF8SMTPSA.
        return msgspec.structs.replace(hop, protocol=f"UTF8{hop.protocol.removeprefix('E')}")

    def _hold(self, data: bytes) -> None:
        """Keep the header of an authenticated client back until it is whole."""
        assert self._held is not None
        self._held += data
        is_whole = b"\r\n\r\n" in self._held or self._held.startswith(b"\r\n")
        if is_whole or len(self._held) > HEADER_MAX:
            self._release_header()

    def _release_header(self) -> None:
        """Write what is missing, then what was held."""
        held, self._held, self._is_begun = self._held or b"", None, True
        if self._body is None:
            return
        lacks_header = begins_with_a_continuation(held)
        header = b"" if lacks_header else held[: end_of_header(held)]
        if len(held) <= HEADER_MAX:
            if not has_header(header, "date"):
                self._body.write(date_line(date_text(self.received_at)))
            if self.missing_from and not has_header(header, "from"):
                self._body.write(self.missing_from)
            if not has_header(header, "message-id"):
                self._body.write(message_id_line(self.queue_id, self.origin.virtual_server.fqdn))
            # What comes must not be taken for a header where there is none at all.
            lacks_header |= b":" not in held[: held.find(b"\r\n")] and not held.startswith(b"\r\n")
        if lacks_header:
            self._body.write(_EMPTY_LINE)
        self._body.write(held)
