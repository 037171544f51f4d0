"""The advice for each trouble that is known, and some for any other."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bridgehead.control.trial_advice import advice
from bridgehead.control.trial_steps import Result, Step

CASES = [
    ("DNS", "5.1.2 Domain nowhere.example does not exist", "Check the spelling."),
    ("DNS", "5.1.10 fabrikam.com takes no mail (null MX)", "takes no mail at all"),
    ("DNS", "5.4.6 Mail for contoso.com loops back to this server", "this server itself"),
    ("DNS", "4.4.3 DNS: SERVFAIL from 192.0.2.53:53", "dns_servers"),
    ("TCP", "connection refused", "Nothing listens there."),
    ("TCP", "timed out", "block outgoing port 25"),
    ("TCP", "network is unreachable", 'family = "ipv4"'),
    ("TCP", "cannot assign requested address", "source_addresses"),
    ("TLS", "wrong version number", "Remove implicit_tls"),
    ("TLS", "Hostname mismatch, certificate is not valid for 'mx.test'", "Set tls_domain"),
    ("TLS", "unable to get local issuer certificate", "Set ca_file"),
    ("TLS", "self-signed certificate in certificate chain", "Set ca_file"),
    ("TLS", "certificate has expired", "must renew"),
    ("TLS", "mx: TLS handshake: reset; again in the clear", 'tls = "require"'),
    ("TLS", "sslv3 alert handshake failure", "TLS 1.2"),
    ("greeting", "timed out", "implicit_tls = true"),
    ("greeting", "the server closed the connection", "only known addresses"),
    ("greeting", "554 5.7.1 you are listed", "block lists"),
    ("EHLO", "550 5.7.1 bad name", "fqdn"),
    ("STARTTLS", "the server does not offer TLS", "lower tls"),
    ("STARTTLS", "454 4.7.0 not now", "Ask its operator"),
    ("AUTH", "535 5.7.8 authentication failed", "Check username"),
    ("AUTH", "The server offers no authentication that we know", "PLAIN nor LOGIN"),
    ("AUTH", "454 4.7.0 temporary", "cannot check the password at present"),
    ("MAIL", "451 4.7.1 greylisted", "tried again by itself"),
    ("RCPT", "450 4.2.0 greylisted", "tried again by itself"),
    ("MAIL", "553 5.1.8 sender", "Try --from"),
    ("RCPT", "550 5.7.1 relaying denied", "does not relay for us"),
    ("RCPT", "554 relay access denied", "does not relay for us"),
    ("RCPT", "550 5.1.1 unknown", "Try another --to"),
    ("message", "554 5.7.0 spam", "refused the message itself"),
    ("certificate", "for mx.test; expired", "ask the operator"),
]


@pytest.mark.parametrize(("name", "words", "expected"), CASES, ids=[f"{case[0]}: {case[1]}" for case in CASES])
def test_a_known_trouble_has_its_advice(name: str, words: str, expected: str) -> None:
    assert expected in advice(Step("mx", name, Result.FAILED, 0.1, words))


@given(st.sampled_from(["DNS", "TCP", "TLS", "greeting", "EHLO", "AUTH", "RCPT", "message", "NOOP"]), st.text())
def test_there_is_advice_for_whatever_a_server_says(name: str, words: str) -> None:
    assert advice(Step("mx", name, Result.FAILED, 0.1, words)).endswith(".")
