"""Clients that misbehave: the server lives, its memory is bounded, and honest clients are served meanwhile."""

from __future__ import annotations

import smtplib
import ssl
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.faults.accounts import balance
from tests.faults.bad_senders import ATTACKS, Attacker
from tests.faults.processes import Usage, usage, worker_ids
from tests.peers.bridgehead import Bridgehead, smart_host
from tests.peers.child import wait_until
from tests.peers.sender import Account, Sender
from tests.peers.sink import Sink

pytestmark = [pytest.mark.peer, pytest.mark.slow, pytest.mark.timeout(300)]

MEMORY_MAX = 48 << 20
"""What an attack may cost while it lasts: less than the 64 MiB that the endless ones send."""
SERVED_SECONDS = 30.0
"""Far below the five minutes that a client waits; usually it is a fraction of a second."""
GOOD = 50


@dataclass
class Fortress:
    """A server, its next hop, and what it used before any attack."""

    server: Bridgehead
    sink: Sink
    accounts: list[Account]
    before: Usage
    workers: list[int]


@pytest.fixture(scope="module")
def fortress(tmp_path_factory: pytest.TempPathFactory, certificate: Path) -> Iterator[Fortress]:
    """One server for all attacks, so that what one leaves behind shows in the next."""
    server = Bridgehead(tmp_path_factory.mktemp("fortress") / "bridgehead", implicit_tls=True)
    with Sink() as sink:
        server.configure(
            smart_host(sink.port),
            virtual_server=f'tls = {{ certificate = "{certificate}/cert.pem", key = "{certificate}/key.pem" }}\n'
            "[virtual_server.messages]\nsize_kb = 2000",
        )
        server.start()
        try:
            accounts = [serve_honest_clients(server, "before")]
            yield Fortress(server, sink, accounts, usage(server), worker_ids(server))
        finally:
            server.end()


def serve_honest_clients(server: Bridgehead, name: str) -> Account:
    """Send some messages over several new connections."""
    sender = Sender(server.port, count=GOOD, name=name)
    sender.start()
    account = sender.join(SERVED_SECONDS)
    assert account.refused == []
    assert account.interruptions == 0
    return account


def serve_honest_tls(server: Bridgehead) -> None:
    """A handshake to its end."""
    context = ssl.create_default_context()
    context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
    with smtplib.SMTP_SSL("127.0.0.1", server.tls_port, timeout=SERVED_SECONDS, context=context) as client:
        assert client.noop()[0] == 250


@pytest.mark.parametrize("name", ATTACKS)
def test_honest_clients_are_served_while_others_attack_and_memory_stays_bounded(
    fortress: Fortress, name: str
) -> None:
    server = fortress.server
    attacker = Attacker(server.port, server.tls_port)
    try:
        ATTACKS[name](attacker)
        begin = time.monotonic()
        fortress.accounts.append(serve_honest_clients(server, name))
        serve_honest_tls(server)
        seconds = time.monotonic() - begin
        used = usage(server)
    finally:
        attacker.end()
    more = used.memory - fortress.before.memory
    print(f"{name}: served in {seconds:.2f} s, {more / (1 << 20):+.1f} MiB, {used.descriptors} descriptors")
    print(f"last replies: {set(attacker.replies.values())}")
    assert more < MEMORY_MAX
    assert worker_ids(server) == fortress.workers, "no worker ended"


def test_nothing_of_the_attacks_is_left_and_all_honest_mail_arrived_once(fortress: Fortress) -> None:
    server = fortress.server
    wait_until(lambda: usage(server).descriptors <= fortress.before.descriptors, "descriptors as before")
    after = usage(server)
    print(f"memory {fortress.before.memory >> 20} -> {after.memory >> 20} MiB")
    assert after.memory - fortress.before.memory < MEMORY_MAX
    balance([fortress.sink], fortress.accounts).check_exactly_once()
    assert [event for event in server.events() if event.get("level") == "error"] == []
