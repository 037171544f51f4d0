"""Sessions over real sockets: with independent clients, and with octets written by hand."""

from __future__ import annotations

import asyncio
import smtplib
import socket
import ssl
from dataclasses import replace

import aiosmtplib
import pytest
import trustme

from bridgehead.core.organization import (
    Delivery,
)
from bridgehead.core.tracking import Step
from tests.inbound.receiving import KEY, dialogue, organization, receiving
from tests.inbound.saying import ENVELOPE, MAIL, MESSAGE, changed, until

# Independent clients


async def test_smtplib_delivers_a_message() -> None:
    async with receiving() as found:

        def send() -> None:
            with smtplib.SMTP("127.0.0.1", found.port, timeout=10) as client:
                client.sendmail("a@example.org", ["b@contoso.com", "c@contoso.com"], MESSAGE)

        await asyncio.to_thread(send)
        (message,) = found.messages
        assert found.bodies == [MESSAGE]
        assert message.envelope.reverse_path == "a@example.org"
        assert [recipient.address for recipient in message.envelope.recipients] == ["b@contoso.com", "c@contoso.com"]
        assert message.envelope.size == len(MESSAGE)
        assert message.envelope.message_id == "<1@example.org>"
        assert (message.envelope.client, message.envelope.protocol) == ("127.0.0.1", "ESMTP")
        (event,) = found.events
        assert (event.step, event.recipients, event.size) == (Step.RECEIVED, 2, len(MESSAGE))


async def test_aiosmtplib_delivers_many_messages_over_one_connection() -> None:
    async with receiving() as found:
        async with aiosmtplib.SMTP(hostname="127.0.0.1", port=found.port, start_tls=False) as client:
            for number in range(20):
                await client.sendmail("a@example.org", ["b@contoso.com"], b"Subject: %d\r\n\r\nx\r\n" % number)
        assert found.bodies == [b"Subject: %d\r\n\r\nx\r\n" % number for number in range(20)]


async def test_starttls_with_smtplib(server_tls: ssl.SSLContext, client_tls: ssl.SSLContext) -> None:
    async with receiving(tls=server_tls) as found:

        def send() -> None:
            with smtplib.SMTP("127.0.0.1", found.port, timeout=10) as client:
                client.starttls(context=client_tls)
                client.login("user", "secret")
                client.sendmail("a@example.org", ["b@contoso.com"], MESSAGE)

        await asyncio.to_thread(send)
        (message,) = found.messages
        assert (message.envelope.protocol, message.envelope.user) == ("ESMTPSA", "user")
        content = message.body.content or b""
        assert b"with ESMTPSA" in content
        assert b"TLSv1.3" in content
        assert b"user" not in content.split(b"Subject:")[0].replace(b"(submitted", b"")


async def test_implicit_tls_with_smtplib(server_tls: ssl.SSLContext, client_tls: ssl.SSLContext) -> None:
    async with receiving(tls=server_tls, implicit_tls=True) as found:

        def send() -> None:
            with smtplib.SMTP_SSL("127.0.0.1", found.port, timeout=10, context=client_tls) as client:
                client.sendmail("a@example.org", ["b@contoso.com"], MESSAGE * 5000)

        await asyncio.to_thread(send)
        assert found.bodies == [MESSAGE * 5000]
        assert found.messages[0].envelope.protocol == "ESMTPS"


async def test_implicit_tls_uses_the_certificate_in_force(
    server_tls: ssl.SSLContext, client_tls: ssl.SSLContext, authority: trustme.CA
) -> None:
    renewed = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    authority.issue_cert("127.0.0.1", common_name="renewed").configure_cert(renewed)
    async with receiving(tls=server_tls, implicit_tls=True) as found:

        def name() -> str:
            with smtplib.SMTP_SSL("127.0.0.1", found.port, timeout=10, context=client_tls) as client:
                assert isinstance(client.sock, ssl.SSLSocket)
                return str(client.sock.getpeercert())

        assert "renewed" not in await asyncio.to_thread(name)
        found.in_force = replace(found.in_force, tls={KEY: renewed})
        assert "renewed" in await asyncio.to_thread(name)


# Content


