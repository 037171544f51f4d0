"""Opens a spool on a disk that does not give all of it: `python -m tests.faults.unread_victim STATE_DIR`.

Prints what it found: `{"bodies": {ID: CHECKSUM}, "states": {ID: ATTEMPTS}, "damaged": COUNT}`.
"""

from __future__ import annotations

import asyncio
import json
import sys
import zlib
from pathlib import Path

from bridgehead.core.envelope import MessageId
from bridgehead.spool.contract import Remove
from bridgehead.spool.sqlite import SqliteSpool
from tests.spool.contract import committed, content_of, insert

PROBE = 7


async def look(state_dir: Path) -> None:
    """Start, load everything, and send one more message through."""
    spool = SqliteSpool(state_dir, 0)
    bodies, states = {}, {}
    for entry in list(spool.recover()):
        stored = await spool.load(entry.message_id)
        if stored is not None:
            bodies[entry.message_id] = zlib.crc32(content_of(stored.body))
            for state in stored.states.values():
                states[entry.message_id] = state.attempts
    await committed(spool, insert(PROBE))
    await committed(spool, Remove(MessageId(PROBE)))
    await spool.close()
    print(json.dumps({"bodies": bodies, "states": states, "damaged": spool.statistics().damaged}))


if __name__ == "__main__":
    asyncio.run(look(Path(sys.argv[1])))
