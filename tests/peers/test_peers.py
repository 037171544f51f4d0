"""The peers themselves: what a test of Bridgehead relies on, shown without Bridgehead."""

from __future__ import annotations

import ssl
from pathlib import Path

import pytest

from tests.peers.child import Child, program, wait_until
from tests.peers.conftest import StartNameServer, StartPostfix
from tests.peers.corpus import MADE, on_the_wire, real_mx, samples
from tests.peers.name_server import SERVFAIL
from tests.peers.postfix import mailbox_settings, relay_settings
from tests.peers.sender import Sender
from tests.peers.sink import Sink
from tests.peers.swaks import swaks
from tests.peers.wire import Wire

pytestmark = pytest.mark.peer

CONTENT = b"Subject: one\r\nMessage-ID: <1@client.test>\r\n\r\nline\r\n.\r\n..two\r\n"


def test_postfix_relays_to_another_postfix_that_delivers_to_a_maildir(
    start_postfix: StartPostfix, shared_directory: Path
) -> None:
    last = start_postfix(mailbox_settings(shared_directory / "last", "inside.test"), name="last")
    first = start_postfix(relay_settings(last.port), name="first")
    with Wire(first.port) as client:
        assert client.send("a@client.test", ["b@inside.test"], CONTENT).code == 250
    wait_until(lambda: last.maildir("inbox") != [], "the message in the maildir")
    (message,) = last.maildir("inbox")
    assert message.endswith(b"line\n.\n..two\n")
    assert message.count(b"Received: ") == 2
    wait_until(lambda: first.waiting() == 0, "an empty queue")
    assert first.deliveries("b@inside.test") == ["sent"]


def test_swaks_shows_what_postfix_answers(start_postfix: StartPostfix) -> None:
    postfix = start_postfix()
    refused = swaks(postfix.port, "--quit-after", "RCPT", recipient="b@.bad.test")
    assert refused.status == 24
    assert refused.has_reply("501 5.1.3")
    assert "RCPT TO:<b@.bad.test>" in refused.commands


def test_smtp_source_of_postfix_reaches_the_accounting_sink_through_postfix(
    start_postfix: StartPostfix, sink: Sink, tmp_path: Path
) -> None:
    postfix = start_postfix(relay_settings(sink.port))
    source = Child(
        [program("smtp-source"), "-d", "-s", "5", "-m", "50", "-l", "2000", f"127.0.0.1:{postfix.port}"],
        tmp_path / "source.log",
    )
    assert source.wait_exit() == 0, source.tail()
    wait_until(lambda: len(sink.received) == 50, "all messages at the sink")
    assert set(sink.counts().values()) == {1}
    assert {len(message.content) > 2000 for message in sink.received} == {True}


def test_the_sink_gives_back_the_bytes_that_were_sent(sink: Sink) -> None:
    with Wire(sink.port) as client:
        for name, content in MADE.items():
            assert client.send("a@client.test", ["b@inside.test"], on_the_wire(content)).code == 250, name
    assert [message.content for message in sink.received] == [on_the_wire(content) for content in MADE.values()]


def test_the_accounts_of_sender_and_sink_agree(sink: Sink) -> None:
    sender = Sender(sink.port, count=200)
    sender.start()
    account = sender.join()
    assert sink.counts() == dict.fromkeys(account.accepted, 1)
    assert account.interruptions == 0


def test_the_sink_answers_as_the_test_decides() -> None:
    replies = {b"RCPT TO:<late@inside.test>": b"450 4.2.1 later\r\n", b".": b"554 5.6.0 no\r\n"}
    with Sink(decide=lambda line: replies.get(line, b"")) as sink, Wire(sink.port) as client:
        assert client.send("a@client.test", ["late@inside.test"], CONTENT).code == 450
        assert client.send("a@client.test", ["b@inside.test"], CONTENT).text == "5.6.0 no"
        assert sink.received == []


def test_the_sink_offers_tls_with_the_certificate_of_the_authority(certificate: Path) -> None:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate / "cert.pem", certificate / "key.pem")
    with Sink(tls=context) as sink:
        done = swaks(
            sink.port, "--tls", "--tls-verify", "--tls-ca-path", str(certificate / "ca.pem"), recipient="b@x.test"
        )
        assert done.status == 0, done.text
        assert [message.is_tls for message in sink.received] == [True]


def test_the_name_server_serves_zones_and_faults(start_name_server: StartNameServer) -> None:
    server = start_name_server(
        {
            "two.test": "@ IN MX 20 second\n@ IN MX 10 first\nfirst IN A 127.0.0.1\nsecond IN A 127.0.0.2\n",
            "null.test": "@ IN MX 0 .\n",
            "alias.test": "@ IN A 127.0.0.1\nwww IN CNAME alias.test.\n",
            "broken.test": SERVFAIL,
        }
    )
    assert server.records("two.test", "MX") == ["10 first.two.test.", "20 second.two.test."]
    assert server.records("null.test", "MX") == ["0 ."]
    assert server.records("www.alias.test", "A") == ["127.0.0.1", "alias.test."]
    assert server.rcode("none.two.test") == "NXDOMAIN"
    assert server.rcode("alias.test") == "NOERROR"
    assert server.rcode("broken.test") == "SERVFAIL"
    assert server.rcode("elsewhere.test") == "REFUSED"
    server.replace("broken.test", "@ IN MX 10 mended\n")
    assert server.records("broken.test", "MX") == ["10 mended.broken.test."]


def test_the_name_server_serves_the_mx_sets_of_real_domains(start_name_server: StartNameServer) -> None:
    server = start_name_server({".": "".join(f"{domain} IN MX {' '.join(mx)}\n" for domain, *mx in real_mx())})
    for domain, preference, host in real_mx():
        assert f"{preference} {host.lower()}" in [record.lower() for record in server.records(domain, "MX")]


def test_every_sample_is_ready_for_the_wire() -> None:
    names = [sample.name for sample in samples()]
    assert len(names) == len(set(names))
    assert all(sample.content.endswith(b"\r\n") for sample in samples())
    by_name = {sample.name: sample.refusal for sample in samples()}
    assert by_name["many-hops"] == "5.4.6"
    assert by_name["bare-line-feed"] == by_name["bare-carriage-return"] == by_name["nul"] == "5.6"
    assert by_name["eight-bit"] == by_name["mbox-line"] == ""
    refused = [name for name, reason in by_name.items() if reason]
    print(f"samples: {len(names)}, of which {len(refused)} must be refused")
