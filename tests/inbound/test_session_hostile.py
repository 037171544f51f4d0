"""Clients that mean harm: a crowd that says nothing, a TLS session that ends early, texts made for logs."""

from __future__ import annotations

import asyncio
import ssl
import time

from bridgehead.core.tracking import TrackingEvent
from tests.inbound.receiving import Dialogue, dialogue, receiving

CROWD = 500
SERVED_SECONDS = 30.0
ENVELOPE = b"MAIL FROM:<a@example.org>\r\nRCPT TO:<b@contoso.com>\r\n"


async def test_a_good_client_is_served_beside_a_crowd_of_idle_ones() -> None:
    async with receiving(sessions_max=CROWD + 10) as found:
        crowd = [await asyncio.open_connection("127.0.0.1", found.port) for _ in range(CROWD)]
        try:
            started = time.monotonic()
            async with dialogue(found.port) as client:
                for line in ENVELOPE.splitlines():
                    assert (await client.say(line))[:3] == "250"
                await client.say(b"DATA")
                assert (await client.say(b"x\r\n."))[:3] == "250"
            assert time.monotonic() - started < SERVED_SECONDS
        finally:
            for _, writer in crowd:
                writer.transport.abort()


class TlsByHand:
    """A TLS client over a plain dialogue, so that a test decides which octets are inside TLS."""

    def __init__(self, talk: asyncio.StreamReader, writer: asyncio.StreamWriter, context: ssl.SSLContext) -> None:
        self._reader, self.writer = talk, writer
        self._in, self._out = ssl.MemoryBIO(), ssl.MemoryBIO()
        self._tls = context.wrap_bio(self._in, self._out, server_hostname="localhost")

    async def shake_hands(self) -> None:
        async with asyncio.timeout(5):
            while True:
                try:
                    self._tls.do_handshake()
                except ssl.SSLWantReadError:
                    self.flush()
                    self._in.write(await self._reader.read(65536))
                else:
                    self.flush()
                    return

    def send(self, data: bytes) -> None:
        self._tls.write(data)
        self.flush()

    async def receive(self) -> bytes:
        async with asyncio.timeout(5):
            while True:
                try:
                    return self._tls.read(65536)
                except ssl.SSLWantReadError:
                    self._in.write(await self._reader.read(65536))

    def close_notify(self) -> None:
        try:
            self._tls.unwrap()
        except ssl.SSLWantReadError:
            self.flush()

    def flush(self) -> None:
        self.writer.write(self._out.read())


async def test_the_end_of_tls_within_a_chunk_is_the_end_of_the_session(
    server_tls: ssl.SSLContext, client_tls: ssl.SSLContext
) -> None:
    async with receiving(tls=server_tls) as found:
        reader, writer = await asyncio.open_connection("127.0.0.1", found.port)
        talk = Dialogue(reader, writer)
        await talk.reply()
        await talk.say(b"EHLO client.example")
        assert (await talk.say(b"STARTTLS"))[:3] == "220"
        client = TlsByHand(reader, writer, client_tls)
        await client.shake_hands()
        client.send(b"EHLO client.example\r\n")
        assert (await client.receive()).startswith(b"250-")
        client.send(ENVELOPE + b"BDAT 100 LAST\r\n" + b"x" * 50)
        assert (await client.receive()).startswith(b"250 ")
        client.close_notify()
        writer.write(b"y" * 50 + b"QUIT\r\n")
        # What comes is the peer's own close_notify at most, and the end: no reply, neither in TLS nor in the clear.
        rest = await ending(reader)
        assert b"250" not in rest
        assert b"221" not in rest
        assert not found.messages
        writer.close()


async def ending(reader: asyncio.StreamReader) -> bytes:
    """All that comes until the connection is gone."""
    try:
        async with asyncio.timeout(5):
            return await reader.read()
    except ConnectionResetError:
        return b""


async def test_what_a_client_says_reaches_events_as_printable_text_alone() -> None:
    hostile = (
        b"EHLO \x1b[2J\x07\xe2\x80\xae\xc2\x85",
        b"MAIL FROM:<a\x7f@example.org> SMTPUTF8",
        "MAIL FROM:<a\u202e@example.org> SMTPUTF8".encode(),
        b'MAIL FROM:<"a\\"\x1b"@example.org>',
        "MAIL FROM:<é@example.org> SMTPUTF8".encode(),
        b"RCPT TO:<x\x1b@contoso.com>",
        b"RCPT TO:<x@nowhere.example>",
        b"RCPT TO:<b@contoso.com>",
        b"DATA",
        b"Message-ID: <\x1b[31m\xc2\x9b\xe2\x80\xa8@x>\r\nSubject: \x07\r\n\r\nx\r\n.",
    )
    async with receiving() as found, dialogue(found.port) as client:
        replies = [await client.say(line) for line in hostile]
        assert replies[-1][:3] == "250"
        assert found.events
        for event in found.events:
            assert all(text.isprintable() for text in texts_of(event)), event


def texts_of(event: TrackingEvent) -> list[str]:
    return [value for name in event.__struct_fields__ if isinstance(value := getattr(event, name), str)]
