"""A private Postfix: own configuration, queue, data and log below one directory, listening on loopback alone.

Debian's programs are used as they are, nothing of `/etc/postfix` is read except what Postfix itself insists on.
It must be started by root, because `master` starts its children under the `postfix` account.
"""

from __future__ import annotations

import os
import re
import shutil
import signal
import subprocess
from collections.abc import Mapping
from pathlib import Path

from tests.peers.child import descendants, free_port, greets, parent_of, program, wait_until

SERVICES = """\
{port} inet n - n - {smtpd_limit} smtpd
pickup unix n - n 60 1 pickup
cleanup unix n - n - 0 cleanup
qmgr unix n - n 300 1 qmgr
tlsmgr unix - - n 1000? 1 tlsmgr
rewrite unix - - n - - trivial-rewrite
bounce unix - - n - 0 bounce
defer unix - - n - 0 bounce
trace unix - - n - 0 bounce
verify unix - - n - 1 verify
flush unix n - n 1000? 0 flush
proxymap unix - - n - - proxymap
proxywrite unix - - n - 1 proxymap
smtp unix - - n - - smtp
relay unix - - n - - smtp
showq unix n - n - - showq
error unix - - n - - error
retry unix - - n - - error
discard unix - - n - - discard
local unix - n n - - local
virtual unix - n n - - virtual
lmtp unix - - n - - lmtp
anvil unix - - n - 1 anvil
scache unix - - n - 1 scache
postlog unix-dgram n - n - 1 postlogd
"""

SETTINGS = {
    "compatibility_level": "3.6",
    "inet_interfaces": "127.0.0.1",
    "inet_protocols": "ipv4",
    "myhostname": "postfix.test",
    "mydestination": "",
    "mynetworks": "127.0.0.0/8",
    "alias_maps": "",
    "alias_database": "",
    "local_recipient_maps": "",
    "smtpd_relay_restrictions": "permit_mynetworks, reject_unauth_destination",
    # No queries leave the machine: names come from the hosts file, next hops are addresses.
    "smtp_dns_support_level": "disabled",
    "smtpd_peername_lookup": "no",
    "smtpd_tls_security_level": "none",
    "smtp_tls_security_level": "none",
    # A test waits seconds, not minutes, for a second attempt.
    "minimal_backoff_time": "1s",
    "maximal_backoff_time": "5s",
    "queue_run_delay": "1s",
    # Maildirs that `virtual` writes belong to `nobody`, the account that every system has.
    "virtual_uid_maps": "static:65534",
    "virtual_gid_maps": "static:65534",
}


class PrivatePostfix:
    """A Postfix instance below `directory`, which must be reachable for the `postfix` account (mode 0755)."""

    def __init__(
        self, directory: Path, settings: Mapping[str, str] | None = None, services: str = "", smtpd_limit: int = 100
    ) -> None:
        """Write the configuration; `settings` go over `SETTINGS`, `services` are further lines of master.cf."""
        assert os.geteuid() == 0, "Postfix can be started by root alone"
        self._postfix = program("postfix")
        self.port = free_port()
        self.directory = directory
        self.configuration = directory / "etc"
        self.queue = directory / "queue"
        self.log = directory / "log" / "postfix.log"
        for folder in (directory, self.configuration, self.queue, self.log.parent, directory / "data"):
            folder.mkdir(mode=0o755, parents=True, exist_ok=True)
        shutil.chown(directory / "data", "postfix")
        self._write(settings or {}, services, smtpd_limit)

    def _write(self, settings: Mapping[str, str], services: str, smtpd_limit: int) -> None:
        own = {
            "queue_directory": str(self.queue),
            "data_directory": str(self.directory / "data"),
            "maillog_file": str(self.log),
            "maillog_file_prefixes": str(self.log.parent),
            "virtual_mailbox_base": str(self.directory / "mail"),
        }
        lines = [f"{name} = {value}" for name, value in {**SETTINGS, **own, **settings}.items()]
        (self.configuration / "main.cf").write_text("\n".join(lines) + "\n")
        listed = SERVICES.format(port=f"127.0.0.1:{self.port}", smtpd_limit=smtpd_limit) + services
        (self.configuration / "master.cf").write_text(listed)

    def start(self) -> None:
        """Start the daemons and return when the port greets; the log is part of a failure."""
        self._run("start")
        wait_until(lambda: greets(self.port), f"Postfix greets on {self.port}; see {self.log}")

    def _run(self, verb: str) -> None:
        command = [self._postfix, "-c", str(self.configuration), verb]
        done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=60)
        log = self.log.read_text() if self.log.exists() else ""
        assert done.returncode == 0, f"postfix {verb}: {done.stderr}\n{log}"

    @property
    def master(self) -> int:
        """Process id of `master`, or 0 when it does not run."""
        try:
            return int((self.queue / "pid" / "master.pid").read_text())
        except (OSError, ValueError):
            return 0

    def process_ids(self) -> list[int]:
        """`master` and its children."""
        return descendants(self.master) if self.master else []

    def stop(self) -> None:
        """End all daemons: `master` ends its children at SIGTERM; return when the last is gone."""
        remaining = self.process_ids()
        if remaining:
            os.kill(remaining[0], signal.SIGTERM)
        wait_until(lambda: not any(parent_of(process_id) for process_id in remaining), "Postfix ended")

    def flush(self) -> None:
        """Try everything that waits at once."""
        self._run("flush")

    def waiting(self) -> int:
        """Messages in the queue, whatever their state."""
        folders = ("maildrop", "incoming", "active", "deferred", "hold")
        return sum(1 for name in folders for entry in (self.queue / name).rglob("*") if entry.is_file())

    def deliveries(self, recipient: str) -> list[str]:
        """What the log says of each attempt for a recipient: `"sent"`, `"deferred"`, `"bounced"`, in order."""
        text = self.log.read_text(errors="replace")
        return re.findall(rf"to=<{re.escape(recipient)}>.*?status=(\w+)", text)

    def maildir(self, name: str) -> list[bytes]:
        """Messages that `virtual` put into the maildir `name` below `virtual_mailbox_base`."""
        folder = self.directory / "mail" / name / "new"
        return [entry.read_bytes() for entry in sorted(folder.iterdir())] if folder.is_dir() else []


def mailbox_settings(directory: Path, *domains: str) -> dict[str, str]:
    """Settings with which Postfix is the last hop: every mailbox of `domains` ends in the maildir `inbox`."""
    mail = directory / "mail"
    mail.mkdir(parents=True, exist_ok=True)
    mail.chmod(0o777)
    return {
        "virtual_mailbox_domains": ", ".join(domains),
        "virtual_mailbox_maps": "static:inbox/",
    }


def relay_settings(port: int) -> dict[str, str]:
    """Settings with which Postfix hands everything to an SMTP server on a loopback port."""
    return {"relayhost": f"[127.0.0.1]:{port}"}
