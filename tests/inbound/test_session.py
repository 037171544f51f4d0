"""Sessions over real sockets: with independent clients, and with octets written by hand."""

from __future__ import annotations

import asyncio
import errno
import smtplib
import socket
import ssl
from collections.abc import Callable
from dataclasses import replace

import aiosmtplib
import pytest
import trustme

from bridgehead.core.organization import (
    Certificate,
    ClientList,
    ConnectionControl,
    Delivery,
    ListMode,
    MessageLimits,
    RelayRestrictions,
    ServerAuthentication,
    ServerTls,
    VirtualServer,
)
from bridgehead.core.tracking import Step
from bridgehead.inbound import session
from tests.inbound.receiving import KEY, LOOPBACK, USERS, dialogue, organization, receiving, server

MESSAGE = b"Subject: hello\r\nMessage-ID: <1@example.org>\r\n\r\nline\r\n.dot\r\n"
MAIL = b"MAIL FROM:<a@example.org>"
RCPT = b"RCPT TO:<b@contoso.com>"
ENVELOPE = MAIL + b"\r\n" + RCPT + b"\r\nDATA"


async def until(condition: Callable[[], bool]) -> None:
    """Wait, with a limit, until something is so."""
    async with asyncio.timeout(5):
        while not condition():  # noqa: ASYNC110 - what is waited for has no event of its own
            await asyncio.sleep(0.001)


def changed(**fields: object) -> VirtualServer:
    return replace(server(), **fields)  # type: ignore[arg-type]  # the fields of the dataclass, by name


def certificate() -> Certificate:
    return Certificate("cert.pem", "key.pem", b"", b"")


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


# Acceptance


async def test_250_is_sent_only_when_the_commit_is_done() -> None:
    async with receiving(manual=True) as found, dialogue(found.port) as client:
        await client.send(ENVELOPE + b"\r\n")
        for _ in range(3):
            await client.reply()
        await client.send(b"x: y\r\n.\r\nNOOP\r\n")
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(0.05):
                await client.reply()
        assert found.messages == []
        found.spool.commit()
        assert len(found.messages) == 1
        assert (await client.reply()).startswith("250 2.0.0 Message queued as ")
        assert (await client.reply()).startswith("250 2.0.0")


async def test_a_spool_that_cannot_write_is_452_and_the_session_goes_on(caplog: pytest.LogCaptureFixture) -> None:
    async with receiving() as found, dialogue(found.port) as client:
        found.spool.fail_next(OSError(errno.ENOSPC, "disk full"))
        for expected in ("452 4.3.1", "250 2.0.0"):
            await client.send(ENVELOPE + b"\r\n")
            for _ in range(3):
                await client.reply()
            assert (await client.say(b"x: y\r\n."))[:9] == expected
        assert len(found.messages) == 1


async def test_a_body_that_cannot_be_begun_is_452(caplog: pytest.LogCaptureFixture) -> None:
    async with receiving() as found, dialogue(found.port) as client:
        found.spool.body_error = OSError(errno.ENOSPC, "disk full")
        await client.send(ENVELOPE + b"\r\n")
        assert [(await client.reply())[:9] for _ in range(3)][2] == "452 4.3.1"


@pytest.mark.parametrize("octets", [1000, 100_000])
async def test_a_disk_that_fills_while_content_arrives_is_452_at_its_end(octets: int) -> None:
    async with receiving() as found, dialogue(found.port) as client:
        found.spool.body_octets = octets
        await client.send(ENVELOPE + b"\r\n")
        for _ in range(3):
            await client.reply()
        assert (await client.say(b"x" * 200_000 + b"\r\n."))[:9] == "452 4.3.1"
        assert (await client.say(b"NOOP"))[:3] == "250"
        assert found.messages == []


async def test_without_room_mail_is_put_off_at_mail() -> None:
    async with receiving() as found, dialogue(found.port) as client:
        found.has_room = False
        assert (await client.say(MAIL))[:9] == "452 4.3.1"
        found.has_room = True
        assert (await client.say(MAIL))[:9] == "250 2.1.0"


