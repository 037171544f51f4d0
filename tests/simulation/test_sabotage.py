"""The simulation sees what it looks for: each promise is broken on purpose, and some seed must say so."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import pytest

from bridgehead.core.leases import Limits
from bridgehead.outbound.contract import Attempted
from bridgehead.outbound.entry import Attempt
from bridgehead.outbound.queue import Queue
from bridgehead.spool.contract import Change, Done
from tests.simulation.machine import Worker
from tests.simulation.simulation import run

SEEDS = 60
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

    def request(limits: Limits, granted: Callable[[], None]) -> int:
        worker.world.loop.call_soon(granted)
        return 1

    worker.leases.request = request  # type: ignore[method-assign]  # on purpose


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


@pytest.mark.parametrize(
    ("sabotage", "seen"),
    [
        (promise_too_early, "before that is durable"),
        (tell_nobody, "its DSN is missing"),
        (know_no_limit, "connections to"),
        (forget_what_was_delivered, "sent again though a peer took it"),
        (lose_what_waits, "still has"),
        (expire_without_an_attempt, "settled without a reason"),
    ],
)
def test_a_broken_promise_is_seen(sabotage: Callable[[Worker], None], seen: str) -> None:
    for seed in range(SEEDS):
        found = run(seed, sabotage)
        if seen in found.broken:
            return
    pytest.fail(f"no seed noticed {sabotage.__name__}")
