"""Reports on one message are gathered into few DSNs, and that costs neither a recipient nor a report."""

from __future__ import annotations

import asyncio
import random
import re
from collections import Counter
from pathlib import Path

import pytest

from bridgehead.core.dsn import REPORTS_MAX
from bridgehead.core.envelope import Envelope, MessageId, Recipient
from bridgehead.core.outcome import Delivered, Outcome
from bridgehead.core.recipient_state import Standing
from bridgehead.outbound.entry import Attempt
from bridgehead.outbound.gathering import GATHER_SECONDS, GATHER_SECONDS_MAX, GATHERED_MAX, Gathering, Recording
from bridgehead.outbound.verdict import Circumstances, of_outcomes
from bridgehead.spool.contract import Body, Insert, StoredMessage
from tests.outbound.back_room import NOW, message
from tests.outbound.fake_channel import LATER, NO_SUCH_USER, OK, REFUSED
from tests.outbound.post_office import HERE, PostOffice, organization

NATIVE = organization()


def recording(number: int, *outcomes: Outcome) -> Recording:
    stored = message(number, *(f"r{ordinal}@x.example" for ordinal in range(len(outcomes))))
    attempt = Attempt(stored.message_id, stored, ())
    return Recording(attempt, of_outcomes(attempt, dict(enumerate(outcomes)), Circumstances(NOW)), lambda: None)


def reported(office: PostOffice) -> list[list[str]]:
    """The recipients named by each DSN that went out, those of one DSN sorted."""
    contents = [
        transaction.body.content or b""
        for _, transaction in office.dialer.transactions
        if transaction.envelope.is_dsn
    ]
    return [sorted(re.findall(r"Final-Recipient: rfc822; (\S+)", content.decode())) for content in contents]


def nobody(_: list[Recording]) -> bool:
    return False


def somebody(_: list[Recording]) -> bool:
    return True


# The place where they wait


def test_what_waits_is_due_together_after_a_while() -> None:
    gathering = Gathering()
    first, second = recording(1, NO_SUCH_USER), recording(1, NO_SUCH_USER)
    assert gathering.add(first, NOW)
    assert gathering.add(second, NOW + GATHER_SECONDS - 1)
    assert list(gathering.take_due(NOW + GATHER_SECONDS - 0.1, nobody)) == []
    assert list(gathering.take_due(NOW + GATHER_SECONDS, nobody)) == [[first, second]]
    assert not gathering
    assert gathering.take(MessageId(1)) == []


def test_what_waits_while_others_are_tried_is_due_a_minute_later_in_any_case() -> None:
    gathering = Gathering()
    first, second = recording(1, NO_SUCH_USER), recording(2, NO_SUCH_USER)
    gathering.add(first, NOW)
    gathering.add(second, NOW + 1)
    assert list(gathering.take_due(NOW + 6, lambda found: first in found)) == [[second]], "it does not hold up others"
    taken: list[tuple[float, list[Recording]]] = []
    for seconds in range(7, 70):
        taken += [(seconds, found) for found in gathering.take_due(NOW + seconds, somebody)]
    assert [found for _, found in taken] == [[first]]
    assert GATHER_SECONDS_MAX - GATHER_SECONDS < taken[0][0] <= GATHER_SECONDS_MAX + GATHER_SECONDS


def test_what_waits_of_a_message_keeps_one_copy_of_it() -> None:
    gathering = Gathering()
    first, second = recording(1, NO_SUCH_USER), recording(1, NO_SUCH_USER)
    gathering.add(first, NOW)
    gathering.add(second, NOW)
    assert second.attempt.message is first.attempt.message


def test_number_of_messages_that_wait_has_a_bound() -> None:
    gathering = Gathering()
    assert all(gathering.add(recording(number, NO_SUCH_USER), NOW) for number in range(GATHERED_MAX))
    assert not gathering.add(recording(GATHERED_MAX, NO_SUCH_USER), NOW)
    assert gathering.add(recording(0, NO_SUCH_USER), NOW), "one more of a message that waits costs no body"


