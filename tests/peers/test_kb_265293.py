"""The scenario of Microsoft KB 265293, "How to configure the SMTP connector in Exchange 200x", step by step.

Where the article clicks, this edits the file; where it restarts services, this sends SIGHUP while mail flows.
"""

from __future__ import annotations

import ssl
from base64 import b64encode
from collections import Counter
from dataclasses import dataclass
from pathlib import Path

import pytest

from bridgehead.control.control_socket import call
from tests.peers.bridgehead import Bridgehead
from tests.peers.child import free_port, wait_until
from tests.peers.conftest import NewBridgehead
from tests.peers.sender import Sender
from tests.peers.sink import EXTENSIONS, Sink
from tests.peers.wire import Wire

pytestmark = pytest.mark.peer

ORGANIZATION = """\
[node]
state_dir = "{state}"
workers = 2
console = ""

[organization]
name = "Contoso"
postmaster = "postmaster@contoso.test"
display_routing_groups = true
display_administrative_groups = true

[[server]]
name = "BRIDGE01"
routing_group = "Tokyo"
administrative_group = "First Administrative Group"

[[virtual_server]]
name = "Default SMTP Virtual Server"
listen = ["127.0.0.1:{first}"]
fqdn = "mail.contoso.test"
[virtual_server.delivery]
dns_servers = ["127.0.0.1:9"]  # nobody answers: what comes before there is a connector waits, on any machine

[[virtual_server]]
name = "Second SMTP Virtual Server"
listen = ["127.0.0.1:{second}"]
fqdn = "mail2.contoso.test"
"""

ISP = """
[[connector]]
name = "Internet via ISP"
routing_group = "Tokyo"
scope = "organization"
route = "smart-hosts"
smart_hosts = "[127.0.0.1]:{one};[127.0.0.1]:{two}"
bridgeheads = ["BRIDGE01/Default SMTP Virtual Server", "BRIDGE01/Second SMTP Virtual Server"]
address_spaces = ["SMTP:*;1"]
allow_relay = {allow_relay}
[connector.security]
authentication = "{authentication}"
{credentials}
"""

PARTNER = """
[[connector]]
name = "Partner"
route = "smart-hosts"
smart_hosts = "[127.0.0.1]:{port}"
address_spaces = ["SMTP:*.fabrikam.test;1"]
[connector.advanced]
helo = true
"""

ANONYMOUS = {"allow_relay": "false", "authentication": "anonymous", "credentials": ""}
BASIC = {"authentication": "basic", "credentials": 'username = "contoso"\npassword = { file = "isp.secret" }'}
LOGIN = b"AUTH PLAIN " + b64encode(b"\0contoso\0secret")


class HeloOnly:
    """Decides as a host that knows no EHLO, and keeps how it was greeted."""

    def __init__(self) -> None:
        self.greetings: set[bytes] = set()

    def __call__(self, line: bytes) -> bytes:
        """The reply to a line; empty: as usual."""
        verb = line[:4].upper()
        if verb in {b"EHLO", b"HELO"}:
            self.greetings.add(verb)
        return b"502 5.5.1 Say HELO\r\n" if verb == b"EHLO" else b""


def want_password(line: bytes) -> bytes:
    if not line.startswith(b"AUTH "):
        return b""
    return b"235 2.7.0 welcome\r\n" if line == LOGIN else b"535 5.7.8 no\r\n"


def sink_with_password(certificate: Path) -> Sink:
    """A host that offers STARTTLS and AUTH and knows one password."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate / "cert.pem", certificate / "key.pem")
    return Sink(decide=want_password, extensions=(*EXTENSIONS, b"AUTH PLAIN"), tls=context)


@dataclass(slots=True)
class Organization:
    """The server under test, and the hosts its connectors lead to."""

    server: Bridgehead
    second: int
    """Port of the second virtual server."""
    one: Sink
    two: Sink
    secure: Sink
    partner: Sink

    def edit(self, *connectors: str) -> None:
        """Write the file anew, with these connectors."""
        text = ORGANIZATION.format(state=self.server.state, first=self.server.port, second=self.second)
        self.server.configuration.write_text(text + "".join(connectors))

    def isp(self, **changed: str) -> str:
        """The connector to the provider's two hosts, anonymous and without relaying unless changed."""
        return ISP.format(one=self.one.port, two=self.two.port, **ANONYMOUS | changed)

    def check(self) -> tuple[int, str]:
        """What `check` says of the file as it is now."""
        done = self.server.command("check")
        return done.returncode, done.stdout

    def explain(self, recipient: str) -> str:
        """Which way mail of a client that may relay would go."""
        return self.server.command("explain", recipient, "--client", "127.0.0.1").stdout

    def tests_well(self, connector: str, *options: str) -> bool:
        """Whether `connector test` passes every step."""
        return self.server.command("connector", "test", connector, *options).returncode == 0


