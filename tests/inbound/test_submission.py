"""`submit.sock`: the client that `sendmail` uses against the server that a worker runs."""

from __future__ import annotations

import asyncio
import os
import pwd
import socket
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from dataclasses import replace
from pathlib import Path

import msgspec
import pytest

from bridgehead.core.error import MachineError
from bridgehead.core.organization import MessageLimits
from bridgehead.core.tracking import Step
from bridgehead.inbound import submission as module
from bridgehead.inbound.submission import SubmissionRate, SubmissionServer
from bridgehead.inbound.submission_client import Answer, Submission, submit
from bridgehead.spool.contract import BODY_IN_ROW_MAX
from tests.inbound.receiving import Receiving, organization, receiving, server
from tests.inbound.saying import until

ME = pwd.getpwuid(os.getuid()).pw_name
TO = Submission(("b@contoso.com",))


@asynccontextmanager
async def submitting(
    folder: Path, size_max: int = 0, recipients_max: int = 3, *, manual: bool = False
) -> AsyncIterator[tuple[Receiving, Path]]:
    """A server that listens on a socket in `folder`."""
    path = folder / "submit.sock"
    limits = MessageLimits(size_max=size_max, recipients_max=recipients_max)
    configuration = organization(virtual_server=replace(server(), messages=limits))
    async with receiving(configuration, manual=manual) as found:
        bound = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        bound.bind(str(path))
        bound.listen()
        submission_server = SubmissionServer(found.reception, "BRIDGE01")
        await submission_server.listen(bound)
        try:
            yield found, path
        finally:
            submission_server.close()


async def sent(path: Path, submission: Submission, *content: bytes) -> Answer:
    return await asyncio.to_thread(submit, path, submission, content)


async def test_a_message_is_queued_with_what_it_lacks(tmp_path: Path) -> None:
    async with submitting(tmp_path) as (found, path):
        answer = await sent(
            path, Submission(("b@contoso.com",), full_name='Jo "x" Doe'), b"Subject: x\r\n\r\n", b"y\r\n"
        )
        (message,) = found.messages
        assert answer == Answer(queue_id=answer.queue_id)
        envelope = message.envelope
        assert (envelope.protocol, envelope.user, envelope.client) == ("LOCAL", ME, "")
        assert envelope.reverse_path == f"{ME}@mail.contoso.com"
        (body,) = found.bodies
        lines = body.split(b"\r\n")
        assert lines[0].startswith(b"Date: ")
        assert lines[1] == f'From: "Jo x Doe" <{ME}@mail.contoso.com>'.encode()
        assert lines[2].startswith(b"Message-ID: <")
        assert lines[3:] == [b"Subject: x", b"", b"y", b""]
        assert [event.step for event in found.events] == [Step.RECEIVED]


async def test_what_is_there_is_not_added(tmp_path: Path) -> None:
    content = b"From: a@b\r\nDATE: now\r\nMessage-Id: <1@x>\r\n\r\ny\r\n"
    async with submitting(tmp_path) as (found, path):
        await sent(path, TO, content)
        assert found.bodies == [content]


async def test_text_without_a_header_does_not_become_one(tmp_path: Path) -> None:
    async with submitting(tmp_path) as (found, path):
        await sent(path, TO, b"just a line\r\nanother\r\n")
        assert found.bodies[0].endswith(b"\r\n\r\njust a line\r\nanother\r\n")


async def test_content_in_any_pieces_is_the_same(tmp_path: Path) -> None:
    content = b"From: a@b\r\nDate: now\r\nMessage-Id: <1@x>\r\n\r\n.\r\n..\r\n"
    async with submitting(tmp_path) as (found, path):
        await sent(path, TO, *[content[i : i + 1] for i in range(len(content))])
        assert found.bodies == [content]


async def test_names_without_a_domain_are_at_our_fqdn(tmp_path: Path) -> None:
    async with submitting(tmp_path) as (found, path):
        await sent(path, Submission(("root", "b@elsewhere.example"), sender=""), b"x: y\r\n")
        envelope = found.messages[0].envelope
        assert envelope.reverse_path == ""
        assert [one.address for one in envelope.recipients] == ["root@mail.contoso.com", "b@elsewhere.example"]


REFUSED: dict[str, tuple[Submission, bytes, int]] = {
    "no recipients": (Submission(()), b"x: y\r\n", 65),
    "too many recipients": (Submission(("a@b.example",) * 4), b"x: y\r\n", 65),
    "no address": (Submission(("a b",)), b"x: y\r\n", 65),
    "line end in an address": (Submission(("a@b.example\r\nX: y",)), b"x: y\r\n", 65),
    "bad sender": (Submission(("a@b.example",), sender="<x"), b"x: y\r\n", 65),
    "bare LF": (TO, b"x: y\nz\r\n", 65),
    "too large": (TO, b"x" * 101, 65),
}


@pytest.mark.parametrize("name", REFUSED)
async def test_refused(name: str, tmp_path: Path) -> None:
    submission, content, status = REFUSED[name]
    async with submitting(tmp_path, size_max=100) as (found, path):
        answer = await sent(path, submission, content)
        assert answer.status == status
        assert answer.error
        assert found.messages == []


