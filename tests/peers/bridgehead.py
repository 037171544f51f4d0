"""A real `bridgehead serve` as a child process, with its configuration file, ports and logs."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from tests.peers.child import Child, free_port, wait_greeting, wait_until

PROGRAM = Path(sys.executable).with_name("bridgehead")

READY = b'"event":"ready"'
BEGIN = '{"ts":'
"""Of a line of the log; not within one, as quotes are escaped there."""

CONFIGURATION = """\
[node]
state_dir = "{state}"
volatile_state = {volatile}
workers = {workers}
console = "{console}"
drain = "{drain}"

[organization]
postmaster = "postmaster@relay.test"

[[virtual_server]]
name = "Default SMTP Virtual Server"
listen = [{listen}]
fqdn = "relay.test"
{virtual_server}
[virtual_server.delivery]
glitch_retry_seconds = {glitch}
retry_minutes = [0.01, 0.01, 0.02, 0.02]
{delivery}
{more}
"""

SMART_HOST = """\
[[connector]]
name = "Everything"
route = "smart-hosts"
smart_hosts = "[127.0.0.1]:{port}"
address_spaces = ["SMTP:*;1"]
{more}
"""


def smart_host(port: int, more: str = "") -> str:
    """A connector that takes everything to one loopback port; `more` lines are appended to it."""
    return SMART_HOST.format(port=port, more=more)


class Bridgehead:
    """One server below `directory`; write its configuration, start it as often as wished, end it in any way."""

    def __init__(self, directory: Path, *, implicit_tls: bool = False) -> None:
        """Choose the ports: `port` always, `tls_port` (TLS from the first byte) where wanted."""
        directory.mkdir(parents=True, exist_ok=True)
        self.directory = directory
        self.state = directory / "state"
        self.configuration = directory / "bridgehead.toml"
        self.log = directory / "bridgehead.log"
        self.port = free_port()
        self.tls_port = free_port() if implicit_tls else 0
        self.child: Child | None = None

    def configure(
        self,
        more: str,
        *,
        virtual_server: str = "",
        delivery: str = "",
        workers: int = 2,
        drain: str = "15s",
        console: str = "",
        volatile: bool = True,
        glitch: float = 0.2,
    ) -> None:
        """Write the file; `more` holds connectors and domains, the others go into their tables.

        `volatile`: temporary folders often lie in memory, and no test cuts the power.
        """
        listen = [f'"127.0.0.1:{self.port}"']
        if self.tls_port:
            listen.append(f'{{ address = "127.0.0.1:{self.tls_port}", tls = "implicit" }}')
        text = CONFIGURATION.format(
            state=self.state,
            workers=workers,
            console=console,
            drain=drain,
            volatile=str(volatile).lower(),
            glitch=glitch,
            listen=", ".join(listen),
            virtual_server=virtual_server,
            delivery=delivery,
            more=more,
        )
        self.configuration.write_text(text)

    def start(self, *, descriptors: int = 0, whole: bool = True) -> None:
        """Start it, and return when it greets, and every worker is there unless one cannot be (`whole`).

        `descriptors`: no process may have more open files.
        """
        seen = self.log.stat().st_size if self.log.exists() else 0
        limits = ["prlimit", f"--nofile={descriptors}:{descriptors}"] if descriptors else []
        self.child = Child([*limits, str(PROGRAM), "serve", "--config", str(self.configuration)], self.log)
        wait_greeting(self.child, self.port)
        if whole:
            wait_until(lambda: READY in self.log.read_bytes()[seen:], "every worker")

    @property
    def running(self) -> Child:
        """The child process; an error before `start`."""
        assert self.child is not None, "not started"
        return self.child

    def reload(self) -> str:
        """SIGHUP, and wait for the log to say what came of it: `"reload"` or `"reload-refused"`."""
        seen = len(self._reloads())
        self.running.signal(signal.SIGHUP)
        wait_until(lambda: len(self._reloads()) > seen, "a log line about the reload")
        return self._reloads()[-1]

    def _reloads(self) -> list[str]:
        return [name for event in self.events() if (name := str(event.get("event"))) in {"reload", "reload-refused"}]

    def terminate(self) -> int:
        """SIGTERM; the exit status, which is 0 after a clean drain."""
        return self.running.stop()

    def kill(self) -> None:
        """SIGKILL to every process at once."""
        self.running.kill_all()

    def end(self) -> None:
        """End whatever still runs; for the fixture's tear-down."""
        if self.child is not None and self.child.is_running:
            self.child.kill_all()

    def command(self, *words: str) -> subprocess.CompletedProcess[str]:
        """Run a `bridgehead` command against this server."""
        line = [str(PROGRAM), *words, "--config", str(self.configuration)]
        return subprocess.run(line, capture_output=True, text=True, check=False, timeout=60)

    def ask(self, *words: str) -> Any:
        """Run a command with `--json` and return what it printed."""
        done = self.command(*words, "--json")
        return json.loads(done.stdout) if done.stdout.strip() else None

    def events(self, name: str = "") -> Sequence[dict[str, Any]]:
        """Log lines as objects, optionally only those whose `event` is `name`.

        A process that was killed may have left half a line before another one.
        """
        found = []
        for line in self.log.read_text(errors="replace").split("\n")[:-1]:
            if line.startswith("{"):
                entry = json.loads(line[max(line.rfind(BEGIN), 0) :])
                if not name or entry.get("event") == name:
                    found.append(entry)
        return found
