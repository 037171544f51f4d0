"""The open sessions of one worker: counted by virtual server, bounded, and ended together."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping
from typing import Protocol


class Ending(Protocol):
    """A session, as far as its end is concerned."""

    @property
    def key(self) -> str:
        """Key of its virtual server."""
        ...

    def stop(self) -> None:
        """Finish: at once where no message is on its way, else behind it."""
        ...

    def close(self) -> None:
        """Say 421 and end."""
        ...

    def abort(self) -> None:
        """Cut the connection."""
        ...


class Sessions:
    """Who is connected. Used on the event loop alone."""

    def __init__(self, sessions_max: int) -> None:
        self._max = sessions_max
        self._open: dict[Ending, None] = {}
        self._counts: Counter[str] = Counter()
        self._when_empty: Callable[[], None] | None = None

    def __len__(self) -> int:
        return len(self._open)

    @property
    def is_full(self) -> bool:
        """Whether there are more than the worker has descriptors for."""
        return len(self._open) > self._max

    @property
    def is_stopping(self) -> bool:
        """Whether all were asked to finish: who comes now was on the way, and has to be asked too."""
        return self._when_empty is not None

    def has_room_for(self, arriving: int) -> bool:
        """Whether so many more would still be within what the worker has descriptors for."""
        return len(self._open) + arriving <= self._max

    def counts(self) -> Mapping[str, int]:
        """Open sessions by virtual server; those without one are not there."""
        return dict(self._counts)

    def enter(self, session: Ending) -> None:
        """A session begins."""
        self._open[session] = None
        self._counts[session.key] += 1

    def leave(self, session: Ending) -> None:
        """A session has ended."""
        if self._open.pop(session, self) is None:
            self._counts[session.key] -= 1
            if not self._counts[session.key]:
                del self._counts[session.key]
        if not self._open and self._when_empty is not None:
            self._when_empty()

    def stop(self, when_empty: Callable[[], None]) -> None:
        """Ask all to finish; `when_empty` is called each time the last one has ended, at once if none is open."""
        self._when_empty = when_empty
        for session in tuple(self._open):
            session.stop()
        if not self._open:
            when_empty()

    def close(self) -> None:
        """End all now."""
        for session in tuple(self._open):
            session.close()

    def abort(self) -> None:
        """Cut all connections."""
        for session in tuple(self._open):
            session.abort()
