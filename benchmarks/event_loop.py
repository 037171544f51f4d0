"""What one message costs the event loop: all of Python between the sockets, without sockets, disk and threads.

    python -m benchmarks.event_loop                microseconds of CPU a message, the best of many rounds
    python -m benchmarks.event_loop --bytecodes    bytecodes and calls of Python a message, by function

The second is the same on every machine, however busy: the measure for small changes. A session receives a message of
4 KB from a client that does not pipeline, the dispatcher routes it, a channel sends it; what the spool's thread would
do is answered at once.
"""

from __future__ import annotations

import argparse
import asyncio
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Callable, Sequence
from pathlib import Path
from types import CodeType, FrameType
from typing import Any, cast

import uvloop

from bridgehead.control.configuration.load import load
from bridgehead.core.queue_id import QueueIds
from bridgehead.core.tracking import TrackingEvent
from bridgehead.inbound.credentials import CredentialCheck
from bridgehead.inbound.handshakes import Handshakes
from bridgehead.inbound.reception import InForce, Reception, SessionLeases
from bridgehead.inbound.session import Session
from bridgehead.inbound.sessions import Sessions
from bridgehead.outbound.allowance import LocalAllowance
from bridgehead.outbound.contract import Channel, Destination, Unavailable
from bridgehead.outbound.dispatcher import Dispatcher, Surroundings
from bridgehead.outbound.hand_back import Badmail
from bridgehead.outbound.smtp_channel import ChannelTerms, SmtpChannel
from bridgehead.outbound.timeouts import TIMEOUTS
from bridgehead.smtp.client import ClientConnection
from bridgehead.spool.sqlite import SqliteSpool
from bridgehead.spool.writer import Submission, Writer

CONFIGURATION = """
[node]
state_dir = "{state}"
[[virtual_server]]
name = "Default"
listen = ["127.0.0.1:2525"]
fqdn = "mail.example"
messages.messages_per_connection = 0
[[connector]]
name = "ISP"
route = "smart-hosts"
smart_hosts = "[127.0.0.1]:2526"
address_spaces = ["*"]
limits.messages_per_connection = 0
"""
FIELDS = (b"From: <a@b.example>", b"To: <c@d.example>", b"Date: Thu, 1 Jan 2026 00:00:00 +0000", b"Message-Id: <1@b>")
MESSAGE = b"\r\n".join((*FIELDS, b"", b"")) + (b"X" * 78 + b"\r\n") * 51 + b".\r\n"
WARM_UP = 300


class Wire:
    """A transport that keeps what was written last."""

    def __init__(self) -> None:
        self.written = b""
        self.is_used = asyncio.Event()

    def get_extra_info(self, name: str, _default: object = None) -> object:
        """The client's address; nothing else is known."""
        return ("127.0.0.1", 40000) if name == "peername" else None

    def write(self, data: bytes) -> None:
        """Keep it."""
        self.written = data
        self.is_used.set()

    def set_write_buffer_limits(self, _high: int) -> None:
        """Nothing waits here."""


class OneHost:
    """A dialer whose host is ready at once."""

    def __init__(self) -> None:
        self.wire = Wire()
        self.channel: SmtpChannel | None = None

    async def open(self, _destination: Destination, closed: Callable[[], None]) -> Channel | Unavailable:
        """The one channel."""
        channel = SmtpChannel(ClientConnection("mail.example", "[127.0.0.1]:2526"), ChannelTerms(TIMEOUTS, 0))
        channel.connection_made(cast("asyncio.Transport", self.wire))
        channel.data_received(b"220 sink.example\r\n")
        channel.data_received(b"250-sink.example\r\n250-PIPELINING\r\n250 8BITMIME\r\n")
        channel.carry(closed)
        self.channel = channel
        return channel


class LoopOfSpool(SqliteSpool):
    """The event loop's side of the spool; its thread is played by `commit`."""

    def __init__(self, state_dir: Path) -> None:
        super().__init__(state_dir, 0)
        self.waiting: list[Submission] = []

    def put(self, submission: Submission) -> None:
        """Take it, as the thread does."""
        self.waiting.append(submission)

    def commit(self) -> None:
        """Answer for all that was submitted."""
        while self.waiting:
            waiting, self.waiting = self.waiting, []
            self._committed([(submission, None) for submission in waiting])

    def _started_writer(self) -> Writer:
        return cast("Writer", self)


