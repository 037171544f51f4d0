"""A disk that answers reads with an error is read around; one that gives nothing keeps one worker out, and no other.

What is missing is what lay on the pages that could not be read. The file itself is kept, so that nothing is lost that
another machine may still read.
"""

from __future__ import annotations

import asyncio
import json
import shutil
import sqlite3
import subprocess
import sys
import zlib
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from random import Random
from urllib.error import HTTPError
from urllib.request import urlopen

import pytest

from bridgehead.control.control_socket import call
from bridgehead.core.envelope import MessageId
from bridgehead.spool.contract import Body, Insert, Remove
from bridgehead.spool.sqlite import SqliteSpool
from tests.faults import disk_layer
from tests.faults.accounts import balance
from tests.faults.damage import PAGE, Holds, pages
from tests.faults.test_damage import A_PAGE, MISSING_MAX, SEED, fill
from tests.peers.bridgehead import smart_host
from tests.peers.child import free_port, wait_until
from tests.peers.conftest import NewBridgehead
from tests.peers.sender import Sender
from tests.peers.sink import Sink
from tests.spool.contract import committed, envelope
from tests.spool.places import notes

pytestmark = [pytest.mark.peer, pytest.mark.timeout(180)]

EVERYTHING = 1 << 40
READ_AT_START = set(Holds) - {Holds.BODY, Holds.POINTERS}
LOGGED = 60
"""Messages in a log that was not moved into the database yet."""
FRAMES_LOST = 3
"""Frames that two neighbouring unreadable pages of a log touch, and the one behind them."""


@dataclass(frozen=True)
class Found:
    """What a start found."""

    bodies: dict[int, int]
    states: dict[int, int]
    damaged: int


@dataclass(frozen=True)
class Disk:
    """A spool on a disk that does not give all of it."""

    layer: Path
    state_dir: Path
    faults: Path

    @property
    def database(self) -> Path:
        return self.state_dir / "spool" / "p0.db"

    def lose(self, name: str, first: int, count: int = 1) -> None:
        """Pages of a file, from 0, can no longer be read."""
        lose(self.faults, self.state_dir / "spool" / name, first * PAGE, (first + count) * PAGE)

    def start(self) -> Found:
        """Start on it."""
        done = subprocess.run(
            [sys.executable, "-m", "tests.faults.unread_victim", str(self.state_dir)],
            env=disk_layer.environment(self.layer, self.state_dir, fail=self.faults),
            cwd=disk_layer.ROOT,
            check=True,
            stdout=subprocess.PIPE,
            timeout=disk_layer.VICTIM_SECONDS,
        )
        found = json.loads(done.stdout)
        bodies = {int(number): checksum for number, checksum in found["bodies"].items()}
        return Found(bodies, {int(number): count for number, count in found["states"].items()}, found["damaged"])


def lose(faults: Path, path: Path, start: int, end: int) -> None:
    """Have the disk give no octet of a file from `start` up to `end`."""
    (faults / "unreadable").write_text(f"{path.stat().st_ino} {start} {end}\n")


@pytest.fixture(scope="module")
def full(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, dict[int, int]]:
    """Thousands of messages, and their checksums."""
    state_dir = tmp_path_factory.mktemp("unreadable") / "state"
    bodies = asyncio.run(fill(state_dir))
    return state_dir, {number: zlib.crc32(content) for number, content in bodies.items()}


@pytest.fixture
def disk(folder: Path, layer: Path) -> Disk:
    (folder / "faults").mkdir()
    return Disk(layer, folder / "state", folder / "faults")


