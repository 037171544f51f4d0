"""A whole server whose disk is full, read-only or broken.

It promises nothing that it cannot keep, goes on delivering, and accepts again by itself. What got a 250 is compared
with what arrived.
"""

from __future__ import annotations

import subprocess
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

import pytest

from bridgehead.control.control_socket import call
from tests.faults import disk_layer
from tests.faults.accounts import balance
from tests.peers.bridgehead import Bridgehead, smart_host
from tests.peers.child import wait_until
from tests.peers.conftest import NewBridgehead
from tests.peers.sender import Account, Sender
from tests.peers.sink import Sink

pytestmark = [pytest.mark.peer, pytest.mark.timeout(180)]

VOLUME = "8m"
NO_STORAGE = "452 "
SOME = 40
"""Messages before a fault, and after it."""


def later(line: bytes) -> bytes:
    """A next hop that takes no mail now."""
    return b"451 4.3.0 not now\r\n" if line[:4] == b"MAIL" else b""


def usual(_: bytes) -> bytes:
    """A next hop that takes everything."""
    return b""


@pytest.fixture
def volume(tmp_path: Path) -> Iterator[Path]:
    """A file system of its own, and small."""
    folder = tmp_path / "volume"
    folder.mkdir()
    subprocess.run(["mount", "-t", "tmpfs", "-o", f"size={VOLUME}", "tmpfs", str(folder)], check=True)
    yield folder
    subprocess.run(["umount", "--lazy", str(folder)], check=True)


@dataclass(frozen=True)
class Mounted:
    """An ext4 in a file."""

    image: Path
    folder: Path

    def mount(self) -> None:
        """Mount it writable; it turns read-only at the first error that it finds."""
        options = ["-o", "loop,errors=remount-ro", str(self.image), str(self.folder)]
        subprocess.run(["mount", "-t", "ext4", *options], check=True)

    def turn_read_only(self) -> None:
        """Have the kernel find an error."""
        lines = [line.split() for line in Path("/proc/mounts").read_text().splitlines()]
        (device,) = [source for source, target, *_ in lines if target == str(self.folder)]
        Path("/sys/fs/ext4", Path(device).name, "trigger_fs_error").write_text("read-only under load")

    def repair(self) -> None:
        """As an operator does once nobody uses it."""
        wait_until(
            lambda: subprocess.run(["umount", str(self.folder)], check=False).returncode == 0,
            "processes that were killed to let go",
        )
        subprocess.run(["e2fsck", "-fy", str(self.image)], check=False, capture_output=True)
        self.mount()


@pytest.fixture
def small(new_bridgehead: NewBridgehead, volume: Path, sink: Sink) -> Bridgehead:
    """A server on the small volume that fills it to the last octet."""
    server = new_bridgehead()
    server.state = volume
    server.configure(smart_host(sink.port), workers=1)
    retry_hourly(server)
    server.start()
    return server


