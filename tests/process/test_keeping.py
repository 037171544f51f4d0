"""A child that ends is started again, until the server stops."""

from __future__ import annotations

import asyncio

import pytest

from bridgehead.process import keeping

PAUSES = keeping.PAUSES_SECONDS


@pytest.fixture(autouse=True)
def no_pauses(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(keeping, "PAUSES_SECONDS", (0.0, 0.0))


async def test_keeping_starts_a_child_again_whenever_it_ends() -> None:
    stopping = asyncio.Event()
    runs = 0

    async def run() -> int:
        nonlocal runs
        runs += 1
        await asyncio.sleep(0)
        if runs == 4:
            stopping.set()
        return -9

    await keeping.keep("worker 0", run, stopping)
    assert runs == 4


def test_keeping_waits_longer_and_longer_for_what_cannot_start() -> None:
    assert list(PAUSES) == sorted(PAUSES)
    assert PAUSES[-1] == 60.0, "so that the disk of a machine in trouble is not worn by starts"


async def test_keeping_does_not_start_a_child_of_a_server_that_stops() -> None:
    stopping = asyncio.Event()
    stopping.set()

    async def run() -> int:
        await asyncio.sleep(0)
        raise AssertionError("started")

    await keeping.keep("worker 0", run, stopping)


async def test_keeping_says_which_child_ended_and_when_it_is_started_again(caplog: pytest.LogCaptureFixture) -> None:
    stopping = asyncio.Event()
    runs = 0

    async def run() -> int:
        nonlocal runs
        runs += 1
        await asyncio.sleep(0)
        if runs == 2:
            stopping.set()
        return 1

    await keeping.keep("worker 3", run, stopping)
    assert [record.getMessage() for record in caplog.records] == [
        "worker 3 ended with status 1; it is started again in 0 s"
    ]
