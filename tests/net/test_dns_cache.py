"""How long answers are kept, how many, and who asks; time is an argument."""

from __future__ import annotations

import asyncio

import pytest

from bridgehead.net import dns_cache
from bridgehead.net.dns_answer import Answer, NoSuchName, Records
from bridgehead.net.dns_cache import ENTRIES_MAX, TTL_MAX, TTL_MIN, DnsCache


class World:
    """A clock and a name server that counts."""

    def __init__(self, ttl: float) -> None:
        self.now = 100.0
        self.ttl = ttl
        self.asked = 0
        self.cache = DnsCache(lambda: self.now)

    async def ask(self) -> tuple[Answer, float]:
        self.asked += 1
        return Records((str(self.asked),)), self.ttl

    async def look_up(self, name: str = "a.test") -> Answer:
        return await self.cache.answer((name, "A"), self.ask)


AGES = {
    "within its TTL": (60.0, 59.0, 1),
    "beyond its TTL": (60.0, 61.0, 2),
    "TTL 0 is kept for a moment": (0.0, TTL_MIN / 2, 1),
    "TTL 0 not for longer": (0.0, TTL_MIN * 2, 2),
    "a week is kept": (604_800.0, TTL_MAX - 1, 1),
    "a week not for longer than the bound": (604_800.0, TTL_MAX + 1, 2),
}


@pytest.mark.parametrize(("ttl", "age", "asked"), AGES.values(), ids=AGES.keys())
async def test_answer_is_kept(ttl: float, age: float, asked: int) -> None:
    world = World(ttl)
    await world.look_up()
    world.now += age
    await world.look_up()
    assert world.asked == asked


async def test_negative_answer_is_kept_too() -> None:
    world = World(60)

    async def no() -> tuple[Answer, float]:
        world.asked += 1
        return NoSuchName(), 60.0

    for _ in range(3):
        assert await world.cache.answer(("a.test", "A"), no) == NoSuchName()
    assert world.asked == 1


async def test_number_of_answers_is_bounded_and_the_least_used_goes_first(monkeypatch: pytest.MonkeyPatch) -> None:
    assert ENTRIES_MAX == 10_000
    monkeypatch.setattr(dns_cache, "ENTRIES_MAX", 3)
    world = World(60)
    for name in ("a", "b", "c", "a", "d"):
        await world.look_up(name)
    assert len(world.cache) == 3
    assert world.asked == 4
    await world.look_up("a")
    assert world.asked == 4, "used lately"
    await world.look_up("b")
    assert world.asked == 5, "forgotten"


async def test_who_waits_is_not_harmed_when_who_asked_is_cancelled() -> None:
    world = World(60)
    release = asyncio.Event()

    async def slow() -> tuple[Answer, float]:
        await release.wait()
        return await world.ask()

    async with asyncio.TaskGroup() as group:
        first = group.create_task(world.cache.answer(("a.test", "A"), slow))
        await asyncio.sleep(0)
        second = group.create_task(world.cache.answer(("a.test", "A"), slow))
        await asyncio.sleep(0)
        first.cancel()
        await asyncio.sleep(0)
        release.set()
    assert second.result() == Records(("1",))
    assert world.asked == 1