def test_nothing_waits_once_it_is_closed() -> None:
    gathering = Gathering()
    gathering.close()
    assert not gathering.add(recording(1, NO_SUCH_USER), NOW)


def test_what_is_settled_and_reported_is_counted() -> None:
    gathering = Gathering()
    assert (gathering.settled(MessageId(1)), gathering.is_full(MessageId(1))) == (0, False)
    gathering.add(recording(1, *[NO_SUCH_USER] * (REPORTS_MAX - 1), LATER), NOW)
    assert (gathering.settled(MessageId(1)), gathering.is_full(MessageId(1))) == (REPORTS_MAX - 1, False)
    gathering.add(recording(1, NO_SUCH_USER), NOW)
    assert gathering.is_full(MessageId(1))


def test_a_delivery_never_waits() -> None:
    assert recording(1, NO_SUCH_USER, LATER).may_wait
    assert not recording(1, NO_SUCH_USER, OK).may_wait


# In a dispatcher


async def test_a_thousand_refusals_by_sixty_hosts_are_one_report(tmp_path: Path) -> None:
    addresses = [f"user{number}@d{number % 60}.example" for number in range(1000)]
    async with PostOffice(tmp_path, NATIVE).open() as office:
        for address in addresses[::2]:
            office.dialer.recipients[address] = [NO_SUCH_USER]
        await office.accept(*addresses)
        await office.passes(GATHER_SECONDS + 2)
        assert office.count() == 0
    assert reported(office) == [sorted(addresses[::2])]
    assert len(office.dialer.delivered) == 501


async def test_refusals_half_a_minute_apart_are_one_report(tmp_path: Path) -> None:
    async with PostOffice(tmp_path, NATIVE).open() as office:
        for domain in ("one", "two"):
            office.dialer.recipients[f"a@{domain}.example"] = [NO_SUCH_USER]
        office.dialer.late["two.example"] = asyncio.Event()
        await office.accept("a@one.example", "a@two.example", "a@three.example")
        await office.passes(30)
        assert reported(office) == []
        office.dialer.late["two.example"].set()
        await office.settle()
        assert office.count() == 0
    assert reported(office) == [["a@one.example", "a@two.example"]]


async def test_a_refusal_waits_for_a_host_that_hangs_for_a_minute_at_most(tmp_path: Path) -> None:
    async with PostOffice(tmp_path, NATIVE).open() as office:
        office.dialer.recipients["a@one.example"] = [NO_SUCH_USER]
        office.dialer.late["two.example"] = asyncio.Event()
        await office.accept("a@one.example", "a@two.example")
        await office.passes(GATHER_SECONDS_MAX + GATHER_SECONDS)
        assert reported(office) == [["a@one.example"]]


async def test_a_refusal_does_not_wait_for_what_waits_itself(tmp_path: Path) -> None:
    """Recipients that are deferred, or whose queue backs off, say nothing for minutes."""
    async with PostOffice(tmp_path, NATIVE).open() as office:
        office.dialer.recipients["a@one.example"] = [NO_SUCH_USER]
        office.dialer.recipients["a@two.example"] = [LATER]
        office.dialer.hosts["three.example"] = REFUSED
        await office.accept("a@one.example", "a@two.example", "a@three.example")
        await office.passes(GATHER_SECONDS + 2)
        assert reported(office) == [["a@one.example"]]


async def test_last_outcome_of_a_message_ends_the_wait(tmp_path: Path) -> None:
    """The usual message to a few recipients is answered at once."""
    async with PostOffice(tmp_path, NATIVE).open() as office:
        for address in ("a@one.example", "b@two.example"):
            office.dialer.recipients[address] = [NO_SUCH_USER]
        await office.accept("a@one.example", "b@two.example", "c@one.example")
        assert office.count() == 0
    assert reported(office) == [["a@one.example", "b@two.example"]]


