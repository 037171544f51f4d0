"""What must hold, whatever fails: the books of a simulation, kept from what can be seen from outside.

It sees what becomes durable on each disk, what each transaction came to on both ends, and every tracking event. It
keeps one account for each copy of a message (a copy is what one worker accepted) and each of its recipients.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Final, NoReturn, TypeAlias

from bridgehead.core import queue_id
from bridgehead.core.dsn import is_wanted
from bridgehead.core.dsn_text import Action
from bridgehead.core.envelope import NULL_PATH, Envelope, MessageId
from bridgehead.core.outcome import Deferred, Delivered, Failed
from bridgehead.core.recipient_state import RecipientState, Standing
from bridgehead.outbound.contract import Attempted, Transaction
from bridgehead.outbound.operations import Verb
from bridgehead.spool.contract import Change, Insert, Remove, Update
from tests.simulation.virtual_loop import Life

NUMBER: Final = re.compile(rb"^X-Mail: (\d+)", re.MULTILINE)
FINAL_RECIPIENT: Final = re.compile(rb"^Final-Recipient: (?:rfc822|utf-8); (\S+)\r\nAction: (\w+)", re.MULTILINE)
QUEUE_ID: Final = re.compile(rb"\bid ([0-9A-Z]{13})\b")
DSN_ID: Final = re.compile(rb"^Message-ID: <([0-9A-Z]{13})[.@]", re.MULTILINE)

CopyKey: TypeAlias = tuple[str, MessageId]
"""Name of the worker, and its id for the message."""


class BrokenPromise(AssertionError):  # noqa: N818  it is what failed, not an error of the program
    """Something happened that must not."""


@dataclass
class Copy:
    """A message that one worker accepted."""

    key: CopyKey
    envelope: Envelope
    mail: int
    """Number of the mail it began as; of a DSN, that of the mail it is about."""
    stored_at: float
    reports: dict[str, str] = field(default_factory=dict)
    """Of a DSN: address -> action."""
    standing: dict[int, Standing] = field(default_factory=dict)
    confirmed: dict[int, Life] = field(default_factory=dict)
    """Ordinals that a peer took for certain, and the life that knows it."""
    refused: dict[int, Life] = field(default_factory=dict)
    under_way: set[int] = field(default_factory=set)
    """Ordinals in a transaction now."""
    taken: Counter[int] = field(default_factory=Counter)
    """How often a peer took it."""
    excused: Counter[int] = field(default_factory=Counter)
    """How often nobody could know whether a peer took it."""
    noticed: set[int] = field(default_factory=set)
    """Ordinals of whose delay the sender was told."""
    content: bytes = b""
    is_removed: bool = False
    """It left the spool, or was set aside as damaged."""
    is_set_aside: bool = False
    """What of it is still in memory may be sent all the same: that is as it was written."""

    def __str__(self) -> str:
        return f"{self.key[0]} {queue_id.write(self.key[1])}"

    def settled(self, ordinal: int) -> bool:
        """Whether the disk says so."""
        return self.is_removed or self.standing.get(ordinal, Standing.WAITING).is_settled


@dataclass
class Sending:
    """A transaction of one of our servers."""

    copy: Copy
    life: Life
    ordinals: tuple[int, ...]
    outcomes: dict[int, object] = field(default_factory=dict)
    is_ended: bool = False
    taken: set[int] = field(default_factory=set)


class Ledger:
    """All accounts. `fail` ends the run."""

    def __init__(self, now: Callable[[], float], stop: Callable[[], None]) -> None:
        self.now = now
        self.broken = ""
        """The first promise that was broken."""
        self.copies: dict[CopyKey, Copy] = {}
        self.lines: list[str] = []
        self.is_old: Callable[[Copy], bool] = lambda _: False
        """Whether the clock of its server says that it waited for as long as mail may."""
        self._orders: Counter[tuple[str, Verb]] = Counter()
        """What operators do on each worker at present."""
        self.is_badmail: Callable[[Copy], bool] = lambda _: False
        """Whether its server kept it for the operator."""
        self.accepted: set[tuple[int, str]] = set()
        """Mail and recipient that a sender has a 250 for."""
        self.faults = Counter[str]()
        """What went wrong, by kind."""
        self.duplicates = 0
        self.deliveries = 0
        self.dsns = 0
        self._stop = stop
        self._sendings: dict[int, Sending] = {}
        """The latest of each connection."""
        self._every_sending: list[Sending] = []
        self._by_mail: dict[int, list[Copy]] = {}

    def note(self, line: str) -> None:
        """Write a line of the story."""
        self.lines.append(f"{self.now():10.3f}  {line}")

    def fail(self, reason: str) -> NoReturn:
        """A promise is broken."""
        if not self.broken:
            self.broken = reason
            self.note(f"BROKEN: {reason}")
        self._stop()
        raise BrokenPromise(reason)

    def copy(self, worker: str, message_id: MessageId) -> Copy:
        """What a worker calls by this id; it must be on its disk."""
        copy = self.copies.get((worker, message_id))
        if copy is None:
            self.fail(f"{worker} goes on with {queue_id.write(message_id)} before that is durable")
        return copy

    def order(self, worker: str, verb: Verb, change: int) -> None:
        """An operator begins (1) to do something to mail of this worker, or it is done (-1)."""
        self._orders[worker, verb] += change

    # What becomes durable

    def durable(self, worker: str, life: Life, changes: Sequence[Change]) -> None:
        """One submission of a worker became durable."""
        inserts = [change for change in changes if isinstance(change, Insert)]
        reports = [self._opened(worker, change) for change in inserts]
        told = {address for copy in reports for address, action in copy.reports.items() if action == "failed"}
        late = {address for copy in reports for address, action in copy.reports.items() if action == "delayed"}
        for change in changes:
            if isinstance(change, Update):
                self._updated(self.copies[worker, change.message_id], life, change, told)
                self._noticed(self.copies[worker, change.message_id], change, late)
            elif isinstance(change, Remove):
                self._removed(self.copies[worker, change.message_id], life, told)

    def adopted(self, worker: str, ids: Sequence[MessageId]) -> None:
        """A worker took over what another one of its server had."""
        machine = worker.rpartition(".")[0]
        for former in [key for key in self.copies if key[1] in ids and key[0].rpartition(".")[0] == machine]:
            copy = self.copies.pop(former)
            copy.key = worker, former[1]
            self.copies[copy.key] = copy
            if former != copy.key:
                self.note(f"{copy} is adopted from {former[0]}")

    def set_aside(self, worker: str, message_id: MessageId) -> None:
        """A worker found a message damaged and keeps it for the operator."""
        copy = self.copies[worker, message_id]
        copy.is_removed = copy.is_set_aside = True
        self.note(f"{copy} is damaged and set aside")

    def _opened(self, worker: str, insert: Insert) -> Copy:
        content = insert.body.content or b""
        number = NUMBER.search(content)
        copy = Copy((worker, insert.message_id), insert.envelope, int(number[1]) if number else 0, self.now())
        former = self.copies.get(copy.key)
        if former is not None and not former.is_removed:
            self.fail(f"{copy} was given to two messages")
        copy.content = content
        self.copies[copy.key] = copy
        self._by_mail.setdefault(copy.mail, []).append(copy)
        if insert.envelope.is_dsn:
            copy.reports = {
                address.decode().lower(): action.decode() for address, action in FINAL_RECIPIENT.findall(content)
            }
        to = ", ".join(one.address for one in insert.envelope.recipients)
        what = f"DSN ({', '.join(sorted(copy.reports.values()))}) about mail" if insert.envelope.is_dsn else "mail"
        self.note(f"{copy} stored: {what} {copy.mail} from <{insert.envelope.reverse_path}> to {to}")
        if insert.envelope.is_dsn:
            self.dsns += 1
            if insert.envelope.reverse_path != NULL_PATH or not all(
                one.address for one in insert.envelope.recipients
            ):
                self.fail(f"{copy}: a DSN must go from the null reverse path to somebody")
            about = [one for one in self._by_mail[copy.mail] if not one.envelope.is_dsn]
            if about and not any(one.envelope.reverse_path for one in about):
                self.fail(f"{copy}: a DSN answers the null reverse path")
        header = content.partition(b"\r\n\r\n")[0]
        hops = QUEUE_ID.findall(header)
        if hops:  # it came by SMTP: a DSN of our own has no trace yet
            for sent in (*hops[1:2], *DSN_ID.findall(header)):
                self._relayed(sent.decode(), copy)
        return copy

    def _relayed(self, sent: str, copy: Copy) -> None:
        """The copy came from another server of ours, which calls it `sent`."""
        number, machine = queue_id.read(sent), copy.key[0].rpartition(".")[0]
        for former in self._by_mail.get(copy.mail, ()):
            # Two servers may give the same id in the same millisecond.
            if former.key[1] == number and former.key[0].rpartition(".")[0] != machine:
                addresses = {one.address for one in copy.envelope.recipients}
                for one in former.envelope.recipients:
                    former.taken[one.ordinal] += one.address in addresses

    def _updated(self, copy: Copy, life: Life, change: Update, told: set[str]) -> None:
        for ordinal, state in change.states.items():
            before = copy.standing.get(ordinal, Standing.WAITING)
            if before.is_settled and state.standing is not before:
                self.fail(f"{copy} recipient {ordinal}: {before.name} became {state.standing.name}")
            if state.standing.is_settled and not before.is_settled:
                self._settled(copy, ordinal, life, told, state)
            copy.standing[ordinal] = state.standing

    def _noticed(self, copy: Copy, change: Update, late: set[str]) -> None:
        """A sender is told of a delay once."""
        for ordinal, state in change.states.items():
            address = copy.envelope.recipients[ordinal].address.lower()
            if address in late and (ordinal in copy.noticed or not state.delay_noticed):
                self.fail(f"{copy} <{address}>: a second delay notice, or one that is not remembered")
            if address in late:
                copy.noticed.add(ordinal)

    def _removed(self, copy: Copy, life: Life, told: set[str]) -> None:
        for recipient in copy.envelope.recipients:
            if not copy.settled(recipient.ordinal):
                self._settled(copy, recipient.ordinal, life, told, None)
        copy.is_removed = True
        self.note(f"{copy} left the spool")

    def _settled(self, copy: Copy, ordinal: int, life: Life, told: set[str], state: RecipientState | None) -> None:
        """A recipient is settled by this submission: there must be a reason, and whoever must be told is told."""
        recipient = copy.envelope.recipients[ordinal]
        where = f"{copy} recipient {ordinal} <{recipient.address}>"
        standing = state.standing if state is not None else None
        if copy.confirmed.get(ordinal) is life and standing is not Standing.FAILED:
            self.note(f"{where} delivered")
            return
        if standing is Standing.DELIVERED:
            self.fail(f"{where} is recorded as delivered, and no peer of this life took it")
        is_deletion, is_bounce = (self._orders[copy.key[0], verb] > 0 for verb in (Verb.DELETE, Verb.BOUNCE))
        is_refused = copy.refused.get(ordinal) is life
        if not (is_refused or self.is_old(copy) or is_deletion or is_bounce or self._is_hopeless(copy)):
            self.fail(f"{where} was settled without a reason")
        if is_deletion:
            self.note(f"{where} deleted")
            return
        is_told = recipient.address.lower() in told
        if is_told is not is_wanted(copy.envelope, recipient, Action.FAILED):
            self.fail(f"{where} failed: {'a DSN that nobody wants' if is_told else 'its DSN is missing'}")
        self.note(f"{where} failed")

    def _is_hopeless(self, copy: Copy) -> bool:
        """A DSN that nothing takes is kept as badmail at once."""
        return copy.envelope.is_dsn and self.is_badmail(copy)

    # What servers of ours send

    def sending(self, worker: str, life: Life, number: int, transaction: Transaction) -> None:
        """A transaction begins on the connection with this number."""
        copy = self.copy(worker, transaction.message_id)
        ordinals = tuple(one.ordinal for one in transaction.recipients)
        self.note(
            f"{copy} is sent to {', '.join(one.address for one in transaction.recipients)} (connection {number})"
        )
        for ordinal in ordinals:
            if copy.settled(ordinal) and not copy.is_set_aside:
                self.fail(f"{copy} recipient {ordinal} is sent though it is settled")
            if copy.confirmed.get(ordinal) is life:
                self.fail(f"{copy} recipient {ordinal} is sent again though a peer took it")
            if ordinal in copy.under_way:
                self.fail(f"{copy} recipient {ordinal} is sent twice at once")
            copy.under_way.add(ordinal)
        self._sendings[number] = sending = Sending(copy, life, ordinals)
        self._every_sending.append(sending)

    @property
    def transactions(self) -> int:
        """How many began."""
        return len(self._every_sending)

    def ended(self, number: int, attempted: Attempted) -> None:
        """The transaction on this connection ended."""
        sending = self._sendings[number]
        copy = sending.copy
        sending.is_ended = True
        if sorted([*attempted.outcomes, *(one.ordinal for one in attempted.remaining)]) != sorted(sending.ordinals):
            self.fail(f"{copy}: outcomes {sorted(attempted.outcomes)} for recipients {sorted(sending.ordinals)}")
        for ordinal, outcome in attempted.outcomes.items():
            sending.outcomes[ordinal] = outcome
            match outcome:
                case Delivered():
                    if not copy.taken[ordinal]:
                        self.fail(f"{copy} recipient {ordinal} counts as delivered, and no peer has it")
                    copy.confirmed[ordinal] = sending.life
                case Failed():
                    copy.refused[ordinal] = sending.life
                case Deferred(is_unconfirmed=True):
                    copy.excused[ordinal] += 1
                case Deferred():
                    self._must_not_have(sending, ordinal)
        copy.under_way.difference_update(sending.ordinals)
        words = {n: f"{type(o).__name__} {o.reply}" for n, o in attempted.outcomes.items()}
        self.note(f"{copy} connection {number}: {words}, {len(attempted.remaining)} remain")

    def taken(self, sink: str, number: int, addresses: list[str], content: bytes) -> Copy | None:
        """A sink took what came over this connection, for these addresses; `None`: it came from no server of ours."""
        sending = self._sendings.get(number)
        if sending is None:
            return None
        copy = sending.copy
        self.note(f"{sink} takes {copy} for {', '.join(addresses)} (connection {number})")
        if content != copy.content and (content.isascii() is copy.content.isascii()):
            self.fail(f"{copy} reached {sink} with another content")
        for recipient in (copy.envelope.recipients[ordinal] for ordinal in sending.ordinals):
            if recipient.address in addresses:
                copy.taken[recipient.ordinal] += 1
                self.deliveries += 1
                sending.taken.add(recipient.ordinal)
                if sending.is_ended:
                    self._must_not_have(sending, recipient.ordinal)
        return copy

    def _must_not_have(self, sending: Sending, ordinal: int) -> None:
        """The client is certain that this transaction did not hand the message over."""
        outcome = sending.outcomes.get(ordinal)
        is_certain = isinstance(outcome, Failed) or (isinstance(outcome, Deferred) and not outcome.is_unconfirmed)
        if ordinal in sending.taken and is_certain:
            self.fail(f"{sending.copy} recipient {ordinal}: the peer took it, and the outcome is {outcome}")

    def life_ended(self, life: Life) -> None:
        """What a process knew and had not written is gone."""
        for sending in self._every_sending:
            if sending.life is life:
                copy = sending.copy
                for ordinal in sending.ordinals:
                    was_known = copy.confirmed.get(ordinal) is life and not copy.settled(ordinal)
                    if was_known or not sending.is_ended:
                        copy.excused[ordinal] += 1
                copy.under_way.difference_update(sending.ordinals)
        for verb in Verb:
            self._orders.pop((life.name, verb), None)

    # The end

    def close(self) -> None:
        """Everything is mended and time has passed: nothing waits, nothing is lost, every duplicate is explained."""
        for copy in self.copies.values():
            if not copy.is_removed:
                self.fail(f"{copy} (mail {copy.mail}) still waits")
            for recipient in copy.envelope.recipients:
                extra = copy.taken[recipient.ordinal] - 1
                self.duplicates += max(0, extra)
                if extra > copy.excused[recipient.ordinal]:
                    self.fail(
                        f"{copy} <{recipient.address}> was delivered {extra + 1} times, and nothing excuses that"
                    )
        for mail, address in sorted(self.accepted):
            if not any(
                address == one.address for copy in self._by_mail.get(mail, ()) for one in copy.envelope.recipients
            ):
                self.fail(f"mail {mail} to <{address}> got a 250 and was never stored")
