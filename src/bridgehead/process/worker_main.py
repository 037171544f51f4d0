"""A worker process: takes its organization from the supervisor, then receives and sends mail until told to drain.

Started by the supervisor as `python -m bridgehead.process.worker_main PIPE LANE INDEX WORKERS json|auto`.
"""

from __future__ import annotations

import asyncio
import gc
import logging
import os
import pickle
import signal
import socket
import sqlite3
import sys
from collections import deque
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import uvloop

from bridgehead.control.log import set_up
from bridgehead.core.error import BridgeheadError
from bridgehead.core.organization import Node, Organization
from bridgehead.process.child_process import receive_descriptors
from bridgehead.process.messages import Configure, Drain, Failed, Links, Message, Pipe, Ready
from bridgehead.process.state_directory import UMASK
from bridgehead.process.worker import Assignment, Worker
from bridgehead.spool.adopt import adopt

log: Final = logging.getLogger(__name__)

CONFIGURE_SECONDS: Final = 30.0
"""The supervisor sends the organization at once; if it does not, it is gone."""
GARBAGE_THRESHOLD: Final = 20_000
"""Allocations between looks for cycles. The data path makes none, and each look walks over what is young."""


class Inbox:
    """Messages of the supervisor, in order; its end is a message too."""

    def __init__(self) -> None:
        self._messages: deque[Message] = deque()
        self._there = asyncio.Event()

    def put(self, message: Message) -> None:
        """Called by the pipe."""
        self._messages.append(message)
        self._there.set()

    async def next(self) -> Message:
        """Wait for the next message."""
        while not self._messages:
            self._there.clear()
            await self._there.wait()
        return self._messages.popleft()


@dataclass(frozen=True, slots=True)
class Arguments:
    """The command line of a worker."""

    pipe: int
    lane: int
    index: int
    workers: int
    """How many there are."""
    json_logs: bool | None


async def run(arguments: Arguments) -> None:
    """The life of a worker."""
    lane = socket.socket(fileno=arguments.lane)
    inbox = Inbox()
    pipe = Pipe(inbox.put, lambda: inbox.put(Drain(-1.0)))
    await asyncio.get_running_loop().create_connection(lambda: pipe, sock=socket.socket(fileno=arguments.pipe))
    async with asyncio.timeout(CONFIGURE_SECONDS):
        configure = await inbox.next()
    if not isinstance(configure, Configure):
        return  # the supervisor ended before it sent anything
    try:
        await _live(arguments, configure, Ends(pipe, lane, inbox))
    except* (BridgeheadError, OSError, sqlite3.Error) as errors:
        pipe.send(Failed(str(errors.exceptions[0])))
        raise
    finally:
        pipe.close()
        await asyncio.sleep(0)  # what was written last goes out with the loop's next turn


@dataclass(frozen=True, slots=True)
class Ends:
    """The worker's ends of what it shares with the supervisor."""

    pipe: Pipe
    lane: socket.socket
    inbox: Inbox


async def _live(arguments: Arguments, configure: Configure, ends: Ends) -> None:
    """From the first organization to the end of the drain."""
    node, organization = _unpack(configure)
    adopt(Path(node.state_dir), arguments.index, arguments.workers)
    async with asyncio.TaskGroup() as tasks:
        worker = Worker(Assignment(arguments.index, node, organization, arguments.json_logs), ends.pipe.send, tasks)
        await worker.start()
        await _listen(worker, configure, ends.lane)
        ends.pipe.send(Ready())
        gc.collect()
        gc.freeze()
        seconds = await _obey(worker, ends.inbox, ends.lane)
        await worker.drain(worker.node.drain_seconds if seconds < 0 else seconds)


async def _obey(worker: Worker, inbox: Inbox, lane: socket.socket) -> float:
    """Do what the supervisor says until it says drain; returns the seconds that may take, negative: it is gone."""
    while True:
        message = await inbox.next()
        match message:
            case Drain(seconds):
                return seconds
            case Configure():
                worker.configure(*_unpack(message))
                await _listen(worker, message, lane)
            case Links():
                worker.set_links(message)
            case _:
                worker.on_message(message)


async def _listen(worker: Worker, configure: Configure, lane: socket.socket) -> None:
    descriptors = receive_descriptors(lane, len(configure.new))
    sockets = {
        configure.listening[position]: socket.socket(fileno=descriptor)
        for position, descriptor in zip(configure.new, descriptors, strict=True)
    }
    await worker.listen(configure.listening, sockets)


def _unpack(configure: Configure) -> tuple[Node, Organization]:
    node, organization = pickle.loads(configure.organization)
    assert isinstance(node, Node)
    assert isinstance(organization, Organization)
    return node, organization


def _work_in_batches() -> None:
    """Ask the scheduler to let each thread finish what it is at: being woken interrupts nobody else's work.

    A worker's threads, its clients and its next hops wake each other for every message. Measured: a tenth to a fifth
    less CPU time a message. A policy that somebody chose for us is left as it is.
    """
    with suppress(OSError):  # a sandbox may forbid it, and mail flows all the same
        if os.sched_getscheduler(0) == os.SCHED_OTHER:
            os.sched_setscheduler(0, os.SCHED_BATCH, os.sched_param(0))


def main() -> None:
    """Entry of the process."""
    pipe, lane, index, workers, logs = sys.argv[1:]
    json_logs = True if logs == "json" else None
    arguments = Arguments(int(pipe), int(lane), int(index), int(workers), json_logs)
    set_up(json=json_logs)
    os.umask(UMASK)
    for number in (signal.SIGHUP, signal.SIGINT, signal.SIGTERM):
        # The supervisor's business, also where a whole group is signalled, as systemd does: it tells us to drain.
        signal.signal(number, signal.SIG_IGN)
    gc.set_threshold(GARBAGE_THRESHOLD, 50, 100)
    _work_in_batches()
    try:
        uvloop.run(run(arguments))
    except* (BridgeheadError, OSError, sqlite3.Error) as errors:
        for error in errors.exceptions:
            trace = None if isinstance(error, BridgeheadError) else error
            log.error("%s", error, exc_info=trace, extra={"event": "worker-failed"})  # noqa: TRY400  ours need no trace
        sys.exit(1)


if __name__ == "__main__":
    main()
