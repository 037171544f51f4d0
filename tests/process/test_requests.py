"""A request is spread over the workers; one that dies or hangs becomes an error, not a wait without end."""

from __future__ import annotations

import asyncio
from typing import Any, cast

import pytest

from bridgehead.control.control_socket import ControlError, Request
from bridgehead.process import requests
from bridgehead.process.child_process import ChildProcess
from bridgehead.process.messages import Answered, Ask
from bridgehead.process.requests import Requests


class Worker:
    """As much of a `ChildProcess` as is asked."""

    def __init__(self, *, is_ready: bool = True) -> None:
        self.is_ready = is_ready
        self.asked: list[Ask] = []
        self.was_asked = asyncio.Event()

    def send(self, message: Ask) -> None:
        self.asked.append(message)
        self.was_asked.set()


class Server:
    """The supervisor's part."""

    def __init__(self, *workers: Worker | None) -> None:
        self._workers = list(workers)

    def workers(self) -> list[ChildProcess | None]:
        return cast("list[ChildProcess | None]", self._workers)

    def answer_alone(self, request: Request) -> Any:
        return {"ready": True} if request.verb == "server" else NotImplemented


async def wait_asked(*workers: Worker) -> None:
    for worker in workers:
        await worker.was_asked.wait()


async def test_requests_are_answered_alone_where_they_concern_no_mail() -> None:
    assert await Requests(Server()).respond(Request("server")) == {"ready": True}


async def test_requests_gather_the_parts_of_all_ready_workers() -> None:
    first, second, starting = Worker(), Worker(), Worker(is_ready=False)
    spread = Requests(Server(first, None, second, starting))
    async with asyncio.TaskGroup() as tasks:
        answer = tasks.create_task(spread.respond(Request("queue.list", {"limit": 5})))
        await wait_asked(first, second)
        spread.answered(2, Answered(second.asked[0].request, b'[{"id": 2}]'))
        spread.answered(0, Answered(first.asked[0].request, b'[{"id": 1}]'))
    assert answer.result() == [{"id": 1}, {"id": 2}]
    assert first.asked[0].arguments == b'{"limit":5}'
    assert starting.asked == []


async def test_requests_say_that_a_worker_ended_while_it_was_asked() -> None:
    worker = Worker()
    spread = Requests(Server(worker))

    async def ask() -> None:
        with pytest.raises(ControlError, match="worker 0 ended"):
            await spread.respond(Request("queue.list"))

    async with asyncio.TaskGroup() as tasks:
        tasks.create_task(ask())
        await wait_asked(worker)
        spread.worker_gone(0)
        spread.answered(0, Answered(worker.asked[0].request, b"[]"))  # too late: dropped


async def test_requests_do_not_wait_for_a_worker_that_hangs(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(requests, "WORKER_SECONDS", 0.01)
    with pytest.raises(ControlError, match="gave no answer") as refusal:
        await Requests(Server(Worker())).respond(Request("queue.list"))
    assert refusal.value.exit_code == 69


@pytest.mark.parametrize(
    ("verb", "workers", "words"),
    [
        ("queue.list", [None, Worker(is_ready=False)], "no worker is ready"),
        ("dance", [Worker()], "does not know 'dance'"),
    ],
)
async def test_requests_are_refused_in_words(verb: str, workers: list[Worker | None], words: str) -> None:
    with pytest.raises(ControlError, match=words):
        await Requests(Server(*workers)).respond(Request(verb))
