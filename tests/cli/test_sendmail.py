"""`bridgehead sendmail` before a real submission socket: what arrives in the spool, and what the program is told."""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import pwd
import time
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from bridgehead.cli import state_folder
from bridgehead.core import queue_id
from bridgehead.core.envelope import Envelope
from bridgehead.core.queue_id import QueueIds
from bridgehead.inbound.credentials import CredentialCheck
from bridgehead.inbound.reception import InForce, Reception
from bridgehead.inbound.session_leases import LocalLeases
from bridgehead.inbound.submission import SubmissionServer
from bridgehead.process.sockets import bind_submission
from bridgehead.spool.contract import StoredMessage
from bridgehead.spool.memory import MemorySpool
from tests.cli.calling import Called, called
from tests.cli.waiting import FIRST, envelope, fill_spool
from tests.inbound.receiving import HASHER, organization, without_received

ACCOUNT = pwd.getpwuid(os.getuid()).pw_name
MESSAGE = b"From: a@contoso.com\nDate: Tue, 24 Nov 2026 08:00:00 +0000\nMessage-ID: <1@x>\nSubject: x\n\nbody\n"

NOBODY = 65_534
"""An account that owns nothing."""


class Mailer:
    """A server that takes submissions, and all that it accepted."""

    def __init__(self, folder: Path) -> None:
        self.config = folder / "bridgehead.toml"
        self.accepted: list[StoredMessage] = []
        self.has_room = True

    async def send(self, *arguments: str, message: bytes = MESSAGE) -> Called:
        """Call `sendmail` with this message."""
        return await asyncio.to_thread(called, "sendmail", "--config", str(self.config), *arguments, stdin=message)

    @property
    def envelope(self) -> Envelope:
        """Of the one message."""
        (message,) = self.accepted
        return message.envelope

    @property
    def content(self) -> bytes:
        """Of the one message, behind our trace line."""
        (message,) = self.accepted
        return without_received(message.body.content or b"")


