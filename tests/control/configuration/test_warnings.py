"""Every warning of the reference, one line each: the text, the place it points at, and what it says."""

# ruff: noqa: E501 - a line a case

from __future__ import annotations

import pytest

from tests.control.configuration.examples import CONNECTOR, PARTNER, VIRTUAL_SERVER, loaded, place_of_mark, the_issue

CLEAN = VIRTUAL_SERVER + CONNECTOR


def _relay(clients: str) -> str:
    return f"{VIRTUAL_SERVER}[virtual_server.relay]\nclients = ▸{clients}\n"


def _credentials(tls: str, mark: str = "▸") -> str:
    secret = 'authentication = "basic"\nusername = "u"\npassword = { env = "ISP_PASSWORD" }'
    return f'{CLEAN}[connector.security]\n{secret}\ntls = {mark}"{tls}"\n'


USERS = 'authentication = { users = { file = "/dev/null" }, mechanisms = ▸["PLAIN"], without_tls = true }'

WARNED = [
    ("bridgehead off port 25", CLEAN.replace('["192.0.2.1:25"]', '▸["192.0.2.1:26"]'), "does not listen on port 25"),
    ("equal cost", CLEAN + '[[connector]]\nname = "Two"\naddress_spaces = ["x.example", ▸"*"]', 'cost 1 on connector "Internet"'),
    ("leak", CLEAN + PARTNER + "restrictions = ▸{ size_less_than_kb = 9 }", 'leaks to connector "Internet" ("*")'),
    ("nobody owns *", VIRTUAL_SERVER + PARTNER.replace("[[", "[[▸"), 'no_match = "ndr" decides'),
    ("owner of * is disabled", CLEAN.replace("[[c", "[[▸c") + "enabled = false", 'no enabled connector has the address space "*"'),
    ("Docker's gateway", _relay('["172.17.0.1"]'), "172.17.0.1/32 looks like a NAT or container gateway"),
    ("Docker's pool", _relay('["172.16.0.0/12"]'), "gateway"),
    ("a router", _relay('["192.168.0.1"]'), "gateway"),
    ("domain without a place", '[organization]\npostmaster = "a@b.example"\n[[accepted_domain]]\ndomain = ▸"b.example"', "no place"),
    ("postmaster", '[[accepted_domain]]\ndomain = "*.b.example"\ndeliver = "lmtp:/run/x"', "goes to postmaster@b.example"),
    ("no account", VIRTUAL_SERVER.replace("192.0.2.1", "127.0.0.1") + USERS, "no account can use PLAIN"),
    ("password to anyone", _credentials("require"), 'not verified (tls is "require")'),
    ("password in the clear", _credentials("none"), 'not verified (tls is "none")'),
    ("unused credentials", CLEAN + 'security = { username = ▸"u" }', 'authentication is "anonymous"'),
]  # fmt: skip


@pytest.mark.parametrize(("marked", "says"), [pytest.param(*case[1:], id=case[0]) for case in WARNED])
def test_warning_points_at_the_words_and_says_what_will_happen(marked: str, says: str) -> None:
    text, line, column = place_of_mark(marked)
    result = loaded(text)
    issue = the_issue(result.issues)
    assert result.configuration is not None
    assert result.warnings == (issue,)
    assert (issue.line, issue.column) == (line, column), str(issue)
    assert says in issue.message


SILENT = [
    ("the clean example", CLEAN),
    ("verified credentials", _credentials("verify", "")),
    ("another cost", CLEAN + '[[connector]]\nname = "Two"\naddress_spaces = ["*;2"]'),
    ("an open equal takes what is refused", CLEAN + PARTNER + "restrictions.size_less_than_kb = 9" + PARTNER.replace("Partner", "P2").replace('com"', 'com;2"')),
    ("restriction without anything wider", CLEAN + "restrictions.size_less_than_kb = 9"),
    ("a disabled connector", CLEAN + PARTNER + 'enabled = false\nrestrictions.reject_from = ["<>"]'),
    ("no connector at all", VIRTUAL_SERVER),
    ("a virtual server of no connector", CLEAN + VIRTUAL_SERVER.replace("Default", "2nd").replace(":25", ":587")),
    ("a wide private network", _relay('["10.0.0.0/8"]').replace("▸", "")),
    ("domain with a connector", CLEAN + PARTNER + '[organization]\npostmaster = "a@b.example"\n[[accepted_domain]]\ndomain = "x.fabrikam.com"'),
]  # fmt: skip


@pytest.mark.parametrize("text", [pytest.param(case[1], id=case[0]) for case in SILENT])
def test_no_warning_is_given_without_a_reason(text: str) -> None:
    assert loaded(text).issues == ()


def test_default_virtual_server_is_warned_of_without_a_place() -> None:
    issue = the_issue(loaded(CONNECTOR).issues)
    assert issue.line == 0
    assert issue.message.startswith('virtual server: bridgehead of connector "Internet"')


def test_errors_silence_warnings_that_would_only_follow_from_them() -> None:
    text = '[organization]\npostmaster = "a@b.example"\n[[accepted_domain]]\ndomain = "b.example"\ndeliver = "lmpt:/run/x"'
    assert 'expected "lmtp:HOST:PORT"' in the_issue(loaded(text).issues).message
