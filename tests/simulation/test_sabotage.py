"""The simulation sees what it looks for: each promise is broken on purpose, and some seed must say so."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from dataclasses import replace
from itertools import count

import pytest
from msgspec import structs

from bridgehead.core.envelope import MessageId
from bridgehead.core.leases import Limits
from bridgehead.core.organization import Security, TlsLevel
from bridgehead.core.outcome import Deferred, Delivered
from bridgehead.outbound.contract import Attempted, Channel, Destination, Unavailable
from bridgehead.outbound.entry import Attempt
from bridgehead.outbound.queue import Queue
from bridgehead.outbound.smtp_channel import SmtpChannel
from bridgehead.smtp.client_extensions import Extensions
from bridgehead.spool.contract import Body, Change, Done, StoredMessage
from tests.simulation.disk import Disk
from tests.simulation.simulation import run
from tests.simulation.worker import Worker

SEEDS = 240
"""Some seed among the first so many must notice."""


def promise_too_early(worker: Worker) -> None:
    """The spool says that everything is durable at once."""
    submit = worker.spool.submit

    def early(changes: Sequence[Change], done: Done | None = None) -> None:
        submit(changes)
        if done is not None:
            worker.world.loop.call_soon(done, None)

    worker.spool.submit = early  # type: ignore[method-assign]  # on purpose


def tell_nobody(worker: Worker) -> None:
    """No DSN is made."""
    worker.dispatcher.recorder._records.hand_back.inserts = lambda message, reports: []  # type: ignore[method-assign]  # on purpose


def know_no_limit(worker: Worker) -> None:
    """Connections are opened without a lease."""

    tickets, waiting = count(), set[int]()

    def request(limits: Limits, granted: Callable[[], None]) -> int:
        ticket = next(tickets)
        waiting.add(ticket)
        worker.world.loop.call_soon(lambda: granted() if ticket in waiting and worker.is_ready else None)
        return ticket

    worker.leases.request = request  # type: ignore[method-assign]  # on purpose
    worker.leases.release = waiting.discard  # type: ignore[method-assign, assignment]  # on purpose


def forget_what_was_delivered(worker: Worker) -> None:
    """Every outcome is taken for a lost connection."""
    honest = worker.dispatcher.attempted

    def forgetful(queue: Queue, attempt: Attempt, attempted: Attempted) -> None:
        if worker.world.random.random() < 0.1:
            attempt.outstanding -= 1
            attempt.rest = attempt.message.envelope.recipients
            worker.dispatcher.finish(queue, attempt)
        else:
            honest(queue, attempt, attempted)

    worker.dispatcher.attempted = forgetful  # type: ignore[method-assign]  # on purpose


def lose_what_waits(worker: Worker) -> None:
    """What comes back from an attempt is put nowhere."""
    worker.dispatcher.placement._add = lambda *_: None  # type: ignore[method-assign]  # on purpose


def expire_without_an_attempt(worker: Worker) -> None:
    """Mail expires right after a start or a jump of the clock."""
    sweep = worker.dispatcher.aging.sweep

    def hasty() -> None:
        worker.dispatcher.aging._patient_until = 0.0
        worker.dispatcher.aging._wall_then = worker.machine.clock()
        sweep()

    worker.dispatcher.aging.sweep = hasty  # type: ignore[method-assign]  # on purpose


def adopt_without_forgetting(worker: Worker) -> None:
    """What was taken over is left where it was, too: the next start takes it over again."""

    async def hasty(orphan: Disk) -> None:
        for message_id in sorted(orphan.rows):
            worker.disk.rows.setdefault(message_id, orphan.rows[message_id])
        worker.ledger.adopted(worker.name, sorted(orphan.rows))

    worker.adopt = hasty  # type: ignore[method-assign]  # on purpose


def adopt_nothing(worker: Worker) -> None:
    """What a worker left that is there no more stays where it is."""

    async def idle(orphan: Disk) -> None:
        """Leave `orphan` as it is."""

    worker.adopt = idle  # type: ignore[method-assign]  # on purpose


class NoMarks(dict[int, int]):
    """Keeps nothing."""

    def __setitem__(self, key: int, value: int) -> None:
        """Forget it."""


def move_without_a_mark(worker: Worker) -> None:
    """Where a takeover was cut short, the partition is its own worker's as soon as there is one again."""
    worker.machine.moving = NoMarks()


