"""kill -9 of processes drawn at random while mail runs: nothing is lost, and each duplicate is explained."""

from __future__ import annotations

import random
import time

import pytest

from tests.faults.accounts import balance
from tests.faults.processes import IS_LONG, SEED, worker_ids
from tests.peers.bridgehead import Bridgehead, smart_host
from tests.peers.child import kill, parent_of, wait_until
from tests.peers.conftest import NewBridgehead
from tests.peers.sender import Sender
from tests.peers.sink import Sink

pytestmark = [pytest.mark.peer, pytest.mark.slow, pytest.mark.timeout(1800)]

KILLS = 100 if IS_LONG else 8
WITHOUT_END = 10**9


def kill_worker(server: Bridgehead, chance: random.Random) -> None:
    """One worker; the supervisor starts another."""
    kill(chance.choice(worker_ids(server)))
    wait_until(lambda: len(worker_ids(server)) == 2, "a new worker")


def kill_supervisor(server: Bridgehead, _chance: random.Random) -> None:
    """The supervisor; its workers see that and end, then the whole is started again."""
    process_ids = server.running.process_ids()
    kill(server.running.process_id)
    server.running.wait_exit()
    wait_until(lambda: not any(parent_of(process_id) for process_id in process_ids), "the workers end by themselves")
    server.start()


def kill_all(server: Bridgehead, _chance: random.Random) -> None:
    """Every process at once, as by the OOM killer or a container's end."""
    server.kill()
    server.start()


STRIKES = {"a worker": kill_worker, "the supervisor": kill_supervisor, "all": kill_all}


def test_nothing_accepted_is_lost_and_each_duplicate_is_explained_when_processes_are_killed(
    new_bridgehead: NewBridgehead, sink: Sink
) -> None:
    chance = random.Random(SEED)
    server = new_bridgehead()
    server.configure(smart_host(sink.port))
    server.start()
    sender = Sender(server.port, count=WITHOUT_END)
    sender.start()
    done, kills = [], []
    for _ in range(KILLS):
        sender.wait_progress(sender.progress + chance.randrange(100, 800))
        name = chance.choice(tuple(STRIKES))
        kills.append(time.monotonic())
        STRIKES[name](server, chance)
        done.append(name)
    sender.wait_progress(sender.progress + 100)
    account = sender.abandon()
    found = balance([sink], [account], server.events(), kills=kills)
    print(f"killed {done}; {account.interruptions} connections interrupted\n{found}")
    found.check()
    assert len(found.duplicates) <= 20 * len(done), "only what was in flight at a kill may come twice"


@pytest.mark.parametrize("seconds", [0.0, 0.05, 0.1, 0.2, 0.4])
def test_a_worker_that_starts_while_its_supervisor_is_killed_ends_by_itself(
    new_bridgehead: NewBridgehead, sink: Sink, seconds: float
) -> None:
    """Clients stand in line at its sockets by then: each is told that the service ends, and none is served on."""
    server = new_bridgehead()
    server.configure(smart_host(sink.port), drain="10m")
    server.start()
    sender = Sender(server.port, count=WITHOUT_END)
    sender.start()
    sender.wait_progress(50)
    kills = [time.monotonic()]
    kill_worker(server, random.Random(SEED))
    time.sleep(seconds)  # the moments of a start
    kills.append(time.monotonic())
    kill_supervisor(server, random.Random(SEED))
    sender.wait_progress(sender.progress + 50)
    balance([sink], [sender.abandon()], server.events(), kills=kills).check()
