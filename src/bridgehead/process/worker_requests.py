"""A worker's share of the answers on the control socket: its statistics, and operations on its mail."""

from __future__ import annotations

import logging
import resource
import time
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import msgspec

from bridgehead.core import queue_id
from bridgehead.core.address import normalise_domain
from bridgehead.core.error import BridgeheadError, ConfigurationError
from bridgehead.core.statistics import Statistics
from bridgehead.outbound.listing import Selection
from bridgehead.outbound.operations import Operations, Verb
from bridgehead.outbound.waiting_for import waiting_for
from bridgehead.process.messages import Answered, Ask, Message

if TYPE_CHECKING:
    from bridgehead.process.worker import Worker

log: Final = logging.getLogger(__name__)

PAGE_BYTES: Final = resource.getpagesize()


class Chosen(msgspec.Struct, frozen=True):
    """The arguments of every `queue.*` verb: which mail, and whether only to count."""

    ids: tuple[str, ...] = ()
    """Written queue ids."""
    connector: str | None = None
    """Name; `""`: mail that no connector takes."""
    domain: str = ""
    sender: str | None = None
    dry_run: bool = False
    limit: int = 1000
    """Rows of a listing at most."""

    def selection(self) -> Selection:
        """The selection meant; `ConfigurationError` where an id or domain is none."""
        ids = []
        for text in self.ids:
            message_id = queue_id.read(text)
            if message_id is None:
                raise ConfigurationError(f"{text!r} is not a queue id: `bridgehead queue list` shows them")
            ids.append(message_id)
        domain = normalise_domain(self.domain) if self.domain else ""
        if domain is None:
            raise ConfigurationError(f"{self.domain!r} is not a domain")
        return Selection(frozenset(ids), self.connector, domain, self.sender)


class Named(msgspec.Struct, frozen=True):
    """The argument of `queue.waiting_for`."""

    connectors: frozenset[str]


class WorkerRequests:
    """Answers what the supervisor passes on."""

    def __init__(self, worker: Worker) -> None:
        self._worker = worker
        self._operations = Operations(worker.dispatcher, worker.spool, time.time)

    async def answer(self, ask: Ask, send: Callable[[Message], None]) -> None:
        """Answer one request; an error is an answer too."""
        try:
            result = msgspec.json.encode(await self._answer(ask.verb, ask.arguments))
        except BridgeheadError as error:
            send(Answered(ask.request, b"", str(error)))
        except (
            Exception
        ):  # the root of a request: whatever comes here is a defect of ours, and must not end the worker
            log.exception("a request failed", extra={"event": "request-failed", "reason": ask.verb})
            send(Answered(ask.request, b"", "internal error: see the log of the server"))
        else:
            send(Answered(ask.request, result))

    async def _answer(self, verb: str, arguments: bytes) -> Any:
        if verb == "statistics":
            return self._statistics()
        if verb == "queue.waiting_for":
            dispatcher, names = self._worker.dispatcher, msgspec.json.decode(arguments, type=Named).connectors
            return await waiting_for(names, dispatcher.queues, dispatcher.placement.router, self._worker.spool.load)
        chosen = msgspec.json.decode(arguments, type=Chosen)
        selection = chosen.selection()
        _, _, action = verb.partition(".")
        if action in {"list", "show"}:
            return await self._operations.rows(selection, chosen.limit)
        if chosen.dry_run:
            return await self._operations.count(selection, Verb(action))
        return await self._operations.perform(Verb(action), selection)

    def _statistics(self) -> Statistics:
        worker = self._worker
        spool = worker.spool.statistics()
        queue = worker.dispatcher.statistics()
        sink = worker.sink.statistics()
        return Statistics(
            received=worker.received,
            refused=worker.refused,
            sessions=dict(worker.inbound.session_counts()),
            queues=queue.queues,
            deliveries=queue.deliveries,
            spooled=spool.messages,
            commits=spool.commits,
            commit_seconds=spool.commit_seconds,
            commit_buckets=spool.commit_buckets,
            spool_faults=spool.faults,
            damaged=_entries(worker.state_dir / "damaged"),
            badmail=worker.badmail.count(),
            unconfirmed=queue.unconfirmed,
            events_dropped=sink.dropped + sink.rows_dropped,
            memory_bytes=_resident_bytes(),
        )


def _entries(folder: Path) -> int:
    """What lies in a folder, also from before the start."""
    return sum(1 for _ in folder.iterdir()) if folder.is_dir() else 0


def _resident_bytes() -> int:
    with open("/proc/self/statm", "rb") as statm:  # noqa: PTH123  read many times an hour, no path to compute
        return int(statm.read().split()[1]) * PAGE_BYTES