class Meddling:
    """A dialer between queue and wire that changes what is asked for, or what came of a transaction."""

    def __init__(
        self,
        worker: Worker,
        asked: Callable[[Destination], Destination] = lambda destination: destination,
        opened: Callable[[SmtpChannel], None] = lambda channel: None,
    ) -> None:
        self._honest, self._asked, self._opened = worker.wire.dialer, asked, opened
        worker.wire.dialer = self

    async def open(self, destination: Destination, closed: Callable[[], None]) -> Channel | Unavailable:
        """As in `Dialer`."""
        result = await self._honest.open(self._asked(destination), closed)
        if isinstance(result, SmtpChannel):
            self._opened(result)
        return result


def with_outcomes(worker: Worker, changed: Callable[[Attempted], Attempted]) -> None:
    """Every transaction of a worker comes to something else."""

    def opened(channel: SmtpChannel) -> None:
        send = channel.send
        channel.send = lambda transaction, done: send(transaction, lambda came: done(changed(came)))  # type: ignore[method-assign]  # on purpose

    Meddling(worker, opened=opened)


def take_one_reply_for_all(worker: Worker) -> None:
    """The first of the final replies of LMTP counts for every recipient."""

    def changed(came: Attempted) -> Attempted:
        outcomes = dict.fromkeys(came.outcomes, next(iter(came.outcomes.values()))) if came.outcomes else {}
        return Attempted(outcomes, came.remaining)

    with_outcomes(worker, changed)


def be_certain(worker: Worker) -> None:
    """Where the final reply was lost, the message was not taken."""

    def changed(came: Attempted) -> Attempted:
        outcomes = {
            ordinal: structs.replace(outcome, is_unconfirmed=False) if isinstance(outcome, Deferred) else outcome
            for ordinal, outcome in came.outcomes.items()
        }
        return Attempted(outcomes, came.remaining)

    with_outcomes(worker, changed)


def use_what_was_not_offered(worker: Worker) -> None:
    """Every host is taken to know all extensions."""
    every = Extensions(pipelining=True, eight_bit_mime=True, smtputf8=True, dsn=True, size=True)

    def opened(channel: SmtpChannel) -> None:
        channel.connection.extensions = every

    Meddling(worker, opened=opened)


def do_without_tls(worker: Worker) -> None:
    """A connector that requires TLS sends in the clear where there is none."""
    opportunistic = Security(tls=TlsLevel.OPPORTUNISTIC)
    Meddling(worker, asked=lambda destination: replace(destination, security=opportunistic))


def believe_the_clock(worker: Worker) -> None:
    """Retry times go by the clock on the wall."""
    object.__setattr__(worker.dispatcher.clocks, "steady", worker.machine.clock)


def take_no_configuration(worker: Worker) -> None:
    """A changed configuration is not passed on to the queue."""
    worker.dispatcher.set_organization = lambda organization: None  # type: ignore[method-assign]  # on purpose


def lose_what_is_damaged(worker: Worker) -> None:
    """What is damaged is neither kept nor counted."""
    worker.spool.told_of_damage = lambda message_id: None


def answer_250_on_a_full_disk(worker: Worker) -> None:
    """That the disk took nothing is not noticed."""
    submit = worker.spool.submit

    def deaf(changes: Sequence[Change], done: Done | None = None) -> None:
        submit(changes, None if done is None else lambda error: done(None))

    worker.spool.submit = deaf  # type: ignore[method-assign]  # on purpose


