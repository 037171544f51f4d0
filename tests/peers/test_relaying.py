"""Bridgehead between real peers: Postfix before and behind it, swaks as client, every message byte for byte."""

from __future__ import annotations

from base64 import b64encode
from pathlib import Path

import dkim  # type: ignore[import-untyped]  # dkimpy has no stubs
import pytest
from cryptography.hazmat.primitives.asymmetric import rsa
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat, PublicFormat

from tests.peers.bridgehead import smart_host
from tests.peers.child import Child, program, wait_until
from tests.peers.conftest import NewBridgehead, StartPostfix
from tests.peers.corpus import Sample, public_keys, samples
from tests.peers.postfix import mailbox_settings, relay_settings
from tests.peers.sink import Received, Sink
from tests.peers.wire import Answer, Wire

pytestmark = [pytest.mark.peer, pytest.mark.timeout(300)]

CONTENT = b"Subject: one\r\nMessage-ID: <1@client.test>\r\n\r\nline\r\n.\r\n..two\r\n"
RECEIVED_FIELDS = (b"Received: from ", b"by relay.test", b"; ")


def test_mail_passes_from_postfix_through_bridgehead_to_postfix(
    new_bridgehead: NewBridgehead, start_postfix: StartPostfix, shared_directory: Path
) -> None:
    last = start_postfix(mailbox_settings(shared_directory / "last", "inside.test"), name="last")
    bridgehead = new_bridgehead()
    bridgehead.configure(smart_host(last.port))
    bridgehead.start()
    first = start_postfix(relay_settings(bridgehead.port), name="first")
    with Wire(first.port) as client:
        for number in range(20):
            assert client.send("a@client.test", [f"b{number}@inside.test", "c@inside.test"], CONTENT).code == 250
    wait_until(lambda: len(last.maildir("inbox")) == 40, "both copies of each message in the maildir")
    for message in last.maildir("inbox"):
        assert message.endswith(b"line\n.\n..two\n")
        assert message.count(b"\nReceived: ") == 3
    wait_until(lambda: first.waiting() == 0, "an empty queue")
    assert bridgehead.terminate() == 0


def test_what_postfix_refuses_comes_back_as_a_dsn_through_bridgehead(
    new_bridgehead: NewBridgehead, start_postfix: StartPostfix, sink: Sink, shared_directory: Path
) -> None:
    settings = mailbox_settings(shared_directory / "last", "inside.test")
    settings |= {"virtual_mailbox_maps": "inline:{{known@inside.test=inbox/}}"}
    last = start_postfix(settings, name="last")
    bridgehead = new_bridgehead()
    bridgehead.configure(
        "[[connector]]\n"
        'name = "Inside"\nroute = "smart-hosts"\naddress_spaces = ["SMTP:inside.test"]\n'
        f'smart_hosts = "[127.0.0.1]:{last.port}"\n'
        "[[connector]]\n"
        'name = "Back"\nroute = "smart-hosts"\naddress_spaces = ["SMTP:client.test"]\n'
        f'smart_hosts = "[127.0.0.1]:{sink.port}"\n'
    )
    bridgehead.start()
    with Wire(bridgehead.port) as client:
        answer = client.send("a@client.test", ["known@inside.test", "unknown@inside.test"], CONTENT)
        assert answer.code == 250
    wait_until(lambda: len(sink.received) == 1, "the DSN at the sender's next hop")
    (report,) = sink.received
    assert report.mail.startswith(b"<>")
    assert report.recipients[0].startswith(b"<a@client.test>")
    assert b"Final-Recipient: rfc822;unknown@inside.test" in report.content.replace(b"; ", b";").replace(
        b"Final-Recipient:rfc", b"Final-Recipient: rfc"
    )
    assert b"5.1.1" in report.content
    wait_until(lambda: len(last.maildir("inbox")) == 1, "the message for the recipient that exists")


def test_smtp_source_sends_over_kept_connections_and_over_new_ones(
    new_bridgehead: NewBridgehead, sink: Sink, tmp_path: Path
) -> None:
    bridgehead = new_bridgehead()
    bridgehead.configure(smart_host(sink.port))
    bridgehead.start()
    for options in (["-d"], []):
        command = [program("smtp-source"), *options, "-s", "20", "-m", "300", "-l", "3000", "-r", "2"]
        source = Child([*command, f"127.0.0.1:{bridgehead.port}"], tmp_path / "source.log")
        assert source.wait_exit(60) == 0, source.tail()
    wait_until(lambda: len(sink.received) >= 600, "all messages at the sink", 60)
    assert {len(message.recipients) for message in sink.received} == {2}
    assert len(sink.received) == 600


