"""Why a socket cannot be bound, in words that name the remedy."""

from __future__ import annotations

import errno
import os
import socket
import stat
from pathlib import Path

import pytest

from bridgehead.core.error import MachineError
from bridgehead.core.organization import Listener
from bridgehead.process import sockets

ADVICE = [
    ("a port that is taken", errno.EADDRINUSE, "ss -ltnp 'sport = :25'"),
    ("a port below 1024 without the right to it", errno.EACCES, "CAP_NET_BIND_SERVICE"),
    ("an address of another machine", errno.EADDRNOTAVAIL, "ip address"),
    ("a machine without IPv6", errno.EAFNOSUPPORT, "has no IPv6"),
    ("anything else", errno.ENOBUFS, os.strerror(errno.ENOBUFS)),
]


@pytest.mark.parametrize(("case", "number", "remedy"), ADVICE, ids=[case for case, _, _ in ADVICE])
def test_sockets_say_what_to_do_about(case: str, number: int, remedy: str) -> None:
    del case
    advice = sockets._advice(Listener("192.0.2.1", 25), OSError(number, os.strerror(number)))
    assert advice.startswith("cannot listen on 192.0.2.1 port 25: ")
    assert remedy in advice


def test_sockets_of_all_workers_listen_on_one_port() -> None:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = int(probe.getsockname()[1])
    bound = sockets.bind(Listener("127.0.0.1", port), 3)
    assert {one.getsockname() for one in bound} == {("127.0.0.1", port)}
    for _ in range(3):
        socket.create_connection(("127.0.0.1", port)).close()
    for one in bound:
        one.close()


def test_submission_socket_is_open_to_everyone_and_replaces_a_stale_one(tmp_path: Path) -> None:
    for _ in range(2):
        bound = sockets.bind_submission(tmp_path)
        assert stat.S_IMODE((tmp_path / "submit.sock").stat().st_mode) == 0o666
        bound.close()


def test_submission_socket_names_its_path_when_it_cannot_be_bound(tmp_path: Path) -> None:
    with pytest.raises(MachineError, match=r"not there/submit\.sock"):
        sockets.bind_submission(tmp_path / "not there")
