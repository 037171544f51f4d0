"""Keys of a connector that are named, and not available yet; and its defaults as the reference has them."""

# ruff: noqa: E501 - a line a case

from __future__ import annotations

import pytest

from bridgehead.control.configuration.connector_table import ConnectorTable
from tests.control.configuration.examples import CONNECTOR, assert_comes_later

LATER = [
    ("senders", CONNECTOR + 'senders = {}["a.example"]', "[]"),
    ("connected_routing_groups", CONNECTOR + 'connected_routing_groups = {}[{{ name = "Osaka", cost = 10 }}]', "[]"),
    ("scram", CONNECTOR + 'security.authentication = {}"scram"', "another value"),
    ("ntlm", CONNECTOR + 'security.authentication = {}"ntlm"', "another value"),
    ("oauth2", CONNECTOR + 'security.authentication = {}"oauth2"', "another value"),
    ("certificate", CONNECTOR + 'security.authentication = {}"certificate"', "another value"),
    ("policy", CONNECTOR + 'security.tls = {}"policy"', "another value"),
    ("dane", CONNECTOR + 'security.tls = {}"dane"', "another value"),
    ("mta-sts", CONNECTOR + 'security.tls = {}"mta-sts"', "another value"),
    ("client_certificate", CONNECTOR + 'security.client_certificate = {}{{ certificate = "c.pem", key = "" }}', '{ certificate = "", key = "" }'),
    ("oauth2 table", CONNECTOR + 'security.oauth2 = {}{{ client_secret = {{ env = "X" }} }}', "nothing"),
    ("sealed", CONNECTOR + 'security.password = {{ sealed = {}"isp" }}', '""'),
    ("etrn", CONNECTOR + 'advanced.dequeue = {}"etrn"', "another value"),
    ("turn", CONNECTOR + 'advanced.dequeue = {}"turn"', "another value"),
    ("priorities", CONNECTOR + 'restrictions.priorities = {}["high"]', '["high", "normal", "low"]'),
    ("types", CONNECTOR + 'restrictions.types = {}["system"]', '["system", "non-system"]'),
    ("schedule", CONNECTOR + 'delivery.schedule = {}"never"', '"always"'),
    ("schedule of windows", CONNECTOR + 'delivery.schedule = {}["Mon-Fri 18:00-07:00"]', '"always"'),
    ("timezone", CONNECTOR + 'delivery.timezone = {}"Asia/Tokyo"', '""'),
    ("oversize_kb", CONNECTOR + "delivery.oversize_kb = {}1", "0"),
    ("oversize_schedule", CONNECTOR + 'delivery.oversize_schedule = {}"never"', '"always"'),
    ("remote_triggered", CONNECTOR + 'delivery.remote_triggered = {}["u"]', "[]"),
    ("messages_per_minute", CONNECTOR + "limits.messages_per_minute = {}1", "0"),
    ("recipients_per_day", CONNECTOR + "limits.recipients_per_day = {}1", "0"),
]  # fmt: skip


@pytest.mark.parametrize(("template", "default"), [pytest.param(*case[1:], id=case[0]) for case in LATER])
def test_what_comes_later_is_an_error_and_never_silence(template: str, default: str) -> None:
    assert_comes_later(template, default)


def test_defaults_are_those_of_the_reference() -> None:
    table = ConnectorTable(name="x")
    assert (table.enabled, table.scope, table.route, table.smart_host_order) == (
        True,
        "organization",
        "dns",
        "balance",
    )
    assert (table.security.authentication, table.security.tls, table.advanced.helo) == ("anonymous", "", False)
    limits = table.limits
    assert (limits.connections, limits.connections_per_domain, limits.messages_per_connection) == (20, 20, 20)
