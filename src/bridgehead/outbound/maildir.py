"""Local delivery into Maildir folders: `maildir:/srv/mail/{domain}/{local}`.

A message is written to `tmp`, fsynced, renamed into `new`, and `new` is fsynced: only then is it delivered. Its name
is made of queue id and ordinal, so a delivery that is repeated after a crash or a timeout replaces the same file and
makes no duplicate. Files have LF line ends, as readers of Maildirs expect, and begin with Return-Path (RFC 5321 4.4)
and Delivered-To.

What stands in an address never chooses a folder outside the template: `folder_of` leaves no octet in a name that
means anything to a file system. Upper and lower case are one mailbox; `user+detail` is a mailbox of its own.

Everything that touches the disk runs in the threads of an executor. The files belong to the user of this process.
"""

from __future__ import annotations

import asyncio
import errno
import hashlib
import os
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import Executor
from pathlib import Path
from typing import Final

from bridgehead.core import queue_id
from bridgehead.core.address import recipient_key
from bridgehead.core.dsn_text import address_text
from bridgehead.core.envelope import Recipient
from bridgehead.core.outcome import Deferred, Delivered, Outcome, Scope
from bridgehead.core.reply import Reply
from bridgehead.outbound.contract import AttemptDone, Attempted, Channel, Destination, Transaction

HOST: Final = "maildir"
"""The host of every outcome."""
DELIVERY_SECONDS_MAX: Final = 300.0
"""How long one transaction may take: a network disk that hangs must not hold the queue for ever."""

_BLOCK: Final = 256 * 1024
_NAME_MAX: Final = 200  # octets of one name; Linux takes 255
_NAME_KEPT: Final = 120  # of a longer one, before its digest
_SAFE: Final = frozenset(b"abcdefghijklmnopqrstuvwxyz0123456789.-_+=")
_FOLDERS: Final = ("tmp", "new", "cur")
_STORED: Final = Delivered(Reply(0, "2.0.0", "Stored in the mailbox"), HOST, is_final=True)


class MaildirDialer:
    """Opens channels to Maildirs. `host_name` becomes part of file names, so that servers may share a disk."""

    def __init__(self, executor: Executor, host_name: str) -> None:
        self._executor = executor
        self._host_name = _file_name(host_name.lower())

    async def open(self, destination: Destination, closed: Callable[[], None]) -> Channel:
        """A channel at once: nothing is touched before the first message."""
        assert destination.local is not None
        return MaildirChannel(Mailboxes(destination.local.target, self._host_name), self._executor, closed)


class MaildirChannel:
    """A `Channel` whose far end is a disk."""

    def __init__(self, mailboxes: Mailboxes, executor: Executor, closed: Callable[[], None]) -> None:
        self._mailboxes = mailboxes
        self._executor = executor
        self._closed: Callable[[], None] | None = closed
        self._is_closing = False
        self._transaction: Transaction | None = None
        self._done: AttemptDone | None = None
        self._deadline: asyncio.TimerHandle | None = None

    @property
    def host(self) -> str:
        """`"maildir"`."""
        return HOST

    def send(self, transaction: Transaction, done: AttemptDone) -> None:
        """Deliver in a thread."""
        assert self._done is None
        self._transaction, self._done = transaction, done
        loop = asyncio.get_running_loop()
        self._deadline = loop.call_later(DELIVERY_SECONDS_MAX, self._give_up, "The disk did not answer in time")
        future = loop.run_in_executor(self._executor, self._mailboxes.deliver, transaction)
        future.add_done_callback(lambda finished: self._finish_delivery(transaction, finished))

    def close(self) -> None:
        """No more: at once if idle."""
        self._is_closing = True
        if self._done is None:
            self._end()

    def abort(self) -> None:
        """Do not wait for the disk any longer; what it still writes is replaced by the next attempt."""
        self._is_closing = True
        if self._done is None:
            self._end()
        else:
            self._give_up("Delivery was broken off")

    def _finish_delivery(self, transaction: Transaction, finished: asyncio.Future[dict[int, Outcome]]) -> None:
        if transaction is not self._transaction:  # given up before
            finished.cancelled() or finished.exception()  # taken note of
            return
        if finished.cancelled() or finished.exception() is not None:
            self._give_up("Delivery broke off")
        else:
            self._settle(Attempted(finished.result(), is_reusable=not self._is_closing))

    def _give_up(self, reason: str) -> None:
        transaction = self._transaction
        assert transaction is not None
        self._is_closing = True
        outcome = Deferred(Reply(0, "4.3.0", reason), Scope.HOST, HOST)
        self._settle(Attempted({r.ordinal: outcome for r in transaction.recipients}, is_reusable=False))

    def _settle(self, attempted: Attempted) -> None:
        done, self._done, self._transaction = self._done, None, None
        if self._deadline is not None:
            self._deadline.cancel()
        if done is not None:
            done(attempted)
        if self._is_closing:
            self._end()

    def _end(self) -> None:
        closed, self._closed = self._closed, None
        if closed is not None:
            asyncio.get_running_loop().call_soon(closed)