async def test_a_message_whose_client_left_before_the_commit_counts_all_the_same() -> None:
    async with receiving(manual=True) as found:
        async with dialogue(found.port) as client:
            await client.send(ENVELOPE + b"\r\n")
            for _ in range(3):
                await client.reply()
            await client.send(b"x: y\r\n.\r\n")
            await until(lambda: len(found.spool._waiting) == 1)
            client.reset()
        await until(lambda: not found.server.session_counts())
        found.spool.commit()
        assert len(found.messages) == 1


async def test_a_client_that_closes_its_half_still_gets_its_answer() -> None:
    async with receiving(manual=True) as found, dialogue(found.port) as client:
        await client.send(ENVELOPE + b"\r\n")
        for _ in range(3):
            await client.reply()
        await client.send(b"x: y\r\n.\r\n")
        client.end()
        await until(lambda: len(found.spool._waiting) == 1)
        found.spool.commit()
        assert (await client.rest()).startswith(b"250 2.0.0 Message queued as ")


async def test_a_message_whose_client_left_before_its_end_is_forgotten() -> None:
    async with receiving() as found:
        async with dialogue(found.port) as client:
            await client.send(ENVELOPE + b"\r\n")
            for _ in range(3):
                await client.reply()
            await client.send(b"x: y\r\n")
        await until(lambda: not found.server.session_counts())
        assert found.messages == []
        assert found.spool.statistics().messages == 0


async def test_an_exception_nobody_expected_is_451_and_nothing_is_accepted(caplog: pytest.LogCaptureFixture) -> None:
    async with receiving() as found, dialogue(found.port) as client:
        found.spool.body_error = RuntimeError("a defect")
        await client.send(ENVELOPE + b"\r\n")
        assert b"451 4.3.0" in await client.rest()
        assert found.messages == []
    assert "a defect" in caplog.text


# Policy and limits


async def test_recipients_are_asked_of_policy_and_refusals_are_tracked() -> None:
    configuration = organization(virtual_server=changed(relay=RelayRestrictions()))
    async with receiving(configuration) as found, dialogue(found.port) as client:
        await client.say(MAIL)
        assert (await client.say(b"RCPT TO:<x@elsewhere.example>"))[:9] == "550 5.7.1"
        assert (await client.say(RCPT))[:9] == "250 2.1.5"
        (event,) = found.events
        assert (event.step, event.recipient, event.code) == (Step.REFUSED, "x@elsewhere.example", 550)


async def test_whoever_authenticates_may_relay() -> None:
    async with receiving() as found, dialogue(found.port) as client:
        await client.say(b"AUTH PLAIN AHVzZXIAc2VjcmV0")
        await client.say(MAIL)
        assert (await client.say(b"RCPT TO:<x@elsewhere.example>"))[:9] == "250 2.1.5"


async def test_wrong_credentials_and_unknown_accounts_get_the_same_answer() -> None:
    async with receiving() as found, dialogue(found.port) as client:
        wrong = await client.say(b"AUTH PLAIN AHVzZXIAd3Jvbmc=")
        unknown = await client.say(b"AUTH PLAIN AG5vYm9keQB3cm9uZw==")
        assert wrong == unknown == "535 5.7.8 Authentication credentials invalid"
        assert (await client.say(b"AUTH PLAIN AHVzZXIAd3Jvbmc="))[:9] == "421 4.7.0"
        assert await client.rest() == b""


async def test_authentication_in_the_clear_is_refused_unless_allowed(server_tls: ssl.SSLContext) -> None:
    authentication = ServerAuthentication(users=USERS)
    configuration = organization(virtual_server=changed(authentication=authentication))
    async with receiving(configuration, tls=server_tls) as found, dialogue(found.port) as client:
        assert "AUTH" not in await client.say(b"EHLO c.example")
        assert (await client.say(b"AUTH PLAIN AHVzZXIAc2VjcmV0"))[:10] == "538 5.7.11"


async def test_what_is_required_comes_before_mail(server_tls: ssl.SSLContext) -> None:
    tls = ServerTls(certificate(), required=True)
    configuration = organization(virtual_server=changed(tls=tls))
    async with receiving(configuration, tls=server_tls) as found, dialogue(found.port) as client:
        assert (await client.say(MAIL))[:9] == "530 5.7.0"
    authentication = ServerAuthentication(users=USERS, without_tls=True, required=True)
    configuration = organization(virtual_server=changed(authentication=authentication))
    async with receiving(configuration) as found, dialogue(found.port) as client:
        assert (await client.say(MAIL))[:9] == "530 5.7.0"
        await client.say(b"AUTH PLAIN AHVzZXIAc2VjcmV0")
        assert (await client.say(MAIL))[:9] == "250 2.1.0"


