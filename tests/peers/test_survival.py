"""No accepted message is lost: processes are killed, configurations replaced and servers stopped while mail runs."""

from __future__ import annotations

import os
import random
import signal
import time
from collections.abc import Callable

import pytest

from tests.peers.bridgehead import Bridgehead, smart_host
from tests.peers.child import kill, parent_of, wait_until
from tests.peers.conftest import NewBridgehead
from tests.peers.sender import Account, Sender
from tests.peers.sink import Sink

pytestmark = [pytest.mark.peer, pytest.mark.slow, pytest.mark.timeout(400)]

COUNT = 2000


def settle(sink: Sink, account: Account) -> int:
    """Wait until everything accepted is at the sink; the number of copies too many."""

    def lost() -> int:
        return len(set(account.accepted) - set(sink.counts()))

    wait_until(lambda: not lost(), "every accepted message at the sink", 120)
    counts = sink.counts()
    return sum(counts[identity] - 1 for identity in account.accepted)


def kill_one(server: Bridgehead, chance: random.Random) -> str:
    """SIGKILL to a process drawn at random; when it was the first one, the rest ends too and it is started again."""
    process_ids = server.running.process_ids()
    victim = chance.choice(process_ids)
    kill(victim)
    if victim != server.running.process_id:
        return "a child"
    server.running.wait_exit()
    wait_until(lambda: not any(parent_of(process_id) for process_id in process_ids), "orphans end by themselves")
    server.start()
    return "the first process"


def kill_everything(server: Bridgehead, chance: random.Random) -> str:
    """SIGKILL to all processes at once, then a new start."""
    server.kill()
    server.start()
    return "everything"


@pytest.mark.parametrize("strike", [kill_one, kill_everything])
def test_nothing_is_lost_when_processes_are_killed_while_mail_runs(
    new_bridgehead: NewBridgehead, sink: Sink, strike: Callable[[Bridgehead, random.Random], str]
) -> None:
    seed = int(os.environ.get("SURVIVAL_SEED", time.time_ns() % 1_000_000))
    print(f"SURVIVAL_SEED={seed}")
    chance = random.Random(seed)
    server = new_bridgehead()
    server.configure(smart_host(sink.port))
    server.start()
    sender = Sender(server.port, count=COUNT, pause=0.01)
    sender.start()
    strikes = []
    for target in sorted(chance.sample(range(100, COUNT - 100), 5)):
        sender.wait_progress(target)
        strikes.append(strike(server, chance))
    account = sender.join()
    duplicates = settle(sink, account)
    print(f"killed {strikes}: {len(account.accepted)} accepted, 0 lost, {duplicates} duplicates")
    print(f"connections interrupted: {account.interruptions}, refusals: {account.refused}")
    assert duplicates <= 20 * 2 * len(strikes), "only what was in flight at a kill may come twice"


def test_a_new_configuration_interrupts_no_session_and_loses_nothing(
    new_bridgehead: NewBridgehead, sink: Sink
) -> None:
    server = new_bridgehead()
    server.configure(smart_host(sink.port))
    server.start()
    sender = Sender(server.port, count=COUNT)
    sender.start()
    for number in range(5):
        sender.wait_progress(300 * (number + 1))
        server.configure(smart_host(sink.port, more=f'note = "edition {number}"'))
        assert server.reload() == "reload"
    account = sender.join()
    assert settle(sink, account) == 0
    assert account.interruptions == 0
    assert account.refused == []


def test_a_configuration_with_errors_is_not_taken_and_mail_goes_on(new_bridgehead: NewBridgehead, sink: Sink) -> None:
    server = new_bridgehead()
    server.configure(smart_host(sink.port))
    server.start()
    sender = Sender(server.port, count=300)
    sender.start()
    server.configure(smart_host(sink.port, more='costs = "no such key"'))
    assert server.reload() == "reload-refused"
    account = sender.join()
    assert settle(sink, account) == 0
    assert account.refused == []
    assert server.running.is_running


def test_sigterm_drains_and_the_next_start_sends_the_rest(new_bridgehead: NewBridgehead, sink: Sink) -> None:
    server = new_bridgehead()
    server.configure(smart_host(sink.port))
    server.start()
    sender = Sender(server.port, count=COUNT)
    sender.start()
    sender.wait_progress(COUNT // 4)
    start = time.monotonic()
    assert server.terminate() == 0
    print(f"drained in {time.monotonic() - start:.2f} s")
    account = sender.abandon()
    server.start()
    assert settle(sink, account) == 0
    assert set(sink.counts()) == set(account.accepted), "what got no 250 was not sent either"


def test_sigterm_twice_ends_at_once_and_the_next_start_sends_the_rest(
    new_bridgehead: NewBridgehead,
) -> None:
    with Sink(decide=lambda line: b"451 4.3.0 not now\r\n" if line[:4] == b"MAIL" else b"") as sink:
        server = new_bridgehead()
        server.configure(smart_host(sink.port), drain="60s")
        server.start()
        sender = Sender(server.port, count=200)
        sender.start()
        account = sender.join()
        server.running.signal(signal.SIGTERM)
        time.sleep(0.2)
        server.running.signal(signal.SIGTERM)
        server.running.wait_exit(10)
        assert sink.received == []
        sink.decide = None
        server.start()
        assert settle(sink, account) == 0
