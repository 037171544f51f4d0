"""Contexts, and handshakes between them in memory."""

from __future__ import annotations

import contextlib
import ssl
from dataclasses import replace
from pathlib import Path

import pytest

from bridgehead.core.error import ConfigurationError
from bridgehead.core.organization import Security, TlsLevel
from bridgehead.net.tls import ClientContexts, ClientTls, describe, describe_error, server_context
from tests.net.certificates import AUTHORITY, STRANGER


def handshake(tls: ClientTls, server: ssl.SSLContext) -> str:
    """The description of the session; `ssl.SSLError` if it fails."""
    to_client, to_server = ssl.MemoryBIO(), ssl.MemoryBIO()
    client = tls.context.wrap_bio(to_client, to_server, server_hostname=tls.name or None)
    other = server.wrap_bio(to_server, to_client, server_side=True)
    ends: list[ssl.SSLObject] = [client, other]
    for _ in range(6):
        for end in list(ends):
            try:
                end.do_handshake()
            except ssl.SSLWantReadError:
                continue
            ends.remove(end)
    assert not ends
    return describe(client, verified=tls.verifies)


def security(level: TlsLevel, tls_domain: str = "", ca_pem: bytes = AUTHORITY.pem) -> Security:
    return Security(tls=level, tls_domain=tls_domain, ca_pem=ca_pem)


GOOD = {
    "opportunistic, a stranger": (security(TlsLevel.OPPORTUNISTIC), STRANGER.context("x.test")),
    "require, a stranger": (security(TlsLevel.REQUIRE), STRANGER.context("x.test")),
    "verify, by the smart host's name": (security(TlsLevel.VERIFY), AUTHORITY.context("smart.test")),
    "verify, by a wildcard": (security(TlsLevel.VERIFY, "mx.smart.test"), AUTHORITY.context("*.smart.test")),
    "verify, by tls_domain": (security(TlsLevel.VERIFY, "partner.test"), AUTHORITY.context("partner.test")),
}


@pytest.mark.parametrize(("asked", "server"), GOOD.values(), ids=GOOD.keys())
def test_handshake_goes_well(asked: Security, server: ssl.SSLContext) -> None:
    words = handshake(ClientContexts().tls(asked, "smart.test", "mx.test"), server).split()
    assert words[0] == "TLSv1.3"
    assert words[1].startswith("TLS_")
    assert words[2:] == (["verified"] if asked.tls is TlsLevel.VERIFY else [])


BAD = {
    "a stranger": (security(TlsLevel.VERIFY), STRANGER.context("smart.test"), "issuer"),
    "the name that DNS gave": (security(TlsLevel.VERIFY), AUTHORITY.context("mx.test"), "smart.test"),
    "not tls_domain": (security(TlsLevel.VERIFY, "partner.test"), AUTHORITY.context("smart.test"), "partner.test"),
    "the system's store": (security(TlsLevel.VERIFY, ca_pem=b""), AUTHORITY.context("smart.test"), "issuer"),
}


@pytest.mark.parametrize(("asked", "server", "words"), BAD.values(), ids=BAD.keys())
def test_verify_refuses(asked: Security, server: ssl.SSLContext, words: str) -> None:
    with pytest.raises(ssl.SSLCertVerificationError) as caught:
        handshake(ClientContexts().tls(asked, "smart.test", "mx.test"), server)
    assert words in describe_error(caught.value)


NAMES = {
    "mx.test": "mx.test",
    "192.0.2.1": "192.0.2.1",
    "2001:db8::1": "2001:db8::1",
    "a_b.test": "a_b.test",
    ".test": "",
    "a..test": "",
    "x" * 64 + ".test": "",
    "a\\032b.test": "a\\032b.test",
}


@pytest.mark.parametrize(("host", "name"), NAMES.items(), ids=[name[:20] for name in NAMES])
def test_name_that_no_host_can_have_is_not_sent(host: str, name: str) -> None:
    """MX names come from DNS, which a stranger writes: none of them may stop us from trying TLS."""
    tls = ClientContexts().tls(security(TlsLevel.OPPORTUNISTIC), "x.test", host)
    assert tls.name == name
    context = STRANGER.context("x.test")
    assert handshake(tls, context)


def test_contexts_are_made_once_for_each_set_of_anchors() -> None:
    contexts = ClientContexts()
    one = contexts.tls(security(TlsLevel.VERIFY), "a.test", "a.test")
    assert contexts.tls(security(TlsLevel.VERIFY), "b.test", "b.test").context is one.context
    assert contexts.tls(security(TlsLevel.VERIFY, ca_pem=STRANGER.pem), "a", "a").context is not one.context
    assert contexts.tls(security(TlsLevel.REQUIRE), "a", "a").context is not one.context


def test_server_context_serves_what_was_read() -> None:
    context = server_context(AUTHORITY.certificate("bridge.test"))
    tls = ClientContexts().tls(security(TlsLevel.VERIFY), "bridge.test", "bridge.test")
    assert handshake(tls, context).endswith("verified")


def test_server_context_leaves_nothing_open() -> None:
    def descriptors() -> int:
        return len(list(Path("/proc/self/fd").iterdir()))

    server_context(AUTHORITY.certificate("bridge.test"))
    before = descriptors()
    server_context(AUTHORITY.certificate("bridge.test"))
    assert descriptors() == before


def test_certificate_and_key_of_two_are_refused() -> None:
    mixed = replace(AUTHORITY.certificate("a.test"), key_pem=AUTHORITY.certificate("b.test").key_pem)
    with pytest.raises(ConfigurationError, match=r"cert\.pem"):
        server_context(mixed)


def test_certificate_that_is_none_is_refused() -> None:
    with pytest.raises(ConfigurationError, match=r"key\.pem"):
        server_context(replace(AUTHORITY.certificate("a.test"), certificate_pem=b"hello"))


def test_server_hands_out_no_session_tickets() -> None:
    to_client, to_server = ssl.MemoryBIO(), ssl.MemoryBIO()
    tls = ClientContexts().tls(security(TlsLevel.REQUIRE), "smart.test", "mx.test")
    client = tls.context.wrap_bio(to_client, to_server)
    server = server_context(STRANGER.certificate("x.test")).wrap_bio(to_server, to_client, server_side=True)
    for end in (client, server, client):
        with contextlib.suppress(ssl.SSLWantReadError):
            end.do_handshake()
    server.do_handshake()

    assert client.version() == "TLSv1.3"
    assert to_client.pending == 0
