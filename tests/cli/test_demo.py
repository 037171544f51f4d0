"""`bridgehead demo` as a new user runs it: every path of mail is seen, and nothing stays behind."""

from __future__ import annotations

import codecs
import fcntl
import json
import os
import pty
import re
import select
import shlex
import signal
import struct
import subprocess
import sys
import termios
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest

from tests.cli.calling import called
from tests.cli.terminal import Terminal
from tests.peers.child import Child, parent_of, wait_until

PROGRAM = Path(sys.executable).with_name("bridgehead")
SEEN = {
    "connector-down",
    "connector-up",
    "deferred",
    "delivered",
    "dsn",
    "failed",
    "received",
    "refused",
    "rerouted",
    "routed",
}


@pytest.fixture
def folder() -> Iterator[Path]:
    """A folder for temporary folders; its path is short, for the sockets in it."""
    with TemporaryDirectory(prefix="demo-", dir="/tmp") as path:
        yield Path(path)


@pytest.mark.slow
def test_every_path_of_mail_is_shown_and_nothing_is_left_behind(folder: Path) -> None:
    log = folder / "log"
    temporary = folder / "temporary"
    temporary.mkdir()
    child = Child([str(PROGRAM), "demo", "--seconds", "20", "--plain"], log, {"TMPDIR": str(temporary)})
    wait_until(lambda: "/metrics" in log.read_text() or not child.is_running, "what to try")
    processes = child.process_ids()
    assert len(processes) > 4, "the demo, its server, two workers, the console"
    try_commands(log.read_text())
    assert child.wait_exit(60) == 0, child.tail()
    text = log.read_text()
    assert set(re.findall(r"\d (\S+?)[,.]", text[text.index("Seen: ") :])) == SEEN
    assert '"Northwind main line" is down' in text
    assert '"Northwind main line" is up again' in text
    assert re.search(r'rerouted +\S+@northwind\.example by "Northwind backup line"', text)
    assert list(temporary.iterdir()) == []
    assert [one for one in processes if parent_of(one)] == []


def try_commands(text: str) -> None:
    """Run the three commands that it advises, and look at its metrics."""
    commands = [shlex.split(line) for line in text.splitlines() if line.startswith("  ") and "--config" in line]
    assert [command[1] for command in commands] == ["explain", "queue", "trace"]
    for command in commands:
        done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=60)
        # Nothing may wait, or have been told yet: that is an answer too.
        assert done.returncode in ({0} if command[1] == "explain" else {0, 1}), done.stderr
        assert "Traceback" not in done.stderr
        assert "no server" not in done.stdout + done.stderr
    address = re.search(r"http://\S+/metrics", text)
    assert address is not None
    with urllib.request.urlopen(address[0], timeout=30) as answer:
        assert b"bridgehead_received_total" in answer.read()


@pytest.mark.slow
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
def test_a_signal_ends_it_cleanly(folder: Path, number: signal.Signals) -> None:
    log, kept = folder / "log", folder / "kept"
    child = Child([str(PROGRAM), "demo", "--json", "--keep", str(kept)], log)
    wait_until(lambda: any(kept.glob("mail/*/*/new/*")) or not child.is_running, "mail in a mailbox")
    processes = child.process_ids()
    child.signal(number)
    assert child.wait_exit(60) == 0, child.tail()
    printed = json.loads(log.read_text())
    assert printed["kept"] == os.fspath(kept)
    assert printed["seen"]["delivered"] > 0
    assert [one for one in processes if parent_of(one)] == []
    done = called("queue", "list", "--config", kept / "bridgehead.toml")
    assert done.code in {0, 1}, "what it kept can be looked at afterwards"


@pytest.mark.slow
def test_killed_at_once_it_leaves_no_server_behind(folder: Path) -> None:
    log, kept = folder / "log", folder / "kept"
    child = Child([str(PROGRAM), "demo", "--json", "--keep", str(kept)], log)
    wait_until(lambda: any(kept.glob("mail/*/*/new/*")) or not child.is_running, "mail in a mailbox")
    processes = child.process_ids()
    assert len(processes) > 4
    child.signal(signal.SIGKILL)
    assert child.wait_exit() == -signal.SIGKILL
    wait_until(lambda: not any(map(parent_of, processes)), "all processes ended")
    done = called("queue", "list", "--config", kept / "bridgehead.toml")
    assert done.code in {0, 1}, "its server ended in order"


def set_size(terminal: int, columns: int, lines: int) -> None:
    fcntl.ioctl(terminal, termios.TIOCSWINSZ, struct.pack("HHHH", lines, columns, 0, 0))


def read_some(terminal: int) -> bytes:
    """What a program wrote within half a second; it ends as a terminal does when nobody has it any more."""
    if not select.select([terminal], [], [], 0.5)[0]:
        return b""
    try:
        return os.read(terminal, 65_536)
    except OSError:
        return b""


@pytest.mark.slow
def test_the_live_picture_follows_the_size_of_a_real_terminal(folder: Path) -> None:
    master, slave = pty.openpty()
    set_size(master, 80, 24)
    shown = Terminal(80, 24)
    environment = {name: value for name, value in os.environ.items() if name not in {"COLUMNS", "LINES"}}
    program = subprocess.Popen(
        [str(PROGRAM), "demo", "--seconds", "15"],
        stdin=slave,
        stdout=slave,
        stderr=slave,
        env={**environment, "TERM": "xterm", "TMPDIR": str(folder)},
        start_new_session=True,
    )
    os.close(slave)
    small: list[str] = []
    decoder = codecs.getincrementaldecoder("utf-8")()
    try:
        while program.poll() is None:
            shown.feed(decoder.decode(read_some(master)))
            if not small and any("northwind.example" in line and line[2:3] == ":" for line in shown.screen):
                small = shown.screen
                set_size(master, 130, 40)
                shown.resize(130, 40)
        while written := read_some(master):
            shown.feed(decoder.decode(written))
    finally:
        program.kill()
        os.close(master)
    assert program.returncode == 0
    for screen in (small, shown.screen):
        assert sum(line.startswith("Bridgehead demo") for line in screen) == 1
        assert "connector              link  waiting  delivered  a second  deferred  failed" in screen
    assert any(line.startswith("The demo has ended.") for line in shown.screen)
    assert all("--config" in line for line in shown.wraps)


def test_a_folder_that_holds_something_is_not_written_to(tmp_path: Path) -> None:
    (tmp_path / "bridgehead.toml").write_text("precious")
    done = called("demo", "--keep", tmp_path)
    assert (done.code, done.out) == (64, "")
    assert "is not empty" in done.err
    assert (tmp_path / "bridgehead.toml").read_text() == "precious"


def test_a_configuration_is_not_taken(tmp_path: Path) -> None:
    done = called("demo", "--config", tmp_path / "bridgehead.toml")
    assert done.code == 64
    assert "leave --config out" in done.err
