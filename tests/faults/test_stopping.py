"""Stopping, reloading and changing the number of workers under load: nothing is lost, nothing is sent twice."""

from __future__ import annotations

import signal
import time

import pytest

from tests.faults.accounts import balance
from tests.peers.bridgehead import Bridgehead, smart_host
from tests.peers.child import wait_until
from tests.peers.conftest import NewBridgehead
from tests.peers.sender import Account, Sender
from tests.peers.sink import Sink

pytestmark = [pytest.mark.peer, pytest.mark.slow, pytest.mark.timeout(400)]

WITHOUT_END = 10**9
DRAIN_SECONDS = 5.0
RELOADS = 100


def later(line: bytes) -> bytes:
    """A next hop that takes no mail now."""
    return b"451 4.3.0 not now\r\n" if line[:4] == b"MAIL" else b""


def test_sigterm_under_load_stops_in_time_and_the_next_start_sends_the_rest(
    new_bridgehead: NewBridgehead, sink: Sink
) -> None:
    server = new_bridgehead()
    server.configure(smart_host(sink.port), drain=f"{DRAIN_SECONDS:g}s")
    accounts = []
    for number in range(3):
        server.start()
        sender = Sender(server.port, count=WITHOUT_END, name=f"round{number}")
        sender.start()
        sender.wait_progress(500)
        begin = time.monotonic()
        assert server.terminate() == 0
        seconds = time.monotonic() - begin
        print(f"stopped in {seconds:.2f} s")
        assert seconds < DRAIN_SECONDS + 2.0
        accounts.append(sender.abandon())
    server.start()
    found = balance([sink], accounts, server.events())
    print(found)
    found.check_exactly_once()


def test_a_hundred_reloads_under_load_drop_no_session_and_send_nothing_twice(
    new_bridgehead: NewBridgehead, sink: Sink
) -> None:
    server = new_bridgehead()
    server.configure(smart_host(sink.port))
    server.start()
    sender = Sender(server.port, count=WITHOUT_END)
    sender.start()
    for number in range(RELOADS):
        server.configure(smart_host(sink.port, more=f'note = "edition {number}"'))
        server.running.signal(signal.SIGHUP)
        wait_until(lambda: reloads(server) > number, "the reload in the log")  # noqa: B023 - called at once
    account = sender.abandon()
    assert reloads(server) == RELOADS
    assert account.interruptions == 0
    assert account.refused == []
    found = balance([sink], [account], server.events())
    print(found)
    found.check_exactly_once()


def reloads(server: Bridgehead) -> int:
    """How many were done, by the log; the lines of messages between are not read."""
    return server.log.read_bytes().count(b'"event":"reload","')


def test_mail_survives_any_change_of_the_number_of_workers_with_a_full_spool(new_bridgehead: NewBridgehead) -> None:
    with Sink(decide=later) as sink:
        server = new_bridgehead()
        accounts: list[Account] = []
        for number, workers in enumerate((4, 2, 1, 4)):
            server.configure(smart_host(sink.port), workers=workers)
            server.start()
            sender = Sender(server.port, count=400, name=f"round{number}")
            sender.start()
            accounts.append(sender.join())
            assert server.terminate() == 0
        assert sink.received == []
        sink.decide = None
        server.configure(smart_host(sink.port), workers=2)
        server.start()
        found = balance([sink], accounts, server.events())
        print(found)
        found.check_exactly_once()
        assert found.accepted >= 1600
