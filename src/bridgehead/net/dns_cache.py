"""Remembers answers of the DNS for as long as they may be, and asks each question once however many wait for it."""

from __future__ import annotations

import asyncio
from collections import OrderedDict
from collections.abc import Awaitable, Callable
from typing import Final, TypeAlias

from bridgehead.net.dns_answer import Answer

Question: TypeAlias = tuple[str, str]
"""Name in lower case and record type: `("fabrikam.com", "MX")`."""

ENTRIES_MAX: Final = 10_000
"""Answers kept; those unused for longest go first. About 1 KiB each."""
TTL_MAX: Final = 3600.0
"""Seconds an answer is kept at most, whatever its TTL: nobody waits a day for a mended zone."""
TTL_MIN: Final = 1.0
"""Seconds an answer is kept at least: TTL 0 must not mean a question for each message."""


class DnsCache:
    """Answers by question. Owned by one `Resolver`; `clock` counts seconds, monotonic."""

    def __init__(self, clock: Callable[[], float]) -> None:
        self._clock = clock
        self._entries: OrderedDict[Question, tuple[float, Answer]] = OrderedDict()
        self._asked: dict[Question, asyncio.Future[None]] = {}

    def __len__(self) -> int:
        return len(self._entries)

    async def answer(self, question: Question, ask: Callable[[], Awaitable[tuple[Answer, float]]]) -> Answer:
        """The answer, from memory if it is there; else that of `ask`, which returns it with its TTL."""
        while True:
            entry = self._entries.get(question)
            if entry is not None and entry[0] > self._clock():
                self._entries.move_to_end(question)
                return entry[1]
            asked = self._asked.get(question)
            if asked is None:
                return await self._ask(question, ask)
            await asyncio.shield(asked)  # then look again: whoever asked may have been cancelled

    async def _ask(self, question: Question, ask: Callable[[], Awaitable[tuple[Answer, float]]]) -> Answer:
        asked: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._asked[question] = asked
        try:
            answer, ttl = await ask()
            self._keep(question, answer, ttl)
        finally:
            del self._asked[question]
            asked.set_result(None)
        return answer

    def _keep(self, question: Question, answer: Answer, ttl: float) -> None:
        self._entries[question] = (self._clock() + min(max(ttl, TTL_MIN), TTL_MAX), answer)
        self._entries.move_to_end(question)
        while len(self._entries) > ENTRIES_MAX:
            self._entries.popitem(last=False)
