"""What is answered to a client: policy, limits and the spool behind the events of one session's engine.

Rules of this file: no transport; whatever needs one is the session's. An answer that must wait for the spool or for
a credential check comes later, and then `resume` lets the session go on. Each MAIL takes the configuration in force
and looks at the client anew; the transaction ends with that one. RFC 5321 4.1.1, RFC 4954, RFC 3207.
"""

from __future__ import annotations

import logging
import secrets
from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Any, ClassVar, Final

from bridgehead.core.client import Client
from bridgehead.core.header import Hop
from bridgehead.core.organization import VirtualServer
from bridgehead.core.policy import may_connect
from bridgehead.core.reply import Reply, printable
from bridgehead.core.routing import here_at
from bridgehead.core.tracking import Step, TrackingEvent
from bridgehead.inbound import refusals
from bridgehead.inbound.credentials import Answer
from bridgehead.inbound.draft import Draft, Origin
from bridgehead.inbound.reception import InForce, Reception
from bridgehead.smtp.event import (
    Abandoned,
    Authenticate,
    Content,
    ContentEnd,
    DataBegin,
    Event,
    Hello,
    MailFrom,
    RcptTo,
)
from bridgehead.smtp.offer import Offer
from bridgehead.smtp.replies import AUTH_DONE, TOO_LARGE
from bridgehead.smtp.server import ServerConnection
from bridgehead.spool.contract import Insert

AUTHENTICATION_FAILURES_MAX: Final = 3
"""Wrong credentials in one session before 421."""

_log: Final = logging.getLogger(__name__)


