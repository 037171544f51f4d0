"""Clients with accounts, TLS and ESMTP parameters: swaks and Python's smtplib before Bridgehead."""

from __future__ import annotations

import re
import smtplib
from pathlib import Path

import pytest
from argon2 import PasswordHasher

from tests.peers.bridgehead import Bridgehead, smart_host
from tests.peers.child import wait_until
from tests.peers.conftest import NewBridgehead
from tests.peers.sink import Sink
from tests.peers.swaks import swaks

pytestmark = pytest.mark.peer

PASSWORD = "correct horse"
ACCOUNT = ("--auth-user", "app", "--auth-password", PASSWORD)
HEADERS = "Subject: one\r\nMessage-ID: <1@client.test>\r\nDate: Mon, 01 Jan 2024 00:00:00 +0000\r\n\r\n"


@pytest.fixture
def server(new_bridgehead: NewBridgehead, sink: Sink, certificate: Path) -> Bridgehead:
    """A server with TLS and one account, which relays for authenticated clients alone."""
    bridgehead = new_bridgehead(implicit_tls=True)
    users = bridgehead.directory / "users.txt"
    users.write_text(f"app:{PasswordHasher(1, 1024, 1).hash(PASSWORD)}\n")
    users.chmod(0o600)
    bridgehead.configure(
        smart_host(sink.port),
        virtual_server=(
            f'tls = {{ certificate = "{certificate}/cert.pem", key = "{certificate}/key.pem" }}\n'
            f'authentication = {{ mechanisms = ["PLAIN", "LOGIN"], users = {{ file = "{users}" }} }}\n'
            "[virtual_server.relay]\n"
            "clients = []\n"
        ),
    )
    bridgehead.start()
    return bridgehead


def verified(certificate: Path) -> tuple[str, ...]:
    """Options with which swaks checks the server's certificate."""
    return ("--tls-verify", "--tls-ca-path", str(certificate / "ca.pem"))


@pytest.mark.parametrize("mechanism", ["PLAIN", "LOGIN"])
def test_an_authenticated_client_may_relay_after_starttls(
    server: Bridgehead, sink: Sink, certificate: Path, mechanism: str
) -> None:
    options = ("--tls", *verified(certificate), "--auth", mechanism, *ACCOUNT)
    done = swaks(server.port, *options, recipient="b@inside.test")
    assert done.status == 0, done.text
    assert done.has_reply("235 2.7.0")
    wait_until(lambda: len(sink.received) == 1, "the message at the sink")
    assert b" with ESMTPSA" in sink.received[0].content.partition(b"\r\n\r\n")[0].replace(b"\r\n\t", b" ")


@pytest.mark.parametrize("mechanism", ["PLAIN", "LOGIN"])
def test_an_authenticated_client_may_relay_over_implicit_tls(
    server: Bridgehead, sink: Sink, certificate: Path, mechanism: str
) -> None:
    options = ("--tls-on-connect", *verified(certificate), "--auth", mechanism, *ACCOUNT)
    done = swaks(server.tls_port, *options, recipient="b@inside.test")
    assert done.status == 0, done.text
    wait_until(lambda: len(sink.received) == 1, "the message at the sink")


def test_a_wrong_password_is_refused(server: Bridgehead, sink: Sink) -> None:
    options = ("--tls", "--auth", "PLAIN", "--auth-user", "app", "--auth-password", "wrong")
    done = swaks(server.port, *options, recipient="b@inside.test")
    assert done.status == 28, done.text
    assert done.has_reply("535 5.7.8")
    assert sink.received == []


def test_credentials_are_not_taken_in_clear_text(server: Bridgehead) -> None:
    done = swaks(server.port, "--auth", "PLAIN", *ACCOUNT, recipient="b@inside.test")
    assert done.status in {28, 29, 30}, done.text
    assert not any(re.match(r"250[- ]AUTH", line) for line in done.replies)


