"""One mail transaction as the client sees it: the server's replies go in, an outcome for each recipient comes out.

Whose a refusal is: 530, 535 and 538 are the credential's, 421 is the host's, any other 4yz defers and any other 5yz
fails the recipients it speaks of. After at least one accepted recipient, "too many recipients" is no refusal: those
recipients stay to be sent again at once (RFC 5321 4.5.3.1.10, which also explains 552). This cannot go on for ever,
as each transaction settles the recipient it accepted.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from enum import Enum, auto
from typing import Final

from bridgehead.core.envelope import Recipient
from bridgehead.core.error import ProtocolError
from bridgehead.core.outcome import Deferred, Delivered, Failed, Outcome, Scope
from bridgehead.core.reply import TEXT_MAX, Reply

CREDENTIAL_CODES: Final = frozenset({530, 535, 538})
"""Replies that only an operator can mend (RFC 4954 6)."""
_TOO_MANY: Final = frozenset({(452, ""), (452, "4.5.3"), (552, ""), (552, "5.5.3")})


@dataclass(frozen=True, slots=True)
class Peer:
    """What outcomes say of the server."""

    host: str
    """`"mx1.fabrikam.com[192.0.2.7]:25"`."""
    tls: str = ""
    """`"TLSv1.3 TLS_AES_256_GCM_SHA384 verified"`; empty: in the clear."""
    dsn: bool = False
    """It offers DSN."""
    lmtp: bool = False
    """It delivers, and answers the end of the content once for each accepted recipient (RFC 2033 4.2)."""


class Next(Enum):
    """What a reply leads to."""

    WAIT = auto()
    """More replies are due, or the next command."""
    CONTENT = auto()
    """354 and at least one recipient: send the content."""
    LONE_DOT = auto()
    """354 though nobody was accepted: end the content at once, the message is for no one."""
    ENDED = auto()
    """Every recipient has its outcome or remains."""


class _Step(Enum):
    """Whose reply comes next."""

    RSET = "RSET"
    MAIL = "MAIL"
    RCPT = "RCPT"
    DATA = "DATA"
    CONTENT = "the content, before its end"
    END = "the end of the content"


# Bound to names once: to look a member up in its enumeration takes as long as a whole branch here.
_ON_RSET: Final = _Step.RSET
_ON_MAIL: Final = _Step.MAIL
_ON_RCPT: Final = _Step.RCPT
_ON_DATA: Final = _Step.DATA
_ON_CONTENT: Final = _Step.CONTENT
_ON_END: Final = _Step.END
_WAIT: Final = Next.WAIT
_ENDED: Final = Next.ENDED


class ClientTransaction:
    """Collects what the replies mean. Owned and changed by one `ClientConnection`.

    `recipients` are those named in RCPT commands, in that order; `is_pipelined` says that all commands went out
    together, so that replies are due even after MAIL or all of RCPT were refused.
    """

    __slots__ = (
        "_accepted",
        "_answered",
        "_ended",
        "_index",
        "_peer",
        "_pipelined",
        "_recipients",
        "_step",
        "outcomes",
        "remaining",
    )

    def __init__(
        self, recipients: Sequence[Recipient], peer: Peer, *, is_pipelined: bool, is_after_reset: bool
    ) -> None:
        self.outcomes: dict[int, Outcome] = {}
        self.remaining: list[Recipient] = []
        self._recipients = recipients
        self._peer = peer
        self._pipelined = is_pipelined
        self._step = _ON_RSET if is_after_reset else _ON_MAIL
        self._index = 0
        self._accepted: list[Recipient] = []
        self._ended = 0  # replies to the end of the content, of an LMTP server
        self._answered = False

    @property
    def sends_content(self) -> bool:
        """Whether the content is on its way: no reply is due until its end."""
        return self._step is _ON_CONTENT

    @property
    def has_ended_content(self) -> bool:
        """Whether the end of the content was sent: the server then forgets the transaction by itself."""
        return self._step is _ON_END

    def fail_unsafe(self, recipients: Iterable[Recipient], reply: Reply) -> None:
        """Fail those of `recipients` who are named in no command: theirs would have been more than one line."""
        named = {recipient.ordinal for recipient in self._recipients}
        self._settle((one for one in recipients if one.ordinal not in named), Failed(reply, self._peer.host))

    def content_sent(self) -> None:
        """The end of the content went out: its reply comes next."""
        self._step = _ON_END

    def receive(self, reply: Reply) -> Next:
        """Take the next reply; `ProtocolError` if it can be no answer to what was sent."""
        if reply.code == 421:
            self._settle_all(reply, Scope.HOST)
            return _ENDED
        step = self._step
        if step is _ON_RSET:
            return self._reset(reply)
        self._answered = True
        if step is _ON_RCPT:
            return self._rcpt(reply)
        if step is _ON_MAIL:
            return self._mail(reply)
        if step is _ON_DATA:
            return self._data(reply)
        return self._final(reply)

    def interrupt(self, reply: Reply, scope: Scope | None = None) -> None:
        """The conversation broke: whoever has no outcome is deferred.

        Before any answer to this message it is the host's trouble. After that it may be the message's (one that
        makes the server fall over): it must not hold back the others.
        """
        if self._step is _ON_END:  # RFC 5321 4.5.3.2.6: the server may have taken the message all the same
            deferred = Deferred(_kept(reply), scope or Scope.MESSAGE, self._peer.host, is_unconfirmed=True)
            self._settle((one for one in self._accepted if one.ordinal not in self.outcomes), deferred)
        self._settle_all(reply, scope or (Scope.MESSAGE if self._answered else Scope.HOST))

    def _reset(self, reply: Reply) -> Next:
        if reply.code // 100 != 2:
            raise self._unexpected(reply)
        self._step = _ON_MAIL
        return _WAIT

    def _mail(self, reply: Reply) -> Next:
        self._step = _ON_RCPT
        if reply.code // 100 != 2:
            self._settle(self._recipients, self._refusal(reply))
            return _WAIT if self._pipelined else _ENDED
        return _WAIT

    def _rcpt(self, reply: Reply) -> Next:
        recipient = self._recipients[self._index]
        self._index += 1
        if recipient.ordinal not in self.outcomes:  # else MAIL was refused, and this reply says nothing new
            if reply.code // 100 == 2:
                self._accepted.append(recipient)
            elif self._accepted and (reply.code, reply.enhanced) in _TOO_MANY:
                self.remaining.append(recipient)
            else:
                self.outcomes[recipient.ordinal] = self._refusal(reply)
        if self._index < len(self._recipients):
            return _WAIT
        self._step = _ON_DATA
        return _WAIT if self._pipelined or self._accepted else _ENDED

    def _data(self, reply: Reply) -> Next:
        if reply.code == 354:
            if not self._accepted and self._peer.lmtp:
                raise self._unexpected(reply)  # RFC 2033 4.2: 503, since a lone dot would have no reply at all
            self._step = _ON_CONTENT if self._accepted else _ON_END
            return Next.CONTENT if self._accepted else Next.LONE_DOT
        if self._accepted:
            self._settle(self._accepted, self._refusal(reply))
        return _ENDED

    def _final(self, reply: Reply) -> Next:
        """The answer to the end of the content, or a refusal that comes before it."""
        if not self._accepted:
            return _ENDED
        if self._step is not _ON_END:
            self._settle(self._accepted, self._refusal(reply))
            return _ENDED
        if not self._peer.lmtp:
            self._settle(self._accepted, self._end(reply))
            return _ENDED
        self._settle((self._accepted[self._ended],), self._end(reply))
        self._ended += 1
        return _WAIT if self._ended < len(self._accepted) else _ENDED

    def _end(self, reply: Reply) -> Outcome:
        """What the answer to the end of the content means."""
        if reply.code // 100 != 2:
            return self._refusal(reply)
        peer = self._peer
        return Delivered(_kept(reply), peer.host, peer.tls, peer.dsn, peer.lmtp)

    def _refusal(self, reply: Reply) -> Outcome:
        """What a reply of 4yz or 5yz means for the recipients it speaks of."""
        if reply.code < 400:
            raise self._unexpected(reply)
        reply = _kept(reply)
        if reply.code in CREDENTIAL_CODES:
            return Deferred(reply, Scope.CREDENTIAL, self._peer.host)
        if reply.code < 500:
            return Deferred(reply, Scope.MESSAGE, self._peer.host)
        return Failed(reply, self._peer.host)

    def _unexpected(self, reply: Reply) -> ProtocolError:
        return ProtocolError(f"{reply.code} is no answer to {self._step.value}")

    def _settle(self, recipients: Iterable[Recipient], outcome: Outcome) -> None:
        for recipient in recipients:
            self.outcomes[recipient.ordinal] = outcome

    def _settle_all(self, reply: Reply, scope: Scope) -> None:
        """Defer everyone who has no outcome, also those who were to be sent again at once."""
        deferred = Deferred(_kept(reply), scope, self._peer.host)
        for recipient in (*self._recipients, *self.remaining):
            self.outcomes.setdefault(recipient.ordinal, deferred)
        self.remaining.clear()


def _kept(reply: Reply) -> Reply:
    """The reply with no more text than we keep."""
    return reply if len(reply.text) <= TEXT_MAX else Reply(reply.code, reply.enhanced, reply.text[:TEXT_MAX])
