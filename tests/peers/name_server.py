"""A private authoritative name server (NSD) that serves ordinary zone files on a loopback port.

A zone whose file is missing or broken is answered with SERVFAIL, as in life; names of no zone are REFUSED.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import dns.exception
import dns.message
import dns.query
import dns.rcode

from tests.peers.child import Child, free_port, program, wait_until

CONFIGURATION = """\
server:
    ip-address: 127.0.0.1@{port}
    server-count: 1
    username: ""
    chroot: ""
    zonesdir: "{directory}"
    database: ""
    pidfile: "{directory}/nsd.pid"
    xfrdfile: "{directory}/xfrd.state"
    zonelistfile: "{directory}/zone.list"
    xfrdir: "{directory}"
    hide-version: yes
    rrl-ratelimit: 0
remote-control:
    control-enable: no
"""

HEAD = """\
$TTL 60
@ IN SOA ns.name-server.test. hostmaster.name-server.test. 1 3600 600 86400 60
@ IN NS ns.name-server.test.
"""

SERVFAIL = "not a zone file"
"""Content of a zone that the server answers with SERVFAIL."""


class NameServer:
    """NSD with the zones it was started with; `port` takes UDP and TCP."""

    def __init__(self, directory: Path, zones: Mapping[str, str | Path]) -> None:
        """Serve `zones`: name -> records (without SOA and NS, those are added), or a whole zone file's path."""
        self.port = free_port()
        self.directory = directory
        directory.mkdir(parents=True, exist_ok=True)
        text = CONFIGURATION.format(port=self.port, directory=directory)
        for name, content in zones.items():
            path = content if isinstance(content, Path) else directory / f"{name}.zone"
            if isinstance(content, str):
                path.write_text(content if content == SERVFAIL else HEAD + content)
            text += f'zone:\n    name: "{name}"\n    zonefile: "{path}"\n'
        (directory / "nsd.conf").write_text(text)
        self.child = self._start()

    def _start(self) -> Child:
        return Child([program("nsd"), "-d", "-c", str(self.directory / "nsd.conf")], self.directory / "nsd.log")

    def wait_answering(self) -> None:
        """Return when it answers anything at all."""
        wait_until(lambda: self._answers() or not self.child.is_running, "NSD answers")
        assert self.child.is_running, f"NSD ended: {self.child.tail()}"

    def _answers(self) -> bool:
        try:
            self.ask("ready.invalid", "A", seconds=0.2)
        except (OSError, dns.exception.DNSException):
            return False
        return True

    def ask(self, name: str, kind: str, seconds: float = 5.0) -> dns.message.Message:
        """One question by UDP, straight to this server."""
        query = dns.message.make_query(name, kind)
        return dns.query.udp(query, "127.0.0.1", timeout=seconds, port=self.port)

    def records(self, name: str, kind: str) -> list[str]:
        """Records of the answer section in presentation form, sorted; empty for any rcode but NOERROR."""
        answer = self.ask(name, kind)
        return sorted(str(record) for rrset in answer.answer for record in rrset)

    def rcode(self, name: str, kind: str = "MX") -> str:
        """`"NOERROR"`, `"NXDOMAIN"`, `"SERVFAIL"` or `"REFUSED"`."""
        return dns.rcode.to_text(self.ask(name, kind).rcode())

    def replace(self, zone: str, records: str) -> None:
        """Serve other records for a zone, as after an operator mended it; returns once they are served.

        By a restart: beside the process that a reload starts, the one before it answers for a while.
        """
        (self.directory / f"{zone}.zone").write_text(HEAD + records)
        self.stop()
        self.child = self._start()
        self.wait_answering()

    def stop(self) -> None:
        """End the server."""
        self.child.stop()