async def test_sizes_and_recipients_are_bounded() -> None:
    limits = MessageLimits(size_max=100, recipients_max=1)
    async with (
        receiving(organization(virtual_server=changed(messages=limits))) as found,
        dialogue(found.port) as client,
    ):
        assert (await client.say(MAIL + b" SIZE=101"))[:9] == "552 5.3.4"
        assert (await client.say(MAIL + b" SIZE=100"))[:9] == "250 2.1.0"
        await client.say(RCPT)
        assert (await client.say(RCPT))[:9] == "452 4.5.3"
        await client.say(b"DATA")
        assert (await client.say(b"x" * 99 + b"\r\n."))[:9] == "552 5.3.4"
        assert found.messages == []


async def test_a_session_may_send_only_so_much() -> None:
    limits = MessageLimits(session_size_max=100)
    async with (
        receiving(organization(virtual_server=changed(messages=limits))) as found,
        dialogue(found.port) as client,
    ):
        await client.send(ENVELOPE + b"\r\n")
        for _ in range(3):
            await client.reply()
        assert (await client.say(b"x" * 60 + b"\r\n."))[:3] == "250"
        assert (await client.say(MAIL + b" SIZE=60"))[:9] == "421 4.7.0"
        assert len(found.messages) == 1


async def test_a_client_that_may_not_connect_gets_554() -> None:
    control = ConnectionControl(clients=LOOPBACK)
    configuration = organization(virtual_server=changed(connection=control))
    async with receiving(configuration) as found, dialogue(found.port, greeted=False) as client:
        assert (await client.rest()).startswith(b"554 5.7.1 ")


async def test_sessions_over_the_limit_get_421_and_leaving_makes_room() -> None:
    control = ConnectionControl(limit=2, limit_per_client=1)
    async with receiving(organization(virtual_server=changed(connection=control))) as found:
        async with dialogue(found.port), dialogue(found.port, greeted=False) as second:
            assert (await second.rest()).startswith(b"421 4.3.2 ")
        await until(lambda: not found.server.session_counts())
        async with dialogue(found.port):
            pass


async def test_more_sessions_than_descriptors_get_421() -> None:
    async with (
        receiving(sessions_max=1) as found,
        dialogue(found.port),
        dialogue(found.port, greeted=False) as second,
    ):
        assert (await second.rest()).startswith(b"421 4.3.2 ")


class Names:
    """Answers every look-up with one name."""

    async def verified_names(self, address: str) -> tuple[str, ...]:
        return ("client.trusted.example",)


async def test_a_client_may_be_named_by_domain() -> None:
    relay = RelayRestrictions(clients=ClientList(domains=("*.trusted.example",)))
    configuration = organization(virtual_server=changed(relay=relay))
    async with receiving(configuration, names=Names()) as found, dialogue(found.port) as client:
        await client.say(MAIL)
        assert (await client.say(b"RCPT TO:<x@elsewhere.example>"))[:9] == "250 2.1.5"
        await client.say(b"DATA")
        await client.say(b"x: y\r\n.")
        assert b"(client.trusted.example [127.0.0.1])" in (found.messages[0].body.content or b"")


# A changed configuration


async def test_a_transaction_ends_with_the_configuration_it_began_with() -> None:
    async with receiving() as found, dialogue(found.port) as client:
        await client.say(MAIL)
        found.apply(organization(accepted=()))
        assert (await client.say(RCPT))[:9] == "250 2.1.5"
        await client.say(b"DATA")
        assert (await client.say(b"x: y\r\n."))[:3] == "250"
        await client.say(MAIL)
        assert (await client.say(RCPT))[:9] == "550 5.7.1"


async def test_each_mail_looks_at_the_client_anew() -> None:
    async with receiving() as found, dialogue(found.port) as client:
        control = ConnectionControl(mode=ListMode.ONLY_LIST)
        found.apply(organization(virtual_server=changed(connection=control)))
        assert (await client.say(MAIL))[:9] == "554 5.7.1"
        assert await client.rest() == b""


