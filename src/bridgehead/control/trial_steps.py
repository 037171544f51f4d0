"""The steps of a trial: what a conversation's trace comes to, each with its time and what came of it.

A refusal is kept back until it is known what followed: where the conversation goes on without what was refused
(STARTTLS under `opportunistic`, EHLO for HELO) it is a warning, where it ends there it is the failure.
"""

from __future__ import annotations

from collections.abc import Callable
from enum import StrEnum
from typing import Final, TypeAlias

import msgspec

from bridgehead.core.reply import printable
from bridgehead.smtp.client_event import TraceKind

TCP: Final = "TCP"
GREETING: Final = "greeting"
MESSAGE: Final = "message"
DNS: Final = "DNS"
TLS: Final = "TLS"
CERTIFICATE: Final = "certificate"
UNTOLD: Final = frozenset({"QUIT", "RSET"})
"""Commands whose answers say nothing about the connector."""


class Result(StrEnum):
    """What came of a step."""

    PASSED = "passed"
    WARNING = "warning"
    """It did not work, and mail flows all the same."""
    FAILED = "failed"


class Step(msgspec.Struct, frozen=True):
    """One step with one host."""

    host: str
    """`"mx1.fabrikam.com[192.0.2.7]:25"`, or the smart host as written where no address is known yet."""
    name: str
    """`"DNS"`, `"TCP"`, `"greeting"`, `"TLS"`, `"certificate"`, `"message"`, or the command."""
    result: Result
    seconds: float
    words: str
    """What the server or the machine said, made printable."""
    advice: str = ""
    """What to do; empty: nothing."""


Tell: TypeAlias = Callable[[Step], None]


class Watch:
    """Turns the trace of one conversation into steps. Used by one attempt; `clock` counts seconds, monotonic.

    Commands are sent one at a time, so that each answer has its own time.
    """

    def __init__(self, host: str, clock: Callable[[], float], tell: Tell) -> None:
        self._host = host
        self._clock = clock
        self._tell = tell
        self._ended = clock()  # the step before; a handshake begins with its end
        self._asked = self._ended  # when the command was sent
        self._command = GREETING
        self._refused: Step | None = None
        self._is_muted = False

    def trace(self, kind: TraceKind, text: str) -> None:
        """One line of the trace, for `Wiring.trace`."""
        self.settle()
        if self._is_muted:
            return
        match kind:
            case TraceKind.DIAL:
                self._ended = self._clock()
                self._command = GREETING
            case TraceKind.CONNECTED:
                self.passed(TCP, "connected")
                self._asked = self._ended
            case TraceKind.TLS if text.startswith("TLS"):
                self.passed(TLS, text)
            case TraceKind.TLS:  # what failed, and that it is tried again without
                self._tell(self._step(TLS, Result.WARNING, text))
            case TraceKind.SENT:
                self._sent(text)
            case TraceKind.RECEIVED:
                self._received(text)

    def passed(self, name: str, words: str) -> None:
        """A step went well; it took from the one before to now."""
        self._tell(self._step(name, Result.PASSED, words))

    def failed(self, name: str, words: str) -> None:
        """The conversation ended here; a refusal that was kept back tells it better."""
        step = self._refused or self._step(name, Result.FAILED, words)
        self._refused = None
        self._tell(step)

    def mute(self) -> None:
        """What is traced from now on is told by `passed` or `failed` alone."""
        self.settle()
        self._ended = self._clock()
        self._is_muted = True

    def settle(self) -> None:
        """A refusal that was kept back did not end the conversation."""
        if self._refused is not None:
            self._tell(msgspec.structs.replace(self._refused, result=Result.WARNING))
            self._refused = None

    def _sent(self, line: str) -> None:
        if line != "<hidden>":  # a further line of AUTH, whose step has begun
            self._asked = self._clock()
            self._command = line.partition(" ")[0]

    def _received(self, reply: str) -> None:
        if self._command in UNTOLD or (self._command == "AUTH" and reply.startswith("334")):
            return
        if reply[:1] in {"2", "3"}:
            self._tell(self._step(self._command, Result.PASSED, reply, self._asked))
        else:
            self._refused = self._step(self._command, Result.FAILED, reply, self._asked)

    def _step(self, name: str, result: Result, words: str, since: float = 0.0) -> Step:
        now = self._clock()
        seconds, self._ended = now - (since or self._ended), now
        return Step(self._host, name, result, seconds, printable(words.replace("\n", " ")))
