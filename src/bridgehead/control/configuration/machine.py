"""What loading a configuration needs to know of this machine, as a value: tests load on one of their own."""

from __future__ import annotations

import os
import socket
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from ipaddress import IPv6Address, ip_address
from pathlib import Path
from typing import Final

from bridgehead.core.network_set import Address

LOOPBACK: Final = frozenset({ip_address("127.0.0.1"), ip_address("::1")})


@dataclass(frozen=True, slots=True)
class Machine:
    """The machine that a configuration is loaded on."""

    host_name: str = "localhost"
    """Fully qualified where that can be known without asking DNS."""
    cores: int = 1
    now: float = 0.0
    """Seconds since the epoch: certificates expire by it."""
    home: Path = Path("/")
    environ: Mapping[str, str] = field(default_factory=dict, repr=False)
    addresses: frozenset[Address] = LOOPBACK
    """The addresses of the interfaces."""


def this_machine() -> Machine:
    """The machine we run on; reads /etc/hosts and /proc, asks no DNS."""
    return Machine(
        host_name=_host_name(),
        cores=len(os.sched_getaffinity(0)),
        now=time.time(),
        home=Path(os.environ.get("HOME", "/")),
        environ=dict(os.environ),
        addresses=LOOPBACK | _version_4_addresses() | _version_6_addresses(),
    )


def _host_name() -> str:
    """The host name, completed from /etc/hosts; `socket.getfqdn` could wait long for a DNS that is down."""
    name = socket.gethostname() or "localhost"
    if "." in name:
        return name
    for line in _lines("/etc/hosts"):
        names = line.partition("#")[0].split()[1:]
        if name in names:
            return next((candidate for candidate in names if "." in candidate), name)
    return name


def _version_4_addresses() -> frozenset[Address]:
    found: set[Address] = set()
    latest = ""
    for line in _lines("/proc/net/fib_trie"):
        words = line.split()
        if len(words) == 2 and words[0] == "|--":
            latest = words[1]
        elif words[:3] == ["/32", "host", "LOCAL"]:
            found.add(ip_address(latest))
    return frozenset(found)


def _version_6_addresses() -> frozenset[Address]:
    return frozenset(IPv6Address(int(line.split()[0], 16)) for line in _lines("/proc/net/if_inet6") if line.strip())


def _lines(path: str) -> list[str]:
    try:
        return Path(path).read_text(encoding="utf-8", errors="replace").splitlines()
    except OSError:
        return []
