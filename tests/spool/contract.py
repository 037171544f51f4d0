"""What every spool must do: the promises of `spool/contract.py` as tests, inherited by one class for each store."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from pathlib import Path
from typing import Protocol

import pytest

from bridgehead.core.envelope import Envelope, MessageId, Recipient
from bridgehead.core.recipient_state import Hold, RecipientState, Standing
from bridgehead.spool.contract import (
    BODY_IN_ROW_MAX,
    Body,
    Change,
    Insert,
    Remove,
    Spool,
    StoredEntry,
    StoredMessage,
    Update,
)

CONTENT = b"Received: from a by b\r\nSubject: hello\r\n\r\n" + b"x" * 4000 + b"\r\n"


class OpenSpool(Protocol):
    """Opens the partition under test; again after `close` it shows what was durable."""

    def __call__(self) -> Spool: ...


def envelope(*addresses: str, sender: str = "alice@contoso.com") -> Envelope:
    """An envelope to these recipients."""
    recipients = tuple(
        Recipient(ordinal, address, address.partition("@")[2])
        for ordinal, address in enumerate(addresses or ("bob@fabrikam.com",))
    )
    return Envelope(sender, recipients, 4042, 1_790_000_000.25, "BRIDGE01/Default", client="192.0.2.7", helo="client")


def insert(number: int, content: bytes = CONTENT) -> Insert:
    """Message `number`, its body in memory."""
    return Insert(
        MessageId(number), envelope(f"bob{number}@fabrikam.com", "carol@fabrikam.com"), Body(len(content), content)
    )


def content_of(body: Body) -> bytes:
    """All octets of a body, wherever they are."""
    return body.content if body.content is not None else Path(str(body.path)).read_bytes()


async def committed(spool: Spool, *changes: Change) -> None:
    """Submit, wait until durable, raise what `done` was called with."""
    error = await result_of(spool, changes)
    if error is not None:
        raise error


async def result_of(spool: Spool, changes: Sequence[Change]) -> Exception | None:
    """Submit and return what `done` was called with."""
    future: asyncio.Future[Exception | None] = asyncio.get_running_loop().create_future()
    spool.submit(changes, future.set_result)
    async with asyncio.timeout(10):
        return await future


async def loaded(spool: Spool, number: int) -> StoredMessage:
    """A message that must be there."""
    stored = await spool.load(MessageId(number))
    assert stored is not None
    return stored


RETRYING = RecipientState(
    attempts=2, next_attempt=1_790_000_600.5, connector="ISP", code=451, enhanced="4.7.1", text="later"
)
DELIVERED = RecipientState(Standing.DELIVERED, attempts=3, host="mx[192.0.2.1]:25", code=250)
FROZEN = RecipientState(hold=Hold.FROZEN, held_since=1_790_000_300.0)


class SpoolContract:
    """Inherit, and provide the fixture `open_spool`."""

    @pytest.fixture
    def open_spool(self) -> OpenSpool:
        """A function that opens the partition."""
        raise NotImplementedError

    async def test_an_inserted_message_is_loaded_as_it_was(self, open_spool: OpenSpool) -> None:
        spool = open_spool()
        change = insert(7)
        await committed(spool, change)
        assert await loaded(spool, 7) == StoredMessage(change.message_id, change.envelope, change.body, {})
        await spool.close()

    async def test_a_message_that_was_never_inserted_is_none(self, open_spool: OpenSpool) -> None:
        spool = open_spool()
        assert await spool.load(MessageId(1)) is None
        await spool.close()

    async def test_states_are_kept_by_ordinal_and_the_latest_wins(self, open_spool: OpenSpool) -> None:
        spool = open_spool()
        await committed(spool, insert(1))
        await committed(spool, Update(MessageId(1), {0: RETRYING, 1: FROZEN}))
        await committed(spool, Update(MessageId(1), {0: DELIVERED}))
        assert (await loaded(spool, 1)).states == {0: DELIVERED, 1: FROZEN}
        await spool.close()

    async def test_a_removed_message_is_gone_with_its_states(self, open_spool: OpenSpool) -> None:
        spool = open_spool()
        await committed(spool, insert(1), Update(MessageId(1), {0: RETRYING}))
        await committed(spool, Remove(MessageId(1)))
        assert await spool.load(MessageId(1)) is None
        await committed(spool, insert(1))
        assert (await loaded(spool, 1)).states == {}
        await spool.close()

    async def test_changes_of_one_submission_apply_in_their_order(self, open_spool: OpenSpool) -> None:
        spool = open_spool()
        await committed(
            spool,
            insert(1),
            Update(MessageId(1), {0: RETRYING}),
            Update(MessageId(1), {0: DELIVERED}),
            insert(2),
            Remove(MessageId(2)),
            insert(3),
            Remove(MessageId(3)),
            insert(3, b"another\r\n"),
        )
        assert (await loaded(spool, 1)).states == {0: DELIVERED}
        assert await spool.load(MessageId(2)) is None
        assert content_of((await loaded(spool, 3)).body) == b"another\r\n"
        await spool.close()

    async def test_update_and_remove_of_an_unknown_message_do_nothing(self, open_spool: OpenSpool) -> None:
        spool = open_spool()
        await committed(spool, Update(MessageId(5), {0: RETRYING}), Remove(MessageId(6)))
        await committed(spool, insert(5))
        assert (await loaded(spool, 5)).states == {}
        await spool.close()

    async def test_an_insert_of_a_message_that_is_there_fails_whole_and_alone(self, open_spool: OpenSpool) -> None:
        """Nothing of the failed submission holds; its neighbours in the same batch are not touched."""
        spool = open_spool()
        await committed(spool, insert(1))
        results: list[str] = []
        spool.submit([insert(2)], lambda error: results.append(f"2 {error is None}"))
        spool.submit([insert(3), insert(1)], lambda error: results.append(f"3 {error is None}"))
        spool.submit([insert(4)], lambda error: results.append(f"4 {error is None}"))
        await committed(spool, insert(5))
        assert results == ["2 True", "3 False", "4 True"]
        assert [entry.message_id for entry in await recovered(spool, open_spool)] == [1, 2, 4, 5]

    async def test_done_is_called_once_in_order_of_submission_on_the_loop(self, open_spool: OpenSpool) -> None:
        spool = open_spool()
        called: list[int] = []
        loop = asyncio.get_running_loop()

        def note(number: int) -> None:
            assert asyncio.get_running_loop() is loop
            called.append(number)

        for number in range(1, 101):
            spool.submit([insert(number)], lambda _, number=number: note(number))  # type: ignore[misc]  # default binds now
        assert called == [], "done must never be called inside submit"
        await committed(spool, insert(101))
        assert called == list(range(1, 101))
        await spool.close()

    async def test_done_may_submit_again(self, open_spool: OpenSpool) -> None:
        spool = open_spool()
        finished: asyncio.Future[Exception | None] = asyncio.get_running_loop().create_future()
        spool.submit([insert(1)], lambda _: spool.submit([insert(2)], finished.set_result))
        async with asyncio.timeout(10):
            assert await finished is None
        assert await spool.load(MessageId(2)) is not None
        await spool.close()

    async def test_a_submission_without_changes_is_a_point_in_the_order(self, open_spool: OpenSpool) -> None:
        spool = open_spool()
        spool.submit([insert(1)])
        await committed(spool)
        assert await spool.load(MessageId(1)) is not None
        await spool.close()

    async def test_close_makes_durable_what_waits(self, open_spool: OpenSpool) -> None:
        spool = open_spool()
        results: list[Exception | None] = []
        for number in range(1, 21):
            spool.submit([insert(number)], results.append)
        await spool.close()
        assert results == [None] * 20
        assert [entry.message_id for entry in await entries(open_spool)] == list(range(1, 21))

    async def test_recover_streams_messages_in_order_of_arrival_with_their_states(
        self, open_spool: OpenSpool
    ) -> None:
        spool = open_spool()
        for number in (3, 1, 2):
            await committed(spool, insert(number))
        await committed(spool, Update(MessageId(2), {1: FROZEN}))
        assert await recovered(spool, open_spool) == [
            StoredEntry(MessageId(1), insert(1).envelope, {}),
            StoredEntry(MessageId(2), insert(2).envelope, {1: FROZEN}),
            StoredEntry(MessageId(3), insert(3).envelope, {}),
        ]

    async def test_the_largest_ids_and_every_field_survive(self, open_spool: OpenSpool) -> None:
        spool = open_spool()
        number = MessageId((1 << 63) - 1)
        full = Envelope(
            "",
            (Recipient(0, "Ü@例え.jp", "xn--r8jz45g.jp", 3, "rfc822;a+2Bb@example.org"),),
            size=9,
            received_at=1.5,
            virtual_server="B/V",
            client="2001:db8::1",
            helo="h",
            protocol="UTF8SMTPSA",
            user="u",
            body_type="8BITMIME",
            smtputf8=True,
            ret="HDRS",
            envid="e",
            message_id="<m@x>",
            trace_id="t",
            is_dsn=True,
        )
        await committed(spool, Insert(number, full, Body(0, b"")))
        assert await loaded(spool, number) == StoredMessage(number, full, Body(0, b""), {})
        await spool.close()

    @pytest.mark.parametrize("size", [0, 1, BODY_IN_ROW_MAX, BODY_IN_ROW_MAX + 1, 3 * BODY_IN_ROW_MAX])
    async def test_a_body_that_arrived_in_pieces_is_read_back_whole(self, open_spool: OpenSpool, size: int) -> None:
        spool = open_spool()
        content = bytes(range(256)) * (size // 256 + 1)
        content = content[:size]
        writer = spool.new_body()
        for start in range(0, size, 60_000):
            writer.write(content[start : start + 60_000])
        assert writer.size == size
        assert writer.head[:BODY_IN_ROW_MAX] == content[:BODY_IN_ROW_MAX]
        body = writer.finish()
        assert body.size == size
        await committed(spool, Insert(MessageId(1), envelope(), body))
        stored = await loaded(spool, 1)
        assert stored.body.size == size
        assert content_of(stored.body) == content
        await committed(spool, Remove(MessageId(1)))
        await spool.close()

    async def test_a_body_may_be_discarded_at_any_time_and_twice(self, open_spool: OpenSpool) -> None:
        spool = open_spool()
        for size in (0, 10, 2 * BODY_IN_ROW_MAX):
            writer = spool.new_body()
            writer.write(b"x" * size)
            writer.discard()
            writer.discard()
            finished = spool.new_body()
            finished.write(b"x" * size)
            finished.finish()
            finished.discard()
        await spool.close()
        assert await entries(open_spool) == []

    async def test_statistics_count_messages_and_commits(self, open_spool: OpenSpool) -> None:
        spool = open_spool()
        await committed(spool, insert(1), insert(2))
        await committed(spool, Remove(MessageId(1)))
        statistics = spool.statistics()
        assert statistics.messages == 1
        assert statistics.commits >= 2
        assert statistics.damaged == 0
        await spool.close()

    async def test_submit_after_close_is_refused(self, open_spool: OpenSpool) -> None:
        spool = open_spool()
        await spool.close()
        with pytest.raises(RuntimeError):
            spool.submit([insert(1)])


async def recovered(spool: Spool, open_spool: OpenSpool) -> list[StoredEntry]:
    """Close, open again, and what is there."""
    await spool.close()
    return await entries(open_spool)


async def entries(open_spool: OpenSpool) -> list[StoredEntry]:
    """What a newly opened spool recovers."""
    spool = open_spool()
    found = list(spool.recover())
    await spool.close()
    return found