def test_a_client_without_account_may_not_relay(server: Bridgehead) -> None:
    done = swaks(server.port, "--tls", recipient="b@inside.test")
    assert done.status == 24, done.text
    assert done.has_reply("550 5.7.1 Unable to relay")


@pytest.fixture
def relay(new_bridgehead: NewBridgehead) -> Bridgehead:
    """A server that is neither configured nor started."""
    return new_bridgehead()


def test_dsn_parameters_are_passed_on_to_a_next_hop_that_offers_dsn(relay: Bridgehead, sink: Sink) -> None:
    relay.configure(smart_host(sink.port))
    relay.start()
    with smtplib.SMTP("127.0.0.1", relay.port) as client:
        client.sendmail(
            "a@client.test",
            ["b@inside.test"],
            HEADERS + "x\r\n",
            mail_options=["RET=HDRS", "ENVID=QQ314159"],
            rcpt_options=["NOTIFY=SUCCESS,FAILURE", "ORCPT=rfc822;b+2Bx@outside.test"],
        )
    wait_until(lambda: len(sink.received) == 1, "the message at the sink")
    (message,) = sink.received
    assert {b"RET=HDRS", b"ENVID=QQ314159"} <= set(message.mail.split())
    parameters = set(message.recipients[0].split())
    assert b"ORCPT=rfc822;b+2Bx@outside.test" in parameters
    assert parameters & {b"NOTIFY=SUCCESS,FAILURE", b"NOTIFY=FAILURE,SUCCESS"}


def test_a_success_dsn_is_made_where_the_next_hop_does_not_offer_dsn(relay: Bridgehead) -> None:
    with Sink(extensions=(b"PIPELINING", b"8BITMIME")) as sink:
        relay.configure(smart_host(sink.port))
        relay.start()
        with smtplib.SMTP("127.0.0.1", relay.port) as client:
            client.sendmail("a@client.test", ["b@inside.test"], HEADERS + "x\r\n", rcpt_options=["NOTIFY=SUCCESS"])
        wait_until(lambda: len(sink.received) == 2, "the message and the DSN at the sink")
        (report,) = [message for message in sink.received if message.mail.startswith(b"<>")]
        assert re.search(rb"^Action: *relayed", report.content, re.MULTILINE | re.IGNORECASE)


def test_smtputf8_mail_reaches_a_next_hop_that_offers_it(relay: Bridgehead, sink: Sink) -> None:
    relay.configure(smart_host(sink.port))
    relay.start()
    send_utf8(relay.port)
    wait_until(lambda: len(sink.received) == 1, "the message at the sink")
    (message,) = sink.received
    assert b"SMTPUTF8" in message.mail.split()
    assert message.recipients[0].startswith("<受信@inside.test>".encode())
    assert b"with UTF8SMTP" in message.content.partition(b"\r\n\r\n")[0].replace(b"\r\n\t", b" ")


def test_smtputf8_mail_fails_at_a_next_hop_that_does_not_offer_it(relay: Bridgehead, sink: Sink) -> None:
    with Sink(extensions=(b"PIPELINING", b"8BITMIME")) as plain:
        relay.configure(
            smart_host(sink.port)
            + '[[connector]]\nname = "Inside"\nroute = "smart-hosts"\naddress_spaces = ["SMTP:inside.test"]\n'
            + f'smart_hosts = "[127.0.0.1]:{plain.port}"\n'
        )
        relay.start()
        send_utf8(relay.port)
        wait_until(lambda: len(sink.received) == 1, "the DSN at the sender's server")
        assert sink.received[0].mail.startswith(b"<>")
        assert b"5.6.7" in sink.received[0].content
        assert plain.received == []


def send_utf8(port: int) -> None:
    """A message whose recipient and subject are not ASCII, from an ASCII sender."""
    with smtplib.SMTP("127.0.0.1", port) as client:
        client.ehlo("client.test")
        client.sendmail(
            "a@client.test",
            ["受信@inside.test"],
            (HEADERS.replace("one", "件名") + "本文\r\n").encode(),
            mail_options=["SMTPUTF8", "BODY=8BITMIME"],
        )
