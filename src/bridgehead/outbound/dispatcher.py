"""Takes accepted mail and sees to it until every recipient is settled.

The dispatcher ties the parts together and owns their life: it places messages, loads them when their turn comes,
gives outcomes to the recorder, replaces organization and link state, ticks, and drains. It starts no task and sets no
timer per message: a fixed number of loops, and one task for each connection being opened.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Coroutine, Mapping
from contextlib import suppress
from dataclasses import dataclass, replace
from math import inf
from typing import Final

from bridgehead.core import queue_id
from bridgehead.core.dsn import ReportingMta
from bridgehead.core.envelope import MessageId
from bridgehead.core.link_state import ALL_UP, LinkState
from bridgehead.core.organization import Organization
from bridgehead.core.outcome import Deferred, Failed, Outcome, Scope, are_deliveries
from bridgehead.core.recipient_state import Hold
from bridgehead.core.tracking import Emit, Step, TrackingEvent
from bridgehead.outbound.aging import Aging
from bridgehead.outbound.allowance import Allowance, is_of_slow, limits_of
from bridgehead.outbound.clocks import Clocks
from bridgehead.outbound.contract import Attempted, Dialer
from bridgehead.outbound.entry import Attempt, Entry, message_of
from bridgehead.outbound.hand_back import Badmail, HandBack
from bridgehead.outbound.index import Index
from bridgehead.outbound.loader import Loader
from bridgehead.outbound.opening import Wire
from bridgehead.outbound.placement import RETURNED, Occasion, Placement, Site, unsettled
from bridgehead.outbound.probes import Probes
from bridgehead.outbound.pruning import Pruning
from bridgehead.outbound.pulse import Pulse
from bridgehead.outbound.queue import Queue
from bridgehead.outbound.queues import Queues
from bridgehead.outbound.recorder import Recorder, Records
from bridgehead.outbound.router import Router
from bridgehead.outbound.statistics import QueueStatistics, queue_counts
from bridgehead.outbound.verdict import Circumstances, of_outcomes, of_release
from bridgehead.spool.contract import Spool, StoredEntry, StoredMessage

SETTLING_SECONDS: Final = 600.0
"""So long after a change of the organization, a new message that nothing takes is held, not failed: its transaction
may have begun, and its recipients been admitted, under the organization before."""


@dataclass(frozen=True, slots=True)
class Surroundings:
    """What a dispatcher is built from."""

    spool: Spool
    dialer: Dialer
    allowance: Allowance
    emit: Emit
    clock: Callable[[], float]
    """Seconds since the epoch."""
    new_id: Callable[[], MessageId]
    """Ids for DSNs; shared with whoever accepts mail into the same partition."""
    report_link: Callable[[str, bool], None]
    """Takes the name of a connector and whether a host gave a good greeting; else a round failed at all hosts."""
    badmail: Badmail
    steady: Callable[[], float] = time.monotonic
    """Seconds that only grow, for waits (see `outbound.clocks`)."""


class Dispatcher:
    """The queue of one worker. All methods are called on its event loop.

    Order of use: `restore` for each entry of the spool, then `run` as a task; `accepted` for each new message that is
    durable; `drain` at the end.
    """

    def __init__(
        self, surroundings: Surroundings, server: str, organization: Organization, link_state: LinkState = ALL_UP
    ) -> None:
        """`server`: name of this machine in the organization."""
        self.organization = organization
        self.unconfirmed = 0
        """Transactions whose final reply was lost: their messages go out again, so the peer may get them twice."""
        self._surroundings = surroundings
        self._server = server
        self._organization_since = -inf
        self._router = Router(server, organization, link_state)
        self._tasks: asyncio.TaskGroup | None = None
        self._dials: set[asyncio.Task[None]] = set()
        self._is_draining = False
        self._quiet = asyncio.Event()
        self._ended = asyncio.Event()
        self._suspected: set[str] = set()
        self.clocks = clocks = Clocks(surroundings.clock, surroundings.steady)
        self._pruning = Pruning(surroundings.badmail, clocks)
        self.index = Index()
        self._loader = Loader(
            surroundings.spool, clocks.steady, self.index, self.finish, lambda: self.recorder.is_full
        )
        wire = Wire(surroundings.dialer, surroundings.allowance, self._spawn, clocks.steady)
        self.queues = Queues(organization, self, wire)
        hand_back = HandBack(self._reporting, surroundings.new_id, clocks.wall)
        records = Records(surroundings.spool, surroundings.emit, hand_back, surroundings.badmail, clocks)
        self.recorder = Recorder(records, self.index, self.accepted)
        site = Site(surroundings.emit, clocks, self.condemn, lambda: self._tasks is not None)
        self.placement = Placement(self._router, self.index, self.queues, self.recorder, site)
        self.aging = Aging(self, clocks, surroundings.emit)
        self._probes = Probes(server, self.queues, wire, self._dialled)
        self._pulse = Pulse(clocks.steady, self._next_due, self.tick)

    # Mail comes in ------------------------------------------------------------------------------------------

    def accepted(self, message: StoredMessage) -> None:
        """Take over a message that is durable in the spool."""
        may_refuse = self.clocks.steady() - self._organization_since > SETTLING_SECONDS
        occasion = Occasion(may_refuse=may_refuse or message.envelope.is_dsn, is_first=True)
        self.placement.place_fresh(message, occasion)

    def restore(self, entry: StoredEntry) -> None:
        """Take over a message found in the spool, at start or from a partition that was adopted."""
        self.placement.place_restored(entry)
        self.aging.restored(entry)

    # Life ---------------------------------------------------------------------------------------------------

    async def run(self) -> None:
        """Send mail until drained."""
        async with asyncio.TaskGroup() as tasks:
            self._tasks = tasks
            loops = [tasks.create_task(one) for one in (*self._loader.loops(), self._pulse.run(), self.aging.run())]
            for queue in self.queues:
                queue.wake(self.clocks.steady())
            await self._ended.wait()
            for loop in loops:
                loop.cancel()

    def tick(self) -> None:
        """Do what is due now."""
        now = self.clocks.steady()
        self.queues.wake(now)
        self.recorder.submit_again(now)
        self._loader.go_on()
        self.recorder.submit_gathered(now)
        self.aging.sweep()
        self._pruning.look()
        if self._is_draining:
            if not any(queue.busy_count for queue in self.queues):
                self._quiet.set()
            return
        self._probes.probe(now, self._router.link_state, self.organization)

    async def drain(self, seconds: float) -> None:
        """Begin nothing new, let transactions under way end within `seconds`, drop the others, end `run`."""
        self._is_draining = True
        self._pulse.notice(-inf)
        self.recorder.stop_gathering()
        for dial in self._dials:  # a host may take minutes to greet, and nothing would be sent to it any more
            dial.cancel()
        for queue in self.queues:
            queue.drain()
        with suppress(TimeoutError):
            async with asyncio.timeout(seconds):
                await self._quiet.wait()
        for queue in self.queues:
            queue.abort()
        self._ended.set()

    def _next_due(self) -> float:
        return -inf if self._is_draining else self.queues.next_alarm()

    def _spawn(self, coroutine: Coroutine[None, None, None]) -> object:
        assert self._tasks is not None, "connections are opened while the dispatcher runs"
        dial = self._tasks.create_task(coroutine)
        self._dials.add(dial)
        dial.add_done_callback(self._dials.discard)
        if self._is_draining:  # a probe's lease was granted too late
            dial.cancel()
        return dial

    @property
    def link_state(self) -> LinkState:
        """The link state in force."""
        return self._router.link_state

    def statistics(self) -> QueueStatistics:
        """Gauges of now, and counters since the start."""
        return QueueStatistics(
            queue_counts(self.queues, self.link_state),
            self.recorder.results.counts(),
            sum(queue.connection_count for queue in self.queues),
            self.unconfirmed,
            self.recorder.kept_as_badmail,
        )

    # Configuration and links --------------------------------------------------------------------------------

    def set_organization(self, organization: Organization) -> None:
        """Make a new organization current; what waits is routed anew in the background."""
        former = self._router
        self.organization = organization
        if replace(organization, name=former.organization.name, generation="") == replace(
            former.organization, generation=""
        ):
            return  # nothing that mail could notice
        self._organization_since = self.clocks.steady()
        enabled = {one.name for one in organization.connectors if one.enabled}
        for connector in former.organization.connectors:
            if connector.enabled and connector.name not in enabled:
                self.placement.formers.setdefault(connector.name, former)
        for name in enabled:
            self.placement.formers.pop(name, None)
        self._set_router(Router(self._server, organization, former.link_state))
        for queue in self.queues.set_organization(organization):
            self._mended(queue)
        self.aging.set_organization(organization)
        self._loader.examine_soon(list(self.queues))

    def set_link_state(self, link_state: LinkState) -> None:
        """Make a new link state current; mail that may go another way now is routed anew."""
        before = self._router.link_state
        if link_state == before:
            return
        self._set_router(self._router.with_links(link_state))
        names = before.down.keys() | before.suspect | link_state.down.keys() | link_state.suspect
        turned = {name for name in names if before.is_up(name) != link_state.is_up(name)}
        for queue in self.queues:
            if queue.key.connector in turned and link_state.is_up(queue.key.connector):
                queue.try_now()
        affected = self._router.rivals_of(turned)
        self._suspected -= {name for name in turned if link_state.is_up(name)}
        self._loader.examine_soon([queue for queue in self.queues if queue.key.connector in affected])

    def give_back(self, limit: str, *, is_urgent: bool = True) -> None:
        """End one connection that falls under `limit`: another worker has none and mail for it."""
        if is_of_slow(limit):
            return  # a place comes back by itself, since no dial lasts for ever
        for queue in self.queues:
            limits = limits_of(queue.destination) if queue.destination is not None else ()
            if any(name == limit for name, _ in limits) and queue.give_back(is_urgent=is_urgent):
                return

    def _set_router(self, router: Router) -> None:
        self._router = router
        self.placement.router = router
        self.index.drop_all_fresh()

    def _mended(self, queue: Queue) -> None:
        """The way of a queue changed: what its host held against us may be over."""
        queue.refusal = None
        for entry, hold in list(queue.waiting.held.items()):
            if hold is Hold.CREDENTIAL and queue.destination is not None:
                self.claim(queue, entry)
                self._loader.load(queue, entry, self._release)

    # What queues ask for ------------------------------------------------------------------------------------

    def take_fresh(self, entry: Entry) -> Attempt | None:
        """As in `QueueOwner`."""
        message = self.index.take_fresh(entry)
        if message is None:
            return None
        attempt = Attempt(entry, message, message.envelope.recipients)
        if entry is not message.message_id:
            attempt.rest = unsettled(attempt)
        return attempt

    def load(self, queue: Queue, entry: Entry) -> None:
        """As in `QueueOwner`."""
        self._loader.load(queue, entry, self._send, queue.not_loaded)

    def condemn(self, queue: Queue, entry: Entry, outcome: Deferred | Failed) -> None:
        """As in `QueueOwner`."""
        self.index.drop_fresh(message_of(entry))
        self._loader.load(queue, entry, lambda queue, attempt: self._condemn(queue, attempt, outcome))

    def attempted(self, queue: Queue, attempt: Attempt, attempted: Attempted) -> None:
        """As in `QueueOwner`."""
        outcomes = attempted.outcomes
        if not are_deliveries(outcomes.values()):
            outcomes = self._without_trouble(queue, attempt, outcomes)
        if outcomes:
            self._record(queue, attempt, outcomes)

    def _without_trouble(
        self, queue: Queue, attempt: Attempt, outcomes: Mapping[int, Outcome]
    ) -> Mapping[int, Outcome]:
        """What is left to be recorded of outcomes that are not all deliveries."""
        if any(isinstance(one, Deferred) and one.is_unconfirmed for one in outcomes.values()):
            self.unconfirmed += 1
        if self._is_draining:  # what was cut off is as it was before; the next start tries it again
            outcomes = {
                n: one for n, one in outcomes.items() if not isinstance(one, Deferred) or one.scope != Scope.HOST
            }
        for outcome in outcomes.values():
            if isinstance(outcome, Deferred) and outcome.scope is Scope.CREDENTIAL:
                queue.refusal = outcome
        failed = {ordinal: one for ordinal, one in outcomes.items() if isinstance(one, Failed)}
        if 0 < len(failed) < len(outcomes) and self.index.has_company(attempt):
            attempt.outstanding += 1  # failures may wait for others, what else is known may not
            self._record(queue, attempt, {n: one for n, one in outcomes.items() if n not in failed})
            outcomes = failed
        return outcomes

    def _record(self, queue: Queue, attempt: Attempt, outcomes: Mapping[int, Outcome]) -> None:
        at = Circumstances(self.clocks.wall(), queue.key.connector, queue.delivery)
        self.recorder.record(attempt, of_outcomes(attempt, outcomes, at), lambda: self._recorded(queue, attempt))

    def backed_off(self, queue: Queue, outcome: Deferred) -> None:
        """As in `QueueOwner`: mail waits in the spool alone now; tell it once of each message that is new here."""
        for message in self.index.fresh_in(queue):
            self.index.drop_fresh(message.message_id)
            self._emit_waiting(queue, outcome, message)
        self._emit_waiting(queue, outcome, None)

    def dialled(self, queue: Queue, *, is_success: bool) -> None:
        """As in `QueueOwner`."""
        if queue.destination is not None and queue.destination.connector and queue.destination.smart_hosts:
            self._dialled(queue.key.connector, is_success)

    def wake_at(self, queue: Queue, when: float) -> None:
        """As in `QueueOwner`."""
        self.queues.wake_at(queue, when)
        self._pulse.notice(when)

    def _dialled(self, connector: str, is_success: bool) -> None:  # a fact, not a switch
        """Report every failed round, and a good greeting where somebody may believe that the connector is not up."""
        if not is_success:
            self._suspected.add(connector)
            self._surroundings.report_link(connector, False)
        elif connector in self._suspected or not self._router.link_state.is_up(connector):
            self._suspected.discard(connector)
            self._surroundings.report_link(connector, True)

    def _emit_waiting(self, queue: Queue, outcome: Deferred, message: StoredMessage | None) -> None:
        """The queue backs off: said of a message, or of all that wait."""
        now = self.clocks.wall()
        envelope = message.envelope if message is not None else None
        recipients = self.index.recipients_in(queue, message) if message is not None else []
        one = len(recipients) == 1
        self._surroundings.emit(
            TrackingEvent(
                ts=now,
                step=Step.DEFERRED,
                level="warning",
                trace_id=envelope.trace_id if envelope else "",
                queue_id=queue_id.write(message.message_id) if message is not None else "",
                message_id=envelope.message_id if envelope else "",
                sender=envelope.reverse_path if envelope else None,
                recipient=recipients[0].address if one else "",
                recipients=0 if one else len(recipients) or len(queue.waiting),
                connector=queue.key.connector,
                host=outcome.host or queue.key.next_hop,
                code=outcome.reply.code,
                enhanced=outcome.reply.enhanced,
                reply=outcome.reply.text,
                next_attempt=self.clocks.wall_time_of(queue.retry_at),
                reason="the next hop cannot be used now",
            )
        )

    # Entries and what becomes of them -----------------------------------------------------------------------

    def claim(self, queue: Queue, entry: Entry) -> None:
        """Take an entry that waits out of its queue: nobody else touches it until it is placed again."""
        queue.waiting.take(entry)
        queue.active.add(entry)
        self.index.drop_fresh(message_of(entry))

    async def read(self, queue: Queue, entry: Entry) -> Attempt | None:
        """Load an active entry; `None` if it is gone, or cannot be read now (then it is tried again later)."""
        return await self._loader.read(queue, entry)

    def finish(self, queue: Queue, attempt: Attempt, occasion: Occasion = RETURNED) -> None:
        """Place what an active entry has left, or let it go."""
        self.placement.place(attempt, queue, occasion)

    def _recorded(self, queue: Queue, attempt: Attempt) -> None:
        """The outcomes of one transaction are durable."""
        attempt.outstanding -= 1
        if not attempt.outstanding and not attempt.rest:
            self.finish(queue, attempt)

    def _send(self, queue: Queue, attempt: Attempt) -> None:
        """An entry whose turn came is here: route it anew, and send it if it still goes this way."""
        message = attempt.message
        recipients = tuple(one for one in unsettled(attempt) if attempt.state(one.ordinal).hold is Hold.NONE)
        ways = self._router.ways(message.message_id, message.envelope, recipients)
        if recipients and all(way.key == queue.key for way in ways) and queue.destination is not None:
            attempt.rest = recipients
            queue.loaded(attempt)
            return
        queue.not_loaded()
        self.finish(queue, attempt)

    def _condemn(self, queue: Queue, attempt: Attempt, outcome: Deferred | Failed) -> None:
        recipients = unsettled(attempt)
        if not recipients:
            self.finish(queue, attempt)
            return
        attempt.outstanding += 1
        self.attempted(queue, attempt, Attempted({one.ordinal: outcome for one in recipients}))

    def _release(self, queue: Queue, attempt: Attempt) -> None:
        at = Circumstances(self.clocks.wall(), queue.key.connector, queue.delivery)
        ordinals = [one.ordinal for one in unsettled(attempt)]
        verdict = of_release(attempt, ordinals, at, "the configuration changed")
        self.recorder.record(attempt, verdict, lambda: self.finish(queue, attempt))

    def _reporting(self) -> ReportingMta:
        """Who signs DSNs: this server's first virtual server."""
        key = self._router.first_virtual_server()
        fqdn = self.organization.virtual_server(key).fqdn if key else self._server
        return ReportingMta(fqdn, self.organization.postmaster, key)