def test_every_message_arrives_byte_for_byte_or_is_refused_for_a_named_reason(
    new_bridgehead: NewBridgehead, sink: Sink
) -> None:
    bridgehead = new_bridgehead()
    bridgehead.configure(smart_host(sink.port))
    bridgehead.start()
    expected, wrong = send_all(bridgehead.port)
    assert wrong == []
    wait_until(lambda: len(sink.received) >= len(expected), "every accepted message at the sink", 120)
    arrived = {message.recipients[0].partition(b">")[0][1:].decode(): message for message in sink.received}
    assert len(arrived) == len(sink.received) == len(expected)
    for address, sample in expected.items():
        message = arrived[address]
        assert message.content.endswith(sample.content), sample.name
        trace = message.content.removesuffix(sample.content)
        assert trace.endswith(b"\r\n")
        assert trace.count(b"Received:") == 1
        assert all(part in trace.replace(b"\r\n\t", b" ").replace(b"\r\n ", b" ") for part in RECEIVED_FIELDS), trace
    print(f"messages: {len(expected)} arrived unchanged")
    keep_signatures({sample.name: (sample, arrived[address]) for address, sample in expected.items()})


def send_all(port: int) -> tuple[dict[str, Sample], list[tuple[str, Answer]]]:
    """Send every sample to a recipient of its own: recipient -> sample that was taken, and answers that are wrong."""
    expected: dict[str, Sample] = {}
    wrong: list[tuple[str, Answer]] = []
    client = Wire(port)
    for number, sample in enumerate(samples()):
        address = f"sample{number}@inside.test"
        answer = client.send("a@client.test", [address], sample.content, sample.parameters)
        if not sample.refusal and answer.code == 250:
            expected[address] = sample
        elif not sample.refusal or not (answer.code in {550, 554} and answer.text.startswith(sample.refusal)):
            wrong.append((sample.name, answer))
        if answer.text.startswith("5.6"):
            # Who sends bare line ends may be smuggling: the server hangs up.
            with client, pytest.raises(ConnectionError):
                client.read()
            client = Wire(port)
    with client:
        assert client.command("QUIT").code == 221
    return expected, wrong


def keep_signatures(pairs: dict[str, tuple[Sample, Received]]) -> None:
    """Every DKIM signature that verified before verifies after."""
    verified = 0
    for name, (sample, received) in pairs.items():
        keys = public_keys(name)
        before = valid_signatures(sample.content, keys)
        assert valid_signatures(received.content, keys) == before, name
        verified += len(before)
    assert verified > 0 or not public_keys("")
    print(f"signatures: {verified} verified before and after")


def valid_signatures(content: bytes, keys: dict[bytes, bytes]) -> list[int]:
    """Indexes of the signatures that dkimpy accepts; what it cannot read is not valid. Keys of old mail are short."""
    count = content.partition(b"\r\n\r\n")[0].lower().count(b"dkim-signature:")
    return [index for index in range(count) if is_valid(content, keys, index)]


def is_valid(content: bytes, keys: dict[bytes, bytes], index: int) -> bool:
    """Whether dkimpy accepts one signature."""
    try:
        verdict = dkim.DKIM(content, minkey=512).verify(index, dnsfunc=lambda name, timeout=5: keys.get(name.lower()))
    except (dkim.DKIMException, ValueError, KeyError, IndexError, TypeError):
        return False
    return bool(verdict)


@pytest.mark.parametrize("canonicalize", [(b"simple", b"simple"), (b"relaxed", b"relaxed"), (b"simple", b"relaxed")])
def test_a_signature_made_by_the_client_verifies_behind_bridgehead(
    new_bridgehead: NewBridgehead, sink: Sink, canonicalize: tuple[bytes, bytes]
) -> None:
    private = rsa.generate_private_key(65537, 2048)
    pem = private.private_bytes(Encoding.PEM, PrivateFormat.TraditionalOpenSSL, NoEncryption())
    public = private.public_key().public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)
    keys = {b"key._domainkey.client.test.": b"v=DKIM1; k=rsa; p=" + b64encode(public)}
    text = b"From: a@client.test\r\nSubject:  two  spaces \r\n\r\n.dot\r\n" + b"x" * 1500 + b"  \r\n\r\n\r\n"
    signed = dkim.sign(text, b"key", b"client.test", pem, canonicalize=canonicalize) + text
    bridgehead = new_bridgehead()
    bridgehead.configure(smart_host(sink.port))
    bridgehead.start()
    with Wire(bridgehead.port) as client:
        assert client.send("a@client.test", ["b@inside.test"], signed).code == 250
    wait_until(lambda: len(sink.received) == 1, "the message at the sink")
    assert valid_signatures(sink.received[0].content, keys) == [0]
