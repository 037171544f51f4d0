"""A process that keeps a spool busy until it is killed: `python -m tests.spool.victim STATE_DIR SEED`.

Prints a line for each promise: `i ID CHECKSUM` once an insert is durable, `r ID` before a removal is submitted and
`R ID` once it is durable, `u ID ATTEMPTS` once an update is durable.
"""

from __future__ import annotations

import asyncio
import os
import random
import sys
import time
import zlib
from pathlib import Path

from bridgehead.core.envelope import MessageId
from bridgehead.core.queue_id import QueueIds
from bridgehead.core.recipient_state import RecipientState
from bridgehead.spool.contract import BODY_IN_ROW_MAX, Insert, Remove, Update
from bridgehead.spool.sqlite import SqliteSpool
from tests.spool.contract import envelope


class Victim:
    """Eight lives at once, each: insert, update now and then, remove most."""

    def __init__(self, spool: SqliteSpool, seed: int, latest: int) -> None:
        self.spool, self.random, self.ids = spool, random.Random(seed), QueueIds(0, latest)
        for _ in range(8):
            self.insert()

    def insert(self) -> None:
        body = self.spool.new_body()
        size = self.random.choice((10, 4000, 60_000, BODY_IN_ROW_MAX + 7))
        content = self.random.randbytes(size)
        body.write(content)
        message_id = self.ids.next(time.time())

        def durable(error: Exception | None) -> None:
            assert error is None
            say(f"i {message_id} {zlib.crc32(content)}")
            self.live(message_id)

        self.spool.submit([Insert(message_id, envelope(), body.finish())], durable)

    def live(self, message_id: MessageId, attempts: int = 0) -> None:
        if self.random.random() < 0.4:
            state = RecipientState(attempts=attempts + 1)

            def updated(_: Exception | None) -> None:
                say(f"u {message_id} {attempts + 1}")
                self.live(message_id, attempts + 1)

            self.spool.submit([Update(message_id, {0: state})], updated)
        elif self.random.random() < 0.7:
            say(f"r {message_id}")

            def removed(_: Exception | None) -> None:
                say(f"R {message_id}")
                self.insert()

            self.spool.submit([Remove(message_id)], removed)
        else:
            self.insert()


def say(line: str) -> None:
    os.write(1, f"{line}\n".encode())


async def main(state_dir: Path, seed: int) -> None:
    spool = SqliteSpool(state_dir, 0)
    latest = max((entry.message_id for entry in spool.recover()), default=0)
    victim = Victim(spool, seed, latest)
    await asyncio.sleep(60)
    del victim


if __name__ == "__main__":
    asyncio.run(main(Path(sys.argv[1]), int(sys.argv[2])))
