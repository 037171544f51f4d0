"""Who writes in the demo: letters for every path, submitted by plain SMTP."""

from __future__ import annotations

import asyncio
from itertools import islice
from random import Random

import pytest

from bridgehead.process.demo.organization import HOME, STAFF, Ports
from bridgehead.process.demo.receiver import Receiver, refuse_unknown
from bridgehead.process.demo.senders import DECK, Letter, Path, content, letter, letters, send_letters, submit
from tests.process.demo.test_receiver import opened


def test_every_path_is_taken_each_time_the_deck_is_through() -> None:
    assert set(DECK) == set(Path)
    dealt = list(islice(letters(Random(1)), 3 * len(DECK)))
    for start in range(0, len(dealt), len(DECK)):
        part = dealt[start : start + len(DECK)]
        assert sum(one.recipient.startswith("gone-") for one in part) == 1
        assert sum(one.recipient.startswith("victim@") for one in part) == 1
        assert sum(one.recipient.endswith("@northwind.example") for one in part) == 2
        assert sum(one.recipient.endswith(f"@{HOME}") for one in part) == 1


@pytest.mark.parametrize("path", Path)
def test_who_writes_from_inside_is_on_the_staff_and_all_others_come_by_the_other_door(path: Path) -> None:
    random = Random(2)
    for _ in range(50):
        one = letter(path, random)
        name, _, domain = one.sender.partition("@")
        assert (domain == HOME and name in STAFF) is not one.is_from_outside
        if one.recipient.endswith(f"@{HOME}"):
            assert one.recipient.partition("@")[0] in STAFF


async def test_a_letter_is_submitted_whole() -> None:
    one = Letter("a@contoso.example", "b@b.example")
    async with opened(Receiver("mx.example", "127.0.0.1")) as receiver:
        reply = await submit(one, receiver.address, receiver.port)
    assert (reply.code, receiver.taken) == (250, 1)
    assert not any(line.startswith(".") for line in content(one).split("\r\n"))


async def test_the_first_refusal_ends_a_submission() -> None:
    async with opened(Receiver("mx.example", "127.0.0.1", refuse_unknown)) as receiver:
        reply = await submit(Letter("a@contoso.example", "gone-b@b.example"), receiver.address, receiver.port)
    assert (reply.code, receiver.taken) == (550, 0)


async def test_senders_go_on_while_nobody_listens() -> None:
    inside, outside = Receiver("in.example", "127.0.0.1"), Receiver("out.example", "127.0.0.2")
    async with opened(inside), opened(outside), asyncio.timeout(20), asyncio.TaskGroup() as tasks:
        ports = Ports(inside.port, outside.port, 0, 0)
        sending = tasks.create_task(send_letters(ports, Random(3)))
        inside.close()
        await taken(outside)
        await inside.open(ports.inside)
        await taken(inside)
        sending.cancel()


async def taken(receiver: Receiver) -> None:
    """Return once the receiver took a message."""
    while not receiver.taken:  # noqa: ASYNC110  the receiver counts and calls nobody
        await asyncio.sleep(0.01)
