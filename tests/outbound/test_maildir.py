"""Delivery into Maildirs: where a message is put, what its file holds, and what happens when the disk refuses."""

from __future__ import annotations

import asyncio
import errno
import os
import stat
from collections.abc import Callable
from concurrent.futures import Executor, Future, ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bridgehead.core import queue_id
from bridgehead.core.envelope import Envelope, MessageId, Recipient
from bridgehead.core.organization import LocalDelivery, Security, SmartHostOrder, VirtualServer
from bridgehead.core.outcome import Deferred, Delivered, Scope
from bridgehead.outbound import maildir
from bridgehead.outbound.contract import Attempted, Channel, Destination, QueueKey, Transaction, Unavailable
from bridgehead.outbound.maildir import Mailboxes, MaildirDialer, folder_of
from bridgehead.spool.contract import Body

TEMPLATE = "/srv/mail/{domain}/{local}"
ALICE = Recipient(0, "alice@contoso.com", "contoso.com")
MESSAGE_ID = MessageId(1_795_508_492_000 << 21)
FILE_NAME = f"1795508492.Q{queue_id.write(MESSAGE_ID)}R0.mx1"


def recipient_of(local_part: str, domain: str = "contoso.com") -> Recipient:
    return Recipient(0, f"{local_part}@{domain}", domain)


@pytest.mark.parametrize(
    ("local_part", "folder"),
    [
        ("alice", "alice"),
        ("Alice.Smith", "alice.smith"),
        ("alice+shop", "alice+shop"),
        ('"alice"', "alice"),
        ("..", "%2e."),
        (".hidden", "%2ehidden"),
        ("../../etc/cron.d/x", "%2e.%2f..%2fetc%2fcron.d%2fx"),
        ('"a b"', "%22a%20b%22"),
        ("a/b", "a%2fb"),
        ("a\\b", "a%5cb"),
        ("a%2fb", "a%252fb"),
        ("a\x00b", "a%00b"),
        ("{domain}", "%7bdomain%7d"),
        ("m\u00fcller", "m%c3%bcller"),
        ("a:b", "a%3ab"),
        ("~root", "%7eroot"),
    ],
)
def test_folder_of_makes_a_safe_name_of_the_local_part(local_part: str, folder: str) -> None:
    assert folder_of(TEMPLATE, recipient_of(local_part)) == Path("/srv/mail/contoso.com") / folder


def test_folder_of_takes_literals_and_a_postmaster_without_domain() -> None:
    assert (
        folder_of(TEMPLATE, recipient_of("a", "[IPv6:2001:db8::1]")).parts[3] == "%5b%49%50v6%3a2001%3adb8%3a%3a1%5d"
    )
    assert folder_of(TEMPLATE, Recipient(0, "Postmaster", "")) == Path("/srv/mail/%/postmaster")


def test_folder_of_shortens_what_no_file_system_takes() -> None:
    long, longer = (folder_of(TEMPLATE, recipient_of("x" * length)) for length in (254, 255))
    assert long.name.startswith("x" * 100 + "xxxxxxxxxxxxxxxxxxxx%%")
    assert long != longer
    assert len(os.fsencode(long.name)) <= 255


@given(st.text(max_size=300), st.text(max_size=300))
def test_no_address_leaves_its_folder(local_part: str, domain: str) -> None:
    folder = folder_of(TEMPLATE, Recipient(0, f"{local_part}@{domain}", domain))
    assert folder.parts[:3] == ("/", "srv", "mail")
    assert len(folder.parts) == 5
    for name in folder.parts[3:]:
        assert not name.startswith(".")
        assert name.isascii()
        assert name.isprintable()
        assert len(name) <= 255


@given(st.text(min_size=1, max_size=80), st.text(min_size=1, max_size=80))
def test_different_mailboxes_have_different_folders(one: str, other: str) -> None:
    same = folder_of(TEMPLATE, recipient_of(one)) == folder_of(TEMPLATE, recipient_of(other))
    if one.lower() != other.lower() and '"' not in one + other:
        assert not same
    if one == other:
        assert same


def transaction_of(body: Body, *recipients: Recipient, reverse_path: str = "bob@f.example") -> Transaction:
    recipients = recipients or (ALICE,)
    return Transaction(MESSAGE_ID, Envelope(reverse_path, recipients, body.size, 0.0, "B/V"), recipients, body)


def small(content: bytes) -> Body:
    return Body(len(content), content)


def mailboxes_in(folder: Path) -> Mailboxes:
    return Mailboxes(f"{folder}/{{domain}}/{{local}}", "mx1")


