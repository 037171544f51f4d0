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


class _Timer(asyncio.TimerHandle):
    """A timer without what only a debugger asks for."""

    __slots__ = ()
    _cancelled: bool
    _context: Context
    _callback: Any
    _args: Any

    def __init__(
        self, when: float, callback: Any, arguments: Any, loop: VirtualLoop, context: Context | None
    ) -> None:
        self._when = when
        self._callback = callback
        self._args = arguments
        self._loop = loop
        self._context = copy_context() if context is None else context
        self._cancelled = self._scheduled = False
        self._repr = self._source_traceback = None


class VirtualLoop(asyncio.BaseEventLoop):
    """Runs what is ready, then jumps to the next timer. `connect` is the network."""

    _ready: deque[_Timer]
    _stopping: bool

    def __init__(self) -> None:
        super().__init__()
        self._now = START
        self._timers: list[tuple[float, int, _Timer]] = []
        self._order = count()
        self.steps = 0
        """Callbacks, timers and turns of tasks that ran."""
        self.connect: Connect | None = None
        self._tasks: list[tuple[Life | None, asyncio.Task[Any]]] = []
        self.set_task_factory(self._new_task)  # type: ignore[arg-type]  # options are Any

    def time(self) -> float:
        """Virtual seconds."""
        return self._now

    def call_at(  # type: ignore[override]  # the types of the arguments do not matter here
        self, when: float, callback: Any, *arguments: Any, context: Any = None
    ) -> asyncio.TimerHandle:
        """As in any loop; timers of the same moment keep their order."""
        timer = _Timer(when, callback, arguments, self, context)
        heapq.heappush(self._timers, (when, next(self._order), timer))
        return timer

    def call_later(  # type: ignore[override]  # the types of the arguments do not matter here
        self, delay: float, callback: Any, *arguments: Any, context: Any = None
    ) -> asyncio.TimerHandle:
        """As in any loop."""
        when = self._now + delay
        timer = _Timer(when, callback, arguments, self, context)
        heapq.heappush(self._timers, (when, next(self._order), timer))
        return timer

    def call_soon(  # type: ignore[override]  # the types of the arguments do not matter here
        self, callback: Any, *arguments: Any, context: Any = None
    ) -> asyncio.Handle:
        """As in any loop."""
        timer = _Timer(0.0, callback, arguments, self, context)
        self._ready.append(timer)
        return timer

    async def create_server(self, protocol_factory: Any, *, sock: Any = None, **_: Any) -> Any:  # type: ignore[override]  # only what our code uses
        """A door of the simulated network: `sock` is the host and the life behind it."""
        host, life = sock
        return host.opens(life, protocol_factory)

    async def create_connection(self, protocol_factory: Any, host: Any = None, port: Any = None, **_: Any) -> Any:
        """Over the simulated network."""
        assert self.connect is not None
        return await self.connect(protocol_factory, host, port)

    async def start_tls(self, transport: Any, *_: Any, **__: Any) -> Any:
        """A handshake on the simulated network."""
        return await transport.shake_hands()

    def tasks_of(self, life: Life) -> list[asyncio.Task[Any]]:
        """Those that did not end."""
        return [task for owner, task in self._tasks if owner is life and not task.done()]

    def bury(self) -> None:
        """End the tasks that nobody will ever step again, now and here, instead of wherever they are collected."""
        for _, task in self._tasks:
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
        self._tasks.append((present_life(), task))
        return task

    def _run_once(self) -> None:
        """What is ready, then what is due next, until somebody says `stop`."""
        ready, timers = self._ready, self._timers
        while not self._stopping:
            while timers and timers[0][2]._cancelled:
                heapq.heappop(timers)
            if not ready:
                assert timers, "nothing will ever happen again"
                self._now = max(self._now, timers[0][0])
            while timers and timers[0][0] <= self._now:
                ready.append(heapq.heappop(timers)[2])
            for _ in range(len(ready)):
                handle = ready.popleft()
                if handle._cancelled:
                    continue
                context = handle._context
                life = context.get(_LIFE)
                if life is not None and not (life.is_alive and _steps(life)):
                    continue  # whoever asked for it is dead
                self.steps += 1
                try:
                    context.run(handle._callback, *handle._args)
                except (SystemExit, KeyboardInterrupt):
                    raise
                except BaseException as error:  # noqa: BLE001  as every loop does
                    self.call_exception_handler({"message": f"an error in {handle!r}", "exception": error})

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
