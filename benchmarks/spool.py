"""How much of a processor the spool takes for a message, and how fast it starts.

    python -m benchmarks.spool [FOLDER]

Insert and removal of 4 KB messages at several group sizes, with an idle and with a busy event loop; reading back;
recovery of many messages.
"""

from __future__ import annotations

import asyncio
import os
import resource
import shutil
import sys
import tempfile
import time
from pathlib import Path

import uvloop

from bridgehead.core.envelope import Envelope, MessageId, Recipient
from bridgehead.core.queue_id import QueueIds
from bridgehead.core.recipient_state import RecipientState
from bridgehead.spool.contract import Body, Insert, Remove, Update
from bridgehead.spool.sqlite import SqliteSpool

BODY = os.urandom(4096)
RECIPIENTS = (Recipient(0, "someone@fabrikam.com", "fabrikam.com"),)
RECOVERED = 200_000


def envelope(number: int) -> Envelope:
    """One as a session makes it."""
    return Envelope(
        f"sender{number}@contoso.com",
        RECIPIENTS,
        4096,
        time.time(),
        "BRIDGE01/Default SMTP Virtual Server",
        client="192.0.2.17",
        helo="client.contoso.com",
        message_id=f"<{number}.abcdef@contoso.com>",
        trace_id=f"{number:x}",
    )


class Load:
    """Sessions that each insert a message, and remove it once it is durable, over and over."""

    def __init__(self, spool: SqliteSpool, sessions: int, messages: int, busy_seconds: float) -> None:
        self.spool, self.left, self.busy_seconds = spool, messages, busy_seconds
        self.ids = QueueIds(0)
        self.running = sessions
        self.finished = asyncio.get_running_loop().create_future()
        self.latencies: list[float] = []
        for _ in range(sessions):
            self.begin(None)

    def begin(self, _: Exception | None) -> None:
        """The next message of a session."""
        if self.left <= 0:
            self.running -= 1
            if not self.running:
                self.finished.set_result(None)
            return
        self.left -= 1
        until = time.perf_counter() + self.busy_seconds
        while time.perf_counter() < until:
            pass
        message_id = self.ids.next(time.time())
        started = time.perf_counter()

        def durable(error: Exception | None) -> None:
            assert error is None
            self.latencies.append(time.perf_counter() - started)
            self.spool.submit([Remove(message_id)], self.begin)

        self.spool.submit([Insert(message_id, envelope(self.left), Body(4096, BODY))], durable)


async def insert_and_remove(folder: Path, sessions: int, messages: int, busy_seconds: float) -> None:
    """One line of figures."""
    spool = SqliteSpool(folder, 0)
    cpu, wall = time.process_time(), time.perf_counter()
    load = Load(spool, sessions, messages, busy_seconds)
    await load.finished
    cpu, wall = time.process_time() - cpu, time.perf_counter() - wall
    load.latencies.sort()
    statistics = spool.statistics()
    print(
        f"sessions {sessions:4} busy {busy_seconds * 1e6:3.0f} us: "
        f"cpu {(cpu / messages - busy_seconds) * 1e6:5.1f} us, "
        f"{messages / wall:6.0f} messages/s, {2 * messages / statistics.commits:5.1f} changes a commit, "
        f"durable after {load.latencies[messages // 2] * 1e3:.2f} ms (median) "
        f"{load.latencies[int(messages * 0.99)] * 1e3:.2f} ms (99 %) {load.latencies[-1] * 1e3:.1f} ms (longest)"
    )
    await spool.close()


async def backlog(folder: Path) -> None:
    """Fill, recover, read and drain."""
    spool = SqliteSpool(folder, 1)
    ids = QueueIds(1)
    inserted = []
    longest = 0.0
    for _ in range(RECOVERED // 500):
        changes = [Insert(ids.next(time.time()), envelope(n), Body(4096, BODY)) for n in range(500)]
        inserted += [change.message_id for change in changes]
        future = asyncio.get_running_loop().create_future()
        started = time.perf_counter()
        spool.submit(changes, future.set_result)
        assert await future is None
        longest = max(longest, time.perf_counter() - started)
    print(f"longest commit of 500 messages while the file grows: {longest * 1e3:.1f} ms")
    await recover_and_drain(folder, spool, inserted)


async def recover_and_drain(folder: Path, spool: SqliteSpool, inserted: list[MessageId]) -> None:
    """The second half of a backlog's life."""
    await spool.close()
    before, started = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss, time.perf_counter()
    spool = SqliteSpool(folder, 1)
    count = sum(1 for _ in spool.recover())
    seconds = time.perf_counter() - started
    grown = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before
    print(
        f"recover: {count} messages in {seconds:.2f} s, {seconds / count * 1e6:.1f} us each, {grown} KB more memory"
    )
    sample = inserted[:: len(inserted) // 10_000]
    started = time.perf_counter()
    for message_id in sample:
        await spool.load(message_id)
    print(f"load from the page cache: {(time.perf_counter() - started) / len(sample) * 1e6:.1f} us")
    started = time.perf_counter()
    for message_id in sample:
        spool.submit([Update(message_id, {0: RecipientState(attempts=1, connector="ISP", text="later")})])
    await spool.close()
    print(f"update: {(time.perf_counter() - started) / len(sample) * 1e6:.1f} us")
    path, size = folder / "spool" / "p1.db", (folder / "spool" / "p1.db").stat().st_size
    spool = SqliteSpool(folder, 1)
    for start in range(0, len(inserted), 100):
        spool.submit([Remove(message_id) for message_id in inserted[start : start + 100]])
    await asyncio.sleep(20)
    await spool.close()
    print(f"file: {size >> 20} MB full, {path.stat().st_size >> 20} MB 20 s after it was drained")


async def main(folder: Path) -> None:
    """All measurements."""
    for sessions, messages, busy_seconds in ((1, 2000, 0), (25, 20_000, 0), (100, 20_000, 0), (50, 10_000, 100e-6)):
        await insert_and_remove(folder, sessions, messages, busy_seconds)
    await backlog(folder)


if __name__ == "__main__":
    place = Path(tempfile.mkdtemp(dir=sys.argv[1] if len(sys.argv) > 1 else None))
    try:
        uvloop.run(main(place))
    finally:
        shutil.rmtree(place)
