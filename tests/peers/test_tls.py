"""TLS between Bridgehead and Postfix, in both directions, with names and chains really checked."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.peers.bridgehead import smart_host
from tests.peers.child import wait_until
from tests.peers.conftest import NewBridgehead, StartPostfix
from tests.peers.postfix import PrivatePostfix, mailbox_settings, relay_settings
from tests.peers.sink import Sink
from tests.peers.wire import Wire

pytestmark = pytest.mark.peer

CONTENT = b"Subject: one\r\nMessage-ID: <1@client.test>\r\n\r\nx\r\n"


@pytest.fixture
def next_hop(start_postfix: StartPostfix, shared_directory: Path, certificate: Path) -> PrivatePostfix:
    """A Postfix that offers STARTTLS with a certificate of the test's authority and takes mail for inside.test."""
    offered = {
        "smtpd_tls_security_level": "may",
        "smtpd_tls_cert_file": str(certificate / "cert.pem"),
        "smtpd_tls_key_file": str(certificate / "key.pem"),
        "smtpd_tls_received_header": "yes",
    }
    return start_postfix(mailbox_settings(shared_directory / "last", "inside.test") | offered, name="last")


def security(level: str, certificate: Path, name: str) -> str:
    """The table with which a connector trusts the test's authority alone."""
    return f'[connector.security]\ntls = "{level}"\nca_file = "{certificate}/ca.pem"\ntls_domain = "{name}"'


def test_a_connector_that_verifies_sends_to_the_right_name(
    new_bridgehead: NewBridgehead, next_hop: PrivatePostfix, certificate: Path
) -> None:
    bridgehead = new_bridgehead()
    bridgehead.configure(smart_host(next_hop.port, security("verify", certificate, "next-hop.test")))
    bridgehead.start()
    with Wire(bridgehead.port) as client:
        assert client.send("a@client.test", ["b@inside.test"], CONTENT).code == 250
    wait_until(lambda: len(next_hop.maildir("inbox")) == 1, "the message in the maildir")
    assert b"(using TLSv1.3 with cipher" in next_hop.maildir("inbox")[0]


def test_a_connector_that_verifies_waits_before_a_wrong_name_until_the_configuration_is_mended(
    new_bridgehead: NewBridgehead, next_hop: PrivatePostfix, certificate: Path
) -> None:
    bridgehead = new_bridgehead()
    bridgehead.configure(smart_host(next_hop.port, security("verify", certificate, "other.test")))
    bridgehead.start()
    with Wire(bridgehead.port) as client:
        assert client.send("a@client.test", ["b@inside.test"], CONTENT).code == 250
    wait_until(lambda: "deferred" in bridgehead.log.read_text(), "an attempt in the log")
    assert next_hop.maildir("inbox") == []
    bridgehead.configure(smart_host(next_hop.port, security("verify", certificate, "next-hop.test")))
    assert bridgehead.reload() == "reload"
    wait_until(lambda: len(next_hop.maildir("inbox")) == 1, "the message in the maildir")


def test_an_opportunistic_connector_takes_any_certificate(
    new_bridgehead: NewBridgehead, next_hop: PrivatePostfix
) -> None:
    bridgehead = new_bridgehead()
    bridgehead.configure(smart_host(next_hop.port))
    bridgehead.start()
    with Wire(bridgehead.port) as client:
        assert client.send("a@client.test", ["b@inside.test"], CONTENT).code == 250
    wait_until(lambda: len(next_hop.maildir("inbox")) == 1, "the message in the maildir")
    assert b"(using TLSv1.3 with cipher" in next_hop.maildir("inbox")[0]


def test_postfix_verifies_the_certificate_of_bridgehead(
    new_bridgehead: NewBridgehead, start_postfix: StartPostfix, sink: Sink, certificate: Path
) -> None:
    bridgehead = new_bridgehead()
    bridgehead.configure(
        smart_host(sink.port),
        virtual_server=f'tls = {{ certificate = "{certificate}/cert.pem", key = "{certificate}/key.pem" }}\n',
    )
    bridgehead.start()
    settings = relay_settings(bridgehead.port) | {
        "smtp_tls_security_level": "secure",
        "smtp_tls_secure_cert_match": "relay.test",
        "smtp_tls_CAfile": str(certificate / "ca.pem"),
    }
    first = start_postfix(settings, name="first")
    with Wire(first.port) as client:
        assert client.send("a@client.test", ["b@inside.test"], CONTENT).code == 250
    wait_until(lambda: len(sink.received) == 1, "the message at the sink")
    assert b" with ESMTPS " in sink.received[0].content.replace(b"\r\n\t", b" ").replace(b"\r\n ", b" ")
