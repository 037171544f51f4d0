"""A reload says what becomes of mail that waits for connectors that leave; that it cannot does not keep it."""

from __future__ import annotations

import asyncio
from typing import Any, cast

import pytest

from bridgehead.control.control_socket import ControlError, Request
from bridgehead.core.link_state import ALL_UP
from bridgehead.core.organization import Organization
from bridgehead.outbound.router import Router
from bridgehead.outbound.waiting_for import WaitingFor
from bridgehead.process import departures as module
from bridgehead.process.departures import departures_in_words
from bridgehead.process.requests import Requests
from tests.outbound.post_office import connector, disabled, organization, without

OLD = organization(connector("ISP", "*"), connector("Backup", "*;5"))


class Workers:
    """What the workers answer."""

    def __init__(self, answer: object) -> None:
        self.answer = answer
        self.asked: list[Request] = []

    async def respond(self, request: Request) -> Any:
        self.asked.append(request)
        if isinstance(self.answer, Exception):
            raise self.answer
        if self.answer is None:
            await asyncio.Event().wait()
        return self.answer


async def said(workers: Workers, new: Organization) -> tuple[str, ...]:
    return await departures_in_words(cast("Requests", workers), OLD, Router("BRIDGE01", new, ALL_UP))


async def test_nobody_is_asked_where_no_connector_leaves() -> None:
    workers = Workers(None)
    assert await said(workers, OLD) == ()
    assert workers.asked == []


async def test_a_connector_that_leaves_is_told_in_one_sentence() -> None:
    workers = Workers([WaitingFor("ISP", 3, 1)])
    assert await said(workers, disabled(OLD, "ISP")) == (
        'connector "ISP" is disabled: 3 messages wait for it; 1 of them is held already, and stays so until released',
    )
    assert workers.asked == [Request("queue.waiting_for", {"connectors": ["ISP"]})]


FAILURES = {
    "no worker": (ControlError("no worker is ready: see the log of the server", 69), "no worker is ready"),
    "no answer": (None, "no answer within 0.01 s"),
}


@pytest.mark.parametrize(("answer", "reason"), FAILURES.values(), ids=FAILURES.keys())
async def test_what_is_not_known_is_said(
    answer: Exception | None, reason: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "ASK_SECONDS", 0.01)
    (sentence,) = await said(Workers(answer), without(OLD, "ISP"))
    assert sentence.startswith(f"what waits for the connectors that leave is not known: {reason}")
