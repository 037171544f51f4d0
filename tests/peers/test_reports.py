"""What reaches the sender of mail that failed for some of its recipients, through a whole server."""

from __future__ import annotations

import asyncio
import email
import re
import threading
from collections import Counter
from collections.abc import Iterator
from concurrent.futures import Future
from contextlib import contextmanager
from email.message import Message

import pytest
from aiosmtpd.lmtp import LMTP
from aiosmtpd.smtp import SMTP, Envelope, Session

from tests.peers.child import wait_until
from tests.peers.conftest import NewBridgehead
from tests.peers.connections import stop_accepting
from tests.peers.sink import Received, Sink
from tests.peers.wire import Wire

pytestmark = [pytest.mark.peer, pytest.mark.timeout(120)]

CONTENT = b"Subject: one\r\nMessage-ID: <1@client.test>\r\n\r\n" + b"x" * 70 + b"\r\n"
LARGE = CONTENT + b"".join(b"%070d\r\n" % number for number in range(100))
WITHOUT_SMTPUTF8 = (b"PIPELINING", b"8BITMIME", b"DSN", b"ENHANCEDSTATUSCODES", b"SIZE 0")


def connector(name: str, spaces: str, port: int, more: str = "") -> str:
    return (
        f'[[connector]]\nname = "{name}"\nroute = "smart-hosts"\naddress_spaces = [{spaces}]\n'
        f'smart_hosts = "[127.0.0.1]:{port}"\n{more}\n'
    )


def reports(sink: Sink) -> list[Received]:
    return [message for message in tuple(sink.received) if message.mail.startswith(b"<>")]


def failed(report: Received) -> dict[str, str]:
    """Final recipients of a report, and their status."""
    parts = children(email.message_from_bytes(report.content))
    groups = children(parts[1])
    return {group["Final-Recipient"].partition("; ")[2]: group["Status"] for group in groups[1:]}


def children(message: Message) -> list[Message]:
    payload = message.get_payload()
    assert isinstance(payload, list)
    return [part for part in payload if isinstance(part, Message)]


def reported(sink: Sink) -> Counter[tuple[str, str]]:
    return Counter(item for report in reports(sink) for item in failed(report).items())


class Store:
    """A mail store with one mailbox that is over its quota."""

    def __init__(self) -> None:
        self.taken: list[str] = []

    async def handle_DATA(self, server: SMTP, session: Session, envelope: Envelope) -> str:
        self.taken += [address for address in envelope.rcpt_tos if not address.startswith("full")]
        replies = (
            "552 5.2.2 over quota" if one.startswith("full") else "250 2.0.0 stored" for one in envelope.rcpt_tos
        )
        return "\r\n".join(replies)


@contextmanager
def lmtp(store: Store) -> Iterator[int]:
    """The store in a thread; its port."""
    port: Future[int] = Future()
    loop: Future[tuple[asyncio.AbstractEventLoop, asyncio.Event]] = Future()

    async def serve() -> None:
        running, stop = asyncio.get_running_loop(), asyncio.Event()
        sessions: list[LMTP] = []

        def session() -> LMTP:
            sessions.append(LMTP(store, hostname="store.test", loop=running))
            return sessions[-1]

        server = await running.create_server(session, "127.0.0.1", 0)
        loop.set_result((running, stop))
        port.set_result(server.sockets[0].getsockname()[1])
        await stop.wait()
        await stop_accepting(server)
        for one in sessions:
            if isinstance(one.transport, asyncio.WriteTransport):
                one.transport.abort()
        await asyncio.sleep(0.01)

    thread = threading.Thread(target=lambda: asyncio.run(serve()), daemon=True)
    thread.start()
    try:
        yield port.result(10)
    finally:
        running, stop = loop.result(10)
        running.call_soon_threadsafe(stop.set)
        thread.join(10)