@pytest.mark.parametrize("holds", [one for one in Holds if one is not Holds.FREE], ids=lambda holds: holds.name)
def test_a_page_that_cannot_be_read_takes_no_more_than_what_lay_on_it(
    disk: Disk, full: tuple[Path, dict[int, int]], holds: Holds
) -> None:
    made, expected = full
    shutil.copytree(made, disk.state_dir)
    with closing(sqlite3.connect(disk.database)) as connection:
        roots = dict(connection.execute("SELECT name, rootpage FROM sqlite_schema WHERE rootpage > 0"))
    before = disk.database.read_bytes()
    number = Random(f"{SEED} {holds}").choice(pages(before, roots)[holds])
    disk.lose("p0.db", number - 1)
    found = disk.start()
    assert found.bodies.items() <= expected.items()
    assert len(expected) - len(found.bodies) <= MISSING_MAX[holds], f"page {number}"
    assert all(attempts << 20 == message for message, attempts in found.states.items())
    if holds in READ_AT_START:
        assert [path.read_bytes() == before for path in disk.state_dir.rglob("damaged/*/p0.db.unread")] == [True]
    assert found.damaged == len(notes(disk.state_dir))
    assert found.damaged > 0 or found.bodies == expected
    (disk.faults / "unreadable").unlink()
    assert disk.start().bodies.items() >= found.bodies.items()


async def test_a_log_that_cannot_be_read_in_the_middle_takes_no_more_than_what_lay_there(disk: Disk) -> None:
    """The messages before and behind are there, and what was sent meanwhile does not come back."""
    made = disk.state_dir.with_name("made")
    spool = SqliteSpool(made, 0)
    for number in range(1, LOGGED + 1):
        await committed(spool, Insert(MessageId(number << 20), envelope("b@x.example"), body_of(spool, number)))
    for number in range(1, LOGGED // 2):
        await committed(spool, Remove(MessageId(number << 20)))
    shutil.copytree(made, disk.state_dir, ignore=shutil.ignore_patterns("*-shm"))
    await spool.close()
    frames = (disk.state_dir / "spool" / "p0.db-wal").stat().st_size // (PAGE + 24)
    disk.lose("p0.db-wal", frames // 4)
    found = disk.start()
    left = {number << 20 for number in range(LOGGED // 2, LOGGED + 1)}
    assert len(left - found.bodies.keys()) <= FRAMES_LOST * A_PAGE
    assert len(found.bodies.keys() - left) <= FRAMES_LOST * A_PAGE
    assert (LOGGED << 20) in found.bodies
    assert list(disk.state_dir.rglob("damaged/*/p0.db-wal.unread"))


def body_of(spool: SqliteSpool, number: int) -> Body:
    body = spool.new_body()
    body.write(b"%d" % number * 200)
    return body.finish()


def ready(port: int) -> tuple[int, str]:
    try:
        with urlopen(f"http://127.0.0.1:{port}/healthz/ready", timeout=10) as response:
            return response.status, response.read().decode()
    except HTTPError as error:
        return error.code, error.read().decode()


def test_a_worker_whose_disk_gives_nothing_says_so_and_others_go_on(
    layer: Path, tmp_path: Path, new_bridgehead: NewBridgehead, sink: Sink, monkeypatch: pytest.MonkeyPatch
) -> None:
    console = free_port()
    server = new_bridgehead()
    server.configure(smart_host(sink.port), console=f"127.0.0.1:{console}")
    server.start()
    assert server.terminate() == 0
    faults = tmp_path / "faults"
    faults.mkdir()
    lose(faults, server.state / "spool" / "p0.db", 0, EVERYTHING)
    for name, value in disk_layer.environment(layer, server.state, fail=faults).items():
        monkeypatch.setenv(name, value)
    server.start(whole=False)
    wait_until(lambda: len(server.events("child-ended")) >= 2, "a worker that could not start, twice")
    (trouble,) = call(server.state, "server")["troubles"]
    assert trouble.startswith(f"worker 0 cannot start: the disk gives nothing of {server.state}/spool/p0.db")
    assert "look at dmesg" in trouble
    status, problem = ready(console)
    assert (status, trouble in problem) == (503, True), problem
    sender = Sender(server.port, count=60, sessions=4)
    sender.start()
    account = sender.join()  # each connection is the other worker's: none waits for the one that cannot start
    balance([sink], [account], server.events()).check_exactly_once()
    assert len(server.events("child-ended")) <= 6, "the pauses grow"
    assert list((server.state / "damaged").iterdir()) == [], "nothing is set aside of what may be read tomorrow"
    (faults / "unreadable").unlink()
    wait_until(lambda: call(server.state, "server")["ready"], "a server that is ready again, by itself", 90)
    assert {worker["fault"] for worker in call(server.state, "server")["workers"]} == {""}
