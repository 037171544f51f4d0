"""Which addresses are this machine's."""

from __future__ import annotations

import ipaddress
import socket


def is_own_address(address: str) -> bool:
    """Whether a network interface of this machine has `address`: the kernel lets nobody bind to another's.

    All of 127/8 can be bound to; of it only 127.0.0.1 counts as ours.
    """
    parsed = ipaddress.ip_address(address)
    if parsed.is_loopback:
        return parsed in {ipaddress.ip_address("127.0.0.1"), ipaddress.ip_address("::1")}
    family = socket.AF_INET6 if parsed.version == 6 else socket.AF_INET
    try:
        with socket.socket(family, socket.SOCK_DGRAM) as probe:
            probe.bind((address, 0))
    except OSError:
        return False
    return not parsed.is_unspecified and not parsed.is_multicast
