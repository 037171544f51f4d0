"""Domains whose hosts hang, more of them than their connector has connections: mail for others goes past them.

Some hosts take connections and never speak, others do not even answer a SYN. They are waited for as long as RFC 5321
says, for minutes, so what arrives meanwhile went past them.
"""

from __future__ import annotations

import socket
from contextlib import ExitStack, suppress

import pytest

from tests.peers.child import free_port, wait_until
from tests.peers.conftest import NewBridgehead
from tests.peers.sink import Sink
from tests.peers.wire import Wire

pytestmark = [pytest.mark.peer, pytest.mark.slow, pytest.mark.timeout(180)]

GOOD = "127.0.9.1"
CONNECTIONS = 4
MUTE = [f"127.0.9.{number}" for number in range(10, 10 + CONNECTIONS)]
DEAF = [f"127.0.9.{number}" for number in range(20, 20 + CONNECTIONS // 2)]
MESSAGES = 20
WITHIN_SECONDS = 90.0
"""A fraction of the 300 seconds that a greeting is waited for, many times what it takes on a quiet machine."""

DIRECT = f"""\
[[connector]]
name = "Direct"
route = "dns"
address_spaces = ["SMTP:*;1"]
[connector.limits]
connections = {CONNECTIONS}
"""


class Mute:
    """Hosts whose connections are made, and that is all."""

    def __init__(self, stack: ExitStack, port: int) -> None:
        self._stack = stack
        self._listening = [listening(stack, address, port) for address in MUTE]
        self.accepted = 0

    def accept(self) -> int:
        """How many connections came so far."""
        for one in self._listening:
            with suppress(BlockingIOError):
                self._stack.enter_context(one.accept()[0])
                self.accepted += 1
        return self.accepted


def listening(stack: ExitStack, address: str, port: int, backlog: int = 100) -> socket.socket:
    """A socket that listens and does not wait."""
    found = stack.enter_context(socket.socket())
    found.setblocking(False)
    found.bind((address, port))
    found.listen(backlog)
    return found


def make_deaf(stack: ExitStack, address: str, port: int) -> None:
    """Fill what the kernel keeps until `accept`: it drops every SYN that comes later."""
    listening(stack, address, port, backlog=0)
    for _ in range(4):
        one = stack.enter_context(socket.socket())
        one.setblocking(False)
        with suppress(BlockingIOError):
            one.connect((address, port))


def send(port: int, address: str, identity: str) -> None:
    """One message to a host by its address."""
    with Wire(port) as client:
        content = f"Message-ID: <{identity}>\r\n\r\nx\r\n".encode()
        assert client.send("a@client.test", [f"b@[{address}]"], content).code == 250


def test_mail_goes_past_hosts_that_hang_and_hold_every_connection(new_bridgehead: NewBridgehead) -> None:
    port = free_port()
    server = new_bridgehead()
    server.configure(DIRECT, virtual_server=f"outbound_port = {port}")
    with ExitStack() as stack, Sink(address=GOOD, port=port) as good:
        mute = Mute(stack, port)
        for address in DEAF:
            make_deaf(stack, address, port)
        server.start()
        for address in MUTE:
            send(server.port, address, f"to@{address}")
        wait_until(lambda: mute.accept() >= CONNECTIONS, "every connection is held by a host that hangs")
        for address in DEAF:
            send(server.port, address, f"to@{address}")
        send(server.port, GOOD, "first@good.test")
        assert good.received == []
        wait_until(lambda: len(good.received) == 1, "the first message for the good host", WITHIN_SECONDS)
        for number in range(MESSAGES):
            send(server.port, GOOD, f"{number}@good.test")
        wait_until(lambda: len(good.received) == 1 + MESSAGES, "the others", WITHIN_SECONDS)
        assert set(good.counts().values()) == {1}
        waiting = {str(event["recipient"]) for event in server.events("deferred")}
        assert not waiting & {f"b@[{address}]" for address in MUTE}, "they are waited for still"
        assert server.events("failed") == []
