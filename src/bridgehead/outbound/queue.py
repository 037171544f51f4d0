"""One queue: what waits for one next hop by one connector, and the connections that carry it.

Trouble with the host backs off the whole queue; its entries keep their order and cost nothing meanwhile. Connections
are opened while entries wait and the allowance grants them, carry up to `messages_per_connection` messages each, and
are closed after a few idle seconds. The queue decides when and over which connection, never what an outcome means.
"""

from __future__ import annotations

from collections import deque
from math import inf
from typing import Final, Protocol

from bridgehead.core.envelope import Recipient
from bridgehead.core.organization import Delivery
from bridgehead.core.outcome import Deferred, Failed, Scope
from bridgehead.core.reply import Reply
from bridgehead.core.retry import queue_back_off
from bridgehead.outbound.allowance import limits_of
from bridgehead.outbound.contract import Attempted, Channel, Destination, QueueKey, Transaction, Unavailable
from bridgehead.outbound.entry import Attempt, Entry
from bridgehead.outbound.line import Line, closing_outcome, is_lost
from bridgehead.outbound.opening import Openings, Wire
from bridgehead.outbound.waiting import Waiting

IDLE_SECONDS: Final = 5.0
"""How long a connection is kept without mail: long enough for the next message of a burst, short for the peer."""
_NO_PROGRESS: Final = Deferred(Reply(0, "4.5.3", "No recipient was taken"), Scope.MESSAGE)
TURN_MESSAGES: Final = 20
"""So many messages a connection carries yet when a worker that has none waits for its lease."""
_NO_LIMIT: Final = 1_000_000


class QueueOwner(Protocol):
    """What a queue asks of the dispatcher. All calls are on the event loop."""

    def take_fresh(self, entry: Entry) -> Attempt | None:
        """An attempt of a message that is still in memory; `None`: it must be loaded."""
        ...

    def load(self, queue: Queue, entry: Entry) -> None:
        """Load an entry and route it anew; `Queue.loaded` or `Queue.not_loaded` follows."""
        ...

    def attempted(self, queue: Queue, attempt: Attempt, attempted: Attempted) -> None:
        """Record outcomes, which ends one of the attempt's `outstanding`."""
        ...

    def condemn(self, queue: Queue, entry: Entry, outcome: Deferred | Failed) -> None:
        """This outcome is that of every recipient of the entry, which is active now."""
        ...

    def backed_off(self, queue: Queue, outcome: Deferred) -> None:
        """The queue waits until its `retry_at`."""
        ...

    def dialled(self, queue: Queue, *, is_success: bool) -> None:
        """All hosts failed at connect level, or one gave a good greeting."""
        ...

    def wake_at(self, queue: Queue, when: float) -> None:
        """Call `Queue.wake` at `when`."""
        ...


