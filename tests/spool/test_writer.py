"""The writer thread: its order of writes, proved by stopping at each of them, and its end by a defect."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from bridgehead.core.envelope import MessageId
from bridgehead.spool.contract import Remove, SpoolLostError, Update
from bridgehead.spool.sqlite import SqliteSpool
from bridgehead.spool.writer import Writer
from tests.spool.contract import DELIVERED, RETRYING, committed, content_of, insert, loaded, result_of
from tests.spool.disks import CrashDisk, PowerLossError
from tests.spool.places import LARGE, body_files, large_insert

STEPS_MAX = 40
"""More than the scenario has; the test checks that."""


@pytest.fixture
async def crashed() -> AsyncIterator[asyncio.Event]:
    """Set once the writer thread has stopped at its crash, and all it said before was heard."""
    loop, event = asyncio.get_running_loop(), asyncio.Event()
    previous = threading.excepthook

    def note(arguments: threading.ExceptHookArgs) -> None:
        if arguments.exc_type is not PowerLossError:
            previous(arguments)
        loop.call_soon_threadsafe(event.set)

    threading.excepthook = note
    yield event
    threading.excepthook = previous


class Scenario:
    """A life of several messages, one submission after the other, noting what was promised."""

    def __init__(self, spool: SqliteSpool) -> None:
        self.spool = spool
        self.promised: list[str] = []

    async def run(self) -> None:
        """All steps; stands still for ever at the one that crashes."""
        await self._step("insert 1 and 2", [insert(1), insert(2)])
        await self._step("insert large 3 and 4", [large_insert(self.spool, 3), large_insert(self.spool, 4)])
        await self._step("update 1, remove 3", [Update(MessageId(1), {0: RETRYING}), Remove(MessageId(3))])
        await self._step("deliver 1, remove 2, insert 5", [
            Update(MessageId(1), {0: DELIVERED}),
            Remove(MessageId(2)),
            large_insert(self.spool, 5),
        ])  # fmt: skip
        await self._step("remove all", [Remove(MessageId(number)) for number in (1, 4, 5)])

    async def _step(self, name: str, changes: list[object]) -> None:
        future: asyncio.Future[Exception | None] = asyncio.get_running_loop().create_future()
        self.spool.submit(changes, future.set_result)  # type: ignore[arg-type]  # a list of any changes
        assert await future is None
        self.promised.append(name)


STATES_AFTER: list[dict[int, dict[int, object]]] = [
    {},
    {1: {}, 2: {}},
    {1: {}, 2: {}, 3: {}, 4: {}},
    {1: {0: RETRYING}, 2: {}, 4: {}},
    {1: {0: DELIVERED}, 4: {}, 5: {}},
    {},
]
"""Messages and their states after so many submissions."""


@pytest.mark.parametrize("after", [False, True], ids=["before", "after"])
async def test_a_crash_at_any_step_keeps_every_promise(tmp_path: Path, crashed: asyncio.Event, after: bool) -> None:
    for crash_at in range(1, STEPS_MAX):
        state_dir = tmp_path / str(crash_at)
        disk = CrashDisk(crash_at, after=after)
        spool = SqliteSpool(state_dir, 0, disk)
        scenario = Scenario(spool)
        await run_until_crash(scenario, crashed)
        abandon(spool)
        disk.lose_power(state_dir / "spool" / "p0.bodies")
        await check(state_dir, len(scenario.promised))
        if disk.steps < crash_at:
            assert crash_at > 12, "the scenario passes through files, folders, rows and removals"
            return
    pytest.fail("the scenario has more steps than STEPS_MAX")


async def run_until_crash(scenario: Scenario, crashed: asyncio.Event) -> None:
    """To the crash, or to the end of the scenario."""
    crashed.clear()
    async with asyncio.TaskGroup() as tasks:
        run = tasks.create_task(scenario.run())
        run.add_done_callback(lambda _: crashed.set())
        async with asyncio.timeout(5):
            await crashed.wait()
        run.cancel()


def abandon(spool: SqliteSpool) -> None:
    """Let go of the files as the end of a process does, writing nothing more."""
    writer = spool._writer
    assert writer is not None
    writer._waiting.put(None)
    writer._thread.join()
    writer._close()
    spool._partition.release()


async def check(state_dir: Path, promised: int) -> None:
    """What is there is the state after `promised` submissions, or after one more: that one was whole on disk."""
    spool = SqliteSpool(state_dir, 0)
    found = {int(entry.message_id): dict(entry.states) for entry in spool.recover()}
    assert found in STATES_AFTER[promised : promised + 2]
    for number in found:
        expected = LARGE if number in {3, 4, 5} else insert(number).body.content
        assert content_of((await loaded(spool, number)).body) == expected
    assert spool.statistics().damaged == 0
    assert len(body_files(state_dir)) == len([number for number in found if number in {3, 4, 5}])
    await spool.close()


class DefectError(Exception):
    """What no part of the spool expects."""


def broken(*_: object) -> None:
    raise DefectError("a mistake of ours")


@pytest.mark.parametrize("step", ["_gather", "_commit", "_remove_files", "_tidy", "_end_if_damaged"])
async def test_a_defect_outside_a_commit_answers_all_that_waits_and_tells_the_owner(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, step: str
) -> None:
    loss: asyncio.Future[SpoolLostError] = asyncio.get_running_loop().create_future()
    spool = SqliteSpool(tmp_path, 0, lost=loss.set_result)
    await committed(spool, large_insert(spool, 1))
    results: list[Exception | None] = []
    with monkeypatch.context() as patch:
        patch.setattr(Writer, step, broken)
        for change in (large_insert(spool, 2), insert(1), insert(3)):  # 1 is there already: that one fails
            spool.submit([change], results.append)
        async with asyncio.timeout(5):
            lost = await loss
        assert len(results) == 3
        assert results[1] is not None
        assert isinstance(lost.defect, DefectError)
        assert isinstance(await result_of(spool, [insert(4)]), SpoolLostError), "and so does what comes later"
        assert (await loaded(spool, 1)).message_id == 1, "reading goes on"
        async with asyncio.timeout(5):
            await spool.close()
    durable = {number for number, result in zip((2, 1, 3), results, strict=True) if result is None}
    await check_after_loss(tmp_path, durable)


async def check_after_loss(state_dir: Path, promised: set[int]) -> None:
    again = SqliteSpool(state_dir, 0)
    found = {int(entry.message_id) for entry in again.recover()}
    assert promised | {1} <= found <= {1, 2, 3}
    assert len(body_files(state_dir)) == len(found & {1, 2})
    await again.close()