def test_delivered_file_has_its_trace_and_local_line_ends(tmp_path: Path) -> None:
    outcomes = mailboxes_in(tmp_path).deliver(transaction_of(small(b"Subject: x\r\n\r\n.\r\na\rb\r\n")))
    assert isinstance(outcomes[0], Delivered)
    assert (outcomes[0].host, outcomes[0].is_final) == ("maildir", True)
    folder = tmp_path / "contoso.com" / "alice"
    assert sorted(path.name for path in folder.iterdir()) == ["cur", "new", "tmp"]
    assert not list((folder / "tmp").iterdir())
    assert [path.name for path in (folder / "new").iterdir()] == [FILE_NAME]
    assert (folder / "new" / FILE_NAME).read_bytes() == (
        b"Return-Path: <bob@f.example>\nDelivered-To: alice@contoso.com\nSubject: x\n\n.\na\rb\n"
    )
    assert stat.S_IMODE((folder / "new" / FILE_NAME).stat().st_mode) == 0o600
    assert stat.S_IMODE(folder.stat().st_mode) == 0o700


def test_null_reverse_path_is_written_as_such(tmp_path: Path) -> None:
    mailboxes_in(tmp_path).deliver(transaction_of(small(b""), reverse_path=""))
    content = (tmp_path / "contoso.com" / "alice" / "new" / FILE_NAME).read_bytes()
    assert content == b"Return-Path: <>\nDelivered-To: alice@contoso.com\n"


@pytest.mark.parametrize("offset", [-2, -1, 0, 1])
def test_large_bodies_are_streamed_whatever_their_block_borders(tmp_path: Path, offset: int) -> None:
    content = b"x" * (maildir._BLOCK + offset) + b"\r\ny\r\n" * maildir._BLOCK + b"\r"
    path = tmp_path / "body"
    path.write_bytes(content)
    mailboxes_in(tmp_path).deliver(transaction_of(Body(len(content), None, path)))
    written = (tmp_path / "contoso.com" / "alice" / "new" / FILE_NAME).read_bytes()
    assert written.partition(b"alice@contoso.com\n")[2] == content.replace(b"\r\n", b"\n")


def test_repeated_delivery_makes_no_duplicate(tmp_path: Path) -> None:
    mailboxes = mailboxes_in(tmp_path)
    for content in (b"half", b"whole\r\n"):
        mailboxes.deliver(transaction_of(small(content)))
    (path,) = (tmp_path / "contoso.com" / "alice" / "new").iterdir()
    assert path.read_bytes().endswith(b"\nwhole\n")


def test_each_recipient_has_an_outcome_of_its_own(tmp_path: Path) -> None:
    (tmp_path / "contoso.com").mkdir()
    (tmp_path / "contoso.com" / "bob").write_bytes(b"a file where a folder should be")
    bob = Recipient(1, "bob@contoso.com", "contoso.com")
    outcomes = mailboxes_in(tmp_path).deliver(transaction_of(small(b"x\r\n"), ALICE, bob))
    assert isinstance(outcomes[0], Delivered)
    assert isinstance(outcomes[1], Deferred)
    assert outcomes[1].scope is Scope.MESSAGE


def test_missing_body_is_deferred(tmp_path: Path) -> None:
    outcomes = mailboxes_in(tmp_path).deliver(transaction_of(Body(9, None, tmp_path / "gone")))
    assert isinstance(outcomes[0], Deferred)


@pytest.mark.parametrize("step", range(8))
def test_no_step_that_fails_leaves_a_message_that_is_not_whole(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, step: int
) -> None:
    """The disk fails at the n-th fsync: six while folders are made, then the file's, then that of `new`."""
    calls = iter(range(100))
    real = os.fsync

    def fsync(descriptor: int) -> None:
        if next(calls) == step:
            raise OSError(errno.ENOSPC, "full")
        real(descriptor)

    monkeypatch.setattr(os, "fsync", fsync)
    mailboxes = mailboxes_in(tmp_path / "mail")
    (outcome,) = mailboxes.deliver(transaction_of(small(b"x\r\n"))).values()
    assert isinstance(outcome, Deferred)
    assert list(tmp_path.rglob("tmp/*")) == []
    (again,) = mailboxes.deliver(transaction_of(small(b"x\r\n"))).values()
    assert isinstance(again, Delivered)
    (path,) = tmp_path.rglob("new/*")
    assert path.read_bytes().endswith(b"\nx\n")


@pytest.mark.parametrize(
    ("number", "enhanced"),
    [
        (errno.ENOSPC, "4.3.1"),
        (errno.EDQUOT, "4.2.2"),
        (errno.EACCES, "4.3.0"),
        (errno.EROFS, "4.3.0"),
        (errno.EIO, "4.3.0"),
    ],
)
def test_disk_errors_defer_and_name_no_folder(number: int, enhanced: str) -> None:
    outcome = maildir._deferred(OSError(number, os.strerror(number), "/srv/mail/secret"))
    assert (outcome.reply.code, outcome.reply.enhanced) == (0, enhanced)
    assert "secret" not in outcome.reply.text


