"""What keeps a server from accepting mail: told in `status` and by /healthz/ready, and in the log at each change.

The disk is looked at here, because the workers share it; whether a spool can be written its worker says.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable
from typing import Final

from bridgehead.process.child_process import ChildProcess
from bridgehead.process.free_space import FreeSpace, Room

log: Final = logging.getLogger(__name__)

LOOK_SECONDS: Final = 5.0
"""How late a full disk is logged; it is refused to new mail, and shown where asked, within a second."""
MEBIBYTE: Final = 1024 * 1024


class Health:
    """Owned by the supervisor. `workers` gives them by index, `None` while one is being started again."""

    def __init__(self, space: FreeSpace, workers: Callable[[], list[ChildProcess | None]]) -> None:
        self._space = space
        self._workers = workers
        self._had_room = True
        self._failures: dict[int, str] = {}
        """Why workers that do not run had to end, by index."""

    async def watch(self) -> None:
        """Look at the disk now and then, until cancelled."""
        while True:
            self.room()
            await asyncio.sleep(LOOK_SECONDS)

    def room(self) -> Room:
        """What is free on the disk of `state_dir`; logs where it came to be too little, or enough again."""
        room = self._space.room()
        if room.is_enough != self._had_room:
            self._had_room = room.is_enough
            if room.is_enough:
                text = f"the disk has room again, {_size(room.free)}: new mail is accepted"
                log.warning("%s", text, extra={"event": "disk-room"})
            else:
                log.error("%s", _full(room), extra={"event": "disk-full"})
        return room

    def spool_said(self, index: int, fault: str) -> None:
        """A worker says why its spool cannot be written, or (empty) that it can."""
        worker = self._workers()[index]
        if worker is None:
            return
        had_fault, worker.fault = bool(worker.fault), fault
        if fault and not had_fault:
            log.error("%s", _unwritable(index, fault), extra={"event": "spool-unwritable"})
        elif had_fault and not fault:
            log.warning("worker %d can write its spool again", index, extra={"event": "spool-writable"})

    def worker_failed(self, index: int, reason: str) -> None:
        """A worker says why it has to end."""
        self._failures[index] = reason

    def worker_ready(self, index: int) -> None:
        """A worker accepts mail."""
        self._failures.pop(index, None)

    def fault_of(self, index: int) -> str:
        """Why a worker does not run, or cannot write its spool; empty: neither, or nobody knows."""
        worker = self._workers()[index]
        return worker.fault if worker is not None and worker.is_ready else self._failures.get(index, "")

    def reasons(self) -> tuple[str, ...]:
        """Why new mail is not accepted, each a sentence; empty: it is, by every worker."""
        room = self.room()
        reasons = [] if room.is_enough else [_full(room)]
        for index, worker in enumerate(self._workers()):
            if worker is None or not worker.is_ready:
                failure = self._failures.get(index)
                why = f"cannot start: {failure}" if failure else "is not ready: see the log"
                reasons.append(f"worker {index} {why}")
            elif worker.fault:
                reasons.append(_unwritable(index, worker.fault))
        return tuple(reasons)


def _full(room: Room) -> str:
    reserve = f"the {_size(room.reserve)} that min_free_mb keeps"
    lacks = f"less than {reserve}" if room.free < room.reserve else f"and had less than {reserve}"
    until = f" until it has {_size(room.wanted + MEBIBYTE - 1)}" if room.wanted > room.reserve > 0 else ""
    return f"the disk has {_size(room.free)} free, {lacks}: new mail gets 452 4.3.1{until}, deliveries go on"


def _unwritable(index: int, fault: str) -> str:
    return f"worker {index} cannot write its spool ({fault}): new mail gets 452 4.3.1, what was accepted stays"


def _size(octets: int) -> str:
    """`"256 MB"`, rounded down, in the unit of `min_free_mb`."""
    return f"{octets // MEBIBYTE:,} MB"
