"""Requests of the control socket: answered here, or by all workers together.

A verb that concerns mail goes to every worker, each answers for its own partition, and the parts are merged. A
worker that is being started again is left out of the answer and named in it.
"""

from __future__ import annotations

import asyncio
import itertools
from collections.abc import Callable
from typing import Any, Final, Protocol

import msgspec

from bridgehead.control.control_socket import ControlError, Request
from bridgehead.process.child_process import ChildProcess
from bridgehead.process.merging import MERGES
from bridgehead.process.messages import Answered, Ask

WORKER_SECONDS: Final = 45.0
"""How long a worker may take for its part; less than the control socket's own limit."""


class Asked(Protocol):
    """What `Requests` needs of the supervisor."""

    def workers(self) -> list[ChildProcess | None]:
        """The workers by index; `None` while one is being started again."""
        ...

    def answer_alone(self, request: Request) -> Any:
        """The answer to a verb that concerns no mail; `NotImplemented` for others."""
        ...


class Requests:
    """Spreads requests over the workers and gathers their answers."""

    def __init__(self, asked: Asked) -> None:
        self._asked = asked
        self._numbers = itertools.count()
        self._waiting: dict[tuple[int, int], asyncio.Future[Answered]] = {}

    async def respond(self, request: Request) -> Any:
        """Answer one request; `ControlError` says why not."""
        answer = self._asked.answer_alone(request)
        if answer is not NotImplemented:
            return answer
        merge = MERGES.get(request.verb)
        if merge is None:
            raise ControlError(f"this server does not know {request.verb!r}: is it an older version?", 64)
        return await self.gather(request, merge)

    async def gather(self, request: Request, merge: Callable[[list[Any]], Any]) -> Any:
        """Ask every worker that lives and merge what they say."""
        arguments = msgspec.json.encode(request.arguments)
        futures = []
        for index, worker in enumerate(self._asked.workers()):
            if worker is None or not worker.is_ready:
                continue
            key = (index, next(self._numbers))
            future: asyncio.Future[Answered] = asyncio.get_running_loop().create_future()
            self._waiting[key] = future
            worker.send(Ask(key[1], request.verb, arguments))
            futures.append((key, future))
        if not futures:
            raise ControlError("no worker is ready: see the log of the server", 69)
        return merge([await self._part(key, future) for key, future in futures])

    async def _part(self, key: tuple[int, int], future: asyncio.Future[Answered]) -> Any:
        try:
            async with asyncio.timeout(WORKER_SECONDS):
                answered = await future
        except TimeoutError as error:
            raise ControlError(f"worker {key[0]} gave no answer within {WORKER_SECONDS:.0f} s", 69) from error
        finally:
            self._waiting.pop(key, None)
        if answered.error:
            raise ControlError(answered.error)
        return msgspec.json.decode(answered.result)

    def answered(self, index: int, answered: Answered) -> None:
        """A worker's part arrived; too late or unknown ones are dropped."""
        future = self._waiting.get((index, answered.request))
        if future is not None and not future.done():
            future.set_result(answered)

    def worker_gone(self, index: int) -> None:
        """A worker ended: whoever waits for its part gets an error."""
        for key, future in self._waiting.items():
            if key[0] == index and not future.done():
                future.set_result(Answered(key[1], b"", f"worker {index} ended while it was asked"))
