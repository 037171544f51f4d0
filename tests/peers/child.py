"""A peer as a child process of the test: started in its own session, watched, and ended by its process ids."""

from __future__ import annotations

import os
import shutil
import signal
import socket
import subprocess
import time
from collections.abc import Callable, Mapping, Sequence
from itertools import cycle
from pathlib import Path
from typing import Final

START_SECONDS = 20.0
"""How long a peer may take until it answers; generous, for a loaded machine with one core."""
POLL_SECONDS = 0.02
PORTS: Final = range(20_000, 32_000)
"""Below those that the kernel gives to whoever asks for any (`ip_local_port_range`): a free one stays free."""
_START: Final = os.getpid() * 97 % len(PORTS)  # tests may run side by side
_ports: Final[cycle[int]] = cycle((*PORTS[_START:], *PORTS[:_START]))


def program(name: str) -> str:
    """Path of an installed program; a missing one fails the test, since a skipped peer would prove nothing."""
    found = shutil.which(name, path=os.pathsep.join((os.environ.get("PATH", ""), "/usr/sbin", "/sbin")))
    assert found, f"{name} is not installed; .ci/run lists the packages that the peer tests need"
    return found


def free_port() -> int:
    """A TCP port that nobody uses now, and nobody is given before a peer has started; never the same one twice."""
    for port in _ports:
        with socket.socket() as probe:
            try:
                probe.bind(("", port))
            except OSError:
                continue
            return port
    raise AssertionError("cycle() has no end")


def wait_until(claim: Callable[[], bool], what: str, seconds: float = START_SECONDS) -> None:
    """Return when `claim` holds; fail with `what` when it does not within `seconds`."""
    deadline = time.monotonic() + seconds
    while not claim():
        assert time.monotonic() < deadline, f"not within {seconds:g} s: {what}"
        time.sleep(POLL_SECONDS)


def greets(port: int) -> bool:
    """Whether an SMTP server on this loopback port accepts a connection and says 220."""
    try:
        with socket.create_connection(("127.0.0.1", port), timeout=2) as connection:
            return connection.recv(512).startswith(b"220")
    except OSError:
        return False


def descendants(root: int) -> list[int]:
    """Process ids of `root` and all below it, parents first; empty when `root` is gone."""
    children: dict[int, list[int]] = {}
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit():
            parent = parent_of(int(entry.name))
            children.setdefault(parent, []).append(int(entry.name))
    found = [root] if Path(f"/proc/{root}").exists() else []
    for process_id in found:
        found.extend(children.get(process_id, ()))
    return found


def parent_of(process_id: int) -> int:
    """The parent's process id; 0 when the process is gone or a zombie."""
    try:
        fields = Path(f"/proc/{process_id}/stat").read_text().rpartition(")")[2].split()
    except OSError:
        return 0
    return 0 if fields[0] == "Z" else int(fields[1])


class Child:
    """A running program. Its output goes to `log`; whoever starts it must call `stop` or `kill_all`."""

    def __init__(self, command: Sequence[str], log: Path, environment: Mapping[str, str] | None = None) -> None:
        """Start `command` in a new session, standard output and error appended to `log`."""
        self.log = log
        with log.open("ab") as output:
            self._process = subprocess.Popen(
                command,
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=output,
                start_new_session=True,
                env={**os.environ, **(environment or {})},
            )

    @property
    def process_id(self) -> int:
        """Id of the first process, the parent of all others."""
        return self._process.pid

    @property
    def is_running(self) -> bool:
        """Whether the first process is still there."""
        return self._process.poll() is None

    def process_ids(self) -> list[int]:
        """The first process and everything below it that lives now."""
        return descendants(self.process_id) if self.is_running else []

    def signal(self, number: signal.Signals) -> None:
        """Send a signal to the first process alone."""
        self._process.send_signal(number)

    def stop(self, seconds: float = 30.0) -> int:
        """SIGTERM, wait, and return the exit status; what has not ended by then is killed and fails the test."""
        if self.is_running:
            self._process.terminate()
        try:
            return self._process.wait(seconds)
        except subprocess.TimeoutExpired:
            self.kill_all()
            raise AssertionError(f"did not end within {seconds:g} s of SIGTERM:\n{self.tail()}") from None

    def wait_exit(self, seconds: float = START_SECONDS) -> int:
        """Wait for a program that ends by itself; its exit status."""
        return self._process.wait(seconds)

    def kill_all(self) -> None:
        """SIGKILL to every process of the tree at once, as when the machine stops; no error if all are gone."""
        for process_id in self.process_ids():
            kill(process_id)
        self._process.wait(START_SECONDS)

    def tail(self, lines: int = 60) -> str:
        """The last lines of the log, for the text of a failure."""
        return "\n".join(self.log.read_text(errors="replace").splitlines()[-lines:])


def kill(process_id: int) -> None:
    """SIGKILL; no error if the process is gone."""
    try:
        os.kill(process_id, signal.SIGKILL)
    except ProcessLookupError:
        return


def wait_greeting(child: Child, *ports: int) -> None:
    """Return when all ports greet; fail at once, with the log, when the child ends before that."""

    def ready() -> bool:
        assert child.is_running, f"ended with status {child.wait_exit()} at start"
        return all(greets(port) for port in ports)

    try:
        wait_until(ready, f"a greeting on ports {ports}")
    except AssertionError as error:
        raise AssertionError(f"{error}\n{child.tail()}") from None
