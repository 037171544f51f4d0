"""Every refusal of the reference, one line each: the text, the place it points at, and what it says."""

# ruff: noqa: E501 - a line a case

from __future__ import annotations

import pytest

from tests.control.configuration.examples import (
    CONNECTOR,
    TWO_SERVERS,
    VIRTUAL_SERVER,
    loaded,
    place_of_mark,
    the_issue,
)


def _listening(address: str, rest: str = "") -> str:
    return f'[[virtual_server]]\nname = "Default"\nlisten = ["{address}"]\n{rest}'


def _connector(rest: str, spaces: str = '["*"]') -> str:
    return f'{VIRTUAL_SERVER}[[connector]]\nname = "Internet"\naddress_spaces = {spaces}\n{rest}'


def _to(smart_hosts: str, listen: str = "192.0.2.1:25", extra: str = "") -> str:
    hosts = (
        f'[[connector]]\nname = "Out"\naddress_spaces = ["*"]\nroute = "smart-hosts"\nsmart_hosts = ▸"{smart_hosts}"'
    )
    return f"{_listening(listen)}{extra}\n{hosts}"


USERS = 'authentication = { users = { file = "/dev/null" }, without_tls = ▸true }'
BASIC = '[connector.security]\ntls = "verify"\nauthentication = "basic"\n'