@pytest.fixture
def faults(tmp_path: Path, layer: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder: a file "fsync", "write" or "readonly" in it makes the disk of each server fail so."""
    folder = tmp_path / "faults"
    folder.mkdir()
    for name, value in disk_layer.environment(layer, tmp_path / "bridgehead" / "state", fail=folder).items():
        monkeypatch.setenv(name, value)
    return folder


def retry_hourly(server: Bridgehead) -> None:
    """Have no attempt fall into a fault by chance, and let nothing but the disk itself refuse mail."""
    text = server.configuration.read_text().replace("[node]", "[node]\nmin_free_mb = 0")
    text = text.replace("glitch_retry_seconds = 0.2", "glitch_retry_seconds = 3600")
    text = text.replace("retry_minutes = [0.01, 0.01, 0.02, 0.02]", "retry_minutes = [60, 60, 60, 60]")
    server.configuration.write_text(text)


def fill(folder: Path) -> Path:
    """Take all the room there is."""
    filler = folder / "filler"
    with suppress(OSError), filler.open("wb", buffering=0) as file:
        while file.write(b"x" * 4096):
            pass
    return filler


def send(server: Bridgehead, name: str, count: int, size: int = 2000) -> Account:
    """Send so many messages, and wait for their 250."""
    sender = Sender(server.port, count=count, sessions=4, size=size, name=name)
    sender.start()
    return sender.join()


def refused(server: Bridgehead, name: str, attempts: int = 8, size: int = 2000) -> Account:
    """Send for a while, to a server that takes nothing."""
    sender = Sender(server.port, count=10_000, sessions=2, size=size, name=name, pause=0.01)
    sender.start()
    wait_until(lambda: len(sender.account.refused) >= attempts, "refusals")
    return sender.abandon()


def wait_deferred(server: Bridgehead) -> None:
    """All that waits was tried, and that is on the disk: it is due in an hour."""

    def states() -> set[str]:
        return {row["state"] for row in server.ask("queue", "list")["rows"]}

    wait_until(lambda: states() == {"retry"}, "a queue in which everything was tried")


def retry_now(server: Bridgehead) -> None:
    """As an operator does; it changes nothing on the disk."""
    assert server.command("queue", "retry", "--all", "--yes").returncode == 0


def wait_empty(server: Bridgehead) -> None:
    wait_until(lambda: call(server.state, "statistics")["spooled"] == 0, "an empty spool", 60)


def check(server: Bridgehead, sink: Sink, *accounts: Account) -> None:
    """Everything that got a 250 arrived once; nothing that was refused arrived."""
    wait_empty(server)
    balance([sink], accounts, server.events()).check_exactly_once()


@pytest.mark.parametrize("size", [2_000, 400_000], ids=["rows", "files"])
def test_a_disk_that_fills_while_accepting_is_452_and_accepting_resumes(
    small: Bridgehead, sink: Sink, size: int
) -> None:
    before = send(small, "before", SOME, 2_000)
    filler = fill(small.state)
    full = refused(small, "full", size=size)
    assert {reply[:4] for reply in full.refused} == {NO_STORAGE}
    filler.unlink()
    after = send(small, "after", SOME // 4, size)
    check(small, sink, before, full, after)


def test_a_full_disk_lets_mail_out_and_notes_each_outcome_once_it_can(small: Bridgehead, sink: Sink) -> None:
    sink.decide = later
    waiting = send(small, "waiting", SOME)
    wait_deferred(small)
    filler = fill(small.state)
    full = refused(small, "full", size=300_000)
    sink.decide = usual
    retry_now(small)
    wait_until(lambda: len(sink.received) >= SOME, "mail that goes out while the disk is full", 60)
    filler.unlink()
    check(small, sink, waiting, full, send(small, "after", SOME))


def test_a_server_that_starts_on_a_full_disk_still_sends_what_waits(small: Bridgehead, sink: Sink) -> None:
    sink.decide = later
    waiting = send(small, "waiting", SOME)
    wait_deferred(small)
    small.kill()
    filler = fill(small.state)
    sink.decide = usual
    small.start()
    if len(sink.received) < SOME:
        small.command("queue", "retry", "--all", "--yes")
    wait_until(lambda: len(sink.received) >= SOME, "mail that goes out while the disk is full", 60)
    filler.unlink()
    check(small, sink, waiting, send(small, "after", SOME))


@pytest.fixture
def mounted(tmp_path: Path) -> Iterator[Mounted]:
    """A file system of its own on a loop device; a container that has none says so."""
    made = Mounted(tmp_path / "image", tmp_path / "mounted")
    made.folder.mkdir()
    subprocess.run(["truncate", "-s", "64M", str(made.image)], check=True)
    subprocess.run(["mkfs.ext4", "-q", "-F", str(made.image)], check=True)
    try:
        made.mount()
    except subprocess.CalledProcessError:
        if Path("/dev/loop-control").exists():
            raise
        pytest.skip("this machine has no loop devices: a read-only disk is shown by the layer alone")
    yield made
    subprocess.run(["umount", "--lazy", str(made.folder)], check=True)


def test_a_file_system_that_turns_read_only_under_load_promises_nothing_and_loses_nothing(
    new_bridgehead: NewBridgehead, mounted: Mounted, sink: Sink
) -> None:
    """As ext4 does after a fault; Linux lets it be written again only once it was unmounted."""
    server = new_bridgehead()
    server.state = mounted.folder / "state"
    server.configure(smart_host(sink.port), workers=1)
    retry_hourly(server)
    server.start()
    sink.decide = later
    waiting = send(server, "waiting", SOME)
    wait_deferred(server)
    sender = Sender(server.port, count=10_000, sessions=2, name="load", pause=0.01)
    sender.start()
    wait_until(lambda: len(sender.account.accepted) >= SOME // 2, "mail under load")
    mounted.turn_read_only()
    wait_until(lambda: len(sender.account.refused) >= SOME // 4, "refusals")
    load = sender.abandon()
    assert {reply[:4] for reply in load.refused} == {NO_STORAGE}
    assert refused(server, "more").accepted == []
    wait_until(lambda: not call(server.state, "server")["ready"], "a server that is not ready")
    sink.decide = usual
    retry_now(server)
    wait_until(lambda: sink.counts().keys() >= set(waiting.accepted), "mail that goes out meanwhile", 60)
    assert "are being sent at this moment" in server.command("queue", "retry", "--all", "--yes").stdout
    assert set(sink.counts().values()) == {1}, "what cannot be noted is not sent again"
    server.kill()
    mounted.repair()
    server.start()
    server.command("queue", "retry", "--all", "--yes")
    after = send(server, "after", SOME)
    wait_empty(server)
    missing = {*waiting.accepted, *load.accepted, *after.accepted} - sink.counts().keys()
    assert not missing, "each may come twice, as no outcome could be kept; none may be lost"


@pytest.mark.parametrize(("fault", "size"), [("fsync", 2_000), ("write", 2_000), ("readonly", 400_000)])
def test_a_broken_disk_promises_nothing_and_accepting_resumes(
    faults: Path, new_bridgehead: NewBridgehead, sink: Sink, fault: str, size: int
) -> None:
    server = new_bridgehead()
    server.configure(smart_host(sink.port), workers=1)
    server.start()
    before = send(server, "before", SOME)
    wait_empty(server)
    (faults / fault).touch()
    broken = refused(server, "broken", size=size)
    assert broken.accepted == []
    assert {reply[:4] for reply in broken.refused} == {NO_STORAGE}
    wait_until(lambda: not call(server.state, "server")["ready"], "a server that is not ready")
    (faults / fault).unlink()
    wait_until(lambda: call(server.state, "server")["ready"], "a server that is ready again, by itself")
    check(server, sink, before, broken, send(server, "after", SOME // 2, size))


@pytest.mark.parametrize("fault", ["fsync", "readonly"])
def test_a_broken_disk_lets_mail_out_and_a_kill_meanwhile_loses_nothing(
    faults: Path, new_bridgehead: NewBridgehead, sink: Sink, fault: str
) -> None:
    server = new_bridgehead()
    server.configure(smart_host(sink.port), workers=1)
    retry_hourly(server)
    server.start()
    sink.decide = later
    waiting = send(server, "waiting", SOME)
    wait_deferred(server)
    (faults / fault).touch()
    broken = refused(server, "broken")
    assert broken.accepted == []
    sink.decide = usual
    retry_now(server)
    wait_until(lambda: len(sink.received) >= SOME, "mail that goes out while the disk is broken", 60)
    server.kill()
    (faults / fault).unlink()
    server.start()
    retry_now(server)
    after = send(server, "after", SOME)
    wait_empty(server)
    arrived = sink.counts()
    missing = {*waiting.accepted, *after.accepted} - arrived.keys()
    assert not missing, "each may come twice, as no outcome could be kept; none may be lost"