class Queue:
    """Mutable; all methods are called on the event loop, by the dispatcher and by its lines."""

    def __init__(self, key: QueueKey, owner: QueueOwner, wire: Wire) -> None:
        self.key = key
        self.waiting = Waiting()
        self.active: set[Entry] = set()
        """Taken out of `waiting`: being loaded, sent or recorded. Nobody else touches them."""
        self.destination: Destination | None = None
        """`None`: no such way in the organization in force; only held entries wait here."""
        self.trouble: Deferred | None = None
        """Why it backs off, or did last."""
        self.refusal: Deferred | None = None
        """Our credentials were refused: nothing is tried before an operator has mended that."""
        self.retry_at = 0.0
        """By the steady clock, as all instants of a queue."""
        self.is_backing_off = False
        self.alarm_at = inf
        """When `wake` is due; kept by the dispatcher."""
        self._owner = owner
        self._wire = wire
        self._rounds = 0
        self._open_at = 0.0
        self._loaded: deque[Attempt] = deque()
        self._loading = 0
        self._lines: dict[Line, None] = {}
        self._idle: list[Line] = []
        self._openings = Openings(self, wire)
        self._lines_max = _NO_LIMIT
        self._is_draining = False

    @property
    def is_unused(self) -> bool:
        """Whether the queue may be forgotten."""
        if self._lines or self.active or self.is_backing_off or self.refusal is not None:
            return False
        return not self.waiting.held and not len(self.waiting)

    @property
    def delivery(self) -> Delivery:
        """The retry settings that hold for the queue."""
        return self.destination.virtual_server.delivery if self.destination is not None else Delivery()

    @property
    def busy_count(self) -> int:
        """Connections that carry a transaction now."""
        return sum(1 for line in self._lines if line.transaction is not None)

    @property
    def connection_count(self) -> int:
        """Connections that are open, or being opened."""
        return len(self._lines)

    def set_destination(self, destination: Destination | None) -> None:
        """The way as the organization in force has it; connections to the old one end with their transaction."""
        if destination == self.destination:
            return
        self.destination = destination
        self._close_lines()
        maxima = [maximum for _, maximum in limits_of(destination) if maximum] if destination is not None else []
        self._lines_max = min(maxima, default=_NO_LIMIT)

    # Sending ------------------------------------------------------------------------------------------------

    def pump(self) -> None:
        """Give what waits to idle connections; open more where that is not enough."""
        if self.is_backing_off or self.destination is None or self._is_draining:
            return
        idle = self._idle
        while idle:
            attempt = self._next_attempt()
            if attempt is None:
                break
            line = idle.pop()
            line.send(attempt)
            if attempt.rest:
                self._loaded.appendleft(attempt)
        if len(self._lines) < self._lines_max:
            self._open_more()

    def loaded(self, attempt: Attempt) -> None:
        """An entry that `load` was asked for is here, and still goes this way."""
        self._loading -= 1
        self._loaded.append(attempt)
        if self.is_backing_off or self._is_draining or self.destination is None:
            self._return_loaded()
        self.pump()

    def not_loaded(self) -> None:
        """An entry that `load` was asked for is gone, or goes another way now."""
        self._loading -= 1
        self.pump()

    def _next_attempt(self) -> Attempt | None:
        if self._loaded:
            return self._loaded.popleft()
        while self._loading < len(self._lines):
            entry = self.waiting.pop_ready()
            if entry is None:
                return None
            self.active.add(entry)
            attempt = self._owner.take_fresh(entry)
            if attempt is not None:
                return attempt
            self._loading += 1
            self._owner.load(self, entry)
        return None

    def _put_back(self, attempt: Attempt, recipients: tuple[Recipient, ...]) -> None:
        """These recipients of an attempt go next, in a transaction of their own."""
        if not attempt.rest:
            self._loaded.appendleft(attempt)
        attempt.rest = (*recipients, *attempt.rest)

    def transaction_done(self, line: Line, transaction: Transaction, attempted: Attempted) -> None:
        """As in `LineOwner`: forgive a kept connection that was lost, else pass the outcomes on; then go on."""
        attempt = line.attempt
        assert attempt is not None, "a transaction belongs to an attempt"
        line.attempt = None
        was_lost = is_lost(attempted)
        if was_lost and line.carried > 1 and not attempt.is_second_chance and not self._is_draining:
            attempt.is_second_chance = True
            attempt.outstanding -= 1
            self._put_back(attempt, transaction.recipients)
        else:
            self._pass_on(attempt, attempted, was_lost=was_lost)
        self._free(line, is_reusable=attempted.is_reusable)
        self.pump()
        if line.ends_at < inf and line in self._idle:
            self._idle.remove(line)
            line.leave()

    def _pass_on(self, attempt: Attempt, attempted: Attempted, *, was_lost: bool) -> None:
        if attempted.remaining and attempted.outcomes:
            self._put_back(attempt, attempted.remaining)
        elif attempted.remaining:  # no recipient was taken: going on at once would go on for ever
            attempted = Attempted({recipient.ordinal: _NO_PROGRESS for recipient in attempted.remaining})
        self._owner.attempted(self, attempt, attempted)
        if not was_lost:
            self._rounds = 0
            return
        closing = closing_outcome(attempted)
        if closing is not None:
            self.back_off(closing)

    # Back-off -----------------------------------------------------------------------------------------------

    def back_off(self, outcome: Deferred) -> None:
        """Trouble with the host: nothing is sent before the next round."""
        if self.is_backing_off:
            return
        self._rounds += 1
        self.is_backing_off = True
        self.trouble = outcome
        self.retry_at = self._wire.clock() + queue_back_off(self._rounds, self.delivery)
        self._return_loaded()
        self._owner.backed_off(self, outcome)
        self._set_alarm()

    def try_now(self) -> None:
        """End the back-off: a link returned, or an operator asks."""
        self.is_backing_off = False
        self._open_at = 0.0
        self.pump()

    def must_be_examined(self) -> None:
        """Nothing that waits is sent before it was routed anew."""
        self._return_loaded()
        self.waiting.must_be_examined()

    def wake(self, now: float) -> None:
        """Do what is due: end the back-off, make later entries ready, close idle connections."""
        if self.is_backing_off and self.retry_at <= now:
            self.is_backing_off = False
        if self._open_at <= now:
            self._open_at = 0.0
        self.waiting.make_ready(now)
        self._openings.wake(now)
        for line in [line for line in self._idle if line.idle_since + IDLE_SECONDS <= now]:
            self._idle.remove(line)
            line.leave()
        self.pump()
        self._set_alarm()

    def add_later(self, entry: Entry, due: float) -> None:
        """An entry that is ready at `due`."""
        self.waiting.add_later(entry, due)
        self.notice(due)

    def notice(self, when: float) -> None:
        """`wake` has something to do at `when`."""
        if when < self.alarm_at:
            self._owner.wake_at(self, when)

    def _set_alarm(self) -> None:
        """Be woken at the first moment at which `wake` has something to do."""
        due = min(
            self.retry_at if self.is_backing_off else inf,
            self.waiting.next_due() or inf,
            self._open_at or inf,
            self._openings.next_due(),
            min((line.idle_since for line in self._idle), default=inf) + IDLE_SECONDS,
        )
        self.notice(due)

    def _return_loaded(self) -> None:
        """Give back what is in memory and not begun, so that waiting costs nothing but ids."""
        for attempt in reversed(self._loaded):
            attempt.rest = ()
            if attempt.outstanding:
                continue  # what is left of it is placed anew when the present outcomes are durable
            self.active.discard(attempt.entry)
            self.waiting.return_ready(attempt.entry)
        self._loaded.clear()

    # Connections --------------------------------------------------------------------------------------------

    def _open_more(self) -> None:
        """Ask for connections: one to find out whether the host answers, then as many as there are entries."""
        backlog = len(self._loaded) + self._loading + self.waiting.ready_count - len(self._openings)
        if backlog <= 0 or self._wire.clock() < self._open_at:
            return
        is_answering = len(self._lines) > len(self._openings)
        wanted = min(backlog, self._lines_max - len(self._lines)) if is_answering else 1 - len(self._openings)
        for _ in range(wanted):
            self._ask_for_line()

    def _ask_for_line(self) -> None:
        assert self.destination is not None, "a queue without a way opens nothing"
        line = Line(self)
        self._lines[line] = None
        self._openings.begin(line, self.destination)

    def wanted(self, line: Line) -> Destination | None:
        """As in `OpeningOwner`."""
        backlog = len(self._loaded) + self._loading + self.waiting.ready_count
        if not backlog or self.is_backing_off or self.destination is None or self._is_draining:
            self._forget(line)
            return None
        return self.destination

    def opened(self, line: Line, destination: Destination, result: Channel | Unavailable) -> None:
        """As in `OpeningOwner`."""
        if isinstance(result, Unavailable):
            self._forget(line)
            self._unavailable(result)
        else:
            line.channel = result
            self._greeted(line, destination)

    def _greeted(self, line: Line, destination: Destination) -> None:
        self._open_at = 0.0
        self._owner.dialled(self, is_success=True)
        if line.is_closed:
            self.line_closed(line)
        elif destination != self.destination or line.is_leaving:
            line.leave()
        else:
            self._free(line, is_reusable=True)
        self.pump()

    def _unavailable(self, result: Unavailable) -> None:
        outcome = result.outcome
        if isinstance(outcome, Failed) or (isinstance(outcome, Deferred) and outcome.scope is Scope.CREDENTIAL):
            self._condemn_all(outcome)
        elif isinstance(outcome, Deferred):
            if len(self._lines) > len(self._openings):
                # Others are open: the peer limits connections. That is no reason to stop those that work.
                self._open_at = self._wire.clock() + self.delivery.glitch_retry_seconds
                self._set_alarm()
                return
            if outcome.is_connect_failure:
                self._owner.dialled(self, is_success=False)
            self.back_off(outcome)

    def _condemn_all(self, outcome: Deferred | Failed) -> None:
        """The answer of the host holds for all that waits here now."""
        if isinstance(outcome, Deferred):
            self.refusal = outcome
        self._return_loaded()
        while (entry := self.waiting.pop_ready()) is not None:
            self.active.add(entry)
            self._owner.condemn(self, entry, outcome)

    def _free(self, line: Line, *, is_reusable: bool) -> None:
        """The line takes the next transaction, or ends."""
        destination = self.destination
        used_up = destination is None or 0 < destination.messages_per_connection <= line.carried
        used_up = used_up or line.ends_at <= line.carried
        if not is_reusable or used_up or line.is_leaving or line.is_closed or self._is_draining:
            line.leave()
            return
        line.idle_since = self._wire.clock()
        self._idle.append(line)
        if destination is not None and destination.domain:
            self._wire.idle.keep(self, line, destination)
        self.notice(line.idle_since + IDLE_SECONDS)

    def let_go(self, line: Line, carried: int) -> None:
        """As in `IdleOwner`."""
        if line.carried == carried and line in self._idle:
            self._idle.remove(line)
            line.leave()

    def line_closed(self, line: Line) -> None:
        """As in `LineOwner`."""
        if line.channel is None:
            return  # closed before `open` returned; `_greeted` comes back to it
        if line in self._idle:
            self._idle.remove(line)
        self._forget(line)
        self.pump()
        if not self._lines and self.alarm_at == inf:
            self._owner.wake_at(self, self._wire.clock())  # so that a queue without use is forgotten

    def _forget(self, line: Line) -> None:
        if line in self._lines:
            del self._lines[line]
            self._openings.end(line)
            if line.ticket:
                self._wire.allowance.release(line.ticket)

    def _close_lines(self) -> None:
        """End all connections, busy ones after their transaction."""
        self._idle.clear()
        for line in list(self._lines):
            line.leave()

    def give_back(self, *, is_urgent: bool = True) -> bool:
        """End one connection for the sake of a worker that has none; whether there is one to end.

        An idle one at once, else one after its message, or, where it is not urgent, when it has had its turn.
        """
        held = (line for line in self._lines if line.is_granted and not line.is_leaving)
        line = self._idle.pop() if self._idle else next(held, None)
        if line is None:
            return False
        if line.channel is not None and (is_urgent or line.transaction is None):
            line.leave()
        else:
            line.ends_at = min(line.ends_at, line.carried + (1 if is_urgent else TURN_MESSAGES))
        return True

    def drain(self) -> None:
        """Begin no transaction any more; what is under way goes on."""
        self._is_draining = True
        self._close_lines()
        self._return_loaded()

    def abort(self) -> None:
        """Drop what is under way."""
        for line in list(self._lines):
            if line.channel is not None:
                line.channel.abort()
