"""DNS that fails in every way, beside a domain that is well: each mail has its fate, none delays another."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Iterator
from contextlib import ExitStack, closing, contextmanager

import dns.message
import pytest

from tests.net.dns_server import DnsServer, dns_server
from tests.peers.bridgehead import Bridgehead
from tests.peers.child import free_port, wait_until
from tests.peers.conftest import NewBridgehead
from tests.peers.sender import Sender
from tests.peers.sink import Sink
from tests.peers.wire import Wire

pytestmark = [pytest.mark.peer, pytest.mark.slow, pytest.mark.timeout(120)]

LIVING = "127.0.0.11"
BACK = "127.0.0.19"
NOBODY = "127.0.0.13"
GOOD = 100
SILENT, FAILING, TRUNCATED = "silent.test", "failing.test", "truncated.test"
LOOP, CROWD, LATE_CROWD, CHAIN = "loop.test", "crowd.test", "late-crowd.test", "chain.test"

RECORDS = {
    ("good.test", "MX"): ["10 living.hosts.test."],
    ("client.test", "MX"): ["10 back.hosts.test."],
    ("living.hosts.test", "A"): [LIVING],
    ("back.hosts.test", "A"): [BACK],
    ("nobody.hosts.test", "A"): [NOBODY],
    (LOOP, "CNAME"): ["loop2.test."],
    ("loop2.test", "CNAME"): [f"{LOOP}."],
    (CROWD, "MX"): ["1 living.hosts.test.", *(f"20 dead{number}.hosts.test." for number in range(499))],
    (LATE_CROWD, "MX"): ["90 living.hosts.test.", *(f"20 dead{number}.hosts.test." for number in range(499))],
    **{(f"dead{number}.hosts.test", "A"): [NOBODY] for number in range(499)},
    (CHAIN, "MX"): ["10 alias.hosts.test."],
    ("alias.hosts.test", "CNAME"): ["living.hosts.test."],
}


class Troubled(DnsServer):
    """Answers some names never, and some never whole."""

    def answer(self, query_wire: bytes, transport: str) -> list[bytes]:
        """As any name server, but for the names of the faults."""
        name = dns.message.from_wire(query_wire).question[0].name.to_text(omit_final_dot=True).lower()
        self.is_silent = name == SILENT
        self.truncates_udp = name in {TRUNCATED, CROWD, LATE_CROWD}
        self.truncates_tcp = name == TRUNCATED
        return super().answer(query_wire, transport)


@contextmanager
def name_server() -> Iterator[DnsServer]:
    """The name server, on an event loop of its own."""
    found: list[DnsServer] = []
    ready, stop, loop = threading.Event(), asyncio.Event(), asyncio.new_event_loop()

    async def serve() -> None:
        async with dns_server(RECORDS, kind=Troubled) as server:
            server.faults.add((FAILING, "MX"))
            found.append(server)
            ready.set()
            await stop.wait()

    def run() -> None:
        with closing(loop):
            loop.run_until_complete(serve())

    thread = threading.Thread(target=run, name="name server", daemon=True)
    thread.start()
    assert ready.wait(10)
    try:
        yield found[0]
    finally:
        loop.call_soon_threadsafe(stop.set)
        thread.join(10)


def reasons(server: Bridgehead, domain: str) -> set[str]:
    """Why mail for a domain waits or failed, in the words of the log."""
    events = [*server.events("deferred"), *server.events("failed")]
    return {str(event.get("reply")) for event in events if str(event.get("recipient")).endswith(f"@{domain}")}


def wait_for_reason(server: Bridgehead, domain: str, words: str) -> None:
    """Return when the log tells of mail for `domain` why it waits."""
    wait_until(lambda: any(words in reason for reason in reasons(server, domain)), f"{words!r} of {domain}")


WORDS = {
    SILENT: "no answer from",
    FAILING: "SERVFAIL",
    TRUNCATED: "truncated answer by TCP",
    LOOP: "CNAME chain is too long",
    LATE_CROWD: "connection refused",
}
"""What the log says of mail that waits."""


def test_each_fault_of_dns_has_its_words_and_none_delays_other_mail(new_bridgehead: NewBridgehead) -> None:
    port = free_port()
    with ExitStack() as stack:
        names = stack.enter_context(name_server())
        living = stack.enter_context(Sink(address=LIVING, port=port))
        back = stack.enter_context(Sink(address=BACK, port=port))
        server = new_bridgehead()
        delivery = f'dns_servers = ["{names.address}"]\nfamily = "ipv4"'
        server.configure("", virtual_server=f"outbound_port = {port}", delivery=delivery)
        server.start()
        with Wire(server.port) as client:
            for domain in (*WORDS, CROWD, CHAIN):
                content = f"Message-ID: <{domain}>\r\n\r\nx\r\n".encode()
                assert client.send("a@client.test", [f"b@{domain}"], content).code == 250, domain
        sender = Sender(server.port, count=GOOD, recipient="b@good.test")
        sender.start()
        account = sender.join()
        wanted = {*account.accepted, *(f"<{domain}>".encode() for domain in (CROWD, CHAIN))}
        wait_until(lambda: wanted <= set(living.counts()), "mail of domains that are well")
        assert not reasons(server, SILENT), "good mail came while the silent name was still waited for"
        for domain, words in WORDS.items():
            wait_for_reason(server, domain, words)
        assert living.counts() == dict.fromkeys(wanted, 1)
        assert back.received == [], "no fault of DNS returns mail"
        assert server.running.is_running
