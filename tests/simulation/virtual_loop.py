"""An event loop whose time is a number: it never waits, and every run of the same seed takes the same steps.

Several machines live on one loop. What a machine does runs in its own `contextvars` context, so a machine that died
can be told apart: none of its callbacks, timers and tasks runs again, as after `kill -9`. Every step is counted, so a
machine can be made to die at any of them.
"""

from __future__ import annotations

import asyncio
import heapq
from collections import deque
from collections.abc import Awaitable, Callable, Coroutine
from contextlib import suppress
from contextvars import Context, ContextVar, copy_context
from itertools import count
from math import inf
from typing import Any, Final, TypeAlias

START: Final = 1000.0
"""The loop's time at the beginning: not 0, which some of our code takes for "never"."""

Connect: TypeAlias = Callable[..., Awaitable[tuple[asyncio.Transport, asyncio.BaseProtocol]]]


class Life:
    """From one start of a machine's process to its end."""

    def __init__(self, name: str) -> None:
        self.name = name
        self.is_alive = True
        self.steps = 0
        self.dies_at = inf
        """Number of the step before which it dies."""
        self.died: Callable[[], None] = lambda: None
        """Called outside of it, once, when it dies by `dies_at`."""
        self.context: Context = copy_context()
        self.context.run(_LIFE.set, self)

    def run(self, callback: Callable[..., object], *arguments: object) -> None:
        """Let it take one step, if it still lives."""
        if self.is_alive and _steps(self):
            self.context.run(callback, *arguments)


_LIFE: ContextVar[Life | None] = ContextVar("life", default=None)


def present_life() -> Life | None:
    """Whose code runs."""
    return _LIFE.get()


class VirtualLoop(asyncio.BaseEventLoop):
    """Runs what is ready, then jumps to the next timer. `connect` is the network."""

    _ready: deque[asyncio.Handle]
    _stopping: bool

    def __init__(self) -> None:
        super().__init__()
        self._now = START
        self._timers: list[tuple[float, int, asyncio.TimerHandle]] = []
        self._order = count()
        self.connect: Connect | None = None
        self._tasks: list[asyncio.Task[Any]] = []
        self.set_task_factory(self._new_task)  # type: ignore[arg-type]  # options are Any

    def time(self) -> float:
        """Virtual seconds."""
        return self._now

    def call_at(  # type: ignore[override]  # the types of the arguments do not matter here
        self, when: float, callback: Any, *arguments: Any, context: Any = None
    ) -> asyncio.TimerHandle:
        """As in any loop; timers of the same moment keep their order."""
        timer = asyncio.TimerHandle(when, callback, arguments, self, context)
        heapq.heappush(self._timers, (when, next(self._order), timer))
        return timer

    async def create_server(self, protocol_factory: Any, *, sock: Any = None, **_: Any) -> Any:  # type: ignore[override]  # only what our code uses
        """A door of the simulated network: `sock` is the host and the life behind it."""
        host, life = sock
        return host.opens(life, protocol_factory)

    async def create_connection(self, protocol_factory: Any, host: Any = None, port: Any = None, **_: Any) -> Any:
        """Over the simulated network."""
        assert self.connect is not None
        return await self.connect(protocol_factory, host, port)

    def bury(self) -> None:
        """End the tasks that nobody will ever step again, now and here, instead of wherever they are collected."""
        for task in self._tasks:
            if not task.done():
                coroutine = task.get_coro()
                assert coroutine is not None
                with suppress(BaseException):
                    coroutine.close()
        self._tasks.clear()

    def _new_task(
        self, loop: asyncio.AbstractEventLoop, coroutine: Coroutine[Any, Any, Any], **options: Any
    ) -> asyncio.Task[Any]:
        task = asyncio.Task(coroutine, loop=loop, **options)
        task._log_destroy_pending = False  # type: ignore[attr-defined]  # the dead leave tasks behind
        self._tasks.append(task)
        return task

    def _run_once(self) -> None:
        ready, timers = self._ready, self._timers
        while timers and timers[0][2].cancelled():
            heapq.heappop(timers)
        if not ready:
            assert timers or self._stopping, "nothing will ever happen again"
            if timers:
                self._now = max(self._now, timers[0][0])
        while timers and timers[0][0] <= self._now:
            ready.append(heapq.heappop(timers)[2])
        for _ in range(len(ready)):
            handle = ready.popleft()
            if not handle._cancelled:
                life = handle._context.get(_LIFE)  # type: ignore[attr-defined]
                if life is None or (life.is_alive and _steps(life)):
                    handle._run()

    def _process_events(self, event_list: object) -> None:
        """There are none."""

    def _asyncgen_finalizer_hook(self, agen: Any) -> None:
        """The generators of the dead are not asked to end."""

    def _write_to_self(self) -> None:
        raise AssertionError("a thread spoke to a loop that must be deterministic")


def _steps(life: Life) -> bool:
    """Count one step; whether it may be taken."""
    life.steps += 1
    if life.steps < life.dies_at:
        return True
    life.is_alive = False
    life.died()
    return False
