"""Where recipients are put: grouped by their way, held where they have none, and told of once."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from bridgehead.core.dsn import ReportingMta
from bridgehead.core.envelope import MessageId
from bridgehead.core.organization import NoMatch, Organization, TlsLevel
from bridgehead.core.outcome import Deferred, Failed
from bridgehead.core.recipient_state import Hold, RecipientState, Standing
from bridgehead.core.tracking import Step, TrackingEvent
from bridgehead.outbound.clocks import Clocks
from bridgehead.outbound.contract import QueueKey
from bridgehead.outbound.entry import Attempt, Entry, Part, message_of
from bridgehead.outbound.hand_back import Badmail, HandBack
from bridgehead.outbound.index import Index
from bridgehead.outbound.placement import NO_ROUTE, ORDERED, RETURNED, WEAKER, Occasion, Placement, Site, unsettled
from bridgehead.outbound.queue import Queue
from bridgehead.outbound.queues import UNROUTED, Queues
from bridgehead.outbound.recorder import Recorder, Records
from bridgehead.outbound.router import Router
from bridgehead.spool.contract import Insert, StoredEntry, StoredMessage
from bridgehead.spool.memory import MemorySpool
from tests.outbound.back_room import NOW, Owner, attempt, message, still_wire
from tests.outbound.fake_channel import CLOSING, LOGIN, Clock
from tests.outbound.post_office import HERE, connector, disabled, organization, without

ACCEPTED = Occasion(may_refuse=True, is_first=True)
NATIVE = organization()
NOWHERE = organization(no_match=NoMatch.NDR)
TWO = organization(connector("A", "a.example"), connector("B", "b.example"))
DONE = RecipientState(Standing.DELIVERED)
LATER = RecipientState(attempts=1, next_attempt=NOW + 60)


@dataclass
class Room:
    """A placement and everything it puts things into; nothing is sent."""

    folder: Path
    organization: Organization
    is_running: bool = False
    events: list[TrackingEvent] = field(default_factory=list)
    condemned: list[Entry] = field(default_factory=list)
    spool: MemorySpool = field(default_factory=MemorySpool)
    index: Index = field(default_factory=Index)
    owner: Owner = field(default_factory=Owner)
    clock: Clock = field(default_factory=lambda: Clock(NOW))

    def __post_init__(self) -> None:
        numbers = iter(range(100, 200))
        reporting = ReportingMta("mail.contoso.com", "", HERE)
        hand_back = HandBack(lambda: reporting, lambda: MessageId(next(numbers)), self.clock)
        clocks = Clocks(self.clock, self.clock)
        records = Records(self.spool, self.events.append, hand_back, Badmail(self.folder), clocks)
        recorder = Recorder(records, self.index, lambda _: None)
        self.queues = Queues(self.organization, self.owner, still_wire(self.clock))
        site = Site(self.events.append, clocks, self.condemn, lambda: self.is_running)
        self.placement = Placement(Router("BRIDGE01", self.organization), self.index, self.queues, recorder, site)

    def condemn(self, _queue: Queue, entry: Entry, _outcome: Deferred | Failed) -> None:
        self.condemned.append(entry)

    def apply(self, changed: Organization) -> None:
        """What the dispatcher does with a changed organization."""
        for one in self.organization.connectors:
            found = changed.connector(one.name)
            if found is None or not found.enabled:
                self.placement.formers[one.name] = self.placement.router
        self.organization = changed
        self.placement.router = Router("BRIDGE01", changed)
        self.queues.set_organization(changed)

    async def place(self, stored: StoredMessage, occasion: Occasion = ACCEPTED) -> None:
        """Place a new message that is durable."""
        self.spool.submit([Insert(stored.message_id, stored.envelope, stored.body)])
        self.placement.place_fresh(stored, occasion)
        await settle()

    async def return_from(self, stored: StoredMessage, key: QueueKey, occasion: Occasion = RETURNED) -> None:
        """A whole message comes back from the queue with this key."""
        self.spool.submit([Insert(stored.message_id, stored.envelope, stored.body)])
        queue = self.queues.get(key)
        found = attempt(stored)
        self.index.put(stored.message_id, None, [(queue, tuple(range(len(stored.envelope.recipients))))])
        queue.active.add(stored.message_id)
        self.placement.place(found, queue, occasion)
        await settle()

    def ways(self, number: int = 1) -> list[tuple[str, tuple[int, ...] | None]]:
        """Connector or next hop of each entry of a message, and the ordinals of a part."""
        return [
            (queue.key.connector or queue.key.next_hop, entry.ordinals if isinstance(entry, Part) else None)
            for entry, queue in self.index.entries_of(MessageId(number))
        ]

    async def states(self, number: int = 1) -> Mapping[int, RecipientState] | None:
        stored = await self.spool.load(MessageId(number))
        return None if stored is None else stored.states

    def steps(self) -> list[Step]:
        return [event.step for event in self.events]


async def settle() -> None:
    for _ in range(10):
        await asyncio.sleep(0)


# What was just accepted


async def test_one_recipient_is_ready_in_the_queue_of_its_way_and_told_of(tmp_path: Path) -> None:
    here = Room(tmp_path, NATIVE)
    await here.place(message(1))
    (queue,) = here.queues
    assert (queue.key.next_hop, queue.waiting.pop_ready()) == ("fabrikam.com", 1)
    (event,) = here.events
    assert (event.step, event.recipient, event.connector) == (Step.ROUTED, "bob@fabrikam.com", "")
    assert event.decision is not None
    assert json.loads(bytes(event.decision))
    assert here.index.take_fresh(MessageId(1)) is not None


async def test_recipients_of_one_way_stay_together_and_others_are_parted(tmp_path: Path) -> None:
    here = Room(tmp_path, TWO)
    await here.place(message(1, "x@a.example", "y@b.example", "z@a.example", "n@c.example"))
    assert here.ways() == [("A", (0, 2)), ("B", (1,)), ("c.example", (3,))]
    assert [(event.connector, event.recipient, event.recipients) for event in here.events] == [
        ("A", "", 2),
        ("B", "y@b.example", 0),
        ("", "n@c.example", 0),
    ]
    assert {
        entry.ordinals
        for entry, _ in here.index.entries_of(MessageId(1))
        if isinstance(entry, Part) and entry.is_ready
    } == {
        (0, 2),
        (1,),
        (3,),
    }


async def test_what_nothing_takes_fails_at_once_if_it_was_just_accepted(tmp_path: Path) -> None:
    here = Room(tmp_path, NOWHERE)
    await here.place(message(1))
    assert here.steps() == [Step.FAILED, Step.DSN]
    assert await here.states() is None
    assert here.index.entries_of(MessageId(1)) == []


async def test_what_nothing_takes_is_held_if_the_organization_changed_meanwhile(tmp_path: Path) -> None:
    """A configuration error never bounces accepted mail."""
    here = Room(tmp_path, NOWHERE)
    await here.place(message(1), Occasion(is_first=True))
    states = await here.states()
    assert states is not None
    assert states[0].hold is Hold.CONFIGURATION
    limbo = here.queues.find(UNROUTED)
    assert limbo is not None
    assert limbo.waiting.held == {1: Hold.CONFIGURATION}
    assert not limbo.active


async def test_one_recipient_without_a_way_does_not_keep_the_others(tmp_path: Path) -> None:
    here = Room(tmp_path, organization(connector("A", "a.example"), no_match=NoMatch.NDR))
    await here.place(message(1, "x@a.example", "y@b.example"))
    assert here.ways() == [("A", None)]
    states = await here.states()
    assert states is not None
    assert {ordinal: state.standing for ordinal, state in states.items()} == {1: Standing.FAILED}
    assert here.index.take_fresh(MessageId(1)) is None, "what is in memory does not know of the failure"


async def test_mail_for_a_host_that_refused_our_credentials_is_not_sent(tmp_path: Path) -> None:
    here = Room(tmp_path, NATIVE)
    queue = here.queues.get(QueueKey("", HERE, "fabrikam.com"))
    queue.refusal = LOGIN
    await here.place(message(1))
    assert here.condemned == [1]
    assert queue.active == {1}
    assert queue.waiting.ready_count == 0


async def test_mail_for_a_queue_that_backs_off_waits_in_it(tmp_path: Path) -> None:
    here = Room(tmp_path, NATIVE)
    queue = here.queues.get(QueueKey("", HERE, "fabrikam.com"))
    queue.back_off(CLOSING)
    await here.place(message(1))
    assert queue.waiting.pop_ready() == 1


# What was found at start-up


RESTORED: dict[str, tuple[RecipientState | None, str]] = {
    "fresh": (None, "ready"),
    "due": (RecipientState(attempts=1, next_attempt=NOW - 1), "ready"),
    "later": (LATER, "later"),
    "held": (RecipientState(hold=Hold.FROZEN), "held"),
    "tried by its connector": (RecipientState(attempts=1, connector="A"), "ready"),
}


@pytest.mark.parametrize("name", RESTORED)
@pytest.mark.parametrize("count", [1, 2])
async def test_what_is_found_is_where_it_was_and_nobody_is_told_again(name: str, count: int, tmp_path: Path) -> None:
    state, place = RESTORED[name]
    here = Room(tmp_path, TWO)
    found = message(1, *["x@a.example", "y@a.example"][:count])
    states = dict.fromkeys(range(count), state) if state else {}
    here.placement.place_restored(StoredEntry(found.message_id, found.envelope, states))
    queue = here.queues.find(QueueKey("A", HERE, "smart-hosts"))
    assert queue is not None
    assert here.ways() == [("A", None)]
    places = {
        "held": list(queue.waiting.held),
        "later": [1] if queue.waiting.next_due() == NOW + 60 else [],
        "ready": [1] if queue.waiting.pop_ready() == 1 else [],
    }
    assert {word for word, entries in places.items() if entries} == {place}
    assert here.events == []


async def test_a_message_whose_recipients_are_all_settled_is_removed(tmp_path: Path) -> None:
    """The outcomes were durable and the removal was not."""
    here = Room(tmp_path, NATIVE)
    found = message(1)
    here.spool.submit([Insert(found.message_id, found.envelope, found.body)])
    here.placement.place_restored(StoredEntry(found.message_id, found.envelope, {0: DONE}))
    await settle()
    assert await here.states() is None
    assert here.index.entries_of(MessageId(1)) == []


# What comes back


async def test_settled_recipients_are_left_out_and_later_ones_wait(tmp_path: Path) -> None:
    here = Room(tmp_path, TWO)
    stored = message(1, "x@a.example", "y@a.example", "z@a.example", states={0: DONE, 1: LATER})
    await here.return_from(stored, QueueKey("A", HERE, "smart-hosts"))
    assert here.ways() == [("A", (1,)), ("A", (2,))]
    queue = here.queues.get(QueueKey("A", HERE, "smart-hosts"))
    assert queue.waiting.next_due() == NOW + 60
    ready = queue.waiting.pop_ready()
    assert isinstance(ready, Part)
    assert ready.ordinals == (2,)


async def test_a_message_that_is_done_leaves_and_its_queue_with_it(tmp_path: Path) -> None:
    here = Room(tmp_path, NATIVE)
    await here.return_from(message(1, states={0: DONE}), QueueKey("", HERE, "fabrikam.com"))
    assert here.index.entries_of(MessageId(1)) == []
    assert list(here.queues) == []


async def test_a_part_that_comes_back_joins_one_that_is_ready_there(tmp_path: Path) -> None:
    """Two parts of a message that now go the same way are one transaction."""
    here = Room(tmp_path, TWO)
    stored = message(1, "x@a.example", "y@b.example")
    await here.place(stored)
    (first, a), (second, b) = here.index.entries_of(MessageId(1))
    assert a.waiting.pop_ready() is first
    a.active.add(first)
    here.apply(organization(connector("B", "b.example", "a.example", tls=TlsLevel.VERIFY)))
    here.placement.place(Attempt(first, stored, ()), a, ORDERED)
    await settle()
    assert here.ways() == [("B", None)]
    assert b.waiting.pop_ready() == 1
    assert b.waiting.pop_ready() is None
    assert message_of(second) == 1


async def test_a_new_way_is_told_and_the_old_one_is_not(tmp_path: Path) -> None:
    here = Room(tmp_path, TWO)
    await here.return_from(message(1, "x@a.example"), QueueKey("A", HERE, "smart-hosts"))
    assert here.events == []
    here.apply(organization(connector("A", "b.example"), connector("B", "a.example")))
    await here.return_from(message(2, "x@a.example"), QueueKey("A", HERE, "smart-hosts"))
    assert [(event.step, event.connector) for event in here.events] == [(Step.REROUTED, "B")]


# Ways that became weaker

STRONG = connector("strong", "*.example", tls=TlsLevel.VERIFY)
CHANGES: dict[str, tuple[Organization, Occasion, bool]] = {
    "removed, DNS is left": (organization(), RETURNED, True),
    "removed, as strong a one is left": (
        organization(connector("new", "*.example", tls=TlsLevel.VERIFY)),
        RETURNED,
        False,
    ),
    "removed, one with a weaker TLS level is left": (organization(connector("new", "*.example")), RETURNED, True),
    "disabled": (disabled(organization(STRONG), "strong"), RETURNED, True),
    "it is there, and goes elsewhere now": (
        organization(connector("strong", "other.example", tls=TlsLevel.VERIFY)),
        RETURNED,
        False,
    ),
    "an operator wants it so": (organization(), ORDERED, False),
}


@pytest.mark.parametrize("name", CHANGES)
async def test_mail_stands_still_before_it_goes_a_weaker_way(name: str, tmp_path: Path) -> None:
    changed, occasion, is_frozen = CHANGES[name]
    here = Room(tmp_path, organization(STRONG))
    here.apply(changed)
    await here.return_from(message(1, "x@a.example"), QueueKey("strong", HERE, "smart-hosts"), occasion)
    held = [event for event in here.events if event.step is Step.HELD]
    gone = "disabled" if name == "disabled" else "not in the file any more"
    assert [event.reason for event in held] == ([f'connector "strong" is {gone}; {WEAKER}'] if is_frozen else [])
    ((_, queue),) = here.index.entries_of(MessageId(1))
    assert (queue.waiting.held == {1: Hold.FROZEN}) is is_frozen


LOST = {
    "disabled": (disabled(organization(STRONG, no_match=NoMatch.HOLD), "strong"), 'connector "strong" is disabled; '),
    "removed": (organization(no_match=NoMatch.HOLD), 'connector "strong" is not in the file any more; '),
    "it takes other mail now": (organization(connector("strong", "other.example"), no_match=NoMatch.HOLD), ""),
}


@pytest.mark.parametrize(("changed", "gone"), LOST.values(), ids=LOST.keys())
async def test_mail_that_lost_its_route_says_which_connector_it_waited_for(
    changed: Organization, gone: str, tmp_path: Path
) -> None:
    here = Room(tmp_path, organization(STRONG))
    here.apply(changed)
    await here.return_from(message(1, "x@a.example"), QueueKey("strong", HERE, "smart-hosts"), RETURNED)
    assert [event.reason for event in here.events if event.step is Step.HELD] == [f"{gone}{NO_ROUTE}"]
    states = await here.states()
    assert states is not None
    state = states[0]
    assert (state.hold, state.connector) == (Hold.CONFIGURATION, "strong")  # also known after a restart


async def test_after_a_restart_the_connector_of_the_last_attempt_is_compared(tmp_path: Path) -> None:
    here = Room(tmp_path, without(organization(STRONG), "strong"))
    found = message(1, "x@a.example")
    here.spool.submit([Insert(found.message_id, found.envelope, found.body)])
    tried = RecipientState(attempts=1, connector="strong")
    here.placement.place_restored(StoredEntry(found.message_id, found.envelope, {0: tried}))
    await settle()
    states = await here.states()
    assert states is not None
    assert states[0].hold is Hold.FROZEN


async def test_what_was_held_for_want_of_a_way_goes_when_there_is_one(tmp_path: Path) -> None:
    here = Room(tmp_path, NATIVE)
    held = RecipientState(hold=Hold.CONFIGURATION, held_since=NOW - 100)
    await here.return_from(message(1, states={0: held}), UNROUTED)
    assert [event.step for event in here.events] == [Step.RELEASED]
    states = await here.states()
    assert states is not None
    assert (states[0].hold, states[0].held_seconds) == (Hold.NONE, 100)
    assert here.ways() == [("fabrikam.com", None)]


async def test_what_an_operator_froze_stays_frozen(tmp_path: Path) -> None:
    here = Room(tmp_path, NATIVE)
    frozen = RecipientState(hold=Hold.FROZEN, held_since=NOW - 100)
    await here.return_from(message(1, states={0: frozen}), QueueKey("", HERE, "fabrikam.com"))
    (queue,) = here.queues
    assert queue.waiting.held == {1: Hold.FROZEN}
    assert here.events == []


async def test_what_is_held_together_is_one_entry_whatever_its_time_was(tmp_path: Path) -> None:
    here = Room(tmp_path, NATIVE)
    states = {n: RecipientState(hold=Hold.FROZEN, next_attempt=NOW + 60 * n) for n in range(2)}
    stored = message(1, "a@fabrikam.com", "b@fabrikam.com", states=states)
    await here.return_from(stored, QueueKey("", HERE, "fabrikam.com"))
    assert here.ways() == [("fabrikam.com", None)]


# Unsettled


def test_the_unsettled_recipients_of_an_entry_are_its_own() -> None:
    stored = message(1, "a@x.example", "b@x.example", "c@x.example", states={1: DONE})
    assert [one.ordinal for one in unsettled(attempt(stored))] == [0, 2]
    assert [one.ordinal for one in unsettled(attempt(stored, Part(MessageId(1), (1, 2))))] == [2]
