"""Whatever happens in whatever order, each accepted recipient is settled exactly once and none is lost."""

from __future__ import annotations

import asyncio
import tempfile
from collections import Counter
from pathlib import Path

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from bridgehead.core import queue_id
from bridgehead.core.organization import NoMatch, Organization
from bridgehead.core.outcome import Outcome
from bridgehead.core.tracking import Step
from bridgehead.outbound.listing import EVERYTHING, Selection
from bridgehead.outbound.operations import Operations, Verb
from tests.outbound.fake_channel import CLOSING, LATER, LOGIN, LOST, NO_SUCH_DOMAIN, NO_SUCH_USER, OK, REFUSED
from tests.outbound.post_office import DAY, HOUR, MINUTE, PostOffice, connector, disabled, organization, without

DOMAINS = ("one.example", "two.example", "three.example")
FULL = organization(connector("A", "*;1"), connector("B", "*;5"), connector("Two", "two.example", dns=True))
ORGANIZATIONS: tuple[Organization, ...] = (
    FULL,
    without(FULL, "A"),
    disabled(FULL, "B"),
    without(FULL, "Two"),
    organization(connector("Two", "two.example"), no_match=NoMatch.NDR),
    organization(),
)
HOSTS = ("A", "B", "Two", *DOMAINS)

addresses = st.builds("{}@{}".format, st.sampled_from("ab"), st.sampled_from(DOMAINS))
actions = st.one_of(
    st.tuples(st.just("accept"), st.lists(addresses, min_size=1, max_size=5, unique=True), st.booleans()),
    st.tuples(st.just("host"), st.sampled_from(HOSTS), st.sampled_from([REFUSED, LOGIN, NO_SUCH_DOMAIN, None])),
    st.tuples(
        st.just("recipient"),
        addresses,
        st.lists(st.sampled_from([OK, LATER, LOST, CLOSING, NO_SUCH_USER, LOGIN]), min_size=1, max_size=3),
    ),
    st.tuples(st.just("time"), st.sampled_from([1.0, MINUTE, 11 * MINUTE, 13 * HOUR, 3 * DAY]), st.none()),
    st.tuples(st.just("verb"), st.sampled_from(list(Verb)), st.sampled_from([None, *DOMAINS])),
    st.tuples(st.just("apply"), st.integers(0, len(ORGANIZATIONS) - 1), st.none()),
    st.tuples(st.just("slow"), st.booleans(), st.none()),
    st.tuples(st.just("crash"), st.none(), st.none()),
)


class Story:
    """One office and what happened to it."""

    def __init__(self, office: PostOffice) -> None:
        self.office = office
        self.accepted: dict[int, list[str]] = {}

    async def act(self, kind: str, first: object, second: object) -> None:
        """One thing that happens."""
        office = self.office
        match kind, first, second:
            case "accept", list(), bool():
                message_id = await office.accept(*first, sender="" if second else "alice@contoso.com")
                self.accepted[message_id] = first
            case "host", str(), _:
                if second is None:
                    office.dialer.hosts.pop(first, None)
                else:
                    assert isinstance(second, Outcome)
                    office.dialer.hosts[first] = second
            case "recipient", str(), list():
                office.dialer.recipients[first] = list(second)
            case "time", float(), _:
                await office.passes(first, step=max(1.0, first / 8))
            case "verb", Verb(), _:
                selection = Selection(domain=second) if isinstance(second, str) else EVERYTHING
                await Operations(office.dispatcher, office.spool, office.clock).perform(first, selection)
            case "slow", bool(), _:
                office.dialer.is_slow = first
                if not first:
                    self.answer_all()
            case "apply", int(), _:
                await office.apply(ORGANIZATIONS[first])
            case _:
                raise AssertionError(f"unknown action {kind}")
        await office.settle()

    def answer_all(self) -> None:
        """End every transaction that is under way."""
        for channel in list(self.office.dialer.channels):
            channel.answer()

    async def end_well(self) -> None:
        """Everything works again; an operator lets go what is held; time passes."""
        office = self.office
        office.dialer.hosts.clear()
        office.dialer.recipients.clear()
        office.dialer.is_slow = False
        self.answer_all()
        await office.apply(FULL)
        await office.passes(5 * MINUTE, step=15)
        for _ in range(2):
            await Operations(office.dispatcher, office.spool, office.clock).perform(Verb.REROUTE, EVERYTHING)
            await office.passes(HOUR, step=5 * MINUTE)

    def check(self) -> None:
        """Every recipient of every message: delivered once, or failed once, or deleted."""
        office = self.office
        delivered = Counter(office.dialer.delivered)
        failed = Counter((event.queue_id, event.recipient) for event in office.events_of(Step.FAILED))
        deleted = {event.queue_id for event in office.events_of(Step.DELETED)}
        for message_id, recipients in self.accepted.items():
            for ordinal, address in enumerate(recipients):
                name = queue_id.write(message_id)
                times = delivered[message_id, ordinal] + failed[name, address]
                assert times == 1 or (times == 0 and name in deleted), (name, address, times)
        assert office.count() == 0, "the spool is empty when all is settled"
        assert not office.dispatcher.index.messages, "and so is the index"


async def live(story: Story, parts: list[list[tuple[str, object, object]]]) -> None:
    """What happens between crashes, then the end."""
    for number, part in enumerate(parts):
        async with story.office.open():
            for action in part:
                await story.act(*action)
            if number == len(parts) - 1:
                await story.end_well()
                story.check()
                return
        for channel in story.office.dialer.channels:
            channel.pending = None  # the connections went down with the process
        story.office.restart()


def split_at_crashes(history: list[tuple[str, object, object]]) -> list[list[tuple[str, object, object]]]:
    """The history in parts between crashes."""
    parts: list[list[tuple[str, object, object]]] = [[]]
    for action in history:
        if action[0] == "crash":
            parts.append([])
        else:
            parts[-1].append(action)
    return parts


@settings(max_examples=100, deadline=None, suppress_health_check=list(HealthCheck))
@given(st.lists(actions, max_size=12))
def test_any_order_of_events_settles_each_recipient_exactly_once(history: list[tuple[str, object, object]]) -> None:
    async def run(folder: Path) -> None:
        await live(Story(PostOffice(folder, FULL)), split_at_crashes(history))

    with tempfile.TemporaryDirectory() as folder:
        asyncio.run(run(Path(folder)))