async def test_a_message_whose_recipients_go_together_is_answered_at_once(tmp_path: Path) -> None:
    async with PostOffice(tmp_path, NATIVE).open() as office:
        office.dialer.recipients["a@one.example"] = [NO_SUCH_USER]
        office.dialer.recipients["b@one.example"] = [LATER]
        message_id = await office.accept("a@one.example", "b@one.example", "c@one.example")
        assert reported(office) == [["a@one.example"]]
        states = await office.states(message_id)
        assert states is not None
        assert [states[n].standing for n in range(3)] == [Standing.FAILED, Standing.WAITING, Standing.DELIVERED]


async def test_deliveries_are_durable_while_failures_wait(tmp_path: Path) -> None:
    """A crash then repeats what failed, is told of it once, and repeats no delivery."""
    office = PostOffice(tmp_path, NATIVE)
    async with office.open():
        office.dialer.recipients["a@one.example"] = [NO_SUCH_USER]
        office.dialer.recipients["c@two.example"] = [LATER]
        message_id = await office.accept("a@one.example", "b@one.example", "c@two.example")
        states = await office.states(message_id)
        assert states is not None
        assert {n: state.standing for n, state in states.items()} == {1: Standing.DELIVERED, 2: Standing.WAITING}
        assert reported(office) == []
    office.restart()
    async with office.open():
        await office.passes(GATHER_SECONDS + 1)
        assert reported(office) == [["a@one.example"]]
        await office.passes(3600)
    assert reported(office) == [["a@one.example"]]
    assert Counter(office.dialer.delivered)[message_id, 1] == 1


async def test_drain_writes_what_waits(tmp_path: Path) -> None:
    office = PostOffice(tmp_path, NATIVE)
    async with office.open():
        office.dialer.recipients["a@one.example"] = [NO_SUCH_USER]
        office.dialer.recipients["c@two.example"] = [LATER]
        message_id = await office.accept("a@one.example", "b@one.example", "c@two.example")
        await office.dispatcher.drain(0.01)
        await office.settle()
        states = await office.states(message_id)
        assert states is not None
        assert states[0].standing is Standing.FAILED


@pytest.mark.parametrize("seed", range(12))
async def test_whatever_becomes_of_recipients_each_failure_is_reported_once(tmp_path: Path, seed: int) -> None:
    """Any mixture over hosts and time, with a crash at any moment."""
    chance = random.Random(seed)
    addresses = [f"u{number}@d{chance.randrange(8)}.example" for number in range(chance.choice([3, 30, 250]))]
    office = PostOffice(tmp_path, NATIVE)
    ends: dict[str, Outcome] = {address: chance.choice((OK, NO_SUCH_USER)) for address in addresses}
    office.dialer.recipients = {address: [end] for address, end in ends.items()}
    for address in chance.sample(addresses, len(addresses) // 3):
        office.dialer.recipients[address].insert(0, LATER)
    async with office.open():
        await office.accept(*addresses)
        await office.passes(chance.uniform(0, 10))
    office.restart()
    async with office.open():
        await office.passes(2 * 3600)
        assert office.count() == 0
    failed = sorted(address for address in addresses if ends[address] is NO_SUCH_USER)
    assert sorted(address for dsn in reported(office) for address in dsn) == failed
    delivered = {ordinal for message_id, ordinal in office.dialer.delivered}
    assert delivered >= {n for n, address in enumerate(addresses) if isinstance(ends[address], Delivered)}


async def test_report_too_large_for_a_row_reaches_its_sender_whole(tmp_path: Path) -> None:
    content = b"Subject: x\r\n\r\n" + b"x" * 70 + b"\r\n"
    content += b"y" * 600_000
    async with PostOffice(tmp_path, NATIVE).open() as office:
        office.dialer.recipients["a@one.example"] = [NO_SUCH_USER]
        recipients = (Recipient(0, "a@one.example", "one.example"),)
        envelope = Envelope("alice@contoso.com", recipients, len(content), office.clock.now, HERE, ret="FULL")
        stored = StoredMessage(office.ids.next(office.clock.now), envelope, Body(len(content), content))
        await office.commit(Insert(stored.message_id, envelope, stored.body))
        office.dispatcher.accepted(stored)
        await office.settle()
        ((_, transaction),) = [one for one in office.dialer.transactions if one[1].envelope.is_dsn]
    assert content in (transaction.body.content or b"")
