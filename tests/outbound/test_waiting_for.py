"""What waits for connectors is counted whole, and sampled within bounds."""

from __future__ import annotations

from collections.abc import Collection
from pathlib import Path

import msgspec
import pytest

from bridgehead.core.envelope import MessageId
from bridgehead.core.recipient_state import Hold, RecipientState, Standing
from bridgehead.outbound import waiting_for as module
from bridgehead.outbound.listing import EVERYTHING, Selection
from bridgehead.outbound.operations import Operations, Verb
from bridgehead.outbound.waiting_for import DOMAINS_MAX, LOOKS_MAX, WaitingFor, added, waiting_for, waiting_on_disk
from bridgehead.spool.contract import StoredEntry
from tests.outbound.back_room import message
from tests.outbound.fake_channel import CLOSING
from tests.outbound.post_office import PostOffice, connector, organization

TWO = organization(connector("ISP", "*"), connector("Partner", "*.fabrikam.com"))


async def office_with_mail(tmp_path: Path, *addresses: str) -> PostOffice:
    """Mail that cannot go out."""
    office = PostOffice(tmp_path, TWO)
    office.dialer.hosts["ISP"] = office.dialer.hosts["Partner"] = CLOSING
    async with office.open():
        for address in addresses:
            await office.accept(address)
    return office


async def found(office: PostOffice, *names: str) -> dict[str, WaitingFor]:
    dispatcher = office.dispatcher
    made = await waiting_for(names, dispatcher.queues, dispatcher.placement.router, office.spool.load)
    return {one.connector: one for one in made}


def domains(one: WaitingFor) -> list[str]:
    return sorted(sample.recipient.domain for sample in one.samples)


async def test_mail_is_counted_by_connector_with_a_sample_of_each_domain(tmp_path: Path) -> None:
    office = await office_with_mail(tmp_path, "a@one.example", "b@one.example", "c@two.example", "d@x.fabrikam.com")
    waiting = await found(office, "ISP", "Partner", "Other")
    assert waiting.keys() == {"ISP", "Partner"}
    isp = waiting["ISP"]
    assert (isp.messages, isp.held, isp.is_whole, domains(isp)) == (3, 0, True, ["one.example", "two.example"])
    assert (waiting["Partner"].messages, domains(waiting["Partner"])) == (1, ["x.fabrikam.com"])
    assert all(sample.envelope.recipients == () for sample in isp.samples)
    assert {sample.strength for sample in isp.samples} == {(1, 1)}


async def test_nobody_is_asked_for_connectors_that_no_mail_waits_for(tmp_path: Path) -> None:
    office = await office_with_mail(tmp_path, "a@one.example")
    assert await found(office, "Partner") == {}
    assert await found(office) == {}


async def test_held_mail_is_counted_and_not_sampled(tmp_path: Path) -> None:
    office = PostOffice(tmp_path, TWO)
    office.dialer.hosts["ISP"] = CLOSING
    async with office.open():
        await office.accept("a@one.example")
        await office.accept("b@two.example")
        operations = Operations(office.dispatcher, office.spool, office.clock)
        await operations.perform(Verb.HOLD, Selection(domain="two.example"))
        isp = (await found(office, "ISP"))["ISP"]
        assert (isp.messages, isp.held, isp.is_whole, domains(isp)) == (2, 1, True, ["one.example"])
        await operations.perform(Verb.HOLD, EVERYTHING)
        isp = (await found(office, "ISP"))["ISP"]
        assert (isp.messages, isp.held, isp.is_whole, isp.samples) == (2, 2, True, ())


async def test_the_part_of_a_message_that_waits_elsewhere_is_not_looked_at(tmp_path: Path) -> None:
    office = PostOffice(tmp_path, TWO)
    office.dialer.hosts["ISP"] = office.dialer.hosts["Partner"] = CLOSING
    async with office.open():
        await office.accept("a@one.example", "d@x.fabrikam.com")
        waiting = await found(office, "ISP", "Partner")
        assert {name: (one.messages, domains(one)) for name, one in waiting.items()} == {
            "ISP": (1, ["one.example"]),
            "Partner": (1, ["x.fabrikam.com"]),
        }


async def test_a_backlog_is_counted_whole_and_read_in_part(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "LOOKS_MAX", 10)
    office = await office_with_mail(tmp_path, *(f"a@d{number}.example" for number in range(40)))
    reads = 0
    load = office.spool.load

    async def counted(message_id: MessageId) -> object:
        nonlocal reads
        reads += 1
        return await load(message_id)

    monkeypatch.setattr(office.spool, "load", counted)
    isp = (await found(office, "ISP"))["ISP"]
    assert (isp.messages, reads, len(isp.samples), isp.is_whole) == (40, 10, 10, False)
    numbers = sorted(int(name.removeprefix("d").removesuffix(".example")) for name in domains(isp))
    assert numbers[0] == 0
    assert numbers[-1] >= 30  # from all over the backlog, not from its head alone


