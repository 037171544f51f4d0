"""A `Sender` in a process of its own, with pipelining: what it spends does not slow down the sink of the test."""

from __future__ import annotations

import contextlib
import multiprocessing
import threading
from multiprocessing.connection import Connection
from typing import Final

from tests.peers.sender import Account, Sender

_CONTEXT: Final = multiprocessing.get_context("spawn")
WITHOUT_END: Final = 10**9
REPORT_SECONDS: Final = 0.1
END_SECONDS: Final = 90.0


class DistantSender:
    """`start`, look at `progress`, `abandon`: as those of a `Sender` that never ends by itself."""

    def __init__(self, port: int, *, sessions: int, pause: float, name: str) -> None:
        """Arguments are those of `Sender`; nothing is sent before `start`."""
        self._progress = _CONTEXT.Value("q", 0)
        self._ours, theirs = _CONTEXT.Pipe()
        self._process = _CONTEXT.Process(
            target=_send, args=(theirs, self._progress, port, sessions, pause, name), daemon=True
        )

    def start(self) -> None:
        """Begin to send; returns once the process runs."""
        self._process.start()
        self._ours.recv()

    @property
    def progress(self) -> int:
        """Messages accepted until a moment ago."""
        return int(self._progress.value)

    def abandon(self) -> Account:
        """Send nothing more; the account once every session has noticed."""
        self._ours.send(None)
        if not self._ours.poll(END_SECONDS):
            raise TimeoutError("the sender did not give its account")
        account = self._ours.recv()
        self._process.join(END_SECONDS)
        assert isinstance(account, Account)
        return account


def _send(
    commands: Connection,
    progress: multiprocessing.sharedctypes.Synchronized[int],
    port: int,
    sessions: int,
    pause: float,
    name: str,
) -> None:
    sender = Sender(port, count=WITHOUT_END, sessions=sessions, pause=pause, name=name, is_pipelined=True)
    ended = threading.Event()

    def report() -> None:
        while not ended.wait(REPORT_SECONDS):
            progress.value = sender.progress

    threading.Thread(target=report, daemon=True).start()
    sender.start()
    commands.send(None)
    with contextlib.suppress(EOFError):  # the test is gone
        commands.recv()
        account = sender.abandon()
        ended.set()
        commands.send(account)