def wait_without_an_end(worker: Worker) -> None:
    """No connection has a time limit."""

    def opened(channel: SmtpChannel) -> None:
        if channel._timer is not None:
            channel._timer.cancel()

    Meddling(worker, opened=opened)


def leave_a_task_behind(worker: Worker) -> None:
    """A task that belongs to nobody."""
    _stray = worker.world.loop.create_task(asyncio.sleep(10_000.0))


def forget_to_give_back(worker: Worker) -> None:
    """A message that arrived is counted for ever among those that arrive."""
    worker.draft_memory.take(1)


def spoil_the_content(worker: Worker) -> None:
    """What is read from the disk is not what was written."""
    load = worker.spool.load

    async def careless(message_id: MessageId) -> StoredMessage | None:
        message = await load(message_id)
        if message is None or message.body.content is None:
            return message
        content = message.body.content.replace(b"Subject:", b"SUBJECT:")
        return StoredMessage(message_id, message.envelope, Body(len(content), content), message.states)

    worker.spool.load = careless  # type: ignore[method-assign]  # on purpose


def answer_the_null_path(worker: Worker) -> None:
    """Mail from the null reverse path is taken for mail from somebody."""
    load, take_fresh = worker.spool.load, worker.dispatcher.index.take_fresh

    def changed(message: StoredMessage | None) -> StoredMessage | None:
        if message is None or message.envelope.reverse_path or message.envelope.is_dsn:
            return message
        return structs.replace(
            message, envelope=structs.replace(message.envelope, reverse_path="eve@contoso.example")
        )

    async def inventive(message_id: MessageId) -> StoredMessage | None:
        return changed(await load(message_id))

    worker.spool.load = inventive  # type: ignore[method-assign]  # on purpose
    worker.dispatcher.index.take_fresh = lambda entry: changed(take_fresh(entry))  # type: ignore[method-assign]  # on purpose


def be_confident(worker: Worker) -> None:
    """Where the connection was lost before the final reply, the message was taken."""

    def changed(came: Attempted) -> Attempted:
        outcomes = {
            ordinal: Delivered(outcome.reply, outcome.host)
            if isinstance(outcome, Deferred) and outcome.is_unconfirmed
            else outcome
            for ordinal, outcome in came.outcomes.items()
        }
        return Attempted(outcomes, came.remaining)

    with_outcomes(worker, changed)


@pytest.mark.parametrize(
    ("sabotage", "seen"),
    [
        (promise_too_early, "before that is durable"),
        (tell_nobody, "its DSN is missing"),
        (know_no_limit, "connections to"),
        (forget_what_was_delivered, "sent again though a peer took it"),
        (lose_what_waits, "still has"),
        (expire_without_an_attempt, "settled without a reason"),
        (adopt_nothing, "nobody adopts"),
        (adopt_without_forgetting, "nobody adopts"),
        (move_without_a_mark, "before that is durable"),
        (take_one_reply_for_all, "the peer took it, and the outcome is"),
        (be_certain, "the peer took it, and the outcome is"),
        (use_what_was_not_offered, "does not offer"),
        (do_without_tls, "in the clear"),
        (believe_the_clock, "settled without a reason"),
        (take_no_configuration, "former configuration"),
        (lose_what_is_damaged, "still waits"),
        (answer_250_on_a_full_disk, "before that is durable"),
        (wait_without_an_end, "for more than"),
        (leave_a_task_behind, "its tasks go on"),
        (forget_to_give_back, "its drafts hold"),
        (spoil_the_content, "another content"),
        (answer_the_null_path, "answers the null reverse path"),
        (be_confident, "counts as delivered, and no peer has it"),
    ],
)
def test_a_broken_promise_is_seen(sabotage: Callable[[Worker], None], seen: str) -> None:
    for seed in range(SEEDS):
        found = run(seed, sabotage)
        if seen in found.broken:
            return
    pytest.fail(f"no seed noticed {sabotage.__name__}")
