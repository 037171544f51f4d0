"""Supervisor and worker understand each other, however the bytes are cut."""

from __future__ import annotations

import asyncio
import socket

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bridgehead.process.messages import (
    Acquire,
    Answered,
    Ask,
    Configure,
    Drain,
    GiveBack,
    Granted,
    Links,
    Listening,
    Message,
    Pipe,
    Ready,
    Release,
    Reported,
)

EVERY_MESSAGE: list[Message] = [
    Configure(b"pickle", (Listening("S/Default", "127.0.0.1", 2525, implicit_tls=False),), (0,)),
    Links({"ISP": 12.5}, frozenset({"Partner"}), 7),
    Granted(3, is_granted=True),
    GiveBack("connector ISP"),
    Ask(1, "queue.list", b"{}"),
    Drain(15.0),
    Ready(),
    Reported("ISP", is_success=False),
    Acquire(3, (("connector ISP", 20),), waits=True),
    Release(3),
    Answered(1, b"[]"),
]


async def written(messages: list[Message]) -> bytes:
    """The bytes that a pipe puts on the wire."""
    ours, theirs = socket.socketpair()
    pipe = Pipe(lambda _: None, lambda: None)
    await asyncio.get_running_loop().create_connection(lambda: pipe, sock=ours)
    for message in messages:
        pipe.send(message)
    pipe.close()
    chunks = []
    theirs.setblocking(False)
    while chunk := await asyncio.get_running_loop().sock_recv(theirs, 65536):
        chunks.append(chunk)
    theirs.close()
    return b"".join(chunks)


async def test_pipe_carries_every_message_to_the_other_end() -> None:
    ours, theirs = socket.socketpair()
    received: list[Message] = []
    lost = asyncio.Event()
    loop = asyncio.get_running_loop()
    sender = Pipe(lambda _: None, lambda: None)
    await loop.create_connection(lambda: Pipe(received.append, lost.set), sock=theirs)
    await loop.create_connection(lambda: sender, sock=ours)
    for message in EVERY_MESSAGE:
        sender.send(message)
    sender.close()
    async with asyncio.timeout(5):
        await lost.wait()
    assert received == EVERY_MESSAGE
    sender.send(Ready())  # to nobody: dropped in silence


@given(cuts=st.lists(st.integers(1, 60), min_size=1))
def test_pipe_gives_the_same_messages_however_the_bytes_are_cut(cuts: list[int]) -> None:
    wire = WIRE
    received: list[Message] = []
    pipe = Pipe(received.append, lambda: None)
    while wire:
        size = cuts[len(received) % len(cuts)]
        pipe.data_received(wire[:size])
        wire = wire[size:]
    assert received == EVERY_MESSAGE


def test_pipe_refuses_a_frame_beyond_its_bound() -> None:
    with pytest.raises(ValueError, match="both ends must be the same version"):
        Pipe(lambda _: None, lambda: None).data_received(b"\xff\xff\xff\xff")


WIRE = asyncio.run(written(EVERY_MESSAGE))
