"""The hosts of the demo's Internet: whole dialogues over loopback, and what a greylist says when."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest

from bridgehead.core.reply import Reply
from bridgehead.process.demo.receiver import Greylist, Receiver, refuse_unknown

CONTENT = b"Subject: x\r\n\r\nx\r\n.\r\n"


@asynccontextmanager
async def opened(receiver: Receiver) -> AsyncIterator[Receiver]:
    """The receiver, listening on a free port."""
    await receiver.open(0)
    try:
        yield receiver
    finally:
        receiver.close()


async def said(receiver: Receiver, *parts: bytes) -> list[bytes]:
    """The last line of each reply: first the greeting, then one for each part that is sent."""
    async with asyncio.timeout(10):
        reader, writer = await asyncio.open_connection(receiver.address, receiver.port)
        lines = [await _reply(reader)]
        for part in parts:
            writer.write(part)
            lines.append(await _reply(reader))
        writer.close()
    return lines


async def _reply(reader: asyncio.StreamReader) -> bytes:
    while (line := await reader.readline())[3:4] == b"-":
        pass
    return line[:-2]


async def test_a_receiver_takes_a_message_and_counts_it() -> None:
    async with opened(Receiver("mx.example", "127.0.0.1")) as receiver:
        lines = await said(
            receiver,
            b"EHLO a.example\r\n",
            b"MAIL FROM:<a@a.example>\r\n",
            b"RCPT TO:<b@b.example>\r\n",
            b"DATA\r\n",
            CONTENT,
            b"QUIT\r\n",
        )
        assert [line[:3] for line in lines] == [b"220", b"250", b"250", b"250", b"354", b"250", b"221"]
        assert receiver.taken == 1


async def test_a_recipient_that_the_judge_refuses_is_refused() -> None:
    async with opened(Receiver("mx.example", "127.0.0.1", refuse_unknown)) as receiver:
        lines = await said(
            receiver, b"EHLO a.example\r\n", b"MAIL FROM:<a@a.example>\r\n", b"RCPT TO:<gone-b@b.example>\r\n"
        )
        assert lines[-1] == b"550 5.1.1 No such user here"
        assert receiver.taken == 0


async def test_a_receiver_without_ehlo_takes_helo() -> None:
    async with opened(Receiver("old.example", "127.0.0.1", knows_ehlo=False)) as receiver:
        lines = await said(receiver, b"EHLO a.example\r\n", b"HELO a.example\r\n")
        assert lines[1:] == [b"502 5.5.1 This server knows HELO only", b"250 old.example"]


async def test_a_receiver_that_closes_cuts_its_sessions_and_refuses_connections_until_it_opens_again() -> None:
    async with opened(Receiver("mx.example", "127.0.0.1")) as receiver, asyncio.timeout(10):
        port = receiver.port
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        await reader.readline()
        receiver.hang()
        writer.write(b"NOOP\r\n")
        receiver.close()
        with pytest.raises(ConnectionResetError):
            await reader.readline()
        writer.close()
        with pytest.raises(ConnectionRefusedError):
            await asyncio.open_connection("127.0.0.1", port)
        await receiver.open(port)
        assert (await said(receiver))[0].startswith(b"220 ")


def test_a_greylist_puts_a_pair_off_once_and_forgets_it_after_a_while() -> None:
    clock = iter((0.0, 0.9, 1.0, 20.0, 20.1, 21.2))
    greylist = Greylist(lambda: next(clock), wait_seconds=1, memory_seconds=20)
    codes = [code(greylist("a@a.example", "b@b.example")) for _ in range(6)]
    assert codes == [451, 451, 250, 250, 451, 250]


def test_a_greylist_tells_pairs_apart_and_refuses_who_left_for_good() -> None:
    clock = iter((0.0, 2.0, 2.0))
    greylist = Greylist(lambda: next(clock), wait_seconds=1, memory_seconds=20)
    recipients = ("b@b.example", "b@b.example", "c@b.example", "gone-b@b.example")
    assert [code(greylist("a@a.example", recipient)) for recipient in recipients] == [451, 250, 451, 550]


def code(refusal: Reply | None) -> int:
    """Of the reply to RCPT."""
    return refusal.code if refusal is not None else 250
