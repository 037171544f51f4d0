"""The relays that are compared: how each is configured, started, watched and ended.

All of them take mail on one loopback port and hand everything to one smart host on another, with their durable state
below one directory on the disk that is measured.
"""

from __future__ import annotations

import shlex
import shutil
import tempfile
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from tests.peers.bridgehead import PROGRAM, Bridgehead, smart_host
from tests.peers.child import START_SECONDS, Child, free_port, wait_greeting, wait_until
from tests.peers.postfix import PrivatePostfix, relay_settings

READY = b'"event":"ready"'
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
    "message_size_limit": "0",
}
"""Variations of these (concurrency, connection cache, flow delay) were tried; none was faster beyond noise."""


POSTFIX_TLS = {
    "smtpd_tls_security_level": "may",
    "smtp_tls_security_level": "encrypt",
    "smtpd_tls_loglevel": "0",
    # Connections with TLS are kept too, which needs tlsproxy.
    "smtp_tls_connection_reuse": "yes",
}
POSTFIX_NEW_CONNECTIONS = {
    "smtp_connection_cache_destinations": "",
    "smtp_connection_cache_on_demand": "no",
    "smtp_tls_connection_reuse": "no",
}
POSTFIX_SERVICES = "tlsproxy unix - - n - 0 tlsproxy\n"


@dataclass(frozen=True, slots=True)
class Plan:
    """What a profile asks of the relays beside the smart host; every relay is set up for the same."""

    sessions: int = 50
    """Client sessions at once."""
    volatile: bool = False
    """The state lies in memory."""
    tls: Path | None = None
    """Folder with `cert.pem` and `key.pem`: STARTTLS is offered to clients and required of the smart host."""
    keeps_connections: bool = True
    """Connections to the smart host carry more than one message."""
    workers: int = 0
    """Bridgehead's; 0 is one per CPU core."""
    console: bool = False
    """Bridgehead's console runs, as it does by default."""
    name_server: int = 0
    """Port of a DNS server: deliver by MX to `mail_port` instead of to the smart host."""
    mail_port: int = 0


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

    def __init__(self, directory: Path, sink: int, plan: Plan) -> None:
        """Write the configuration and start."""
        self.server = Bridgehead(directory)
        per_connection = MESSAGES_PER_CONNECTION if plan.keeps_connections else 1
        self.server.configure(
            "" if plan.name_server else self._connector(sink, plan, per_connection),
            virtual_server=self._virtual_server(plan),
            delivery=f'dns_servers = ["127.0.0.1:{plan.name_server}"]' if plan.name_server else "",
            workers=plan.workers,
            console=f"127.0.0.1:{free_port()}" if plan.console else "",
            volatile=plan.volatile,
            drain="5s",
        )
        self.start()
        self.port = self.server.port

    def _connector(self, sink: int, plan: Plan, per_connection: int) -> str:
        limits = (
            f"[connector.limits]\nconnections = {CONNECTIONS}\nconnections_per_domain = {CONNECTIONS}\n"
            f"messages_per_connection = {per_connection}\n"
        )
        security = '[connector.security]\ntls = "require"\n' if plan.tls else ""
        return smart_host(sink, limits + security)

    def _virtual_server(self, plan: Plan) -> str:
        text = ""
        if plan.name_server:
            text += f"outbound_port = {plan.mail_port}\n"
        if plan.tls:
            text += f'tls = {{ certificate = "{plan.tls}/cert.pem", key = "{plan.tls}/key.pem" }}\n'
        return text + f"[virtual_server.messages]\nmessages_per_connection = {MESSAGES_PER_CONNECTION}\n"

    def start(self, seconds: float = START_SECONDS) -> None:
        """Start, again if it was stopped; returns when it says that all workers are ready, their backlog read."""
        log = self.server.log
        already = log.stat().st_size if log.exists() else 0
        command = [str(PROGRAM), "serve", "--config", str(self.server.configuration)]
        self.server.child = child = Child(command, log)

        def is_ready() -> bool:
            assert child.is_running, f"ended at start:\n{child.tail()}"
            with log.open("rb") as text:
                text.seek(already)
                return READY in text.read()

        wait_until(is_ready, "Bridgehead is ready", seconds)

    def process_ids(self) -> list[int]:
        """Supervisor and workers."""
        return self.server.running.process_ids()

    def stop(self) -> None:
        """End it with SIGTERM."""
        self.server.terminate()


class PostfixRelay:
    """Debian's Postfix; what differs from its defaults is `POSTFIX_SETTINGS`, in favour of speed."""

    def __init__(self, directory: Path, sink: int, plan: Plan) -> None:
        """Write the configuration and start; every session may have a server process of its own."""
        settings = {
            **POSTFIX_SETTINGS,
            **relay_settings(sink),
            "default_process_limit": str(max(100, 2 * plan.sessions)),
        }
        if plan.tls:
            settings |= {**POSTFIX_TLS, "smtpd_tls_cert_file": f"{plan.tls}/cert.pem"}
            settings["smtpd_tls_key_file"] = f"{plan.tls}/key.pem"
        if not plan.keeps_connections:
            settings |= POSTFIX_NEW_CONNECTIONS
        limit = max(100, plan.sessions + 10)
        self._server = PrivatePostfix(directory, settings, POSTFIX_SERVICES, smtpd_limit=limit)
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

    def __init__(self, directory: Path, sink: int, _plan: Plan, *, command: str) -> None:
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


StartRelay = Callable[[Path, int, Plan], Relay]
"""From an empty directory, the smart host's port and what the profile asks for to a running relay."""


class Workplace:
    """A directory on the measured disk that other accounts may enter, removed at the end."""

    def __init__(self, parent: Path) -> None:
        """Make it below `parent`."""
        self.path = Path(tempfile.mkdtemp(prefix="relay-", dir=parent))
        self.path.chmod(0o755)

    def clean(self) -> None:
        """Remove it with all that is in it."""
        shutil.rmtree(self.path, ignore_errors=True)
