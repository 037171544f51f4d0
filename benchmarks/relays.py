"""The relays that `benchmarks/relay.py` compares: how each is configured, started, watched and ended.

All of them take mail on one loopback port and hand everything to one smart host on another, with their durable state
below one directory on the disk that is measured.
"""

from __future__ import annotations

import shlex
import shutil
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Protocol

from tests.peers.bridgehead import Bridgehead, smart_host
from tests.peers.child import Child, free_port, wait_greeting
from tests.peers.postfix import PrivatePostfix, relay_settings

CONNECTIONS = 20
"""Connections to the smart host. 20 is what both ship with; each may use as many as the other."""
MESSAGES_PER_CONNECTION = 1000
"""The smaller of connector's and virtual server's counts, and 20 is the default of both; Postfix as shipped has no
limit but the age of a connection."""

POSTFIX_SETTINGS = {
    # Not slowed down on purpose when mail comes in faster than it goes out.
    "in_flow_delay": "0",
    "default_destination_concurrency_limit": str(CONNECTIONS),
    "initial_destination_concurrency": str(CONNECTIONS),
    # The smart host's connections are kept, as Bridgehead keeps them.
    "smtp_connection_cache_destinations": "[127.0.0.1]",
    "minimal_backoff_time": "300s",
    "maximal_backoff_time": "4000s",
    "queue_run_delay": "300s",
    "smtpd_client_connection_count_limit": "0",
}
"""Variations of these (concurrency, connection cache, flow delay) were tried; none was faster beyond noise."""


class Relay(Protocol):
    """A relay that is running."""

    port: int

    def process_ids(self) -> list[int]:
        """Every process of the relay that lives now; the first is the parent of all."""
        ...

    def stop(self) -> None:
        """End it and wait."""
        ...


class BridgeheadRelay:
    """Bridgehead with everything that is on by default; only the console's port is left closed."""

    def __init__(self, directory: Path, sink: int, workers: int, volatile: bool) -> None:
        """Write the configuration and start."""
        self._server = Bridgehead(directory)
        more = smart_host(
            sink,
            f"[connector.limits]\nconnections = {CONNECTIONS}\nconnections_per_domain = {CONNECTIONS}\n"
            f"messages_per_connection = {MESSAGES_PER_CONNECTION}",
        )
        messages = f"[virtual_server.messages]\nmessages_per_connection = {MESSAGES_PER_CONNECTION}\n"
        self._server.configure(more, virtual_server=messages, workers=workers, volatile=volatile)
        self._server.start()
        self.port = self._server.port

    def process_ids(self) -> list[int]:
        """Supervisor and workers."""
        return self._server.running.process_ids()

    def stop(self) -> None:
        """End it with SIGTERM."""
        self._server.terminate()


class PostfixRelay:
    """Debian's Postfix; what differs from its defaults is `POSTFIX_SETTINGS`, in favour of speed."""

    def __init__(self, directory: Path, sink: int, sessions: int) -> None:
        """Write the configuration and start; every session may have a server process of its own."""
        settings = {**POSTFIX_SETTINGS, **relay_settings(sink), "default_process_limit": str(max(100, 2 * sessions))}
        self._server = PrivatePostfix(directory, settings, smtpd_limit=max(100, sessions + 10))
        self._server.start()
        self.port = self._server.port

    def process_ids(self) -> list[int]:
        """`master` and its children."""
        return self._server.process_ids()

    def stop(self) -> None:
        """End all daemons."""
        self._server.stop()


class OtherRelay:
    """Any relay that a command starts in the foreground; `{port}`, `{sink}` and `{directory}` in it are filled in."""

    def __init__(self, directory: Path, sink: int, command: str) -> None:
        """Start the command; it must listen on `{port}` and send to `{sink}`."""
        directory.mkdir(parents=True, exist_ok=True)
        self.port = free_port()
        words = [word.format(port=self.port, sink=sink, directory=directory) for word in shlex.split(command)]
        self._child = Child(words, directory / "relay.log")
        wait_greeting(self._child, self.port)

    def process_ids(self) -> list[int]:
        """The command and its children."""
        return self._child.process_ids()

    def stop(self) -> None:
        """Kill it: a stand-in need not know how to end."""
        self._child.kill_all()


StartRelay = Callable[[Path, int], Relay]
"""From an empty directory and the smart host's port to a running relay."""


class Workplace:
    """A directory on the measured disk that other accounts may enter, removed at the end."""

    def __init__(self, parent: Path) -> None:
        """Make it below `parent`."""
        self.path = Path(tempfile.mkdtemp(prefix="relay-", dir=parent))
        self.path.chmod(0o755)

    def clean(self) -> None:
        """Remove it with all that is in it."""
        shutil.rmtree(self.path, ignore_errors=True)