async def test_a_large_message_arrives_as_it_was_sent() -> None:
    content = b"Subject: x\r\n\r\n" + b"".join(b".%d\r\n" % number for number in range(200_000))
    async with receiving() as found, dialogue(found.port) as client:
        await client.send(ENVELOPE + b"\r\n")
        assert [(await client.reply())[:3] for _ in range(3)] == ["250", "250", "354"]
        await client.send(content.replace(b"\r\n.", b"\r\n..") + b".\r\n")
        assert (await client.reply()).startswith("250 2.0.0 Message queued as ")
        assert found.bodies == [content]


async def test_only_the_received_line_is_added_for_a_client_that_did_not_authenticate() -> None:
    async with receiving() as found, dialogue(found.port) as client:
        await client.send(ENVELOPE + b"\r\n")
        for _ in range(3):
            await client.reply()
        assert (await client.say(b"no header at all\r\n."))[:3] == "250"
        content = found.messages[0].body.content or b""
        assert content.startswith(b"Received: from client.example ([127.0.0.1])\r\n\tby mail.contoso.com")
        assert found.bodies == [b"no header at all\r\n"]


@pytest.mark.parametrize("way", ["DATA", "BDAT"])
async def test_a_first_line_that_begins_with_white_space_is_body(way: str) -> None:
    """It would else continue our Received line and change its words; nothing of it is lost."""
    content = b" by mx.evil.example;\r\n\tMon, 1 Jan 2001 00:00:00 +0000\r\nSubject: x\r\n\r\nx\r\n"
    async with receiving() as found, dialogue(found.port) as talk:
        await talk.say(MAIL)
        await talk.say(b"RCPT TO:<b@contoso.com>")
        if way == "DATA":
            assert (await talk.say(b"DATA")).startswith("354 ")
            assert (await talk.say(content + b".")).startswith("250 ")
        else:
            chunk = b"BDAT %d LAST\r\n" % len(content) + content
            assert (await talk.say(chunk.removesuffix(b"\r\n"))).startswith("250 ")
        assert found.bodies == [b"\r\n" + content]
        header, _, body = (found.messages[0].body.content or b"").partition(b"\r\n\r\n")
        assert header.startswith(b"Received: ")
        assert b"evil" not in header
        assert body == content


async def test_date_and_message_id_are_added_for_a_client_that_authenticated() -> None:
    async with receiving() as found, dialogue(found.port) as client:
        assert (await client.say(b"AUTH PLAIN AHVzZXIAc2VjcmV0")).startswith("235 2.7.0")
        await client.send(ENVELOPE + b"\r\n")
        for _ in range(3):
            await client.reply()
        await client.send(b"Subject: x\r\n")
        assert (await client.say(b"\r\ny\r\n."))[:3] == "250"
        (body,) = found.bodies
        lines = body.split(b"\r\n")
        assert lines[0].startswith(b"Date: ")
        assert lines[1].startswith(b"Message-ID: <")
        assert lines[2:] == [b"Subject: x", b"", b"y", b""]


async def test_eight_bit_content_is_taken_unchanged_without_body() -> None:
    async with receiving() as found, dialogue(found.port) as client:
        await client.send(ENVELOPE + b"\r\n")
        for _ in range(3):
            await client.reply()
        await client.say(b"Subject: \xfc\r\n\r\nx\r\n.")
        assert found.messages[0].envelope.has_eight_bit
        assert found.messages[0].envelope.body_type == "7BIT"
        assert found.bodies == [b"Subject: \xfc\r\n\r\nx\r\n"]


async def test_smtputf8_shows_in_the_protocol() -> None:
    async with receiving() as found, dialogue(found.port) as client:
        await client.say(MAIL + b" SMTPUTF8")
        await client.say("RCPT TO:<ü@contoso.com>".encode())
        await client.say(b"DATA")
        await client.say(b"x: y\r\n.")
        assert found.messages[0].envelope.smtputf8
        assert b"with UTF8SMTP id" in (found.messages[0].body.content or b"")