async def test_a_spool_that_cannot_write_is_temporary(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    async with submitting(tmp_path) as (found, path):
        found.spool.fail_next(OSError("disk full"))
        assert (await sent(path, TO, b"x: y\r\n")).status == 75
        found.has_room = False
        assert (await sent(path, TO, b"x: y\r\n")).status == 75
        assert found.messages == []


async def test_no_server_is_an_error_with_advice(tmp_path: Path) -> None:
    with pytest.raises(MachineError, match="bridgehead serve"):
        await sent(tmp_path / "submit.sock", TO, b"")


@pytest.mark.parametrize("octets", [b"\xff\xff\xff\xff", b"\0\0\0\x02{}", b"\0\0\0\x01x", b"GET / HTTP/1.1\r\n\r\n"])
async def test_what_is_no_submission_is_refused(octets: bytes, tmp_path: Path) -> None:
    async with submitting(tmp_path) as (found, path):

        def talk() -> bytes:
            with socket.socket(socket.AF_UNIX) as connection:
                connection.settimeout(5)
                connection.connect(str(path))
                connection.sendall(octets)
                return connection.recv(1000)

        assert b'"status":65' in await asyncio.to_thread(talk)
        assert found.messages == []


async def test_one_account_leaves_room_for_others(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "CONNECTIONS_PER_UID_MAX", 1)
    async with submitting(tmp_path) as (_, path):
        with socket.socket(socket.AF_UNIX) as connection:
            connection.connect(str(path))
            assert (await sent(path, TO, b"x: y\r\n")).status == 75
        async with asyncio.timeout(5):
            while (await sent(path, TO, b"x: y\r\n")).status:  # noqa: ASYNC110 - the end of the other has no event here
                await asyncio.sleep(0.001)


async def test_a_client_that_hangs_up_leaves_nothing(tmp_path: Path) -> None:
    async with submitting(tmp_path) as (found, path):
        with socket.socket(socket.AF_UNIX) as connection:
            connection.connect(str(path))
            connection.sendall(b"\0\0\0\x20")
        await asyncio.sleep(0.01)
        assert found.messages == []


async def test_without_a_limit_any_number_of_recipients_is_taken(tmp_path: Path) -> None:
    async with submitting(tmp_path, recipients_max=0) as (found, path):
        answer = await sent(path, Submission(("a@b.example",) * 5), b"x: y\r\n")
        assert answer.queue_id
        assert (await sent(path, Submission(()), b"x: y\r\n")).error == "No recipients"
        assert len(found.messages) == 1


async def test_what_stands_behind_the_end_changes_nothing(tmp_path: Path) -> None:
    """Who hears of a failure sends again: of a message that is being committed that would be a second copy."""
    async with submitting(tmp_path, manual=True) as (found, path):
        reader, writer = await asyncio.open_unix_connection(str(path))
        request = msgspec.json.encode(TO)
        writer.write(len(request).to_bytes(4, "big") + request + b"\0\0\0\x06x: y\r\n" + b"\0\0\0\0")
        await until(lambda: bool(found.spool._waiting))
        writer.write(b"\0\0\0\x06x: y\r\n" + b"\xff" * 100)
        await writer.drain()
        await asyncio.sleep(0.01)
        found.spool.commit()
        async with asyncio.timeout(5):
            answer = await reader.read()
        assert msgspec.json.decode(answer[4:], type=Answer).queue_id
        assert len(found.messages) == 1
        writer.close()


def test_the_rate_is_counted_by_uid_and_minute(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "MESSAGES_A_MINUTE", 2)
    monkeypatch.setattr(module, "UIDS_MAX", 2)
    rate = SubmissionRate()
    assert [rate.count(1, 0), rate.count(1, 59), rate.count(1, 59)] == [True, True, False]
    assert rate.count(2, 59)
    assert rate.count(1, 60)
    assert rate.count(3, 60)
    assert len(rate._counts) == 2


@pytest.mark.parametrize(
    "submission",
    [
        msgspec.structs.replace(TO, ret="FULL SIZE=1"),
        msgspec.structs.replace(TO, envid="a AUTH=<>"),
        msgspec.structs.replace(TO, envid="a+0D+0AQUIT"),
        msgspec.structs.replace(TO, envid="x" * 101),
        msgspec.structs.replace(TO, notify=8),
        msgspec.structs.replace(TO, notify=-2),
    ],
    ids=lambda submission: repr(submission)[:60],
)
async def test_options_that_would_change_a_command_of_ours_are_refused(
    tmp_path: Path, submission: Submission
) -> None:
    async with submitting(tmp_path) as (found, path):
        answer = await sent(path, submission, b"Subject: x\r\n\r\n")
        assert answer.error == "notify, ret or envid is not one of RFC 3461"
        assert not found.messages


async def test_a_large_submission_is_put_off_when_the_room_goes_while_it_arrives(tmp_path: Path) -> None:
    async with submitting(tmp_path) as (found, path):

        def content() -> Iterator[bytes]:
            yield b"Subject: x\r\n\r\n"
            found.has_room = False
            yield b"x" * (2 * BODY_IN_ROW_MAX)

        answer = await asyncio.to_thread(submit, path, TO, content())
        assert (answer.status, answer.error) == (75, "Not enough storage now, try again later")
