"""What a server counts, as one value that workers report, the supervisor adds up, and status and metrics show."""

from __future__ import annotations

from collections.abc import Iterable

import msgspec


class QueueCount(msgspec.Struct, frozen=True, order=True):
    """Waiting mail of one connector in one state."""

    connector: str
    """Name; empty: mail that no connector takes."""
    state: str
    """ready, active, retry, unreachable, credential, frozen, configuration..."""
    messages: int
    oldest: float = 0.0
    """Arrival of the oldest, in seconds since the epoch; 0: unknown."""


class DeliveryCount(msgspec.Struct, frozen=True, order=True):
    """Settled and deferred recipients of one connector since the start."""

    connector: str
    result: str
    """delivered, deferred, failed."""
    count: int


class Statistics(msgspec.Struct, frozen=True):
    """Counters since the start, and gauges of now. Of one worker, or of all added up."""

    received: int = 0
    """Messages accepted."""
    refused: int = 0
    """Recipients and messages refused."""
    sessions: dict[str, int] = {}
    """Open SMTP sessions by virtual server (key)."""
    queues: tuple[QueueCount, ...] = ()
    deliveries: tuple[DeliveryCount, ...] = ()
    spooled: int = 0
    """Messages in the spool."""
    commits: int = 0
    commit_seconds: float = 0.0
    commit_buckets: tuple[int, ...] = ()
    """As in `spool.contract.SpoolStatistics`."""
    damaged: int = 0
    badmail: int = 0
    unconfirmed: int = 0
    """Transactions whose final reply was lost: the peer may have the message, and gets it again."""
    events_dropped: int = 0
    """Tracking events lost because the disk could not keep up."""
    memory_bytes: int = 0
    """Resident memory of the worker processes."""
    spool_faults: int = 0
    """Writes to the spool that the disk refused."""


def add(parts: Iterable[Statistics]) -> Statistics:
    """The sum over all workers; of two "oldest" the older counts."""
    total = Statistics()
    for part in parts:
        total = Statistics(
            received=total.received + part.received,
            refused=total.refused + part.refused,
            sessions=_add_counts(total.sessions, part.sessions),
            queues=_add_queues(total.queues, part.queues),
            deliveries=_add_deliveries(total.deliveries, part.deliveries),
            spooled=total.spooled + part.spooled,
            commits=total.commits + part.commits,
            commit_seconds=total.commit_seconds + part.commit_seconds,
            commit_buckets=_add_buckets(total.commit_buckets, part.commit_buckets),
            damaged=max(total.damaged, part.damaged),  # one folder, which every worker counts
            badmail=max(total.badmail, part.badmail),
            unconfirmed=total.unconfirmed + part.unconfirmed,
            events_dropped=total.events_dropped + part.events_dropped,
            memory_bytes=total.memory_bytes + part.memory_bytes,
            spool_faults=total.spool_faults + part.spool_faults,
        )
    return total


def _add_counts(left: dict[str, int], right: dict[str, int]) -> dict[str, int]:
    return {key: left.get(key, 0) + right.get(key, 0) for key in left | right}


def _add_queues(left: Iterable[QueueCount], right: Iterable[QueueCount]) -> tuple[QueueCount, ...]:
    sums: dict[tuple[str, str], QueueCount] = {}
    for one in (*left, *right):
        old = sums.get((one.connector, one.state))
        if old is not None:
            oldest = min(old.oldest or one.oldest, one.oldest or old.oldest)
            one = QueueCount(one.connector, one.state, old.messages + one.messages, oldest)  # noqa: PLW2901
        sums[one.connector, one.state] = one
    return tuple(sorted(sums.values()))


def _add_deliveries(left: Iterable[DeliveryCount], right: Iterable[DeliveryCount]) -> tuple[DeliveryCount, ...]:
    sums: dict[tuple[str, str], int] = {}
    for one in (*left, *right):
        sums[one.connector, one.result] = sums.get((one.connector, one.result), 0) + one.count
    return tuple(DeliveryCount(connector, result, count) for (connector, result), count in sorted(sums.items()))


def _add_buckets(left: tuple[int, ...], right: tuple[int, ...]) -> tuple[int, ...]:
    if not left or not right:
        return left or right
    return tuple(a + b for a, b in zip(left, right, strict=True))