@pytest.fixture(autouse=True)
def environment(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """No other server of this machine is found."""
    for name in ("BRIDGEHEAD_SUBMIT", "BRIDGEHEAD_CONFIG", "STATE_DIRECTORY"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    monkeypatch.setattr(state_folder, "SYSTEM_FOLDER", tmp_path / "system")


@pytest.fixture
async def mailer(tmp_path: Path) -> AsyncIterator[Mailer]:
    """A running server whose state folder the configuration names."""
    made = Mailer(tmp_path)
    (tmp_path / "state").mkdir()
    made.config.write_text('[node]\nstate_dir = "state"\n')
    in_force, ids = InForce(organization()), QueueIds(0)
    credentials = CredentialCheck(time.monotonic, HASHER)
    async with asyncio.TaskGroup() as tasks:
        server = SubmissionServer(
            Reception(
                spool=MemorySpool(),
                current=lambda: in_force,
                next_id=lambda: ids.next(time.time()),
                clock=time.time,
                accepted=made.accepted.append,
                emit=lambda _: None,
                tasks=tasks,
                credentials=credentials,
                leases=LocalLeases(),
                has_room=lambda: made.has_room,
            ),
            "BRIDGE01",
        )
        await server.listen(bind_submission(tmp_path / "state"))
        yield made
        server.close()
        credentials.close()


async def test_message_is_accepted_in_silence(mailer: Mailer) -> None:
    assert await mailer.send("bob@fabrikam.com") == Called(0, "", "")
    assert mailer.envelope.reverse_path == f"{ACCOUNT}@mail.contoso.com"
    assert [one.address for one in mailer.envelope.recipients] == ["bob@fabrikam.com"]
    assert mailer.envelope.user == ACCOUNT
    assert mailer.content == MESSAGE.replace(b"\n", b"\r\n")


async def test_recipients_come_from_arguments_and_header_and_blind_copies_stay_blind(mailer: Mailer) -> None:
    message = b"To: Bob <bob@fabrikam.com>, root\nCc: carol@fabrikam.com\nBcc: dave@fabrikam.com\n" + MESSAGE
    done = await mailer.send("-ti", "Eve <eve@fabrikam.com>, bob@fabrikam.com", message=message)
    assert done.code == 0, done.err
    assert [one.address for one in mailer.envelope.recipients] == [
        "eve@fabrikam.com",
        "bob@fabrikam.com",
        "root@mail.contoso.com",
        "carol@fabrikam.com",
        "dave@fabrikam.com",
    ]
    assert b"dave" not in mailer.content


async def test_envelope_options_are_handed_on(mailer: Mailer) -> None:
    options = ("-f", "<alice@contoso.com>", "-N", "success,delay", "-R", "hdrs", "-V", "order 7")
    done = await mailer.send(*options, "--", "bob@fabrikam.com")
    assert done.code == 0, done.err
    envelope = mailer.envelope
    assert (envelope.reverse_path, envelope.ret, envelope.envid) == ("alice@contoso.com", "HDRS", "order+207")
    assert envelope.recipients[0].notify == 5


async def test_null_sender_and_full_name(mailer: Mailer) -> None:
    done = await mailer.send("-f", "", "-F", "Cron Daemon", "bob@fabrikam.com", message=b"Subject: x\n\n")
    assert done.code == 0, done.err
    assert mailer.envelope.reverse_path == ""
    assert f'From: "Cron Daemon" <{ACCOUNT}@mail.contoso.com>\r\n'.encode() in mailer.content


async def test_large_message_streams_through(mailer: Mailer) -> None:
    body = b"".join(b"%07d\n" % number for number in range(100_000))
    done = await mailer.send("-i", "bob@fabrikam.com", message=MESSAGE + body)
    assert done.code == 0, done.err
    assert mailer.content == (MESSAGE + body).replace(b"\n", b"\r\n")


async def test_queue_id_is_told_where_it_is_asked_for(mailer: Mailer) -> None:
    verbose = await mailer.send("-v", "bob@fabrikam.com")
    in_json = await mailer.send("--json", "bob@fabrikam.com")
    first, second = (queue_id.write(message.message_id) for message in mailer.accepted)
    assert verbose.out == f"queued as {first}\n"
    assert json.loads(in_json.out) == {"queue_id": second}


async def test_socket_is_found_by_its_variable(mailer: Mailer, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("BRIDGEHEAD_SUBMIT", str(mailer.config.parent / "state/submit.sock"))
    mailer.config.unlink()
    assert (await mailer.send("bob@fabrikam.com")).code == 0


@pytest.mark.parametrize(
    ("arguments", "message", "code", "words"),
    [
        (("not an address",), MESSAGE, 65, "sendmail: 'not an address' is no address\n"),
        (("bob@b@fabrikam.com",), MESSAGE, 65, "sendmail: not an address: bob@b@fabrikam.com\n"),
        (("-t",), b"Subject: x\n\n", 65, "sendmail: the message names no recipients in To, Cc or Bcc\n"),
        (("-t",), b"To: a@b c@d\n\n", 65, "sendmail: 'a@b c@d' is no address\n"),
        (("-t",), b"To: \xff@b.example\n\n", 65, "sendmail: '\\udcff@b.example' is neither ASCII nor UTF-8\n"),
        (("bob@fabrikam.com",), b"X: y\n" * 300_000, 65, "sendmail: the header is larger than 1024 KiB\n"),
        (
            ("bob@fabrikam.com",),
            b"Received: x\n" * 31 + MESSAGE,
            65,
            "sendmail: Too many hops",
        ),
        ((), MESSAGE, 64, "sendmail: no recipients: name them, or give -t to take them from the message\n"),
        (("-bs",), b"", 64, "sendmail: SMTP on standard input is not offered: connect to the port of a virtual"),
    ],
)
async def test_message_is_refused(
    mailer: Mailer, arguments: tuple[str, ...], message: bytes, code: int, words: str
) -> None:
    done = await mailer.send(*arguments, message=message)
    assert done.code == code
    assert done.err.startswith(words)
    assert (done.out, mailer.accepted) == ("", [])


async def test_refusal_is_heard_while_a_large_message_is_sent(mailer: Mailer) -> None:
    mailer.has_room = False
    done = await mailer.send("-i", "bob@fabrikam.com", message=MESSAGE + b"0123456789\n" * 1_000_000)
    assert done.code == 75
    assert done.err.startswith("sendmail: ")
    assert "bridgehead serve" not in done.err


async def test_full_disk_is_temporary(mailer: Mailer) -> None:
    mailer.has_room = False
    assert (await mailer.send("bob@fabrikam.com")).code == 75


def test_server_that_is_down_is_temporary(tmp_path: Path) -> None:
    config = tmp_path / "bridgehead.toml"
    config.write_text('[node]\nstate_dir = "state"\n')
    done = called("sendmail", "--config", config, "bob@fabrikam.com", stdin=MESSAGE)
    assert done.code == 75
    assert done.err.startswith(f"sendmail: cannot submit through {tmp_path}/state/submit.sock: ")
    assert "there is no such socket. Start the server with `bridgehead serve`" in done.err
    assert "Errno" not in done.err


async def test_socket_behind_a_closed_door_is_not_permitted(mailer: Mailer, monkeypatch: pytest.MonkeyPatch) -> None:
    state = mailer.config.parent / "state"
    monkeypatch.setenv("BRIDGEHEAD_SUBMIT", str(state / "submit.sock"))
    with contextlib.ExitStack() as stack:
        state.chmod(0)
        stack.callback(state.chmod, 0o700)
        if os.geteuid() == 0:  # root may do everything, so the door is tried by someone else
            os.seteuid(NOBODY)
            stack.callback(os.seteuid, 0)
        assert (await mailer.send("bob@fabrikam.com")).code == 77


def test_configuration_that_does_not_exist_is_named(tmp_path: Path) -> None:
    done = called("sendmail", "--config", tmp_path / "none.toml", "bob@fabrikam.com", stdin=MESSAGE)
    assert (done.code, done.err) == (
        78,
        f"sendmail: {tmp_path}/none.toml cannot be read: No such file or directory\n",
    )


@pytest.mark.parametrize("arguments", [("-q",), ("-q15m",), ("-bi",)])
def test_nothing_is_done_where_nothing_is_to_do(arguments: tuple[str, ...]) -> None:
    assert called("sendmail", *arguments) == Called(0, "", "")


def test_mailq_is_shown(tmp_path: Path) -> None:
    config = tmp_path / "bridgehead.toml"
    config.write_text('[node]\nstate_dir = "state"\n')
    fill_spool(tmp_path / "state", [(FIRST, envelope("bob@fabrikam.com"), {})])
    done = called("sendmail", "-bp", "--config", config)
    assert done.code == 0
    assert done.out.endswith("\n-- 12 Kbytes in 1 Request.\n")


def test_help_shows_an_example_and_the_codes() -> None:
    done = called("sendmail", "--help")
    assert done.code == 0
    assert "Example: printf" in done.out
    assert "Exits (sysexits): 0 accepted, 64 usage" in done.out
