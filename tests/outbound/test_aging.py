"""Late mail: each message is looked at when it passes an age, once for each, and never while it is being sent."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from itertools import pairwise
from pathlib import Path

import msgspec
import pytest

from bridgehead.core.dsn import ReportingMta
from bridgehead.core.envelope import MessageId
from bridgehead.core.organization import Delivery, Organization
from bridgehead.core.queue_id import QueueIds
from bridgehead.core.recipient_state import Hold, RecipientState
from bridgehead.core.tracking import Step, TrackingEvent
from bridgehead.outbound.aging import BUSY_SECONDS, JUMP_SECONDS, SWEEP_SECONDS, Aging
from bridgehead.outbound.clocks import Clocks
from bridgehead.outbound.contract import QueueKey
from bridgehead.outbound.entry import Attempt, Entry, Part
from bridgehead.outbound.hand_back import Badmail, HandBack
from bridgehead.outbound.index import Index
from bridgehead.outbound.loader import READ_AT_ONCE
from bridgehead.outbound.queue import Queue
from bridgehead.outbound.queues import Queues
from bridgehead.outbound.recorder import Recorder, Records
from bridgehead.spool.contract import Insert, StoredEntry, StoredMessage, Update
from bridgehead.spool.memory import MemorySpool
from tests.outbound.back_room import NOW, Owner, message, still_queue, still_wire
from tests.outbound.fake_channel import Clock
from tests.outbound.post_office import HERE, organization

NOTICE, EXPIRE = 4 * 3600.0, 48 * 3600.0
PATIENCE = max(Delivery().retry_seconds)
"""After the start, or a jump of the clock, nothing is late for so long."""
ORGANIZATION = organization(delivery=Delivery(delay_notice_seconds=NOTICE, expire_seconds=EXPIRE))
KEY = QueueKey("", HERE, "fabrikam.com")


@dataclass
class Post:
    """What the sweep needs of the dispatcher, and what it does to it."""

    folder: Path
    organization: Organization = ORGANIZATION
    clock: Clock = field(default_factory=lambda: Clock(NOW))
    steady: Clock = field(default_factory=lambda: Clock(1000.0))
    spool: MemorySpool = field(default_factory=MemorySpool)
    index: Index = field(default_factory=Index)
    events: list[TrackingEvent] = field(default_factory=list)
    reports: list[StoredMessage] = field(default_factory=list)
    read_ids: list[int] = field(default_factory=list)
    claimed: list[Entry] = field(default_factory=list)
    finished: list[Entry] = field(default_factory=list)
    while_reading: Callable[[], None] | None = None

    def __post_init__(self) -> None:
        numbers = iter(range(100, 200))
        reporting = ReportingMta("mail.contoso.com", "", HERE)
        hand_back = HandBack(lambda: reporting, lambda: MessageId(next(numbers)), self.clock)
        clocks = Clocks(self.clock, self.steady)
        records = Records(self.spool, self.events.append, hand_back, Badmail(self.folder), clocks)
        self.recorder = Recorder(records, self.index, self.reports.append)
        self.queue = Queues(self.organization, Owner(), still_wire(self.clock)).get(KEY)
        self.ids = QueueIds(0)
        self.aging = Aging(self, clocks, self.events.append)

    def claim(self, queue: Queue, entry: Entry) -> None:
        """As in `Post`."""
        assert entry not in queue.active
        assert self.index.queue_of(entry) is queue
        self.claimed.append(entry)
        queue.active.add(entry)

    async def read(self, _queue: Queue, entry: Entry) -> Attempt | None:
        """As in `Post`."""
        message_id = entry.message_id if isinstance(entry, Part) else entry
        self.read_ids.append(message_id)
        if self.while_reading is not None:
            self.while_reading()
        stored = await self.spool.load(message_id)
        return None if stored is None else Attempt(entry, stored, ())

    def finish(self, queue: Queue, attempt: Attempt) -> None:
        """As in `Post`."""
        queue.active.discard(attempt.entry)
        self.finished.append(attempt.entry)
        if all(attempt.state(one.ordinal).standing.is_settled for one in attempt.message.envelope.recipients):
            self.index.remove(attempt.entry)

    def arrive(
        self, *addresses: str, state: RecipientState | None = None, sender: str = "alice@contoso.com"
    ) -> MessageId:
        """A message arrives now and waits."""
        found = message(self.ids.next(self.clock.now), *addresses, sender=sender)
        envelope = msgspec.structs.replace(found.envelope, received_at=self.clock.now)
        self.spool.submit([Insert(found.message_id, envelope, found.body)])
        if state is not None:
            self.spool.submit([Update(found.message_id, {one.ordinal: state for one in envelope.recipients})])
        self.index.put(found.message_id, None, [(self.queue, tuple(one.ordinal for one in envelope.recipients))])
        return found.message_id

    async def settle(self) -> None:
        for _ in range(30):
            await asyncio.sleep(0)

    async def at(self, seconds: float) -> list[Step]:
        """So long behind the beginning; what has been told by then."""
        return await self.passes(NOW + seconds - self.clock.now)

    async def passes(self, seconds: float) -> list[Step]:
        """Time passes, on both clocks; what has been told by then."""
        self.clock.now += seconds
        self.steady.now += seconds
        self.aging.sweep()
        await self.settle()
        return [event.step for event in self.events]

    async def state(self, message_id: MessageId) -> RecipientState | None:
        """`None`: the message left the spool, or its recipient is fresh."""
        stored = await self.spool.load(message_id)
        return None if stored is None else stored.states.get(0)


@asynccontextmanager
async def running(post: Post) -> AsyncIterator[Post]:
    async with asyncio.TaskGroup() as tasks:
        task = tasks.create_task(post.aging.run())
        yield post
        task.cancel()


async def test_the_sender_is_told_of_a_delay_and_then_of_the_end_each_once(tmp_path: Path) -> None:
    async with running(Post(tmp_path)) as post:
        number = post.arrive("bob@fabrikam.com")
        assert await post.at(NOTICE - 1) == []
        assert await post.at(NOTICE + SWEEP_SECONDS) == [Step.DSN]
        state = await post.state(number)
        assert state is not None
        assert state.delay_noticed
        assert await post.at(EXPIRE - 1) == [Step.DSN]
        assert await post.at(EXPIRE + SWEEP_SECONDS) == [Step.DSN, Step.FAILED, Step.DSN]
        assert await post.at(EXPIRE + 10 * SWEEP_SECONDS) == [Step.DSN, Step.FAILED, Step.DSN]
        assert await post.spool.load(number) is None


async def test_a_message_is_looked_at_no_more_often_than_it_passes_an_age(tmp_path: Path) -> None:
    async with running(Post(tmp_path)) as post:
        number = post.arrive("bob@fabrikam.com")
        for minutes in range(48 * 60 + 5):
            await post.at(minutes * 60.0)
        assert post.read_ids == [number, number]


async def test_an_entry_is_claimed_while_it_is_looked_at_and_put_back_behind_it(tmp_path: Path) -> None:
    async with running(Post(tmp_path)) as post:
        number = post.arrive("bob@fabrikam.com", sender="")
        await post.at(NOTICE + SWEEP_SECONDS)
        assert post.claimed == post.finished == [number]
        assert not post.queue.active


async def test_a_message_that_is_being_sent_is_looked_at_a_little_later(tmp_path: Path) -> None:
    async with running(Post(tmp_path)) as post:
        number = post.arrive("bob@fabrikam.com")
        post.queue.active.add(number)
        late = NOTICE + SWEEP_SECONDS
        assert await post.at(late) == []
        post.queue.active.discard(number)
        assert await post.at(late + BUSY_SECONDS - 1) == []
        assert await post.at(late + BUSY_SECONDS) == [Step.DSN]


async def test_time_in_a_hold_does_not_count(tmp_path: Path) -> None:
    async with running(Post(tmp_path)) as post:
        post.arrive("bob@fabrikam.com", state=RecipientState(held_seconds=3600))
        assert await post.at(NOTICE + SWEEP_SECONDS) == []
        assert await post.at(NOTICE + 3600 - 1) == []
        assert await post.at(NOTICE + 3600) == [Step.DSN]
        assert await post.at(EXPIRE + SWEEP_SECONDS) == [Step.DSN]
        assert await post.at(EXPIRE + 3600) == [Step.DSN, Step.FAILED, Step.DSN]


async def test_what_is_held_never_expires_but_raises_an_alarm(tmp_path: Path) -> None:
    async with running(Post(tmp_path)) as post:
        number = post.arrive("bob@fabrikam.com", state=RecipientState(hold=Hold.FROZEN, held_since=NOW))
        assert await post.at(NOTICE + SWEEP_SECONDS) == []
        assert await post.at(EXPIRE + SWEEP_SECONDS) == [Step.HELD]
        (event,) = post.events
        assert event.level == "error"
        assert "operator" in event.reason
        assert await post.spool.load(number) is not None


async def test_the_alarm_too_leaves_out_the_time_of_earlier_holds(tmp_path: Path) -> None:
    async with running(Post(tmp_path)) as post:
        post.arrive("bob@fabrikam.com", state=RecipientState(hold=Hold.FROZEN, held_since=NOW, held_seconds=3600))
        assert await post.at(EXPIRE + SWEEP_SECONDS) == []
        assert await post.at(EXPIRE + 3600) == [Step.HELD]


async def test_the_parts_of_a_held_message_raise_one_alarm_each(tmp_path: Path) -> None:
    """Each part asks to be looked at again, and each look is at all parts: alarms were squared."""
    async with running(Post(tmp_path)) as post:
        held = RecipientState(hold=Hold.FROZEN, held_since=NOW, held_seconds=3600)
        number = post.arrive("a@fabrikam.com", "b@fabrikam.com", "c@fabrikam.com", state=held)
        post.index.put(number, number, [(post.queue, (ordinal,)) for ordinal in range(3)])
        await post.at(EXPIRE + SWEEP_SECONDS)
        post.read_ids.clear()
        assert await post.at(EXPIRE + 3600) == [Step.HELD] * 3
        assert len(post.read_ids) == 3


async def test_a_part_that_went_elsewhere_while_another_was_read_is_left_alone(tmp_path: Path) -> None:
    async with running(Post(tmp_path)) as post:
        number = post.arrive("a@fabrikam.com", "b@fabrikam.com")
        first, second = post.index.put(number, number, [(post.queue, (0,)), (post.queue, (1,))])
        other = still_queue("other.example")

        def move() -> None:
            post.while_reading = None
            post.index.put(number, second, [(other, (1,))])

        post.while_reading = move
        await post.at(NOTICE + SWEEP_SECONDS)
        assert post.claimed == [first]


async def test_what_was_released_is_looked_at_at_the_next_sweep(tmp_path: Path) -> None:
    async with running(Post(tmp_path)) as post:
        number = post.arrive("bob@fabrikam.com", state=RecipientState(hold=Hold.FROZEN, held_since=NOW))
        await post.at(EXPIRE + SWEEP_SECONDS)
        post.events.clear()
        post.spool.submit([Update(number, {0: RecipientState(held_seconds=60, delay_noticed=True)})])
        post.aging.released(number)
        assert await post.at(EXPIRE + SWEEP_SECONDS + 1) == [Step.FAILED, Step.DSN]


async def test_recipients_of_one_message_have_their_own_clocks(tmp_path: Path) -> None:
    async with running(Post(tmp_path)) as post:
        number = post.arrive("a@fabrikam.com", "b@fabrikam.com")
        post.spool.submit([Update(number, {1: RecipientState(held_seconds=7200)})])
        await post.at(EXPIRE + SWEEP_SECONDS)
        assert [event.recipient for event in post.events if event.step is Step.FAILED] == ["a@fabrikam.com"]
        await post.at(EXPIRE + 7200)
        assert [event.recipient for event in post.events if event.step is Step.FAILED] == [
            "a@fabrikam.com",
            "b@fabrikam.com",
        ]


# Start-up and change


@pytest.mark.parametrize(
    ("age", "steps"),
    [(60.0, []), (NOTICE + 60, [Step.DSN]), (EXPIRE + 60, [Step.FAILED, Step.DSN])],
    ids=["young", "late", "over"],
)
async def test_what_is_found_at_start_up_is_looked_at_if_it_is_old(
    age: float, steps: list[Step], tmp_path: Path
) -> None:
    before = Post(tmp_path)
    number = before.arrive("bob@fabrikam.com")
    stored = await _loaded(before, number)
    after = Post(tmp_path, clock=Clock(NOW + age), spool=before.spool)
    after.index.put(number, None, [(after.queue, (0,))])
    after.aging.restored(StoredEntry(number, stored.envelope, {}))
    async with running(after):
        assert await after.passes(PATIENCE - 1) == [], "first it gets one more attempt"
        assert await after.passes(1) == steps


async def _loaded(post: Post, number: MessageId) -> StoredMessage:
    await post.settle()
    stored = await post.spool.load(number)
    assert stored is not None
    return stored


async def test_shorter_times_hold_for_mail_that_waits_already(tmp_path: Path) -> None:
    async with running(Post(tmp_path)) as post:
        post.arrive("bob@fabrikam.com")
        assert await post.at(3600) == []
        shorter = organization(delivery=Delivery(delay_notice_seconds=600, expire_seconds=3000))
        _apply(post, shorter)
        assert await post.at(3600 + SWEEP_SECONDS) == [Step.FAILED, Step.DSN]


async def test_longer_times_hold_for_mail_that_waits_already(tmp_path: Path) -> None:
    async with running(Post(tmp_path)) as post:
        post.arrive("bob@fabrikam.com")
        await post.at(NOTICE + SWEEP_SECONDS)
        _apply(post, organization(delivery=Delivery(delay_notice_seconds=NOTICE, expire_seconds=2 * EXPIRE)))
        assert await post.at(2 * EXPIRE - 1) == [Step.DSN]
        assert await post.at(2 * EXPIRE + SWEEP_SECONDS) == [Step.DSN, Step.FAILED, Step.DSN]


def _apply(post: Post, changed: Organization) -> None:
    post.organization = changed
    post.queue.set_destination(Queues(changed, Owner(), still_wire()).get(KEY).destination)
    post.aging.set_organization(changed)


async def test_a_message_that_left_meanwhile_is_not_looked_for(tmp_path: Path) -> None:
    async with running(Post(tmp_path)) as post:
        number = post.arrive("bob@fabrikam.com")
        post.aging.released(number)
        post.index.remove(number)
        assert await post.at(NOTICE + SWEEP_SECONDS) == []
        assert post.read_ids == []


# A clock that is set


async def test_a_clock_that_is_set_forward_by_days_lets_nothing_expire_before_one_more_attempt(
    tmp_path: Path,
) -> None:
    async with running(Post(tmp_path)) as post:
        post.arrive("bob@fabrikam.com")
        assert await post.passes(PATIENCE + SWEEP_SECONDS) == []
        post.clock.now += EXPIRE
        assert await post.passes(0.1) == []
        assert await post.passes(PATIENCE - 1) == []
        assert await post.passes(1) == [Step.FAILED, Step.DSN]


async def test_a_clock_that_is_set_forward_and_back_again_has_done_nothing(tmp_path: Path) -> None:
    async with running(Post(tmp_path)) as post:
        post.arrive("bob@fabrikam.com")
        assert await post.passes(PATIENCE + SWEEP_SECONDS) == []
        post.clock.now += EXPIRE
        assert await post.passes(PATIENCE / 2) == []
        post.clock.now -= EXPIRE
        assert await post.passes(PATIENCE * 2) == []
        assert await post.at(NOTICE + SWEEP_SECONDS) == [Step.DSN]


async def test_a_clock_that_is_slowly_corrected_is_no_jump(tmp_path: Path) -> None:
    async with running(Post(tmp_path)) as post:
        post.arrive("bob@fabrikam.com")
        await post.passes(NOTICE - 10)
        post.clock.now += JUMP_SECONDS
        assert await post.passes(SWEEP_SECONDS) == [Step.DSN]


async def test_mail_that_came_while_ids_ran_ahead_of_the_clock_is_found_in_time(tmp_path: Path) -> None:
    async with running(Post(tmp_path)) as post:
        await post.passes(PATIENCE)
        post.ids.next(post.clock.now + 50 * EXPIRE)  # the clock was wrong for a moment: ids never go back
        post.arrive("bob@fabrikam.com")
        assert await post.passes(SWEEP_SECONDS) == []
        assert await post.passes(NOTICE - SWEEP_SECONDS - 1) == []
        assert await post.passes(SWEEP_SECONDS) == [Step.DSN]
        assert await post.passes(EXPIRE - NOTICE) == [Step.DSN, Step.FAILED, Step.DSN]


async def test_a_clock_that_is_set_back_delays_no_sweep(tmp_path: Path) -> None:
    async with running(Post(tmp_path)) as post:
        await post.passes(PATIENCE)
        post.clock.now -= 5 * 3600
        post.arrive("bob@fabrikam.com")
        assert await post.passes(SWEEP_SECONDS) == []
        assert await post.passes(NOTICE + SWEEP_SECONDS) == [Step.DSN]


async def test_late_mail_by_the_thousand_keeps_nothing_else_waiting(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def at_once(message_id: MessageId) -> StoredMessage:
        return message(message_id, sender="")

    async with running(Post(tmp_path)) as post:
        for _ in range(5 * READ_AT_ONCE):
            post.arrive("bob@fabrikam.com", sender="")
        await post.settle()
        monkeypatch.setattr(post.spool, "load", at_once)
        post.clock.now += NOTICE + SWEEP_SECONDS
        post.steady.now += NOTICE + SWEEP_SECONDS
        post.aging.sweep()
        seen = [0]
        while len(post.read_ids) < 5 * READ_AT_ONCE:
            await asyncio.sleep(0)
            seen.append(len(post.read_ids))
        assert max(after - before for before, after in pairwise(seen)) == READ_AT_ONCE
