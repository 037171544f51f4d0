"""Whatever is done to it, the SQLite spool holds what the fake holds: Hypothesis looks for a difference."""

from __future__ import annotations

import asyncio
import shutil
import tempfile
from pathlib import Path

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule

from bridgehead.core.envelope import MessageId
from bridgehead.core.recipient_state import Hold, RecipientState, Standing
from bridgehead.spool.contract import BODY_IN_ROW_MAX, Change, Insert, Remove, Spool, StoredMessage, Update
from bridgehead.spool.memory import MemorySpool
from bridgehead.spool.sqlite import SqliteSpool
from tests.spool.contract import content_of, envelope, result_of

numbers = st.integers(1, 6).map(MessageId)
states = st.builds(
    RecipientState,
    standing=st.sampled_from(Standing),
    attempts=st.integers(0, 1 << 40),
    next_attempt=st.floats(allow_nan=False),
    hold=st.sampled_from(Hold),
    text=st.text(),
)
sizes = st.sampled_from([0, 1, 5000, BODY_IN_ROW_MAX + 1])
changes = st.lists(
    st.one_of(
        st.tuples(st.just("insert"), numbers, sizes),
        st.tuples(st.just("update"), numbers, st.dictionaries(st.integers(0, 3), states, max_size=3)),
        st.tuples(st.just("remove"), numbers, st.none()),
    ),
    max_size=8,
)


class SameAsMemory(RuleBasedStateMachine):
    """Two spools, the same changes."""

    def __init__(self) -> None:
        super().__init__()
        self.folder = Path(tempfile.mkdtemp())
        self.runner = asyncio.Runner()
        self.real: SqliteSpool = self.runner.run(self.opened())
        self.fake = MemorySpool()

    async def opened(self) -> SqliteSpool:
        spool = SqliteSpool(self.folder, 0)
        self.found = list(spool.recover())
        return spool

    @rule(drawn=changes)
    def submit(self, drawn: list[tuple[str, MessageId, object]]) -> None:
        async def both() -> None:
            failures = [
                await result_of(spool, [change_of(spool, *one) for one in drawn]) is not None
                for spool in (self.real, self.fake)
            ]
            assert failures[0] == failures[1]

        self.runner.run(both())

    @rule()
    def restart(self) -> None:
        async def close_and_open() -> SqliteSpool:
            await self.real.close()
            return await self.opened()

        self.real = self.runner.run(close_and_open())
        assert self.found == list(self.fake.recover())
        assert self.real.statistics().damaged == 0

    @invariant()
    def both_hold_the_same(self) -> None:
        async def compare() -> None:
            for number in range(1, 7):
                real, fake = await self.real.load(MessageId(number)), await self.fake.load(MessageId(number))
                assert parts(real) == parts(fake)

        self.runner.run(compare())

    def teardown(self) -> None:
        self.runner.run(self.real.close())
        self.runner.close()
        shutil.rmtree(self.folder)


def change_of(spool: Spool, kind: str, number: MessageId, detail: object) -> Change:
    if kind == "insert":
        assert isinstance(detail, int)
        body = spool.new_body()
        body.write(b"x" * detail)
        return Insert(number, envelope(), body.finish())
    if kind == "update":
        assert isinstance(detail, dict)
        return Update(number, detail)
    return Remove(number)


def parts(stored: StoredMessage | None) -> object:
    return stored and (stored.message_id, stored.envelope, dict(stored.states), content_of(stored.body))


TestSameAsMemory = SameAsMemory.TestCase
TestSameAsMemory.settings = settings(max_examples=12, stateful_step_count=12, deadline=None)
