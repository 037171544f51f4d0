"""The life of a worker: messages in order, and an end of its own when the supervisor is gone."""

from __future__ import annotations

import asyncio
import os
import signal
import smtplib
from pathlib import Path

from bridgehead.process.messages import Drain, Granted, Ready
from bridgehead.process.worker_main import Inbox
from tests.peers.bridgehead import smart_host
from tests.peers.child import parent_of, wait_until
from tests.peers.conftest import NewBridgehead
from tests.peers.sink import Sink


async def test_inbox_hands_out_messages_in_order_and_waits_for_the_next() -> None:
    inbox = Inbox()
    inbox.put(Ready())
    inbox.put(Granted(1, is_granted=True))
    assert await inbox.next() == Ready()
    assert await inbox.next() == Granted(1, is_granted=True)
    async with asyncio.TaskGroup() as tasks:
        waiting = tasks.create_task(inbox.next())
        await asyncio.sleep(0)
        assert not waiting.done()
        inbox.put(Drain(1.0))
    assert waiting.result() == Drain(1.0)


def test_worker_ends_by_itself_when_the_supervisor_was_killed(new_bridgehead: NewBridgehead, sink: Sink) -> None:
    server = new_bridgehead()
    server.configure(smart_host(sink.port), drain="1s")
    server.start()
    supervisor, *children = server.running.process_ids()
    assert len(children) == 2
    os.kill(supervisor, signal.SIGKILL)
    server.running.wait_exit()
    # Nobody's children now: when they are reaped is not ours to say.
    wait_until(lambda: not any(map(parent_of, children)), "the end of both workers")
    server.start()
    assert server.terminate() == 0


def test_worker_drains_where_its_whole_group_is_told_to_end(new_bridgehead: NewBridgehead, sink: Sink) -> None:
    """As systemd ends a service by default: SIGTERM to every process of it, in any order."""
    server = new_bridgehead()
    server.configure(smart_host(sink.port))
    server.start()
    client = smtplib.SMTP("127.0.0.1", server.port, timeout=10)
    client.ehlo()
    assert client.mail("app@example.org")[0] == 250
    assert client.rcpt("bob@fabrikam.example")[0] == 250
    for process in reversed(server.running.process_ids()):
        os.kill(process, signal.SIGTERM)
    assert client.data(b"Subject: taken\r\n\r\nstill\r\n")[0] == 250
    client.close()
    assert server.running.wait_exit() == 0


def test_threads_of_a_worker_interrupt_nobody_when_they_are_woken(new_bridgehead: NewBridgehead, sink: Sink) -> None:
    server = new_bridgehead()
    server.configure(smart_host(sink.port))
    server.start()
    supervisor, *workers = server.running.process_ids()

    def policies() -> set[int]:
        threads = [int(one.name) for worker in workers for one in Path(f"/proc/{worker}/task").iterdir()]
        assert len(threads) > len(workers)
        return {os.sched_getscheduler(thread) for thread in threads}

    wait_until(lambda: policies() == {os.SCHED_BATCH}, "every worker has begun")
    assert os.sched_getscheduler(supervisor) == os.SCHED_OTHER
    assert server.terminate() == 0
