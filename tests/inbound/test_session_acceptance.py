"""250 means that the message is durable, and that we deliver it."""

from __future__ import annotations

import asyncio
import errno

import pytest

from tests.inbound.receiving import dialogue, receiving
from tests.inbound.saying import ENVELOPE, MAIL, until


async def test_250_is_sent_only_when_the_commit_is_done() -> None:
    async with receiving(manual=True) as found, dialogue(found.port) as client:
        await client.send(ENVELOPE + b"\r\n")
        for _ in range(3):
            await client.reply()
        await client.send(b"x: y\r\n.\r\nNOOP\r\n")
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(0.05):
                await client.reply()
        assert found.messages == []
        found.spool.commit()
        assert len(found.messages) == 1
        assert (await client.reply()).startswith("250 2.0.0 Message queued as ")
        assert (await client.reply()).startswith("250 2.0.0")


async def test_a_spool_that_cannot_write_is_452_and_the_session_goes_on(caplog: pytest.LogCaptureFixture) -> None:
    async with receiving() as found, dialogue(found.port) as client:
        found.spool.fail_next(OSError(errno.ENOSPC, "disk full"))
        for expected in ("452 4.3.1", "250 2.0.0"):
            await client.send(ENVELOPE + b"\r\n")
            for _ in range(3):
                await client.reply()
            assert (await client.say(b"x: y\r\n."))[:9] == expected
        assert len(found.messages) == 1


async def test_a_body_that_cannot_be_begun_is_452(caplog: pytest.LogCaptureFixture) -> None:
    async with receiving() as found, dialogue(found.port) as client:
        found.spool.body_error = OSError(errno.ENOSPC, "disk full")
        await client.send(ENVELOPE + b"\r\n")
        assert [(await client.reply())[:9] for _ in range(3)][2] == "452 4.3.1"


@pytest.mark.parametrize("octets", [1000, 100_000])
async def test_a_disk_that_fills_while_content_arrives_is_452_at_its_end(octets: int) -> None:
    async with receiving() as found, dialogue(found.port) as client:
        found.spool.body_octets = octets
        await client.send(ENVELOPE + b"\r\n")
        for _ in range(3):
            await client.reply()
        assert (await client.say(b"x" * 200_000 + b"\r\n."))[:9] == "452 4.3.1"
        assert (await client.say(b"NOOP"))[:3] == "250"
        assert found.messages == []


async def test_without_room_mail_is_put_off_at_mail() -> None:
    async with receiving() as found, dialogue(found.port) as client:
        found.has_room = False
        assert (await client.say(MAIL))[:9] == "452 4.3.1"
        found.has_room = True
        assert (await client.say(MAIL))[:9] == "250 2.1.0"


async def test_a_message_whose_client_left_before_the_commit_counts_all_the_same() -> None:
    async with receiving(manual=True) as found:
        async with dialogue(found.port) as client:
            await client.send(ENVELOPE + b"\r\n")
            for _ in range(3):
                await client.reply()
            await client.send(b"x: y\r\n.\r\n")
            await until(lambda: len(found.spool._waiting) == 1)
            client.reset()
        await until(lambda: not found.server.session_counts())
        found.spool.commit()
        assert len(found.messages) == 1


async def test_a_client_that_closes_its_half_still_gets_its_answer() -> None:
    async with receiving(manual=True) as found, dialogue(found.port) as client:
        await client.send(ENVELOPE + b"\r\n")
        for _ in range(3):
            await client.reply()
        await client.send(b"x: y\r\n.\r\n")
        client.end()
        await until(lambda: len(found.spool._waiting) == 1)
        found.spool.commit()
        assert (await client.rest()).startswith(b"250 2.0.0 Message queued as ")


async def test_a_message_whose_client_left_before_its_end_is_forgotten() -> None:
    async with receiving() as found:
        async with dialogue(found.port) as client:
            await client.send(ENVELOPE + b"\r\n")
            for _ in range(3):
                await client.reply()
            await client.send(b"x: y\r\n")
        await until(lambda: not found.server.session_counts())
        assert found.messages == []
        assert found.spool.statistics().messages == 0


async def test_an_exception_nobody_expected_is_451_and_nothing_is_accepted(caplog: pytest.LogCaptureFixture) -> None:
    async with receiving() as found, dialogue(found.port) as client:
        found.spool.body_error = RuntimeError("a defect")
        await client.send(ENVELOPE + b"\r\n")
        assert b"451 4.3.0" in await client.rest()
        assert found.messages == []
    assert "a defect" in caplog.text