REFUSED = [
    ("allow_relay on *", _connector("allow_relay = ▸true"), "open relay: anyone could relay to every domain"),
    ("allow_relay on a top-level domain", _connector("allow_relay = ▸true", '["*.com"]'), "a whole top-level domain"),
    ("all-except on the network", _listening("0.0.0.0:25", '[virtual_server.relay]\nmode = ▸"all-except"'), "open relay"),
    ("all-except on IPv6", _listening("[::]:25", '[virtual_server.relay]\nmode = ▸"all-except"'), "on :: is an open relay"),
    ("relay for everyone", _listening("127.0.0.1:25", '[virtual_server.relay]\nclients = ▸["0.0.0.0/0"]'), "larger than /16"),
    ("relay for a /15", _listening("127.0.0.1:25", '[virtual_server.relay]\nclients = ▸["8.8.0.0/15"]'), "8.8.0.0/15"),
    ("relay for a /31 of IPv6", _listening("127.0.0.1:25", '[virtual_server.relay]\nclients = ▸["2a00::/31"]'), "/32"),
    ("relay for all mapped", _listening("127.0.0.1:25", '[virtual_server.relay]\nclients = ▸["::ffff:0:0/96"]'), "0.0.0.0/0"),
    ("relay for .com", _listening("127.0.0.1:25", '[virtual_server.relay]\nclients = ▸["*.com"]'), "*.com is an open relay"),
    ("passwords in the clear", _listening("0.0.0.0:25", USERS), "let passwords cross the network in the clear"),
    ("cost 0", _connector("", '[▸"SMTP:*;0"]'), "a cost between 1 and 100"),
    ("cost 101", _connector("", '["*", { address = "a.example", cost = ▸101 }]'), "cost is 101; expected at most 100"),
    ("address as address space", _connector("", '[▸"a@b.example"]'), 'did you mean "b.example"?'),
    ("wildcard inside", _connector("", '[▸"*b.example"]'), 'did you mean "*.b.example"?'),
    ("another type", _connector("", '[▸"X400:c=us;1"]'), "SMTP is the only type"),
    ("bare address as smart host", _to("192.0.2.10"), 'did you mean "[192.0.2.10]"?'),
    ("bare address with port", _to("192.0.2.10:25"), 'did you mean "[192.0.2.10]:25"?'),
    ("bracket left open", _to("[192.0.2.10"), 'did you mean "[192.0.2.10]"?'),
    ("smart host with a space", _to("mail host"), "expected a smart host"),
    ("smart host is an own address", _to("[192.0.2.1]"), "smart host [192.0.2.1] is LOCAL itself"),
    ("wildcard: own interface", _to("[192.0.2.1]", "0.0.0.0:25"), "would go in circles"),
    ("wildcard: loopback", _to("[127.0.0.1]:2525", "0.0.0.0:2525"), "would go in circles"),
    ("wildcard of IPv6", _to("[2001:db8::1]", "[::]:25"), "would go in circles"),
    ("an address that leads to whoever dials it", _to("[0.0.0.0]"), "would go in circles"),
    ("an own address in another form", _to("[::ffff:192.0.2.1]"), "would go in circles"),
    ("localhost", _to("localhost", "127.0.0.1:25"), "would go in circles"),
    ("own name", _to("[mail.contoso.com]"), "would go in circles"),
    ("own smart host of a virtual server", _listening("192.0.2.1:25", 'delivery.smart_hosts = ▸"[192.0.2.1]"'), "itself"),
    ("bridgehead of another group", f'{TWO_SERVERS}{CONNECTOR}bridgeheads = ["One", ▸"Two"]', 'routing group "Osaka"'),
    ("no bridgehead", _connector("bridgeheads = ▸[]"), "the connector has no bridgehead"),
    ("which bridgehead", f"{TWO_SERVERS}\n▸{CONNECTOR.strip()}", "the connector has no bridgehead"),
    (
        "bridgeheads elsewhere",
        f'{TWO_SERVERS}{CONNECTOR}routing_group = "Osaka"\nbridgeheads = ▸["Two"]',
        "not available yet",
    ),
    ("serves nothing", _connector("", "▸[]"), "neither address space nor connected routing group"),
    ("basic without user", _connector(BASIC + 'password = { env = "ISP_PASSWORD" }').replace("[connector.s", "▸[connector.s"), "user name"),
    ("basic without password", _connector(BASIC + 'username = "u"').replace("[connector.s", "▸[connector.s"), "password"),
    ("dns with smart hosts", _connector('smart_hosts = ▸"[192.0.2.10]"'), 'route = "dns" has no smart hosts'),
    ("smart-hosts without", _connector('route = "smart-hosts"\nsmart_hosts = ▸""'), "needs smart hosts"),
    ("helo with require", _connector('advanced.helo = ▸true\nsecurity.tls = "require"'), 'HELO has no STARTTLS, and tls is "require"'),
    ("helo under implicit TLS", _connector('advanced.helo = ▸true\nsecurity = { implicit_tls = true, tls = "verify" }'), "no STARTTLS"),
    ("implicit without TLS", _connector('security = { implicit_tls = true, tls = ▸"none" }'), "contradict"),
    (
        "verify to an address",
        _connector('route = "smart-hosts"\nsmart_hosts = "[192.0.2.10]"\nsecurity.tls = ▸"verify"'),
        'tls = "verify" to [192.0.2.10] has no name to verify',
    ),
    ("server twice", '[node]\nserver = "A"\n[[server]]\nname = "A"\n[[server]]\nname = ▸"A"', "another server has this name"),
    ("virtual server twice", _listening("192.0.2.1:25") + '[[virtual_server]]\nname = ▸"Default"\nlisten = ["192.0.2.1:26"]', "name"),
    ("connector twice", _connector("") + '[[connector]]\nname = ▸"Internet"\naddress_spaces = ["b.example"]', "this name"),
    ("domain twice", '[[accepted_domain]]\ndomain = "A.example."\n[[accepted_domain]]\ndomain = ▸"a.example"', "listed twice"),
    ("address twice", _listening('192.0.2.1:25", ▸"192.0.2.1:25'), "listened on twice"),
    ("address of the console", '[node]\nconsole = ▸"192.0.2.1:25"\n' + VIRTUAL_SERVER, "listened on twice"),
    ("timeout below 5m", _listening("192.0.2.1:25", 'connection.timeout = ▸"4m59s"'), "at least 5m"),
    ("expires at once", _listening("192.0.2.1:25", 'delivery.expire = ▸"0s"'), "expire is zero"),
    ("unknown virtual server", _connector('bridgeheads = [▸"LOCAL/Defualt SMTP Virtual Server"]'), "did you mean"),
    ("unknown group", _connector('routing_group = ▸"Kyoto"'), 'no server is in routing group "Kyoto"'),
    ("unknown server", '[[server]]\nname = "BRIDGE01"\n[node]\nserver = ▸"BRIDGE1"', 'did you mean "BRIDGE01"?'),
    ("whose virtual server", TWO_SERVERS + '▸[[virtual_server]]\nname = "X"\nlisten = ["192.0.2.1:26"]', "names its own"),
    ("server of a virtual server", VIRTUAL_SERVER + 'server = ▸"BRIDGE09"', 'there is no [[server]] "BRIDGE09"'),
    ("which machine", TWO_SERVERS.replace('[node]\nserver = "BRIDGE01"', "▸[node]"), "node.server says which"),
    ("tls without key", _listening("192.0.2.1:25", 'tls = ▸{ certificate = "/dev/null" }'), "key is missing"),
    ("accounts missing", _listening("127.0.0.1:25", "authentication = ▸{ without_tls = true }"), "needs accounts"),
    ("everything accepted", '[[accepted_domain]]\ndomain = ▸"*"', 'expected a domain such as "contoso.com"'),
]  # fmt: skip


