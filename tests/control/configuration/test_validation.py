"""Wrong keys, types and choices: the place, what was expected, and the nearest valid name."""

# ruff: noqa: E501 - a line a case

from __future__ import annotations

import pytest

from tests.control.configuration.examples import (
    CONNECTOR,
    PARTNER,
    TWO_SERVERS,
    VIRTUAL_SERVER,
    loaded,
    place_of_mark,
    the_issue,
)

WRONG = [
    ("unknown key", CONNECTOR + '▸smart_host = "[192.0.2.10]"', 'unknown key "smart_host"', 'did you mean "smart_hosts"?'),
    ("unknown key of node", '[node]\n▸consle = ""', 'unknown key "consle"', 'did you mean "console"?'),
    ("unknown table", "[▸virtual_servr]", 'unknown key "virtual_servr"', 'did you mean "virtual_server"?'),
    ("unknown key in a table of a table", VIRTUAL_SERVER + "[virtual_server.relay]\n▸client = []", "mode, clients", '"clients"?'),
    ("unknown dotted key", CONNECTOR + "restrictions.▸size = 3", 'unknown key "size"', "size_less_than_kb"),
    ("unknown key in an inline table", CONNECTOR + "advanced = { helo = true, ▸ehlo = false }", 'unknown key "ehlo"', '"helo"?'),
    ("unknown quoted key", '[node]\n▸"work ers" = 3', 'unknown key "work ers"', '"workers"?'),
    ("key with a hyphen", CONNECTOR + "▸allow-relay = true", 'unknown key "allow-relay"', 'did you mean "allow_relay"?'),
    ("nothing near", "[node]\n▸xyzzy = 3", 'unknown key "xyzzy"', "one of server, state_dir"),
    ("text for a number", '[node]\nworkers = ▸"4"', 'workers is "4"', "expected a whole number"),
    ("fraction for a whole number", "[node]\nworkers = ▸1.5", "workers is 1.5", "expected a whole number"),
    ("truth for a number", "[node]\nworkers = ▸true", "workers is true", "expected a whole number"),
    ("too many workers", "[node]\nworkers = ▸257", "workers is 257", "expected at most 256"),
    ("text for truth", CONNECTOR + 'enabled = ▸"yes"', 'enabled is "yes"', "expected true or false"),
    ("number for truth", CONNECTOR + "enabled = ▸1", "enabled is 1", "expected true or false"),
    ("number for a text", CONNECTOR + "note = ▸1", "note is 1", "expected a text in quotes"),
    ("text for a list", VIRTUAL_SERVER + 'relay.clients = ▸"::1"', 'clients is "::1"', "expected a list"),
    ("number in a list", VIRTUAL_SERVER + "relay.clients = [▸1]", "clients is 1", "expected a text in quotes"),
    ("text for a table", VIRTUAL_SERVER + 'relay = ▸"x"', 'relay is "x"', "expected a table"),
    ("single brackets", '▸[connector]\nname = "x"', "connector is a table", "expected [[connector]], with two brackets"),
    ("double brackets", "[[▸node]]", "node is a list", "expected [node], with single brackets"),
    ("no name", VIRTUAL_SERVER + '▸[[connector]]\naddress_spaces = ["*"]', 'key "name" is missing', "name = …"),
    ("no listener", '▸[[virtual_server]]\nname = "x"', 'key "listen" is missing', "listen = …"),
    ("empty listener", '[[virtual_server]]\nname = "x"\nlisten = ▸[]', "listen is a list", "at least 1 entry"),
    ("infinite", VIRTUAL_SERVER + "delivery.glitch_retry_seconds = ▸inf", "is inf", "expected a number"),
    ("below zero", VIRTUAL_SERVER + "delivery.retry_minutes = [1, ▸-1]", "retry_minutes is -1", "more than 0"),
    ("very large", "[node]\nmin_free_mb = ▸99999999999999999999999", "a very large number", ""),
    ("choice", CONNECTOR + 'scope = ▸"organisation"', '"organization" or "routing-group"', 'did you mean "organization"?'),
    ("choice in a list", CONNECTOR + 'restrictions.priorities = ["high", ▸"hi"]', "hi", '"high"?'),
    ("number for a choice", CONNECTOR + "scope = ▸3", "scope is 3", '"organization" or "routing-group"'),
    ("date", "[node]\nworkers = ▸1979-05-27", "workers is 1979-05-27", "expected a whole number"),
    ("listener without port", '[[virtual_server]]\nname = "x"\nlisten = [▸"192.0.2.1"]', "", 'did you mean "192.0.2.1:25"?'),
    ("listener by name", '[[virtual_server]]\nname = "x"\nlisten = [▸"localhost:25"]', "localhost", '"ADDRESS:PORT"'),
    ("listener on all", '[[virtual_server]]\nname = "x"\nlisten = [▸"*:25"]', "", 'did you mean "0.0.0.0:25"?'),
    ("NUL in a path", '[node]\nstate_dir = ▸"a\\u0000b"', "", "expected a path"),
    ("port of a listener", '[[virtual_server]]\nname = "x"\nlisten = [▸"[::]:65536"]', "", "a port between 0 and 65535"),
    ("tls of a listener", '[[virtual_server]]\nname = "x"\nlisten = [{ address = "[::]:465", tls = ▸"implict" }]', "", '"implicit"?'),
    ("duration without unit", '[node]\ndrain = ▸"15"', '"15"', 'did you mean "15s"?'),
    ("duration of too long", '[node]\ndrain = ▸"3651d"', "", "at most 3650d"),
    ("network with host bits", VIRTUAL_SERVER + 'relay.clients = [▸"10.1.2.3/8"]', "", 'did you mean "10.0.0.0/8"?'),
    ("DNS server by name", VIRTUAL_SERVER + 'delivery.dns_servers = [▸"ns.example"]', "ns.example", ""),
    ("source by name", VIRTUAL_SERVER + 'delivery.source_addresses = [▸"a.example"]', "an IP address", ""),
    ("maildir", '[[accepted_domain]]\ndomain = "a.example"\ndeliver = ▸"maildir:/srv/{user}"', "{user}", "{domain} and {local} only"),
    ("sender", CONNECTOR + 'restrictions.accept_from = [▸"a b@c.example"]', "a b@c.example", '"<>"'),
    ("sender without at", CONNECTOR + 'restrictions.accept_from = [▸".c.example"]', "", '"*.c.example"?'),
    ("postmaster", '[organization]\npostmaster = ▸"root"', "", "a mail address"),
    ("slash in a server's name", '[[server]]\nname = ▸"A/B"', "", 'did you mean "A-B"?'),
    ("empty name", '[[server]]\nname = ▸""', "", "a name of printable characters"),
    ("password in the file", CONNECTOR + '[connector.security]\npassword = ▸"xyzzy"', "a secret does not stand in the file", "env ="),
]  # fmt: skip


