"""Listening sockets: bound by the supervisor while it still may, handed to the workers.

Each worker has a socket of its own on every address (`SO_REUSEPORT`), so the kernel spreads connections evenly.
The supervisor keeps all of them: what arrives while a worker is being replaced waits in its queue.
"""

from __future__ import annotations

import errno
import os
import socket
from pathlib import Path
from typing import Final

from bridgehead.core.error import MachineError
from bridgehead.core.organization import Listener

BACKLOG: Final = 1024
SUBMIT_NAME: Final = "submit.sock"


def bind(listener: Listener, count: int) -> tuple[socket.socket, ...]:
    """One listening socket for each of `count` workers; `MachineError` says what to do where that cannot be."""
    family = socket.AF_INET6 if ":" in listener.address else socket.AF_INET
    sockets: list[socket.socket] = []
    try:
        _refuse_if_taken(family, listener)
        for _ in range(count):
            bound = _socket(family)
            sockets.append(bound)
            bound.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
            bound.bind((listener.address, listener.port))
            bound.listen(BACKLOG)
            bound.setblocking(False)
    except OSError as error:
        for bound in sockets:
            bound.close()
        raise MachineError(_advice(listener, error)) from error
    return tuple(sockets)


def bind_again(listener: Listener) -> socket.socket:
    """One more socket of a worker, bound but not listening; `MachineError` as `bind`."""
    bound = _socket(socket.AF_INET6 if ":" in listener.address else socket.AF_INET)
    try:
        bound.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
        bound.bind((listener.address, listener.port))
        bound.setblocking(False)
    except OSError as error:
        bound.close()
        raise MachineError(_advice(listener, error)) from error
    return bound


def bind_submission(state_dir: Path) -> socket.socket:
    """The socket of `sendmail`: everyone on this machine may write to it; it only submits."""
    path = state_dir / SUBMIT_NAME
    path.unlink(missing_ok=True)
    bound = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    try:
        bound.bind(str(path))
        path.chmod(0o666)
        bound.listen(BACKLOG)
        bound.setblocking(False)
    except OSError as error:
        bound.close()
        raise MachineError(f"cannot listen on {path}: {error.strerror or error}") from error
    return bound


def _refuse_if_taken(family: socket.AddressFamily, listener: Listener) -> None:
    """Bind once without SO_REUSEPORT: with it, two servers of one user would silently share the port."""
    with _socket(family) as probe:
        probe.bind((listener.address, listener.port))


def _socket(family: socket.AddressFamily) -> socket.socket:
    made = socket.socket(family, socket.SOCK_STREAM)
    made.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    if family == socket.AF_INET6:
        made.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
    return made


def _advice(listener: Listener, error: OSError) -> str:
    where = f"cannot listen on {listener.address} port {listener.port}"
    match error.errno:
        case errno.EADDRINUSE:
            return (
                f"{where}: another program listens there. `ss -ltnp 'sport = :{listener.port}'` shows which;"
                " stop it, or change `listen` of the virtual server"
            )
        case errno.EACCES:
            return (
                f"{where}: ports below 1024 need root or the capability CAP_NET_BIND_SERVICE. Start as root with"
                f" `user` in [node], or change `listen` (this process runs as uid {os.geteuid()})"
            )
        case errno.EADDRNOTAVAIL:
            return f"{where}: this machine has no such address. `ip address` shows those it has"
        case errno.EAFNOSUPPORT:
            return f"{where}: this machine has no IPv6. Leave the address out of `listen`"
        case _:
            return f"{where}: {error.strerror}"