class Relay:
    """One session and one channel, and all that is between them."""

    def __init__(self, folder: Path, tasks: asyncio.TaskGroup) -> None:
        (folder / "c.toml").write_text(CONFIGURATION.format(state=folder))
        configuration = load(folder / "c.toml").configuration
        assert configuration is not None
        organization, loop, ids = configuration.organization, asyncio.get_running_loop(), QueueIds(0)
        new_id = lambda: ids.next(time.time())  # noqa: E731
        self.host, self.client = OneHost(), Wire()
        self.spool = LoopOfSpool(folder)
        self.dispatcher = Dispatcher(
            Surroundings(
                spool=self.spool,
                dialer=self.host,
                allowance=LocalAllowance(loop.call_soon),
                emit=_forget,
                clock=time.time,
                new_id=new_id,
                report_link=lambda _name, _is_up: None,
                badmail=Badmail(folder / "badmail"),
            ),
            configuration.node.server,
            organization,
        )
        in_force = InForce(organization)
        reception = Reception(
            spool=self.spool,
            current=lambda: in_force,
            next_id=new_id,
            clock=time.time,
            accepted=self.dispatcher.accepted,
            emit=_forget,
            tasks=tasks,
            credentials=CredentialCheck(time.monotonic),
            leases=cast("SessionLeases", None),
        )
        key = organization.virtual_servers[0].key
        self.session = Session(reception, Sessions(10), Handshakes(), key, implicit_tls=False)
        self.session.connection_made(cast("asyncio.Transport", self.client))
        self.session.data_received(b"EHLO client.example\r\n")

    def receive(self) -> None:
        """One message comes in."""
        for line in (b"MAIL FROM:<a@b.example>\r\n", b"RCPT TO:<c@d.example>\r\n", b"DATA\r\n", MESSAGE):
            self.session.data_received(line)
        self.spool.commit()
        assert self.client.written.startswith(b"250 2.0.0"), self.client.written

    def send(self) -> None:
        """It goes out."""
        channel = self.host.channel
        assert channel is not None
        channel.data_received(b"250 2.1.0 Ok\r\n250 2.1.5 Ok\r\n354 Go on\r\n")
        assert self.host.wire.written.endswith(b"\r\n.\r\n")
        channel.data_received(b"250 2.0.0 Ok\r\n")
        self.spool.commit()

    def relay(self, count: int) -> None:
        """So many messages, one after the other."""
        for _ in range(count):
            self.receive()
            self.send()


def _forget(_event: TrackingEvent) -> None:
    """Log and tracking store are a thread's."""


def best(relay: Relay, count: int, rounds: int) -> float:
    """Microseconds a message in the best round."""
    fastest = float("inf")
    for _ in range(rounds):
        started = time.process_time()
        relay.relay(count)
        fastest = min(fastest, time.process_time() - started)
    return fastest / count * 1e6


def show_bytecodes(relay: Relay, count: int) -> None:
    """A table of the functions in which most is done."""
    codes: Counter[CodeType] = Counter()
    calls: Counter[CodeType] = Counter()

    def trace(frame: FrameType, event: str, _argument: Any) -> Any:
        frame.f_trace_opcodes, frame.f_trace_lines = True, False
        if event == "opcode":
            codes[frame.f_code] += 1
        elif event == "call":
            calls[frame.f_code] += 1
        return trace

    sys.settrace(trace)
    relay.relay(count)
    sys.settrace(None)
    print(f"{codes.total() / count:.0f} bytecodes and {calls.total() / count:.0f} calls a message")
    for code, number in codes.most_common(40):
        where = f"{code.co_filename.rpartition('bridgehead/')[2]}:{code.co_firstlineno}"
        print(f"{number / count:8.1f} {calls[code] / count:6.1f}  {where:36} {code.co_name}")


async def run(arguments: argparse.Namespace) -> None:
    """Set the stage, warm up, measure."""
    with tempfile.TemporaryDirectory() as folder:
        async with asyncio.TaskGroup() as tasks:
            relay = Relay(Path(folder), tasks)
            running = tasks.create_task(relay.dispatcher.run())
            relay.receive()
            await relay.host.wire.is_used.wait()
            relay.send()
            relay.relay(WARM_UP)
            if arguments.bytecodes:
                show_bytecodes(relay, 100)
            else:
                print(f"{best(relay, 1000, arguments.rounds):.1f} us of CPU a message, without sockets and disk")
            running.cancel()


def main(words: Sequence[str] | None = None) -> None:
    """The command."""
    parser = argparse.ArgumentParser(description="What one message costs the event loop.")
    parser.add_argument("--bytecodes", action="store_true", help="count instead of measuring")
    parser.add_argument("--rounds", type=int, default=20, help="rounds of 1,000 messages (default 20)")
    uvloop.run(run(parser.parse_args(words)))


if __name__ == "__main__":
    main()