class HeldExecutor(Executor):
    """Runs what it was given when told to: a disk that hangs."""

    def __init__(self) -> None:
        self._waiting: list[tuple[Future[Any], Callable[[], Any]]] = []

    def submit(self, fn: Callable[..., Any], /, *args: Any, **kwargs: Any) -> Future[Any]:
        future: Future[Any] = Future()
        self._waiting.append((future, lambda: fn(*args, **kwargs)))
        return future

    def run(self) -> None:
        for future, call in self._waiting:
            future.set_result(call())

    def break_down(self) -> None:
        for future, _ in self._waiting:
            future.set_exception(RuntimeError("no threads left"))


class Ends:
    """What a channel tells its owner."""

    def __init__(self) -> None:
        self.attempted: list[Attempted] = []
        self.closed = 0
        self.changed = asyncio.Event()

    def done(self, attempted: Attempted) -> None:
        self.attempted.append(attempted)
        self.changed.set()

    def close(self) -> None:
        self.closed += 1
        self.changed.set()

    async def wait(self) -> None:
        async with asyncio.timeout(5):
            await self.changed.wait()
        self.changed.clear()


async def channel_to(folder: Path, executor: Executor, ends: Ends) -> Channel:
    key = QueueKey("", "B/V", "maildir")
    local = LocalDelivery("maildir", f"{folder}/{{domain}}/{{local}}")
    server = VirtualServer("V", "B", (), "mail.contoso.com")
    destination = Destination(key, server, None, (), SmartHostOrder.BALANCE, "", local, Security(), False, 20)
    channel = await MaildirDialer(executor, "MX1/x").open(destination, ends.close)
    assert not isinstance(channel, Unavailable)
    return channel


async def test_channel_delivers_one_transaction_after_the_other(tmp_path: Path) -> None:
    ends = Ends()
    with ThreadPoolExecutor(1) as executor:
        channel = await channel_to(tmp_path, executor, ends)
        for count in (1, 2):
            channel.send(transaction_of(small(b"x\r\n")), ends.done)
            assert len(ends.attempted) == count - 1, "done is not called before send has returned"
            await ends.wait()
        channel.close()
        await ends.wait()
    assert [attempted.is_reusable for attempted in ends.attempted] == [True, True]
    assert all(isinstance(attempted.outcomes[0], Delivered) for attempted in ends.attempted)
    assert (channel.host, ends.closed) == ("maildir", 1)
    assert [path.name.endswith(".mx1%2fx") for path in tmp_path.rglob("new/*")] == [True]


async def test_channel_that_is_closed_in_flight_ends_after_it(tmp_path: Path) -> None:
    ends, executor = Ends(), HeldExecutor()
    channel = await channel_to(tmp_path, executor, ends)
    channel.send(transaction_of(small(b"x\r\n")), ends.done)
    channel.close()
    await asyncio.sleep(0)
    assert not ends.attempted
    executor.run()
    await ends.wait()
    await asyncio.sleep(0)
    assert isinstance(ends.attempted[0].outcomes[0], Delivered)
    assert (ends.attempted[0].is_reusable, ends.closed) == (False, 1)


async def test_channel_that_is_aborted_defers_and_ignores_what_comes_late(tmp_path: Path) -> None:
    ends, executor = Ends(), HeldExecutor()
    channel = await channel_to(tmp_path, executor, ends)
    channel.send(transaction_of(small(b"x\r\n")), ends.done)
    channel.abort()
    executor.run()
    channel.abort()
    await asyncio.sleep(0.01)
    (attempted,) = ends.attempted
    outcome = attempted.outcomes[0]
    assert isinstance(outcome, Deferred)
    assert (outcome.scope, attempted.is_reusable, ends.closed) == (Scope.HOST, False, 1)


async def test_channel_does_not_wait_for_ever_for_a_disk(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(maildir, "DELIVERY_SECONDS_MAX", 0.01)
    ends = Ends()
    channel = await channel_to(tmp_path, HeldExecutor(), ends)
    channel.send(transaction_of(small(b"x\r\n")), ends.done)
    await ends.wait()
    assert isinstance(ends.attempted[0].outcomes[0], Deferred)
    assert not ends.attempted[0].is_reusable


async def test_channel_reports_what_no_thread_could_do(tmp_path: Path) -> None:
    ends, executor = Ends(), HeldExecutor()
    channel = await channel_to(tmp_path, executor, ends)
    channel.send(transaction_of(small(b"x\r\n")), ends.done)
    executor.break_down()
    await ends.wait()
    assert isinstance(ends.attempted[0].outcomes[0], Deferred)
