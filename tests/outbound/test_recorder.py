"""Verdicts made durable: nothing is said or done before the disk has it, and what it refuses is submitted again."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from math import inf
from pathlib import Path

import msgspec
import pytest

from bridgehead.core import queue_id
from bridgehead.core.dsn import ReportingMta
from bridgehead.core.envelope import MessageId
from bridgehead.core.outcome import Outcome
from bridgehead.core.recipient_state import Standing
from bridgehead.core.tracking import Step, TrackingEvent
from bridgehead.outbound import recorder as module
from bridgehead.outbound.clocks import Clocks
from bridgehead.outbound.entry import Attempt
from bridgehead.outbound.hand_back import Badmail, HandBack
from bridgehead.outbound.index import Index
from bridgehead.outbound.recorder import RESUBMIT_SECONDS, Recorder, Records
from bridgehead.outbound.verdict import Circumstances, Verdict, of_deletion, of_outcomes
from bridgehead.spool.contract import BODY_IN_ROW_MAX, Body, Change, Insert, Remove, StoredMessage
from bridgehead.spool.memory import MemorySpool
from bridgehead.spool.sqlite import SqliteSpool
from tests.outbound.back_room import NOW, attempt, message, still_queue
from tests.outbound.fake_channel import LATER, NO_SUCH_USER, OK, Clock
from tests.outbound.post_office import HERE

AT = Circumstances(NOW + 60, "ISP")


@dataclass
class Office:
    """A recorder whose disk writes when the test says so."""

    folder: Path
    spool: MemorySpool = field(default_factory=lambda: MemorySpool(manual=True))
    clock: Clock = field(default_factory=lambda: Clock(NOW + 60))
    index: Index = field(default_factory=Index)
    events: list[TrackingEvent] = field(default_factory=list)
    accepted: list[StoredMessage] = field(default_factory=list)
    followed: list[str] = field(default_factory=list)

    def __post_init__(self) -> None:
        numbers = iter(range(100, 200))
        reporting = ReportingMta("mail.contoso.com", "postmaster@contoso.com", HERE)
        hand_back = HandBack(lambda: reporting, lambda: MessageId(next(numbers)), self.clock)
        self.badmail = Badmail(self.folder / "badmail")
        records = Records(self.spool, self.events.append, hand_back, self.badmail, Clocks(self.clock, self.clock))
        self.recorder = Recorder(records, self.index, self.accepted.append)

    def waiting(self, stored: StoredMessage) -> Attempt:
        """A message that is durable and waits."""
        self.spool.submit([Insert(stored.message_id, stored.envelope, stored.body)])
        self.spool.commit()
        self.index.put(stored.message_id, None, [(still_queue(), tuple(range(len(stored.envelope.recipients))))])
        return attempt(stored)

    def record(self, found: Attempt, verdict: Verdict) -> None:
        self.recorder.record(found, verdict, self.then("then"))

    def outcomes(self, found: Attempt, outcomes: dict[int, Outcome]) -> None:
        self.record(found, of_outcomes(found, outcomes, AT))

    def then(self, word: str) -> Callable[[], None]:
        return lambda: self.followed.append(word)

    def steps(self) -> list[Step]:
        return [event.step for event in self.events]

    async def standings(self, number: int) -> list[Standing] | None:
        """What is durable; `None`: the message left the spool."""
        stored = await self.spool.load(MessageId(number))
        return None if stored is None else [stored.states[ordinal].standing for ordinal in sorted(stored.states)]


@pytest.fixture
def office(tmp_path: Path) -> Office:
    return Office(tmp_path)


async def test_nothing_is_said_and_nothing_follows_before_it_is_durable(office: Office) -> None:
    found = office.waiting(message(1))
    office.outcomes(found, {0: NO_SUCH_USER})
    assert (office.events, office.accepted, office.followed) == ([], [], [])
    office.spool.commit()
    assert office.steps() == [Step.FAILED, Step.DSN]
    assert [one.message_id for one in office.accepted] == [100]
    assert office.followed == ["then"]


async def test_the_attempt_knows_at_once_what_will_be(office: Office) -> None:
    """The next verdict on the message builds upon this one, durable or not."""
    found = office.waiting(message(1, "a@x.example", "b@x.example"))
    office.outcomes(found, {0: LATER})
    assert found.state(0).attempts == 1


async def test_a_message_leaves_the_spool_with_its_last_recipient(office: Office) -> None:
    found = office.waiting(message(1, "a@x.example", "b@x.example", "c@x.example"))
    office.outcomes(found, {0: OK})
    office.outcomes(found, {1: LATER})
    office.spool.commit()
    assert await office.standings(1) == [Standing.DELIVERED, Standing.WAITING]
    office.outcomes(found, {1: OK, 2: OK})
    office.spool.commit()
    assert await office.standings(1) is None


@pytest.mark.parametrize("commits", [0, 1])
async def test_failure_and_report_become_durable_together_or_not_at_all(commits: int, office: Office) -> None:
    office.outcomes(office.waiting(message(1)), {0: NO_SUCH_USER})
    office.spool.commit(commits)
    found = [one.message_id for one in office.spool.crash().recover()]
    assert found == ([100] if commits else [1])


async def test_a_report_is_told_by_the_message_it_is_about(office: Office) -> None:
    office.outcomes(office.waiting(message(7)), {0: NO_SUCH_USER})
    office.spool.commit()
    event = office.events[-1]
    assert (event.step, event.queue_id, event.sender, event.recipient) == (
        Step.DSN,
        queue_id.write(7),
        "",
        "alice@contoso.com",
    )
    assert event.reason == f"sent as {queue_id.write(100)}"
    (dsn,) = office.accepted
    assert dsn.envelope.is_dsn
    assert [one.address for one in dsn.envelope.recipients] == ["alice@contoso.com"]


async def test_a_verdict_without_changes_still_follows_in_its_turn(office: Office) -> None:
    found = office.waiting(message(1))
    office.recorder.submit([], office.then("first"))
    office.recorder.record(found, Verdict({}), office.then("second"))
    assert office.followed == []
    office.spool.commit()
    assert office.followed == ["first", "second"]
    assert await office.standings(1) == []


# A disk that refuses


async def test_what_the_disk_refuses_is_submitted_again_until_it_is_taken(
    office: Office, caplog: pytest.LogCaptureFixture
) -> None:
    found = office.waiting(message(1))
    for _ in range(2):
        office.spool.fail_next(OSError("disk full"))
    with caplog.at_level(logging.ERROR):
        office.outcomes(found, {0: OK})
        office.spool.commit()
        for _ in range(2):
            assert (office.events, office.followed) == ([], [])
            office.recorder.submit_again(office.clock.now + RESUBMIT_SECONDS / 2)
            assert not office.spool._waiting, "not before its time"
            office.clock.now += RESUBMIT_SECONDS
            office.recorder.submit_again(office.clock.now)
            office.spool.commit()
    assert office.steps() == [Step.DELIVERED]
    assert office.followed == ["then"]
    assert await office.standings(1) is None
    assert "disk full" in str([record.__dict__.get("reason") for record in caplog.records])
    office.recorder.submit_again(office.clock.now + 100)
    assert not office.spool._waiting, "submitted once more than refused, never twice"


async def test_a_large_report_that_was_refused_is_put_into_a_file_anew(tmp_path: Path) -> None:
    """The spool drops the files of what it refuses, so those of the first try are of no use to the second."""
    office = Office(tmp_path)
    spool = SqliteSpool(tmp_path / "spool", 0)
    records = replace(office.recorder._records, spool=spool)
    recorder = Recorder(records, office.index, office.accepted.append)
    stored = message(1, "a@x.example")
    content = b"Subject: x\r\n\r\n" + b"x" * BODY_IN_ROW_MAX
    envelope = msgspec.structs.replace(stored.envelope, ret="FULL", size=len(content))
    stored = StoredMessage(stored.message_id, envelope, Body(len(content), content))
    office.index.put(stored.message_id, None, [(still_queue(), (0,))])

    async def submitted(*changes: Change) -> None:
        done: asyncio.Future[Exception | None] = asyncio.get_running_loop().create_future()
        spool.submit(changes, done.set_result)
        async with asyncio.timeout(10):
            assert await done is None

    await submitted(Insert(MessageId(100), envelope, Body(1, b"x")))  # the DSN's id: refused, as it is there already
    found = attempt(stored)
    recorder.record(found, of_outcomes(found, {0: NO_SUCH_USER}, AT), office.then("then"))
    await submitted(Remove(MessageId(100)))
    assert office.followed == []
    office.clock.now += RESUBMIT_SECONDS
    recorder.submit_again(office.clock.now)
    await submitted()
    assert office.followed == ["then"]
    (dsn,) = office.accepted
    kept = await spool.load(dsn.message_id)
    assert kept is not None
    assert kept.body.path is not None
    assert content in kept.body.path.read_bytes()
    await spool.close()


async def test_all_that_was_refused_comes_again_in_its_order(office: Office) -> None:
    for word in ("a", "b", "c"):
        office.spool.fail_next(OSError("disk full"))
        office.recorder.submit([], office.then(word))
    office.spool.commit()
    office.recorder.submit_again(office.clock.now + RESUBMIT_SECONDS)
    office.spool.commit()
    assert office.followed == ["a", "b", "c"]


# Nobody to tell


async def test_a_failed_message_with_the_null_reverse_path_becomes_badmail(office: Office) -> None:
    found = office.waiting(message(1, sender=""))
    office.outcomes(found, {0: NO_SUCH_USER})
    office.spool.commit()
    assert office.steps() == [Step.FAILED, Step.BADMAIL]
    assert office.accepted == []
    assert [entry.reason for entry in office.badmail.entries()] == ["5.1.1 no such user"]
    assert office.recorder.kept_as_badmail == 1
    assert office.events[-1].level == "error"


NO_BADMAIL: dict[str, tuple[str, Callable[[Attempt], Verdict]]] = {
    "delivered": ("", lambda found: of_outcomes(found, {0: OK}, AT)),
    "deferred": ("", lambda found: of_outcomes(found, {0: LATER}, AT)),
    "deleted": ("", lambda found: of_deletion(found, [0], AT)),
    "failed, with a sender to tell": ("a@x.example", lambda found: of_outcomes(found, {0: NO_SUCH_USER}, AT)),
}


@pytest.mark.parametrize("name", NO_BADMAIL)
async def test_what_is_no_badmail(name: str, office: Office) -> None:
    sender, verdict_on = NO_BADMAIL[name]
    found = office.waiting(message(1, sender=sender))
    office.record(found, verdict_on(found))
    office.spool.commit()
    assert office.badmail.count() == 0
    assert office.recorder.kept_as_badmail == 0


async def test_badmail_that_cannot_be_kept_does_not_stop_the_rest(
    office: Office, caplog: pytest.LogCaptureFixture
) -> None:
    (office.folder / "badmail").write_text("a file where the folder should be")
    found = office.waiting(message(1, sender=""))
    office.outcomes(found, {0: NO_SUCH_USER})
    office.spool.commit()
    assert office.followed == ["then"]
    assert await office.standings(1) is None
    assert "badmail could not be kept" in caplog.text


async def test_a_message_stays_until_every_report_on_it_is_durable(office: Office) -> None:
    """A removal may find room where a report found none; a crash then must not lose what the sender has to hear."""
    found = office.waiting(message(1, "a@x.example", "b@y.example"))
    office.spool.fail_next(OSError("disk full"))
    office.outcomes(found, {0: NO_SUCH_USER})
    office.recorder.submit_gathered(inf)
    office.outcomes(found, {1: OK})
    office.spool.commit()
    assert [one.message_id for one in office.spool.crash().recover()] == [1]


async def test_a_message_leaves_the_spool_once_the_report_that_was_refused_is_durable(office: Office) -> None:
    found = office.waiting(message(1, "a@x.example", "b@y.example"))
    office.spool.fail_next(OSError("disk full"))
    office.outcomes(found, {0: NO_SUCH_USER})
    office.recorder.submit_gathered(inf)
    office.outcomes(found, {1: OK})
    office.spool.commit()
    office.clock.now += RESUBMIT_SECONDS
    office.recorder.submit_again(office.clock.now)
    office.spool.commit()
    assert await office.standings(1) == [Standing.FAILED, Standing.DELIVERED]
    office.spool.commit()
    assert await office.standings(1) is None
    assert [one.message_id for one in office.accepted] == [100]
    assert office.followed == ["then", "then"]


async def test_a_large_report_that_nothing_takes_is_handed_over_whole(office: Office) -> None:
    """It becomes badmail at once where it has no route, so its content must be there."""
    stored = message(1)
    content = b"Subject: x\r\n\r\n" + b"x" * BODY_IN_ROW_MAX
    envelope = msgspec.structs.replace(stored.envelope, ret="FULL", size=len(content))
    office.outcomes(
        office.waiting(StoredMessage(stored.message_id, envelope, Body(len(content), content))), {0: NO_SUCH_USER}
    )
    office.spool.commit()
    (dsn,) = office.accepted
    assert dsn.body.content is not None
    assert content in dsn.body.content


async def test_a_recorder_is_full_until_enough_of_what_was_refused_is_taken(
    office: Office, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "UNTAKEN_MAX", 3)
    seen = []
    for word in ("a", "b", "c", "d"):
        office.spool.fail_next(OSError("disk full"))
        office.recorder.submit([], office.then(word))
        office.spool.commit()
        seen.append(office.recorder.is_full)
    assert seen == [False, False, True, True]
    for _ in range(4):
        office.spool.fail_next(OSError("disk full"))
    office.recorder.submit_again(office.clock.now + RESUBMIT_SECONDS)
    seen = [office.recorder.is_full]  # while they are on their way
    office.spool.commit()
    seen.append(office.recorder.is_full)  # refused twice counts once
    office.clock.now += RESUBMIT_SECONDS
    office.recorder.submit_again(office.clock.now + RESUBMIT_SECONDS)
    office.spool.commit()
    assert [*seen, office.recorder.is_full] == [True, True, False]
    assert office.followed == ["a", "b", "c", "d"]


async def test_a_recorder_is_full_where_bodies_wait_for_the_disk(
    office: Office, monkeypatch: pytest.MonkeyPatch
) -> None:
    found = office.waiting(message(1))
    monkeypatch.setattr(module, "UNTAKEN_OCTETS_MAX", len(found.message.body.content or b""))
    office.spool.fail_next(OSError("disk full"))
    office.outcomes(found, {0: OK})
    office.spool.commit()
    seen = [office.recorder.is_full]
    office.recorder.submit_again(office.clock.now + RESUBMIT_SECONDS)
    office.spool.commit()
    assert [*seen, office.recorder.is_full] == [True, False]
    assert office.followed == ["then"]


async def test_what_is_refused_again_and_again_is_logged_once(
    office: Office, caplog: pytest.LogCaptureFixture
) -> None:
    for _ in range(3):
        office.spool.fail_next(OSError("disk full"))
    office.recorder.submit([], office.then("then"))
    for _ in range(4):
        office.spool.commit()
        office.clock.now += RESUBMIT_SECONDS
        office.recorder.submit_again(office.clock.now)
    assert office.followed == ["then"]
    assert len(caplog.records) == 1