async def test_a_connection_to_a_virtual_server_that_is_gone_is_cut() -> None:
    async with receiving() as found:
        found.apply(replace(organization(), virtual_servers=()))
        with pytest.raises((ConnectionResetError, asyncio.IncompleteReadError)):
            async with dialogue(found.port):
                pass
        assert not found.server.session_counts()


async def test_sessions_of_a_virtual_server_that_is_gone_finish() -> None:
    async with receiving() as found, dialogue(found.port) as client:
        found.apply(replace(organization(), virtual_servers=()))
        await client.send(ENVELOPE + b"\r\n")
        for _ in range(3):
            await client.reply()
        assert (await client.say(b"x: y\r\n."))[:3] == "250"


# Stopping


async def test_drain_ends_idle_sessions_and_waits_for_messages() -> None:
    async with receiving() as found, dialogue(found.port) as idle, dialogue(found.port) as busy:
        await busy.send(ENVELOPE + b"\r\n")
        for _ in range(3):
            await busy.reply()
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(found.server.drain(5))
            assert (await idle.rest()).startswith(b"421 4.3.2 ")
            await busy.send(b"x: y\r\n.\r\n")
            said = await busy.rest()
        assert said.startswith(b"250 2.0.0 Message queued as ")
        assert b"\r\n421 4.3.2 " in said
        with pytest.raises(ConnectionRefusedError):
            socket.create_connection(("127.0.0.1", found.port), timeout=1)


async def test_drain_has_an_end() -> None:
    async with receiving() as found, dialogue(found.port) as busy:
        await busy.say(MAIL)
        await found.server.drain(0.05)
        assert (await busy.rest()).startswith(b"421 4.3.2 ")


# Time


async def test_a_client_that_says_nothing_is_timed_out() -> None:
    control = ConnectionControl(timeout_seconds=0.1)
    configuration = organization(virtual_server=changed(connection=control))
    async with receiving(configuration) as found, dialogue(found.port) as client:
        assert (await client.rest()).startswith(b"421 4.4.2 ")


async def test_a_command_that_dribbles_is_timed_out_as_a_whole() -> None:
    """Each octet comes in time; the command does not."""
    control = ConnectionControl(timeout_seconds=0.15)
    configuration = organization(virtual_server=changed(connection=control))
    async with receiving(configuration) as found, dialogue(found.port) as client:

        async def dribble() -> None:
            for _ in range(100):
                await client.send(b"x")
                await asyncio.sleep(0.02)

        async with asyncio.TaskGroup() as tasks:
            dribbling = tasks.create_task(dribble())
            assert (await client.rest()).startswith(b"421 4.4.2 ")
            dribbling.cancel()


async def test_content_that_dribbles_is_timed_out() -> None:
    control = ConnectionControl(timeout_seconds=0.15)
    configuration = organization(virtual_server=changed(connection=control))
    async with receiving(configuration) as found, dialogue(found.port) as client:
        await client.send(ENVELOPE + b"\r\n")
        for _ in range(3):
            await client.reply()

        async def dribble() -> None:
            for _ in range(100):
                await client.send(b"x\r\n")
                await asyncio.sleep(0.02)

        async with asyncio.TaskGroup() as tasks:
            dribbling = tasks.create_task(dribble())
            assert (await client.rest()).startswith(b"421 4.4.2 ")
            dribbling.cancel()
        assert found.messages == []


async def test_faults_beyond_a_number_are_slowed_down(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(session, "TARPIT_AFTER", 2)
    monkeypatch.setattr(session, "TARPIT_SECONDS", 0.05)
    async with receiving() as found, dialogue(found.port) as client:
        loop = asyncio.get_running_loop()
        begin = loop.time()
        await client.send(b"X\r\n" * 5 + b"NOOP\r\n")
        for _ in range(6):
            await client.reply()
        assert loop.time() - begin >= 0.14


async def test_a_client_that_does_not_read_is_not_read_either() -> None:
    """It pours commands in and reads nothing: replies and input stay bounded, and when it reads all are there."""
    async with receiving() as found, dialogue(found.port) as client:
        flood = b"".join(b"RCPT TO:<%d@contoso.com>\r\n" % number for number in range(15_000))
        await client.say(MAIL)
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(client.send(flood + b"RSET\r\n"))
            await asyncio.sleep(0.05)
            counted = 0
            while not (await client.reply()).startswith("250 2.0.0"):
                counted += 1
        assert counted == 15_000


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
