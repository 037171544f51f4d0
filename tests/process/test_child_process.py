"""A child gets messages and descriptors, becomes another user, and ends when the supervisor hangs up."""

from __future__ import annotations

import asyncio
import os
import pwd
from pathlib import Path

import pytest

from bridgehead.process import child_process
from bridgehead.process.child_process import Identity
from bridgehead.process.messages import Answered, Drain, Failed, Message

CHILD = "tests.process.told_child"


async def converse(user: str, path: Path) -> Answered:
    answers: asyncio.Queue[Message] = asyncio.Queue()
    child = await child_process.start(Identity(CHILD, ("hello",), user), answers.put_nowait)
    with path.open("wb") as file:
        child.send(Drain(0.0), [file.fileno()] * 250)
    async with asyncio.timeout(20):
        answer = await answers.get()
        child.hang_up()
        assert await child.wait_ended() == 0
    assert isinstance(answer, Answered)
    return answer


async def test_child_process_gets_descriptors_ahead_of_the_message_that_names_them(tmp_path: Path) -> None:
    answer = await converse("", tmp_path / "file")
    assert answer.result.decode() == f"hello 250 {tmp_path / 'file'}"


@pytest.mark.skipif(os.geteuid() != 0, reason="only root becomes another user")
def test_child_process_becomes_the_user_it_is_told_with_that_users_groups_alone() -> None:
    identity = child_process._become("nobody")
    assert identity["user"] == pwd.getpwnam("nobody").pw_uid
    assert identity["group"] == pwd.getpwnam("nobody").pw_gid
    assert 0 not in identity["extra_groups"]


async def test_child_process_can_be_killed() -> None:
    child = await child_process.start(Identity(CHILD, (), ""), lambda _: None)
    child.kill()
    async with asyncio.timeout(20):
        assert await child.wait_ended() == -9
    child.kill()  # it is gone: no error


async def test_child_process_is_heard_to_its_last_word() -> None:
    """It speaks and ends at once: its end must not be noticed before what it said."""
    for _ in range(5):
        said: list[Message] = []
        child = await child_process.start(Identity(CHILD, ("last word",), ""), said.append)
        async with asyncio.timeout(20):
            assert await child.wait_ended() == 1
        assert said == [Failed("last word")]
