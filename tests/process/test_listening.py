"""Listening sockets: bound once, kept over changes, and refused with advice."""

from __future__ import annotations

import os
import select
import socket
from pathlib import Path

import pytest

from bridgehead.core.error import MachineError
from bridgehead.core.organization import Listener, Node, Organization, Server, VirtualServer
from bridgehead.process.listening import ListeningSockets

PATIENCE_SECONDS = 5.0
"""A connection waits in the socket a moment after its client was told."""


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def organization(*ports: int) -> Organization:
    listeners = tuple(Listener("127.0.0.1", port) for port in ports)
    return Organization("Contoso", (Server("S"),), (VirtualServer("Default", "S", listeners, "mail.contoso.com"),))


@pytest.fixture
def node(tmp_path: Path) -> Node:
    return Node("S", str(tmp_path))


def test_listening_gives_each_worker_a_socket_of_its_own_on_the_same_port(node: Node) -> None:
    port = free_port()
    sockets = ListeningSockets(node, 2)
    new = sockets.bind(organization(port))
    assert [(one.address, one.port) for one in new] == [("127.0.0.1", port), ("submit.sock", 0)]
    first, second = (sockets.descriptors(worker, new) for worker in (0, 1))
    assert first[0] != second[0], "an own queue of connections for each worker"
    assert first[1] == second[1], "one submission socket for all"
    sockets.close()


def test_listening_keeps_what_is_bound_and_binds_what_is_new(node: Node) -> None:
    kept, gone, new = free_port(), free_port(), free_port()
    sockets = ListeningSockets(node, 1)
    before = sockets.descriptors(0, sockets.bind(organization(kept, gone)))
    added = sockets.bind(organization(kept, new))
    assert [one.port for one in added] == [new]
    assert sockets.descriptors(0, sockets.listening)[0] == before[0]
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", gone))
    sockets.close()


def test_listening_says_who_may_be_in_the_way_and_keeps_the_old_sockets(node: Node) -> None:
    kept = free_port()
    sockets = ListeningSockets(node, 1)
    sockets.bind(organization(kept))
    with socket.socket() as other:
        other.bind(("127.0.0.1", 0))
        other.listen()
        taken = int(other.getsockname()[1])
        with pytest.raises(MachineError, match="another program listens there") as refusal:
            sockets.bind(organization(kept, free_port(), taken))
    assert f"sport = :{taken}" in str(refusal.value)
    assert [one.port for one in sockets.listening] == [kept, 0]
    sockets.close()


def test_listening_refuses_to_share_a_port_with_another_server_of_ours(node: Node, tmp_path: Path) -> None:
    port = free_port()
    first = ListeningSockets(node, 2)
    first.bind(organization(port))
    (tmp_path / "other").mkdir()
    with pytest.raises(MachineError, match="another program listens there"):
        ListeningSockets(Node("S", str(tmp_path / "other")), 2).bind(organization(port))
    first.close()


def test_listening_names_the_remedy_for_an_address_this_machine_does_not_have(node: Node) -> None:
    listeners = (Listener("192.0.2.1", 2525),)
    unreachable = Organization("Contoso", (Server("S"),), (VirtualServer("Default", "S", listeners, "m.test"),))
    with pytest.raises(MachineError, match="ip address"):
        ListeningSockets(node, 1).bind(unreachable)


def accepts(bound: int) -> bool:
    """Whether a connection waits in a listening socket."""
    with socket.socket(fileno=os.dup(bound)) as listening:
        select.select([listening], [], [], PATIENCE_SECONDS)
        listening.setblocking(False)
        try:
            listening.accept()[0].close()
        except OSError:
            return False
        return True


def test_listening_sends_nothing_to_a_worker_that_rests(node: Node) -> None:
    port = free_port()
    listening = ListeningSockets(node, 2)
    which = listening.bind(organization(port))
    listening.rest(0)
    for _ in range(20):
        socket.create_connection(("127.0.0.1", port)).close()
        assert accepts(listening.descriptors(1, which)[0])
    listening.wake(0)
    listening.wake(0)
    assert -1 not in listening.descriptors(0, which)
    socket.create_connection(("127.0.0.1", port)).close()
    assert accepts(listening.descriptors(1, which)[0]), "nothing arrives before the worker listens"
    listening.rest(0)
    listening.rest(1)
    with pytest.raises(ConnectionRefusedError):
        socket.create_connection(("127.0.0.1", port))
    with socket.socket() as other:
        other.bind(("127.0.0.1", port))
        with pytest.raises(MachineError, match="another program listens there"):
            listening.wake(1)
    listening.close()