@pytest.mark.parametrize(("marked", "says", "also"), [pytest.param(*case[1:], id=case[0]) for case in WRONG])
def test_wrong_value_is_reported_where_it_stands(marked: str, says: str, also: str) -> None:
    text, line, column = place_of_mark(marked)
    result = loaded(text)
    issue = the_issue(result.errors)
    assert result.configuration is None
    assert (issue.line, issue.column) == (line, column), str(issue)
    assert says in issue.message
    assert also in issue.message


def test_what_comes_later_is_accepted_at_its_default() -> None:
    text = f"""
[node]
peers = ""
{VIRTUAL_SERVER}
messages = {{ ndr_copy_to = "", unresolved_to = "" }}
delivery = {{ masquerade_domain = "", direct_first = false }}
security = {{ authentication = "anonymous" }}
{CONNECTOR}
senders = []
connected_routing_groups = []
[connector.security]
password = {{}}
client_certificate = {{ certificate = "", key = "" }}
oauth2 = {{ grant = "client-credentials", token_url = "", client_id = "", scope = "", user = "" }}
[connector.advanced]
dequeue = "none"
[connector.restrictions]
priorities = ["low", "normal", "high"]
types = ["system", "non-system"]
[connector.delivery]
schedule = "always"
timezone = ""
oversize_kb = 0
oversize_schedule = "always"
remote_triggered = []
[connector.limits]
messages_per_minute = 0
recipients_per_day = 0
"""
    assert loaded(text).issues == ()


def test_all_errors_of_a_file_are_reported_at_once_in_its_order() -> None:
    text = f"""
[node]
workers = "4"
{VIRTUAL_SERVER}
conection = {{}}
{CONNECTOR}
allow_relay = true
smart_host = "x"
bridgeheads = ["Defualt SMTP Virtual Server"]
{PARTNER}
address_spaces.x = 3
"""
    result = loaded(text.replace("address_spaces.x = 3", 'scope = "all"'))
    assert [(issue.line, issue.path) for issue in result.errors] == [
        (3, "node.workers"),
        (9, "virtual_server[0].conection"),
        (15, "connector[0].allow_relay"),
        (16, "connector[0].smart_host"),
        (17, "connector[0].bridgeheads[0]"),
        (23, "connector[1].scope"),
    ]


def test_a_table_with_a_wrong_name_leaves_references_to_it_unjudged() -> None:
    text = TWO_SERVERS.replace('name = "One"', "name = 1") + CONNECTOR + 'bridgeheads = ["BRIDGE01/One"]'
    assert "name is 1" in the_issue(loaded(text).errors).message


@pytest.mark.parametrize("text", ["connector = 3", "connector = [3]", 'connector = [[{ name = "x" }]]', "node = []"])
def test_tables_that_are_no_tables_are_errors(text: str) -> None:
    assert loaded(text).errors


def test_number_of_a_table_stands_for_a_name_it_does_not_have() -> None:
    issue = the_issue(loaded(VIRTUAL_SERVER + '[[connector]]\naddress_spaces = ["*"]').errors)
    assert issue.message.startswith("connector number 1: ")
