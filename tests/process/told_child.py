"""A child process that answers what it is told: run by `test_child_process`."""

from __future__ import annotations

import asyncio
import os
import socket
import sys
from pathlib import Path

from bridgehead.process.child_process import receive_descriptors
from bridgehead.process.messages import Answered, Drain, Failed, Message, Pipe


async def main() -> None:
    ended = asyncio.Event()
    lane = socket.socket(fileno=int(sys.argv[2]))

    def received(message: Message) -> None:
        if isinstance(message, Drain):
            descriptors = receive_descriptors(lane, 250)
            first = Path(f"/proc/self/fd/{descriptors[0]}").readlink()
            pipe.send(Answered(os.getuid(), f"{sys.argv[3]} {len(descriptors)} {first}".encode()))

    pipe = Pipe(received, ended.set)
    await asyncio.get_running_loop().create_connection(lambda: pipe, sock=socket.socket(fileno=int(sys.argv[1])))
    if sys.argv[3:] == ["last word"]:
        pipe.send(Failed("last word"))
        pipe.close()
        sys.exit(1)
    await ended.wait()


if __name__ == "__main__":
    asyncio.run(main())
