"""Delivery by DNS against a real name server: MX in every shape, and what becomes of mail when there is none."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.peers.bridgehead import PROGRAM, Bridgehead
from tests.peers.child import Child, free_port, wait_greeting, wait_until
from tests.peers.conftest import NewBridgehead, StartNameServer
from tests.peers.corpus import real_mx
from tests.peers.name_server import SERVFAIL, NameServer
from tests.peers.sink import Sink
from tests.peers.wire import Wire

pytestmark = pytest.mark.peer

CONTENT = b"Subject: one\r\nMessage-ID: <1@client.test>\r\n\r\nx\r\n"
BACK = "127.0.0.19"
FIRST = "127.0.0.11"
SECOND = "127.0.0.12"
NOBODY = "127.0.0.13"
HOSTS = f"first IN A {FIRST}\nsecond IN A {SECOND}\nnobody IN A {NOBODY}\nself IN A 127.0.0.1\n"

ZONES = {
    "client.test": f"@ IN MX 10 mail\nmail IN A {BACK}\n",
    "hosts.test": HOSTS,
    "preferred.test": "@ IN MX 20 second.hosts.test.\n@ IN MX 10 first.hosts.test.\n",
    "fallback.test": "@ IN MX 10 nobody.hosts.test.\n@ IN MX 20 second.hosts.test.\n",
    "implicit.test": f"@ IN A {FIRST}\n",
    "null.test": "@ IN MX 0 .\n",
    "alias.test": "www IN CNAME preferred.test.\n",
    "hop.test": "@ IN MX 10 again\nagain IN CNAME first.hosts.test.\n",
    "dangling.test": "@ IN MX 10 nothing\n@ IN MX 20 second.hosts.test.\n",
    "empty.test": "@ IN TXT nothing\n",
    "loop.test": "@ IN MX 10 self.hosts.test.\n@ IN MX 20 second.hosts.test.\n",
    "backup.test": "@ IN MX 10 first.hosts.test.\n@ IN MX 20 relay.test.\n@ IN MX 30 second.hosts.test.\n",
    "relay.test": f"@ IN A {NOBODY}\n",
    "broken.test": SERVFAIL,
}


SMART_HOST_BY_NAME = """
[[connector]]
name = "Moved"
route = "smart-hosts"
smart_hosts = "moved.test:{port}"
address_spaces = ["*"]
[connector.limits]
messages_per_connection = 1
"""


@dataclass(frozen=True, slots=True)
class Internet:
    """A little Internet: three mail servers on one port, names, and a Bridgehead that sends by DNS."""

    bridgehead: Bridgehead
    names: NameServer
    first: Sink
    second: Sink
    back: Sink

    def send(self, recipient: str) -> None:
        """One message to a recipient."""
        with Wire(self.bridgehead.port) as client:
            answer = client.send("a@client.test", [recipient], CONTENT)
            assert answer.code == 250, answer

    def report(self) -> bytes:
        """The DSN that came back, waited for."""
        wait_until(lambda: self.back.received != [], "a DSN at the sender's server")
        assert self.back.received[0].mail.startswith(b"<>")
        return self.back.received[0].content


@pytest.fixture
def internet(new_bridgehead: NewBridgehead, start_name_server: StartNameServer) -> Iterator[Internet]:
    """The little Internet with all of `ZONES`."""
    names, port = start_name_server(ZONES), free_port()
    with ExitStack() as stack:
        first, second, back = (
            stack.enter_context(Sink(address=address, port=port)) for address in (FIRST, SECOND, BACK)
        )
        bridgehead = new_bridgehead()
        bridgehead.configure(
            "",
            virtual_server=f"outbound_port = {port}",
            delivery=f'dns_servers = ["127.0.0.1:{names.port}"]\nfamily = "ipv4"',
        )
        bridgehead.start()
        yield Internet(bridgehead, names, first, second, back)


@pytest.mark.parametrize(
    ("domain", "server"),
    [
        ("preferred.test", "first"),
        ("fallback.test", "second"),
        ("implicit.test", "first"),
        ("www.alias.test", "first"),
        ("hop.test", "first"),
        ("dangling.test", "second"),
        ("backup.test", "first"),
    ],
)
def test_mail_goes_to_the_best_server_that_answers(internet: Internet, domain: str, server: str) -> None:
    expected = {"first": internet.first, "second": internet.second}[server]
    internet.send(f"b@{domain}")
    wait_until(lambda: len(expected.received) == 1, f"the message at the {server} server")
    assert len(internet.first.received) + len(internet.second.received) == 1
    assert internet.back.received == []


@pytest.mark.parametrize(
    ("domain", "status"),
    [
        ("null.test", b"5.1.10"),
        ("none.preferred.test", b"5.1.2"),
        ("empty.test", b"5.1.2"),
        ("loop.test", b"5.4.6"),
    ],
)
def test_what_dns_says_can_never_be_delivered_comes_back_at_once(
    internet: Internet, domain: str, status: bytes
) -> None:
    internet.send(f"b@{domain}")
    assert b"Status: " + status in internet.report()
    assert internet.first.received == internet.second.received == []


def test_a_fault_of_dns_is_temporary_and_mail_goes_out_once_it_is_mended(internet: Internet) -> None:
    internet.send("b@broken.test")
    wait_until(lambda: "broken.test" in internet.bridgehead.log.read_text(), "an attempt in the log")
    internet.names.replace("broken.test", "@ IN MX 10 first.hosts.test.\n")
    wait_until(lambda: len(internet.first.received) == 1, "the message after the repair")
    assert internet.back.received == []


def test_a_silent_name_server_makes_mail_wait(internet: Internet) -> None:
    internet.names.stop()
    internet.send("b@preferred.test")
    wait_until(lambda: "preferred.test" in internet.bridgehead.log.read_text(), "an attempt in the log")
    assert internet.first.received == internet.back.received == []


def test_a_reload_looks_again_at_the_hosts_file(new_bridgehead: NewBridgehead, tmp_path: Path) -> None:
    """The server sees a hosts file of its own, in a mount namespace of its own."""
    alone = ["unshare", "--mount", *([] if os.geteuid() == 0 else ["--map-root-user"])]
    if subprocess.run([*alone, "true"], capture_output=True, check=False).returncode:
        pytest.skip("this account may not make a mount namespace")
    port, hosts = free_port(), tmp_path / "hosts"
    hosts.write_text(f"{FIRST} moved.test\n")
    with Sink(address=FIRST, port=port) as first, Sink(address=SECOND, port=port) as second:
        bridgehead = new_bridgehead()
        bridgehead.configure(SMART_HOST_BY_NAME.format(port=port))
        serve = f'mount --bind "{hosts}" /etc/hosts && exec "{PROGRAM}" serve --config "{bridgehead.configuration}"'
        bridgehead.child = Child([*alone, "sh", "-c", serve], bridgehead.log)
        wait_greeting(bridgehead.running, bridgehead.port)
        with Wire(bridgehead.port) as client:
            assert client.send("a@client.test", ["b@one.test"], CONTENT).code == 250
            wait_until(lambda: len(first.received) == 1, "the message at the first address")
            hosts.write_text(f"{SECOND} moved.test\n")
            assert bridgehead.reload() == "reload"
            assert client.send("a@client.test", ["b@two.test"], CONTENT).code == 250
            wait_until(lambda: len(second.received) == 1, "the message at the second address")
    assert len(first.received) == 1


def test_the_mx_sets_of_real_domains_are_followed(
    new_bridgehead: NewBridgehead, start_name_server: StartNameServer
) -> None:
    port, sets = free_port(), real_mx()
    hosts = sorted({host.lower() for _, _, host in sets} - {"."})
    records = [f"{domain} IN MX {preference} {host}" for domain, preference, host in sets]
    records += [f"{host} IN A {FIRST}" for host in hosts] + [f"client.test. IN A {BACK}"]
    names = start_name_server({".": "\n".join(records) + "\n"})
    nulls = {domain.rstrip(".") for domain, _, host in sets if host == "."}
    domains = sorted({domain.rstrip(".") for domain, _, _ in sets} - nulls)
    with Sink(address=FIRST, port=port) as sink, Sink(address=BACK, port=port) as back:
        bridgehead = new_bridgehead()
        delivery = f'dns_servers = ["127.0.0.1:{names.port}"]\nfamily = "ipv4"'
        bridgehead.configure("", virtual_server=f"outbound_port = {port}", delivery=delivery)
        bridgehead.start()
        with Wire(bridgehead.port) as client:
            for domain in (*domains, *nulls):
                assert client.send("a@client.test", [f"b@{domain}"], CONTENT).code == 250, domain
        wait_until(lambda: len(sink.received) == len(domains), "one message for each domain")
        wait_until(lambda: len(back.received) == len(nulls), "one DSN for each domain with a null MX")
    arrived = sorted(message.recipients[0].decode().partition(">")[0].partition("@")[2] for message in sink.received)
    assert arrived == domains