@pytest.mark.parametrize(("marked", "says"), [pytest.param(*case[1:], id=case[0]) for case in REFUSED])
def test_refusal_points_at_the_words_and_says_why(marked: str, says: str) -> None:
    text, line, column = place_of_mark(marked)
    result = loaded(text)
    issue = the_issue(result.errors)
    assert result.configuration is None
    assert (issue.line, issue.column) == (line, column), str(issue)
    assert says in issue.message


ACCEPTED = [
    ("allow_relay for a partner", _connector("allow_relay = true", '["*.partner.com"]')),
    ("all-except on loopback", _listening("127.0.0.1:25", '[virtual_server.relay]\nmode = "all-except"')),
    ("a public /16", _listening("0.0.0.0:25", '[virtual_server.relay]\nclients = ["8.8.0.0/16", "2a00::/32"]')),
    ("a private /8", _listening("0.0.0.0:25", '[virtual_server.relay]\nclients = ["10.0.0.0/8", "fc00::/7"]')),
    ("without_tls on loopback", _listening("127.0.0.1:25", USERS.replace("▸", ""))),
    ("own address, other port", _to("[192.0.2.1]:2525").replace("▸", "")),
    ("127.0.0.2 beside a wildcard", _to("[127.0.0.2]", "0.0.0.0:25").replace("▸", "")),
    ("name with MX", _to("mail.contoso.com").replace("▸", "")),
    ("any free port twice", _listening('127.0.0.1:0", "127.0.0.1:0')),
    ("neither console nor metrics", '[node]\nconsole = ""\nmetrics = ""'),
    ("console and metrics anywhere", '[node]\nconsole = "127.0.0.1:0"\nmetrics = "127.0.0.1:0"'),
    ("same port, other address", _listening('0.0.0.0:25", "[::]:25", "192.0.2.1:25')),
    ("helo, opportunistic", _connector("advanced.helo = true")),
    ("verify by DNS", _connector('security.tls = "verify"')),
    ("out of scope here", f'{TWO_SERVERS}{CONNECTOR}routing_group = "Osaka"\nscope = "routing-group"\nbridgeheads = ["Two"]'),
]  # fmt: skip


@pytest.mark.parametrize("text", [pytest.param(case[1], id=case[0]) for case in ACCEPTED])
def test_what_is_near_a_refusal_is_accepted(text: str) -> None:
    assert loaded(text).errors == ()


def test_helo_with_basic_authentication_is_refused_for_both_reasons() -> None:
    text = _connector(
        BASIC + 'username = "u"\npassword = { env = "ISP_PASSWORD" }\n[connector.advanced]\nhelo = true'
    )
    assert [issue.message.partition(": ")[2] for issue in loaded(text).errors] == [
        "HELO cannot authenticate; expected helo = false, or anonymous",
        'HELO has no STARTTLS, and tls is "verify"; expected helo = false, or tls = "opportunistic"',
    ]
