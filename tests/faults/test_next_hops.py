"""Next hops that misbehave in every way: no mail is lost or sent twice for it, and mail for others is not delayed.

All of them run at once beside one good host. First with the limits of RFC 5321, minutes of waiting: what hangs then
hangs all through the test. Then with a `connection_timeout` of a second. At last every host is mended.
"""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass, field

import pytest

from tests.faults.bad_hosts import ADDRESS, BadHosts, copies
from tests.faults.bad_manners import CASES, Case, Fate
from tests.faults.processes import Usage, usage
from tests.peers.bridgehead import Bridgehead
from tests.peers.child import wait_until
from tests.peers.sender import Account, Sender
from tests.peers.sink import Sink
from tests.peers.wire import Wire

pytestmark = [pytest.mark.peer, pytest.mark.slow, pytest.mark.timeout(300)]

MESSAGES = 3
"""For each host, so that one stands behind another."""
GOOD = 300
DRAIN_SECONDS = 3.0
MEMORY_MAX = 32 << 20
"""What all hosts together may cost: less than half of one reply of those that do not end."""

NOTHING = Usage(0, 0)

CONNECTOR = """\
[[connector]]
name = "{name}"
route = "smart-hosts"
smart_hosts = "[{address}]:{port}"
address_spaces = ["SMTP:{name}.test;1"]
"""


@dataclass
class Storm:
    """What was seen of the whole scenario."""

    hosts: BadHosts
    good: Sink
    back: Sink
    good_accounts: list[Account] = field(default_factory=list)
    at_first: Usage = NOTHING
    at_last: Usage = NOTHING
    exit_status: int = -1
    drain_seconds: float = 0.0
    delivered: Counter[str] = field(default_factory=Counter)
    """By message id, as the log tells it."""


@pytest.fixture(scope="module")
def storm(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Storm]:
    """The scenario, played once."""
    server = Bridgehead(tmp_path_factory.mktemp("storm") / "bridgehead")
    hosts = BadHosts({name: case.script for name, case in CASES.items()})
    with hosts, Sink() as good, Sink() as back:
        storm = Storm(hosts, good, back)
        try:
            play(server, storm)
        finally:
            server.end()
        yield storm


def play(server: Bridgehead, storm: Storm) -> None:
    """Misbehave, with patience and without, then be mended."""
    configure(server, storm, "10m")
    server.start()
    storm.at_first = usage(server)
    for name, case in CASES.items():
        send(server, name, case)
    send_good(server, storm, "patient")
    begin = time.monotonic()
    storm.exit_status = server.terminate()
    storm.drain_seconds = time.monotonic() - begin
    configure(server, storm, "1s")
    server.start()
    send_good(server, storm, "hasty")
    tried = [name for name, case in CASES.items() if case.script is not None and case.fate is Fate.WAITS]
    before = {name: storm.hosts.seen[name].connections for name in tried}
    wait_until(
        lambda: all(storm.hosts.seen[name].connections >= before[name] + 2 for name in tried),
        "another attempt at every host",
        60,
    )
    storm.at_last = usage(server)
    storm.hosts.mend()
    with suppress(AssertionError):  # the tests say of which host
        wait_until(lambda: not missing(storm), "mail at the mended hosts, and DSNs", 60)
    assert server.terminate() == 0
    storm.delivered = Counter(str(event["message_id"]) for event in server.events("delivered"))


def configure(server: Bridgehead, storm: Storm, timeout: str) -> None:
    """A connector for each host, for the good one, and for DSNs."""
    ports = {name: (ADDRESS, storm.hosts.port(name)) for name in CASES}
    ports |= {"good": ("127.0.0.1", storm.good.port), "client": ("127.0.0.1", storm.back.port)}
    server.configure(
        "".join(CONNECTOR.format(name=name, address=address, port=port) for name, (address, port) in ports.items()),
        delivery=f'connection_timeout = "{timeout}"',
        drain=f"{DRAIN_SECONDS:g}s",
    )


def identities(name: str) -> list[str]:
    """The message ids of one case."""
    return [f"<{number}@{name}.test>" for number in range(MESSAGES)]


def send(server: Bridgehead, name: str, case: Case) -> None:
    """The messages of one case."""
    sender = "a@client.test" if "SMTPUTF8" not in case.parameters else "\u00e4@client.test"
    with Wire(server.port) as client:
        for identity in identities(name):
            content = f"Message-ID: {identity}\r\n\r\nna\u00efve\r\n".encode()
            assert client.send(sender, [f"b@{name}.test"], content, case.parameters).code == 250, name


def send_good(server: Bridgehead, storm: Storm, name: str) -> None:
    """Mail for the good host, which must arrive long before anything at the others has timed out."""
    sender = Sender(server.port, count=GOOD, name=name, recipient="b@good.test")
    sender.start()
    account = sender.join()
    storm.good_accounts.append(account)
    wait_until(lambda: set(account.accepted) <= set(storm.good.counts()), "good mail in the middle of bad hosts", 60)


def returned(storm: Storm) -> set[str]:
    """Message ids that came back in DSNs."""
    content = b"".join(message.content for message in tuple(storm.back.received))
    return {
        identity for name in CASES for identity in identities(name) if b"Message-ID: " + identity.encode() in content
    }


def missing(storm: Storm) -> set[str]:
    """Message ids of which nothing was seen at the end."""
    found = returned(storm)
    for name, case in CASES.items():
        server = storm.hosts.later[name] if case.fate is Fate.WAITS else storm.hosts.seen[name]
        found |= {identity.decode() for identity in copies(server)}
    return {identity for name in CASES for identity in identities(name)} - found


@pytest.mark.parametrize("name", CASES)
def test_mail_for_a_host_that_misbehaves_has_its_fate(storm: Storm, name: str) -> None:
    fate = CASES[name].fate
    own = identities(name)
    later = copies(storm.hosts.later[name])
    came = {identity: later[identity.encode()] for identity in own}
    told = {identity: storm.delivered[identity] for identity in own}
    back = {identity for identity in returned(storm) if identity in own}
    is_waiting = fate is Fate.WAITS
    assert came == dict.fromkeys(own, int(is_waiting)), fate.value
    assert told == dict.fromkeys(own, int(fate is not Fate.RETURNED)), fate.value
    assert back == (set(own) if fate is Fate.RETURNED else set()), fate.value


def test_mail_for_a_good_host_is_not_delayed_by_bad_ones(storm: Storm) -> None:
    """That it came at all says so: `send_good` waits for a fraction of what hanging hosts are waited for."""
    accepted = [identity for account in storm.good_accounts for identity in account.accepted]
    assert len(accepted) >= 2 * GOOD
    assert storm.good.counts() == Counter(accepted)


def test_a_server_stops_within_its_drain_though_hosts_hang(storm: Storm) -> None:
    assert storm.exit_status == 0
    assert storm.drain_seconds < DRAIN_SECONDS + 5.0


def test_hosts_that_talk_without_end_cost_no_memory(storm: Storm) -> None:
    print(f"memory {storm.at_first.memory >> 20} -> {storm.at_last.memory >> 20} MiB")
    assert storm.at_last.memory - storm.at_first.memory < MEMORY_MAX
