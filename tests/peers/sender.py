"""Clients that keep accounts: which message ids a server answered 250 to, whatever happens to it meanwhile."""

from __future__ import annotations

import threading
import time
from dataclasses import dataclass, field

from tests.peers.child import wait_until
from tests.peers.wire import Wire

RECONNECT_SECONDS = 0.05


@dataclass(slots=True)
class Account:
    """What all sessions of a `Sender` saw; read it after `join`."""

    accepted: list[bytes] = field(default_factory=list)
    """Message ids that were answered 250: from here on the server must deliver them."""
    refused: list[str] = field(default_factory=list)
    """Replies of another kind, as text."""
    unanswered: list[bytes] = field(default_factory=list)
    """Message ids whose connection ended before an answer: the server may have them, or not."""
    interruptions: int = 0
    """Connections that failed or ended without our doing; the message in flight is sent again under a new id."""


class Sender:
    """`sessions` threads that send until `count` messages were accepted together."""

    def __init__(
        self,
        port: int,
        *,
        count: int,
        sessions: int = 8,
        size: int = 2000,
        pause: float = 0.0,
        name: str = "client",
        recipient: str = "b@inside.test",
        is_pipelined: bool = False,
    ) -> None:
        """Nothing is sent before `start`; a session begins a message each `pause` seconds, or as soon as it can.

        Message ids are `<NUMBER@NAME.test>`: another `name` for each sender whose messages go to one sink.
        """
        self.account = Account()
        self._port = port
        self._count = count
        self._body = (b"x" * 70 + b"\r\n") * (size // 72 + 1)
        self._pause = pause
        self._name = name.encode()
        self._recipient = recipient
        self._is_pipelined = is_pipelined
        self._number = 0
        self._abandoned = False
        self._lock = threading.Lock()
        self._threads = [threading.Thread(target=self._session, daemon=True) for _ in range(sessions)]

    def start(self) -> None:
        """Begin to send."""
        for thread in self._threads:
            thread.start()

    def join(self, seconds: float = 120.0) -> Account:
        """Wait until all is accepted; the account."""
        deadline = time.monotonic() + seconds
        for thread in self._threads:
            thread.join(max(0.0, deadline - time.monotonic()))
        alive = any(thread.is_alive() for thread in self._threads)
        self._abandoned = True
        assert not alive, (
            f"only {self.progress} of {self._count} accepted within {seconds:g} s: {self.account.refused}"
        )
        return self.account

    @property
    def progress(self) -> int:
        """Messages accepted until now."""
        return len(self.account.accepted)

    def wait_progress(self, count: int) -> None:
        """Return once `count` messages were accepted."""
        wait_until(lambda: self.progress >= count, f"{count} accepted messages", 60)

    def abandon(self) -> Account:
        """Send nothing more; the account once every session has noticed."""
        self._abandoned = True
        for thread in self._threads:
            thread.join(60)
        return self.account

    def _session(self) -> None:
        while not self._is_done:
            try:
                with Wire(self._port) as client:
                    due = time.monotonic()
                    while not self._is_done:
                        self._send(client)
                        now = time.monotonic()
                        # Late by one message is made up for, so that the rate holds; more would be a burst.
                        due = max(due + self._pause, now - self._pause)
                        time.sleep(max(0.0, due - now))
            except (OSError, ValueError):
                with self._lock:
                    self.account.interruptions += 1
                time.sleep(RECONNECT_SECONDS)

    @property
    def _is_done(self) -> bool:
        return self._abandoned or self.progress >= self._count

    def _send(self, client: Wire) -> None:
        with self._lock:
            self._number += 1
            identity = b"<%d@%s.test>" % (self._number, self._name)
        content = b"Message-ID: " + identity + b"\r\n\r\n" + self._body
        try:
            if self._is_pipelined:
                answer = client.send_pipelined("a@client.test", self._recipient, content)
            else:
                answer = client.send("a@client.test", [self._recipient], content)
        except (OSError, ValueError):
            with self._lock:
                self.account.unanswered.append(identity)
            raise
        with self._lock:
            if answer.code == 250:
                self.account.accepted.append(identity)
            else:
                self.account.refused.append(f"{answer.code} {answer.text}")
        if answer.code == 421:
            raise ConnectionError(answer.text)
