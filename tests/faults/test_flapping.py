"""A smart host that comes and goes every second: its link does not flap with it, and its mail arrives."""

from __future__ import annotations

import time

import pytest

from tests.faults.accounts import balance
from tests.faults.processes import IS_LONG
from tests.peers.bridgehead import smart_host
from tests.peers.child import free_port
from tests.peers.conftest import NewBridgehead
from tests.peers.sender import Sender
from tests.peers.sink import Sink

pytestmark = [pytest.mark.peer, pytest.mark.slow, pytest.mark.timeout(400)]

FLAPS = 60 if IS_LONG else 3
SECONDS = 1.0
GLITCH_SECONDS = 1.0
"""Three glitch retries of this length are longer than the host is ever away."""


def test_a_smart_host_that_flaps_every_second_is_never_down_and_loses_nothing(new_bridgehead: NewBridgehead) -> None:
    port = free_port()
    sinks = []
    server = new_bridgehead()
    server.configure(smart_host(port), glitch=GLITCH_SECONDS)
    server.start()
    sender = Sender(server.port, count=10**9, pause=0.02)
    sender.start()
    for _ in range(FLAPS):
        with Sink(port=port) as sink:
            sinks.append(sink)
            time.sleep(SECONDS)
        time.sleep(SECONDS)
    account = sender.abandon()
    with Sink(port=port) as sink:
        sinks.append(sink)
        found = balance(sinks, [account], server.events())
    print(found)
    found.check()
    assert server.events("connector-down") == []