class Mailboxes:
    """The folders behind one template. Methods block: they run in threads, also several at once."""

    def __init__(self, template: str, host_name: str) -> None:
        self._template = template
        self._host_name = host_name

    def deliver(self, transaction: Transaction) -> dict[int, Outcome]:
        """Write the message into the mailbox of each recipient; an outcome for each, by ordinal."""
        return {recipient.ordinal: self._deliver_to(transaction, recipient) for recipient in transaction.recipients}

    def _deliver_to(self, transaction: Transaction, recipient: Recipient) -> Outcome:
        try:
            folder = folder_of(self._template, recipient)
            _make_folders(folder)
            arrival = int(queue_id.arrival_seconds(transaction.message_id))
            identity = f"Q{queue_id.write(transaction.message_id)}R{recipient.ordinal}"
            _write(folder, f"{arrival}.{identity}.{self._host_name}", _pieces(transaction, recipient))
        except OSError as error:
            return _deferred(error)
        return _STORED


def folder_of(template: str, recipient: Recipient) -> Path:
    """The Maildir of a recipient: the template with `{domain}` and `{local}` filled in by names that are safe."""
    local_part, _, _ = recipient_key(recipient.address, recipient.domain).rpartition("@")
    filled = template.replace("{domain}", _file_name(recipient.domain)).replace("{local}", _file_name(local_part))
    return Path(filled)


def _file_name(text: str) -> str:
    """A name that holds letters, digits and `.-_+=` only, no dot first, different for different texts.

    Other octets become `%2f`; so does a first dot. What is too long for a file system ends in a digest.
    """
    octets = text.encode("utf-8", "surrogatepass")
    name = "".join(chr(octet) if octet in _SAFE else f"%{octet:02x}" for octet in octets) or "%"
    if name.startswith("."):
        name = "%2e" + name[1:]
    if len(name) <= _NAME_MAX:
        return name
    return f"{name[:_NAME_KEPT]}%%{hashlib.sha256(octets).hexdigest()}"


def _pieces(transaction: Transaction, recipient: Recipient) -> Iterator[bytes]:
    """The file's content."""
    reverse_path = address_text(transaction.envelope.reverse_path)
    trace = f"Return-Path: <{reverse_path}>\nDelivered-To: {address_text(recipient.address)}\n"
    yield trace.encode("utf-8", "replace")
    body = transaction.body
    if body.content is not None:
        yield body.content.replace(b"\r\n", b"\n")
        return
    assert body.path is not None
    kept = b""
    with body.path.open("rb") as file:
        while block := file.read(_BLOCK):
            block = kept + block
            kept = b"\r" if block.endswith(b"\r") else b""  # its LF may come with the next block
            yield block[: len(block) - len(kept)].replace(b"\r\n", b"\n")
    yield kept


def _write(folder: Path, name: str, pieces: Iterator[bytes]) -> None:
    """Put a file into `new`, durably."""
    # A thread that was given up on may still be writing the same message: each has a temporary file of its own.
    temporary = folder / "tmp" / f"{name}.P{os.getpid()}T{threading.get_ident()}"
    temporary.unlink(missing_ok=True)
    try:
        descriptor = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
        with os.fdopen(descriptor, "wb", buffering=_BLOCK) as file:
            file.writelines(pieces)
            file.flush()
            os.fsync(descriptor)
        temporary.rename(folder / "new" / name)
    except OSError:
        temporary.unlink(missing_ok=True)
        raise
    _sync_folder(folder / "new")


def _make_folders(folder: Path) -> None:
    """Have the Maildir, durably; costs a look at one folder where it is there."""
    if (folder / "cur").is_dir():  # made last
        return
    missing = [parent for parent in folder.parents if not parent.is_dir()]
    # The lowest two are synced even if they exist: whoever made them may not have come to it, or have failed.
    paths = {*missing, folder.parent, folder}
    for path in [*sorted(paths, key=lambda path: len(path.parts)), *(folder / name for name in _FOLDERS)]:
        path.mkdir(mode=0o700, exist_ok=True)
        _sync_folder(path.parent)


def _sync_folder(folder: Path) -> None:
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _deferred(error: OSError) -> Deferred:
    """Nothing that a disk does is for ever: the message waits. The text may reach the sender and names no folder."""
    if error.errno == errno.ENOSPC:
        reply = Reply(0, "4.3.1", "Not enough disk space for the mailbox")
    elif error.errno == errno.EDQUOT:
        reply = Reply(0, "4.2.2", "The mailbox is full")
    elif error.errno in {errno.EACCES, errno.EPERM, errno.EROFS}:
        reply = Reply(0, "4.3.0", f"No permission to write the mailbox: {os.strerror(error.errno)}")
    else:
        reply = Reply(0, "4.3.0", f"The mailbox could not be written: {error.strerror or type(error).__name__}")
    return Deferred(reply, Scope.MESSAGE, HOST)