def test_sender_is_told_of_exactly_the_recipients_that_were_refused_wherever_that_was(
    new_bridgehead: NewBridgehead,
) -> None:
    """By the next hop at RCPT, by a store at the end of data, and by our own limits once the size was known."""
    store = Store()
    refuse = lambda line: b"550 5.1.1 no such user\r\n" if line.upper().startswith(b"RCPT TO:<NO@") else b""  # noqa: E731
    with Sink(decide=refuse) as sink, lmtp(store) as store_port:
        bridgehead = new_bridgehead()
        bridgehead.configure(
            connector("Small", '"SMTP:small.test"', sink.port, "[connector.restrictions]\nsize_less_than_kb = 4")
            + connector("Rest", '"SMTP:two.test", "SMTP:client.test"', sink.port)
            + f'[[accepted_domain]]\ndomain = "store.test"\ndeliver = "lmtp:127.0.0.1:{store_port}"\n'
        )
        bridgehead.start()
        recipients = ["yes@two.test", "no@two.test", "big@small.test", "full@store.test", "kept@store.test"]
        with Wire(bridgehead.port) as client:
            assert client.send("a@client.test", recipients, LARGE).code == 250
        expected = {"no@two.test": "5.1.1", "full@store.test": "5.2.2"}
        wait_until(lambda: len(reported(sink)) >= 3, "reports on three recipients")
        wait_until(lambda: bool(store.taken) and len(sink.received) > len(reports(sink)), "the message")
        told = reported(sink)
        assert set(told.values()) == {1}, "each once"
        statuses = dict(list(told))
        assert statuses.keys() == {*expected, "big@small.test"}
        assert expected.items() <= statuses.items()
        assert statuses["big@small.test"].startswith("5.")
        assert {report.recipients[0].partition(b">")[0] for report in reports(sink)} == {b"<a@client.test"}
        assert store.taken == ["kept@store.test"]
        taken = [message for message in sink.received if not message.mail.startswith(b"<>")]
        assert [re.findall(rb"<(.*?)>", line) for line in taken[0].recipients] == [[b"yes@two.test"]]
        assert len(taken) == 1
        assert taken[0].content.endswith(LARGE)


def test_refusals_by_many_hosts_come_back_in_few_reports(new_bridgehead: NewBridgehead) -> None:
    addresses = [f"u{number}@d{number % 60}.test" for number in range(1000)]
    refuse = lambda line: b"550 5.1.1 no such user\r\n" if re.match(rb"(?i)RCPT TO:<u\d", line) else b""  # noqa: E731
    with Sink(decide=refuse) as sink:
        bridgehead = new_bridgehead()
        hosts = "".join(connector(f"C{number}", f'"SMTP:d{number}.test"', sink.port) for number in range(60))
        bridgehead.configure(hosts + connector("Back", '"SMTP:client.test"', sink.port), workers=1)
        bridgehead.start()
        with Wire(bridgehead.port) as client:
            assert client.send("a@client.test", addresses, CONTENT).code == 250
        wait_until(lambda: len(reported(sink)) == 1000, "reports on all recipients", 60)
        print(f"reports on 1,000 recipients at 60 hosts: {len(reports(sink))}")
        assert set(reported(sink).values()) == {1}
        assert len(reports(sink)) <= 3


def test_report_on_an_international_address_finds_its_way_over_a_host_without_smtputf8(
    new_bridgehead: NewBridgehead,
) -> None:
    with Sink(extensions=WITHOUT_SMTPUTF8) as sink:
        bridgehead = new_bridgehead()
        bridgehead.configure(connector("Everything", '"SMTP:*"', sink.port))
        bridgehead.start()
        header = "Subject: \u041f\u0440\u0438\u0432\u0435\u0442\r\n\r\n\u0434\u0430\r\n".encode()
        with Wire(bridgehead.port) as client:
            assert client.send("a@client.test", ["\u7528@two.test"], header, " SMTPUTF8 BODY=8BITMIME").code == 250
        wait_until(lambda: len(reports(sink)) == 1, "the report")
        (report,) = reports(sink)
        assert failed(report) == {"\\x{7528}@two.test": "5.6.7"}
        assert b"SMTPUTF8" not in report.mail
        assert report.content.partition(b"\r\n\r\n")[0].isascii()