async def test_more_domains_than_are_told_are_said_to_be_more(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "DOMAINS_MAX", 3)
    office = await office_with_mail(tmp_path, *(f"a@d{number}.example" for number in range(5)))
    isp = (await found(office, "ISP"))["ISP"]
    assert (isp.messages, len(isp.samples), isp.is_whole) == (5, 3, False)


async def test_every_connector_gets_its_share_of_what_is_read(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "LOOKS_MAX", 4)
    monkeypatch.setattr(module, "LOOKS_MIN", 1)
    addresses = [
        *(f"a@d{number}.example" for number in range(9)),
        *(f"a@d{number}.fabrikam.com" for number in range(9)),
    ]
    office = await office_with_mail(tmp_path, *addresses)
    waiting = await found(office, "ISP", "Partner")
    assert [len(one.samples) for one in waiting.values()] == [2, 2]


async def test_what_workers_found_is_added_up(tmp_path: Path) -> None:
    first = (await found(await office_with_mail(tmp_path, "a@one.example", "b@two.example"), "ISP"))["ISP"]
    second = (await found(await office_with_mail(tmp_path, "c@two.example"), "ISP"))["ISP"]
    told = msgspec.json.decode(
        msgspec.json.encode((first, second)), type=list[WaitingFor]
    )  # as they come by the pipe
    (total,) = added(told)
    assert (total.messages, total.is_whole, domains(total)) == (3, True, ["one.example", "two.example"])
    (total,) = added([first, replaced(second, is_whole=False, held=1)])
    assert (total.held, total.is_whole) == (1, False)
    assert added([]) == ()


def replaced(one: WaitingFor, *, is_whole: bool, held: int) -> WaitingFor:
    return msgspec.structs.replace(one, is_whole=is_whole, held=held)


def test_what_is_added_up_stays_within_the_bound() -> None:
    entries = [
        stored(number, {0: RecipientState(connector="ISP")}, f"a@d{number}.example")
        for number in range(DOMAINS_MAX + 20)
    ]
    halves = [waiting_on_disk(part, lambda _: True)[0] for part in (entries[:70], entries[70:])]
    (total,) = added(halves)
    assert (total.messages, len(total.samples), total.is_whole) == (DOMAINS_MAX + 20, DOMAINS_MAX, False)


# Without a server


def stored(number: int, states: dict[int, RecipientState], *addresses: str) -> StoredEntry:
    return StoredEntry(MessageId(number), message(number, *addresses).envelope, states)


def on_disk(*entries: StoredEntry, gone: Collection[str] = ("ISP",)) -> dict[str, WaitingFor]:
    return {one.connector: one for one in waiting_on_disk(entries, gone.__contains__)}


ONCE = RecipientState(attempts=1, connector="ISP")
STATES = {
    "tried by it": (ONCE, (1, 0, 1)),
    "frozen after it was tried": (msgspec.structs.replace(ONCE, hold=Hold.FROZEN), (1, 1, 0)),
    "held for its credential": (msgspec.structs.replace(ONCE, hold=Hold.CREDENTIAL), (1, 1, 0)),
}
OTHERS = {
    "never tried": RecipientState(),
    "tried by another": RecipientState(attempts=1, connector="Partner"),
    "without a route already": msgspec.structs.replace(ONCE, hold=Hold.CONFIGURATION),
    "settled": msgspec.structs.replace(ONCE, standing=Standing.DELIVERED),
}


@pytest.mark.parametrize(("state", "counts"), STATES.values(), ids=STATES.keys())
def test_mail_on_disk_names_the_connector_it_waits_for(state: RecipientState, counts: tuple[int, int, int]) -> None:
    isp = on_disk(stored(1, {0: state}))["ISP"]
    assert (isp.messages, isp.held, len(isp.samples)) == counts
    assert all(sample.strength is None for sample in isp.samples)


@pytest.mark.parametrize("state", OTHERS.values(), ids=OTHERS.keys())
def test_mail_on_disk_that_does_not_wait_for_a_connector_that_is_gone_is_not_counted(state: RecipientState) -> None:
    assert on_disk(stored(1, {0: state})) == {}


def test_a_message_on_disk_counts_once_for_each_connector() -> None:
    partner = RecipientState(attempts=1, connector="Partner")
    addresses = ("a@one.example", "b@two.example", "c@x.fabrikam.com")
    found = on_disk(stored(1, {0: ONCE, 1: ONCE, 2: partner}, *addresses), gone=("ISP", "Partner"))
    assert {name: (one.messages, domains(one)) for name, one in found.items()} == {
        "ISP": (1, ["one.example", "two.example"]),
        "Partner": (1, ["x.fabrikam.com"]),
    }


def test_no_more_entries_are_read_from_disk_than_a_bound(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "ENTRIES_MAX", 5)
    entries = [stored(number, {0: ONCE}) for number in range(9)]
    isp = on_disk(*entries)["ISP"]
    assert (isp.messages, isp.is_whole) == (5, False)
    assert on_disk(*entries[:5])["ISP"].is_whole


def test_bounds_are_what_the_documents_say() -> None:
    assert (LOOKS_MAX, DOMAINS_MAX) == (1000, 100)
