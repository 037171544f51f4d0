"""The scenario of Microsoft KB 265293, "How to configure the SMTP connector in Exchange 200x", step by step.

Where the article clicks, this edits the file; where it restarts services, this sends SIGHUP while mail flows.
"""

from __future__ import annotations

import smtplib

import pytest

from bridgehead.control.control_socket import call
from tests.peers.bridgehead import Bridgehead
from tests.peers.child import free_port, wait_until
from tests.peers.conftest import NewBridgehead
from tests.peers.sender import Sender
from tests.peers.sink import Sink

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


def refuse_ehlo(line: bytes) -> bytes:
    return b"502 5.5.1 Say HELO\r\n" if line.upper().startswith(b"EHLO") else b""


def test_the_sixteen_steps_of_kb_265293(new_bridgehead: NewBridgehead) -> None:
    with Sink() as one, Sink() as two, Sink(decide=refuse_ehlo) as partner:
        server = new_bridgehead()
        second = free_port()

        def edit(*connectors: str) -> None:
            text = ORGANIZATION.format(state=server.state, first=server.port, second=second)
            server.configuration.write_text(text + "".join(connectors))

        # 1. Start the system: without a connector the virtual server handles all mail by itself.
        edit()
        assert server.command("check").returncode == 0
        server.start()
        assert "no connector: the virtual server delivers by itself" in explained(server, "bob@anywhere.test")
        # 2.-5. The tree: administrative group, routing group.
        shown = server.command("config", "show").stdout
        assert 'administrative_group = "First Administrative Group"' in shown
        assert 'routing_group = "Tokyo"' in shown
        # 6.-9. A new SMTP connector with a name, to smart hosts written as [IP];[IP].
        # 10. Two virtual servers share the role of bridgehead; one not on port 25 is warned of.
        # 11. Scope organization, address space * at cost 1, relaying off.
        ports = {"one": one.port, "two": two.port}
        edit(ISP.format(**ports, **ANONYMOUS))
        checked = server.command("check")
        assert checked.returncode == 1, checked.stdout + checked.stderr
        assert "does not listen on port 25" in checked.stdout
        sender = Sender(server.port, count=600, pause=0.005)
        sender.start()
        assert server.reload() == "reload"
        assert "Internet via ISP" in explained(server, "bob@anywhere.test")
        # 11. Someone turns relaying on for *: refused, and the configuration in force stays.
        before = call(server.state, "server")["generation"]
        edit(ISP.format(**ports, **ANONYMOUS | {"allow_relay": "true"}))
        refused = server.command("check")
        assert refused.returncode == 2
        assert "allow_relay" in refused.stdout
        assert server.reload() == "reload-refused"
        assert call(server.state, "server")["generation"] == before
        assert "allow_relay" in " ".join(call(server.state, "server")["refusals"])
        # 12. Outbound security: anonymous is the default; basic without credentials is refused.
        edit(ISP.format(**ports, **ANONYMOUS | {"authentication": "basic"}))
        assert server.command("check").returncode == 2
        # 12. Several smart hosts, and a partner of our own with HELO instead of EHLO.
        edit(ISP.format(**ports, **ANONYMOUS), PARTNER.format(port=partner.port))
        # 13.-15. OK closes the sheets; 16. no restart is needed: mail flows all the time.
        assert server.reload() == "reload"
        assert "Partner" in explained(server, "eve@sales.fabrikam.test")
        assert server.command("connector", "test", "Internet via ISP").returncode == 0
        assert server.command("connector", "test", "Partner").returncode == 0
        send_to_partner(server, second)
        sender.join()
        assert sender.account.interruptions == 0, "no session was dropped"
        accepted = set(sender.account.accepted)
        wait_until(lambda: accepted <= (one.counts() + two.counts()).keys(), "all mail at the ISP's hosts")
        assert one.received, "the load is shared"
        assert two.received, "the load is shared"
        wait_until(lambda: partner.counts(b"Subject") == {b"to the partner": 1}, "the partner's mail")
        assert server.terminate() == 0


def explained(server: Bridgehead, recipient: str) -> str:
    return server.command("explain", recipient, "--client", "127.0.0.1").stdout


def send_to_partner(server: Bridgehead, port: int) -> None:
    """By the second bridgehead."""
    with smtplib.SMTP("127.0.0.1", port, local_hostname="client.test") as client:
        client.sendmail("amy@contoso.test", ["eve@sales.fabrikam.test"], "Subject: to the partner\r\n\r\nHello.\r\n")
    assert server.running.is_running
