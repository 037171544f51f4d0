"""Too few file descriptors, too little memory: the server goes on within them, and nothing accepted is lost."""

from __future__ import annotations

import os
import resource
import socket
from collections.abc import Iterator
from contextlib import ExitStack, suppress
from pathlib import Path

import pytest

from tests.faults.accounts import arrived, balance
from tests.faults.bad_hosts import ADDRESS, BadHosts, copies
from tests.faults.bad_manners import hang, until
from tests.faults.processes import IS_LONG, MemoryGroup, worker_ids
from tests.peers.bridgehead import Bridgehead, smart_host
from tests.peers.child import free_port, wait_until
from tests.peers.conftest import NewBridgehead
from tests.peers.sender import Account, Sender
from tests.peers.sink import Sink

pytestmark = [pytest.mark.peer, pytest.mark.slow, pytest.mark.timeout(900)]

DESCRIPTORS = 96
"""Of each process; a worker needs about thirty before the first session."""
CROWD = 400
MEMORY_MORE = 64 << 20
"""What a worker may still take when the backlog begins."""
BACKLOG = 100_000 if IS_LONG else 6_000
MESSAGE_BYTES = 24_000
"""All together more than both workers may take, in the short form too."""


def crowd(port: int, stack: ExitStack) -> int:
    """Open many connections; how many of them were greeted."""
    made = [stack.enter_context(socket.create_connection(("127.0.0.1", port), 10)) for _ in range(CROWD)]
    return sum(is_greeted(connection) for connection in made)


def is_greeted(connection: socket.socket) -> bool:
    """Whether the server greets; 421, silence and a closed connection are none."""
    connection.settimeout(0.05)
    with suppress(OSError):
        return connection.recv(512).startswith(b"220")
    return False


def test_a_server_with_few_descriptors_refuses_a_crowd_and_goes_on_behind_it(
    new_bridgehead: NewBridgehead, sink: Sink
) -> None:
    server = new_bridgehead()
    server.configure(smart_host(sink.port))
    server.start(descriptors=DESCRIPTORS)
    workers = worker_ids(server)
    accounts = [send(server, "before", 200)]
    with ExitStack() as stack:
        count = crowd(server.port, stack)
        print(f"{count} of {CROWD} were greeted")
        assert 0 < count <= DESCRIPTORS
        wait_until(lambda: arrived([sink]) >= set(accounts[0].accepted), "mail accepted before goes out meanwhile")
    accounts.append(send(server, "after", 200))
    balance([sink], accounts, server.events()).check_exactly_once()
    assert worker_ids(server) == workers, "no worker ended"


def test_a_host_that_hangs_leaves_descriptors_for_new_mail(new_bridgehead: NewBridgehead) -> None:
    with BadHosts({"bad": until(".", hang)}) as hosts:
        server = new_bridgehead()
        limits = "[connector.limits]\nconnections = 500\nconnections_per_domain = 500"
        server.configure(smart_host(hosts.port("bad"), more=limits).replace("127.0.0.1", ADDRESS))
        server.start(descriptors=DESCRIPTORS)
        workers = worker_ids(server)
        hanging = send(server, "hanging", 300)
        more = send(server, "more", 50)
        assert (hanging.refused, more.refused) == ([], [])
        wait_until(lambda: hosts.seen["bad"].connections > 20, "many connections that hang")
        assert server.events("connector-down") == []
        hosts.mend()
        accepted = {*hanging.accepted, *more.accepted}
        wait_until(lambda: set(copies(hosts.later["bad"])) == accepted, "all mail at the mended host", 60)
        assert set(copies(hosts.later["bad"]).values()) == {1}
        assert worker_ids(server) == workers, "no worker ended"


def send(server: Bridgehead, name: str, count: int) -> Account:
    """Send some messages; all of them are accepted."""
    sender = Sender(server.port, count=count, name=name)
    sender.start()
    return sender.join()


@pytest.fixture
def group() -> Iterator[MemoryGroup | None]:
    """Both workers together get no more pages than one may have addresses; `None` where no group can be made."""
    made = MemoryGroup.made(f"bridgehead-{os.getpid()}", 2 * MEMORY_MORE)
    yield made
    if made is not None:
        wait_until(made.remove, "a group without processes")


def test_a_backlog_larger_than_memory_is_taken_and_sent(
    group: MemoryGroup | None, new_bridgehead: NewBridgehead
) -> None:
    port = free_port()
    server = new_bridgehead()
    server.configure(smart_host(port))
    server.start()
    workers = worker_ids(server)
    bound(server)
    if group is not None:
        for process_id in workers:
            group.add(process_id)
    sender = Sender(server.port, count=BACKLOG, size=MESSAGE_BYTES)
    sender.start()
    account = sender.join(600)
    assert account.refused == []
    with Sink(port=port) as sink:
        found = balance([sink], [account], server.events(), 300)
    print(found, "with a control group" if group is not None else "without a control group")
    found.check_exactly_once()
    assert worker_ids(server) == workers, "no worker ended"
    assert group is None or group.kills == 0


def bound(server: Bridgehead) -> None:
    """Let no worker take more than a little beyond what it has."""
    for process_id in worker_ids(server):
        lines = Path(f"/proc/{process_id}/status").read_text().splitlines()
        has = next(int(line.split()[1]) * 1024 for line in lines if line.startswith("VmSize:"))
        resource.prlimit(process_id, resource.RLIMIT_AS, (has + MEMORY_MORE,) * 2)