class Conversation:
    """One session's decisions. Changed by its session, and by itself when a commit or a check is done."""

    def __init__(self, reception: Reception, key: str, client: Client, resume: Callable[[], None]) -> None:
        """`key` is the virtual server's; `resume` is called whenever an answer came later than its event."""
        self._reception = reception
        self._key = key
        self._client = client
        self._resume = resume
        self._in_force = reception.current()
        self.virtual_server = self._in_force.organization.virtual_server(key)
        """As the session knows it at present; changed here alone."""
        self._trace_id = secrets.token_hex(6)
        self._tls = ""
        self._helo = ""
        self._origin: Origin | None = None
        self._draft: Draft | None = None
        self._octets = 0
        self._failures = 0
        self.is_stopping = False
        """Takes no new transaction; changed by `stop` alone."""
        self.engine = ServerConnection(self._offer())

    @property
    def client(self) -> Client:
        """Who is at the other end."""
        return self._client

    @property
    def in_force(self) -> InForce:
        """The configuration the session goes by at present."""
        return self._in_force

    @property
    def is_finished(self) -> bool:
        """Whether the session shall stop and nothing is on its way that it should wait for."""
        return self.is_stopping and self._draft is None and not self.engine.is_asking

    def open(self, names: tuple[str, ...] | None) -> None:
        """Greet the client, or show it the door; `names` are its verified names, if they were looked up."""
        if names is not None:
            self._client = replace(self._client, names=names)
        if may_connect(self.virtual_server.connection, self._client):
            self.engine.greet()
        else:
            self.engine.close(refusals.NOT_ALLOWED)

    def tls_started(self, description: str) -> None:
        """The handshake is done, for instance with `"TLSv1.3 TLS_AES_256_GCM_SHA384"`."""
        self._tls = description
        self._helo = ""
        self._client = replace(self._client, user="")
        self._origin = None
        self.engine.tls_started(self._offer())

    def stop(self) -> None:
        """Take no new transaction; the present one may end."""
        self.is_stopping = True

    def drop(self) -> None:
        """Forget the message that was being received. One that is being committed stays."""
        draft, self._draft = self._draft, None
        if draft is not None:
            draft.discard()

    def take(self, event: Event) -> None:
        """Answer one event of the engine, now or later."""
        answer = self._ANSWERS.get(type(event))
        if answer is not None:
            answer(self, event)

    def _take_hello(self, event: Hello) -> None:
        self._helo = event.name
        self._origin = None
        self.drop()

    def _take_content(self, event: Content) -> None:
        draft = self._draft
        if draft is not None:
            draft.write(event.data)
            if draft.is_large and not self._reception.has_room():
                draft.run_out()

    def _take_credentials(self, event: Authenticate) -> None:
        self._reception.tasks.create_task(self._authenticate(event))

    # Transaction

    def _take_sender(self, mail: MailFrom) -> None:
        self._refresh()
        refusal = self._sender_refusal(mail)
        if refusal is None:
            self._draft = Draft(self._origin or self._make_origin(), mail, self._reception.draft_memory)
            self.engine.accept()
        elif refusal.code == 421 or refusal is refusals.NOT_ALLOWED:
            self.engine.close(refusal)
        else:
            self.engine.refuse(refusal)

    def _sender_refusal(self, mail: MailFrom) -> Reply | None:
        virtual_server, limits = self.virtual_server, self.virtual_server.messages
        if self.is_stopping:
            return refusals.STOPPING
        # Of the same client by the same configuration it was asked for the message before.
        if self._origin is None and not may_connect(virtual_server.connection, self._client):
            return refusals.NOT_ALLOWED
        if virtual_server.tls is not None and virtual_server.tls.required and not self.engine.is_tls:
            return refusals.NEEDS_TLS
        authentication = virtual_server.authentication
        if authentication is not None and authentication.required and not self._client.user:
            return refusals.NEEDS_AUTHENTICATION
        if not self._reception.has_room():
            return refusals.NO_STORAGE
        if self.engine.offer.size_max and mail.size > self.engine.offer.size_max:
            return TOO_LARGE
        if limits.session_size_max and self._octets + mail.size > limits.session_size_max:
            return refusals.SESSION_FULL
        return None

    def _take_recipient(self, event: RcptTo) -> None:
        assert self._draft is not None
        refusal = self._draft.admit(event)
        if refusal is None:
            self.engine.accept()
            return
        self.engine.refuse(refusal)
        if refusal.is_permanent:
            self._track_refusal(refusal, self._draft, printable(event.mailbox.address))

    def _take_begin(self, _event: DataBegin) -> None:
        assert self._draft is not None
        try:
            now = self._reception.clock()
            self._draft.open(self._reception.spool, self._reception.next_id(), now)
        except OSError:
            _log.exception("cannot begin a message")
            self.drop()
            self.engine.refuse(refusals.NO_STORAGE)
            return
        self.engine.accept()

    def _take_end(self, end: ContentEnd) -> None:
        draft = self._draft
        assert draft is not None
        session_max = self.virtual_server.messages.session_size_max
        finished = draft.finish(end, session_max - self._octets if session_max else -1)
        self._octets += end.size
        self._draft = None
        if isinstance(finished, Reply):
            self.engine.refuse(finished)
            self._track_refusal(finished, draft)
            return
        self._reception.spool.submit([finished], lambda error: self._committed(draft, finished, error))

    def _committed(self, draft: Draft, insert: Insert, error: Exception | None) -> None:
        """The spool has it, or could not write. The client may be gone by now: the message counts all the same."""
        draft.discard()
        if error is not None:
            _log.error("cannot store a message", exc_info=error)
            self._answer(refusals.not_stored(error))
            return
        self._answer(Reply(250, "2.0.0", f"Message queued as {draft.queue_id}"))
        self._reception.hand_over(insert, draft.queue_id, self._tls)

    def _answer(self, reply: Reply) -> None:
        """Answer a question later than its event, unless the session was closed meanwhile."""
        if self.engine.is_asking:
            if reply.is_positive:
                self.engine.accept(reply)
            else:
                self.engine.refuse(reply)
            self._resume()

    # Authentication

    async def _authenticate(self, event: Authenticate) -> None:
        try:
            authentication = self.virtual_server.authentication
            users = authentication.users if authentication is not None else {}
            answer = await self._reception.credentials.verify(event.credentials, users, self._client.text)
        except Exception:  # noqa: BLE001 - the root of a task: nothing may leave it, a TaskGroup would end the worker
            _log.exception("cannot check credentials")
            self._answer(refusals.CREDENTIALS_LATER)
            return
        if answer is Answer.GOOD:
            self._client = replace(self._client, user=event.credentials.user)
            self._origin = None
            self._answer(AUTH_DONE)
            return
        self._failures += 1
        if self._failures >= AUTHENTICATION_FAILURES_MAX:
            self._answer(refusals.TOO_MANY_FAILURES)
        else:
            self._answer(refusals.CREDENTIALS_LATER if answer is Answer.LATER else refusals.BAD_CREDENTIALS)

    # Configuration

    def _refresh(self) -> None:
        """Take the configuration in force. A virtual server that left it lives on in its sessions."""
        in_force = self._reception.current()
        if in_force is self._in_force:
            return
        try:
            virtual_server = in_force.organization.virtual_server(self._key)
        except KeyError:
            return
        if not self._is_account_unchanged(virtual_server):
            self._client = replace(self._client, user="")
            self.engine.is_authenticated = False
        self._in_force, self.virtual_server = in_force, virtual_server
        self._origin = None
        self.engine.offer = self._offer()

    def _is_account_unchanged(self, changed: VirtualServer) -> bool:
        """Whether name and password of this session are still good: a stolen account must not go on for hours."""
        before, after = self.virtual_server.authentication, changed.authentication
        user = self._client.user
        if not user or before is None:
            return True
        return after is not None and after.users.get(user) == before.users.get(user)

    def _offer(self) -> Offer:
        virtual_server = self.virtual_server
        limits, authentication = virtual_server.messages, virtual_server.authentication
        is_tls = bool(self._tls)
        may_authenticate = authentication is not None and (is_tls or authentication.without_tls)
        return Offer(
            virtual_server.fqdn,
            min((limit for limit in (limits.size_max, limits.session_size_max) if limit), default=0),
            not is_tls and self._key in self._in_force.tls,
            authentication.mechanisms if authentication is not None and may_authenticate else (),
            authentication is not None and not may_authenticate,
            limits.recipients_max,
        )

    def _make_origin(self) -> Origin:
        """What holds for the messages of this session until something of it changes."""
        server, client = self.virtual_server, self._client
        protocol = "SMTP"
        if self.engine.is_extended:
            protocol = f"ESMTP{'S' if self._tls else ''}{'A' if client.user else ''}"
        name = client.names[0] if client.names else ""
        hop = Hop(server.fqdn, protocol, self._helo, client.text, name, self._tls)
        organization = self._in_force.organization
        self._origin = Origin(organization, server, here_at(organization, self._key), client, hop, self._trace_id)
        return self._origin

    # Tracking

    def _track_refusal(self, refusal: Reply, draft: Draft, recipient: str = "") -> None:
        self._reception.emit(
            TrackingEvent(
                ts=self._reception.clock(),
                step=Step.REFUSED,
                level="warning",
                trace_id=self._trace_id,
                queue_id=draft.queue_id,
                virtual_server=self._key,
                client=self._client.text,
                user=self._client.user,
                sender=draft.mail.reverse_path,
                recipient=recipient,
                recipients=0 if recipient else len(draft.recipients),
                code=refusal.code,
                enhanced=refusal.enhanced,
                reply=refusal.text,
            )
        )

    _ANSWERS: ClassVar[Mapping[type[Event], Callable[[Conversation, Any], None]]] = {
        Content: _take_content,
        MailFrom: _take_sender,
        RcptTo: _take_recipient,
        DataBegin: _take_begin,
        ContentEnd: _take_end,
        Hello: _take_hello,
        Abandoned: lambda self, _: self.drop(),
        Authenticate: _take_credentials,
    }
    """By type, because this is asked for each event; the others need no answer."""