@pytest.mark.parametrize(("hops", "code"), [(2, "250 2.0.0"), (3, "554 5.4.6")])
async def test_as_many_hops_as_allowed_pass(hops: int, code: str) -> None:
    configuration = organization(virtual_server=changed(delivery=Delivery(hop_count_max=2)))
    async with receiving(configuration) as found, dialogue(found.port) as client:
        await client.send(ENVELOPE + b"\r\n")
        for _ in range(3):
            await client.reply()
        assert (await client.say(b"Received: x\r\n" * hops + b"\r\n."))[:9] == code


async def test_a_bare_line_feed_is_refused_and_the_session_ends() -> None:
    async with receiving() as found, dialogue(found.port) as client:
        await client.send(ENVELOPE + b"\r\n")
        for _ in range(3):
            await client.reply()
        await client.send(b"x\n.\nMAIL FROM:<evil@example.org>\r\n.\r\nNOOP\r\n")
        assert (await client.rest()).startswith(b"550 5.6.0 ")
        assert found.messages == []
        assert [event.step for event in found.events] == [Step.REFUSED]


# TLS


async def test_what_stands_behind_starttls_is_dropped(server_tls: ssl.SSLContext, client_tls: ssl.SSLContext) -> None:
    async with receiving(tls=server_tls) as found:

        def inject() -> bytes:
            with socket.create_connection(("127.0.0.1", found.port), timeout=10) as raw:
                raw.recv(1000)
                raw.sendall(b"EHLO c.example\r\n")
                raw.recv(1000)
                raw.sendall(b"STARTTLS\r\nMAIL FROM:<evil@example.org>\r\nRCPT TO:<victim@contoso.com>\r\n")
                assert raw.recv(1000) == b"220 2.0.0 Ready to start TLS\r\n"
                with client_tls.wrap_socket(raw, server_hostname="127.0.0.1") as secured:
                    secured.sendall(b"NOOP\r\n")
                    noop = secured.recv(1000)
                    secured.sendall(b"RCPT TO:<victim@contoso.com>\r\n")
                    return noop + secured.recv(1000)

        assert (await asyncio.to_thread(inject)) == b"250 2.0.0 OK\r\n503 5.5.1 Send EHLO or HELO first\r\n"


async def test_a_failed_handshake_ends_the_connection(server_tls: ssl.SSLContext) -> None:
    async with receiving(tls=server_tls) as found, dialogue(found.port) as client:
        assert (await client.say(b"STARTTLS"))[:3] == "220"
        await client.send(b"this is no handshake\r\n" * 20)
        await client.rest()
        await until(lambda: not found.server.session_counts())


async def test_a_client_that_leaves_in_the_handshake_is_forgotten(server_tls: ssl.SSLContext) -> None:
    async with receiving(tls=server_tls) as found:
        async with dialogue(found.port) as client:
            assert (await client.say(b"STARTTLS"))[:3] == "220"
        await until(lambda: not found.server.session_counts())


async def test_ehlo_in_the_same_flight_as_the_end_of_the_handshake_is_heard(
    server_tls: ssl.SSLContext, client_tls: ssl.SSLContext
) -> None:
    """A client need not wait between its last handshake octets and EHLO; many messages make a lost one show."""
    async with receiving(tls=server_tls) as found:

        def talk() -> bytes:
            with socket.create_connection(("127.0.0.1", found.port), timeout=10) as raw:
                raw.recv(1000)
                raw.sendall(b"EHLO c.example\r\n")
                raw.recv(1000)
                raw.sendall(b"STARTTLS\r\n")
                raw.recv(1000)
                into, out = ssl.MemoryBIO(), ssl.MemoryBIO()
                secured = client_tls.wrap_bio(into, out, server_hostname="127.0.0.1")
                while True:
                    try:
                        secured.do_handshake()
                        break
                    except ssl.SSLWantReadError:
                        raw.sendall(out.read())
                        into.write(raw.recv(65_536))
                secured.write(b"EHLO c.example\r\n")
                raw.sendall(out.read())
                while True:
                    into.write(raw.recv(65_536))
                    try:
                        return secured.read(1000)
                    except ssl.SSLWantReadError:
                        continue

        for _ in range(5):
            assert (await asyncio.to_thread(talk)).startswith(b"250-mail.contoso.com\r\n")