def test_the_sixteen_steps_of_kb_265293(new_bridgehead: NewBridgehead, certificate: Path) -> None:
    greeted = HeloOnly()
    with Sink() as one, Sink() as two, sink_with_password(certificate) as secure, Sink(decide=greeted) as partner:
        organization = Organization(new_bridgehead(), free_port(), one, two, secure, partner)
        start_with_the_tree(organization)
        sender = Sender(organization.server.port, count=1_000_000, sessions=4, pause=0.02)
        sender.start()
        make_a_connector(organization)
        refuse_an_open_relay(organization)
        secure_the_way_out(organization)
        finish_without_a_restart(organization)
        # No message was lost or sent twice, and no session was dropped, whatever the steps did meanwhile.
        sender.wait_progress(sender.progress + 50)
        account = sender.abandon()
        assert (account.interruptions, account.refused) == (0, [])
        accepted = Counter(account.accepted)
        wait_until(lambda: one.counts() + two.counts() + secure.counts() == accepted, "each message once at a host")
        assert one.received, "the load is shared"
        assert two.received, "the load is shared"
        assert greeted.greetings == {b"HELO"}
        assert organization.server.terminate() == 0


def start_with_the_tree(organization: Organization) -> None:
    """Steps 1 to 5."""
    # 1. Start the system: without a connector the virtual server handles all mail by itself.
    organization.edit()
    assert organization.check()[0] == 0
    organization.server.start()
    assert "no connector: the virtual server delivers by itself" in organization.explain("bob@anywhere.test")
    # 2.-5. The tree, displayed as asked: administrative group, routing group.
    shown = organization.server.command("config", "show").stdout
    assert "display_routing_groups = true" in shown
    assert 'administrative_group = "First Administrative Group"' in shown
    assert 'routing_group = "Tokyo"' in shown


def make_a_connector(organization: Organization) -> None:
    """Steps 6 to 11, with mail flowing."""
    # 6.-9. A new SMTP connector with a name, to smart hosts written as [IP];[IP].
    # 10. Two virtual servers share the role of bridgehead; one not on port 25 is warned of.
    # 11. Scope organization, address space * at cost 1, relaying off.
    organization.edit(organization.isp())
    code, text = organization.check()
    assert (code, text.count("does not listen on port 25")) == (1, 2)
    assert organization.server.reload() == "reload"
    explained = organization.explain("bob@anywhere.test")
    assert "Internet via ISP" in explained
    assert "Default SMTP Virtual Server" in explained


def refuse_an_open_relay(organization: Organization) -> None:
    """Step 11, done wrong: relaying turned on for *. It is refused, and the configuration in force stays."""
    before = call(organization.server.state, "server")["generation"]
    organization.edit(organization.isp(allow_relay="true"))
    code, text = organization.check()
    assert code == 2
    assert "allow_relay" in text
    assert organization.server.reload() == "reload-refused"
    after = call(organization.server.state, "server")
    assert after["generation"] == before
    assert "allow_relay" in " ".join(after["refusals"])
    assert "allow_relay" in organization.server.command("status").stdout


def secure_the_way_out(organization: Organization) -> None:
    """Step 12."""
    # Anonymous is the default; basic without credentials is refused.
    organization.edit(organization.isp(authentication="basic"))
    assert organization.check()[0] == 2
    # Basic, agreed with whoever runs the other server: credentials under TLS, which is required by default.
    secret = organization.server.directory / "isp.secret"
    secret.write_text("secret\n")
    secret.chmod(0o600)
    secure = organization.secure
    organization.edit(ISP.format(one=secure.port, two=secure.port, **ANONYMOUS | BASIC))
    assert organization.server.reload() == "reload"
    assert organization.tests_well("Internet via ISP", "--to", "bob@anywhere.test")
    assert "basic as contoso" in organization.explain("bob@anywhere.test")
    wait_until(lambda: bool(secure.received), "mail at the host that wants a password")
    assert all(message.is_tls for message in secure.received)
    # Several smart hosts, and a partner's domain that goes its own way, with HELO instead of EHLO.
    organization.edit(organization.isp(), PARTNER.format(port=organization.partner.port))


def finish_without_a_restart(organization: Organization) -> None:
    """Steps 13 to 16: OK closes the sheets, and nothing is restarted."""
    processes = organization.server.running.process_ids()
    assert organization.server.reload() == "reload"
    assert "Partner" in organization.explain("eve@sales.fabrikam.test")
    assert organization.tests_well("Internet via ISP")
    assert organization.tests_well("Partner")
    # By the second bridgehead, which shares the role.
    with Wire(organization.second) as client:
        content = b"Subject: to the partner\r\n\r\nHello.\r\n"
        assert client.send("amy@contoso.test", ["eve@sales.fabrikam.test"], content).code == 250
    partner = organization.partner
    wait_until(lambda: partner.counts(b"Subject") == {b"to the partner": 1}, "the partner's mail")
    assert organization.server.running.process_ids() == processes
