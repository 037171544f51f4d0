"""The demo's server as a child process: its log is heard, and nothing of it stays."""

from __future__ import annotations

import asyncio
import os
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest

from bridgehead.process.demo.server_child import ServerChild
from tests.peers.child import descendants, parent_of, wait_until

CONFIGURATION = """\
[node]
state_dir = "state"
volatile_state = true
console = ""
workers = 1
[[virtual_server]]
name = "Default SMTP Virtual Server"
listen = ["127.0.0.1:0"]
"""


async def test_what_the_server_says_is_heard_until_it_has_ended(tmp_path: Path) -> None:
    heard: list[bytes] = []
    async with asyncio.timeout(60):
        server = await ServerChild.start(tmp_path / "missing.toml")
        await server.listen(heard.append)
    assert server.ended.is_set()
    assert b"missing.toml" in b"".join(heard)
    assert any("missing.toml" in line for line in server.tail)


@pytest.mark.slow
@pytest.mark.parametrize("is_killed", [False, True])
async def test_a_stopped_server_leaves_no_process(is_killed: bool) -> None:
    with TemporaryDirectory(prefix="demo-", dir="/tmp") as folder:  # a short path, for the sockets in it
        file = Path(folder, "bridgehead.toml")
        file.write_text(CONFIGURATION)
        processes = await processes_of(file, is_killed=is_killed)
    assert len(processes) >= 2
    # A worker whose supervisor was killed is nobody's child any more: who reaps it is not ours to say.
    wait_until(lambda: not any(map(parent_of, processes)), "all processes ended", 5)


async def processes_of(file: Path, *, is_killed: bool) -> set[int]:
    """Start and end a server; the processes it had."""
    is_ready = asyncio.Event()

    def hear(line: bytes) -> None:
        if b'"ready"' in line:
            is_ready.set()

    async with asyncio.timeout(60), asyncio.TaskGroup() as tasks:
        before = set(descendants(os.getpid()))
        server = await ServerChild.start(file)
        tasks.create_task(server.listen(hear))
        await is_ready.wait()
        processes = set(descendants(os.getpid())) - before
        if is_killed:
            server.kill()
        await server.stop()
    return processes
