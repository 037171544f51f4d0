"""A trial of a connector with real servers: every host, every step, and what to do."""

from __future__ import annotations

import asyncio
import socket
import ssl
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace

import pytest
import trustme

from bridgehead.control.connector_trial import Plan, Trial, bridgehead_of
from bridgehead.control.trial_steps import Step
from bridgehead.core.address_space import parse_address_space
from bridgehead.core.envelope import Recipient
from bridgehead.core.organization import (
    Authentication,
    Connector,
    Organization,
    Secret,
    Security,
    Server,
    SmartHost,
    SmartHostKind,
    TlsLevel,
    VirtualServer,
)
from bridgehead.outbound.timeouts import Timeouts
from tests.control.smart_host import ADDRESS, PASSWORD, smart_host

AUTHORITY = trustme.CA(organization_name="Contoso CA")
TRUSTED = AUTHORITY.cert_pem.bytes()
BOB = Recipient(0, "bob@fabrikam.com", "fabrikam.com")
BASIC = Security(Authentication.BASIC, "contoso", Secret("env X", PASSWORD.decode()), TlsLevel.REQUIRE)
ANYONE = Security()
SHORT = Timeouts(connect=2, handshake=2, greeting=0.3, command=2, end=2)


def tls_context() -> ssl.SSLContext:
    """The server's side, for mx.test."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    AUTHORITY.issue_cert("mx.test").configure_cert(context)
    return context


def literal(port: int) -> SmartHost:
    """A smart host on the loopback network."""
    return SmartHost(ADDRESS, SmartHostKind.ADDRESS, port)


def connector(*hosts: SmartHost, security: Security = ANYONE, space: str = "*") -> Connector:
    """A connector to these hosts."""
    return Connector(
        "ISP", (parse_address_space(space),), ("LOCAL/Default",), "Tokyo", smart_hosts=hosts, security=security
    )


def plan(tried: Connector, recipient: Recipient | None = BOB, *, sends: bool = False) -> Plan:
    """A trial of the connector."""
    organization = Organization(
        "Contoso",
        (Server("LOCAL", routing_group="Tokyo"),),
        (VirtualServer("Default", "LOCAL", (), "mail.contoso.com"),),
        (tried,),
    )
    return Plan(organization, tried, "LOCAL/Default", recipient, "app@contoso.com", sends)


async def steps_of(planned: Plan) -> tuple[list[str], list[Step]]:
    """`["EHLO passed", ...]`, and the steps themselves."""
    told: list[Step] = []
    has_passed = await Trial(planned, "LOCAL", told.append, SHORT).run()
    assert has_passed is not any(step.result == "failed" for step in told)
    return [f"{step.name} {step.result}" for step in told], told


BEGUN = ["DNS passed", "TCP passed", "greeting passed", "EHLO passed"]
SECURED = [*BEGUN, "STARTTLS passed", "TLS passed", "EHLO passed"]


async def test_a_host_in_the_clear_passes_every_step() -> None:
    async with smart_host() as host:
        found, _ = await steps_of(plan(connector(literal(host.port))))
    assert found == [*BEGUN, "MAIL passed", "RCPT passed"]
    assert host.messages == [], "nothing is sent unless asked for"


async def test_without_a_recipient_the_trial_ends_before_mail() -> None:
    async with smart_host() as host:
        found, _ = await steps_of(plan(connector(literal(host.port)), None))
    assert found == BEGUN


async def test_a_verified_host_passes_tls_certificate_and_auth() -> None:
    security = replace(BASIC, tls=TlsLevel.VERIFY, tls_domain="mx.test", ca_pem=TRUSTED)
    async with smart_host(tls_context(), accounts=True) as host:
        found, steps = await steps_of(plan(connector(literal(host.port), security=security)))
    assert found == [*SECURED, "AUTH passed", "certificate passed", "MAIL passed", "RCPT passed"]
    words = {step.name: step.words for step in steps}
    assert words["TLS"].endswith(" verified")
    assert words["certificate"].startswith('for mx.test, issued by "Contoso CA", until ')
    assert words["certificate"].endswith("; chain and name checked")
    assert not any(PASSWORD.decode() in step.words for step in steps)


async def test_implicit_tls_comes_before_the_greeting() -> None:
    security = replace(BASIC, implicit_tls=True)
    async with smart_host(tls_context(), implicit=True, accounts=True) as host:
        found, steps = await steps_of(plan(connector(literal(host.port), security=security), None))
    expected = ["DNS passed", "TCP passed", "TLS passed", "greeting passed", "EHLO passed", "AUTH passed"]
    assert found == [*expected, "certificate passed"]
    assert steps[-1].words.endswith("; not checked (require)")


TRUST = [
    ("no trust anchor", Security(tls=TlsLevel.VERIFY, tls_domain="mx.test"), "Set ca_file"),
    ("another name", Security(tls=TlsLevel.VERIFY, tls_domain="other.test", ca_pem=TRUSTED), "Set tls_domain"),
]


@pytest.mark.parametrize(("security", "expected"), [case[1:] for case in TRUST], ids=[case[0] for case in TRUST])
async def test_a_certificate_that_is_not_trusted_is_shown_with_what_to_do(security: Security, expected: str) -> None:
    async with smart_host(tls_context()) as host:
        found, steps = await steps_of(plan(connector(literal(host.port), security=security)))
    assert found == [*BEGUN, "STARTTLS passed", "TLS failed", "certificate passed"]
    assert expected in steps[-2].advice
    assert steps[-1].words.startswith("for mx.test, issued by")


async def test_a_host_without_tls_fails_where_tls_is_required() -> None:
    async with smart_host() as host:
        found, steps = await steps_of(plan(connector(literal(host.port), security=Security(tls=TlsLevel.REQUIRE))))
    assert found == [*BEGUN, "STARTTLS failed"]
    assert steps[-1].words == "the server does not offer TLS"


async def test_a_wrong_password_fails_at_auth_and_is_not_shown() -> None:
    security = replace(BASIC, password=Secret("env X", "sesame open"))
    async with smart_host(tls_context(), accounts=True) as host:
        found, steps = await steps_of(plan(connector(literal(host.port), security=security)))
    assert found == [*SECURED, "AUTH failed"]
    assert steps[-1].words.startswith("535 ")
    assert "Check username" in steps[-1].advice
    assert not any("sesame" in step.words for step in steps)


@pytest.mark.parametrize(
    ("command", "expected"), [("MAIL", ["MAIL failed"]), ("RCPT", ["MAIL passed", "RCPT failed"])]
)
async def test_a_refused_sender_or_recipient_is_told_in_the_words_of_the_server(
    command: str, expected: list[str]
) -> None:
    async with smart_host() as host:
        host.refusals[command] = "550 5.7.1 Relaying denied"
        found, steps = await steps_of(plan(connector(literal(host.port)), sends=True))
    assert found == [*BEGUN, *expected]
    assert steps[-1].words == "550 5.7.1 Relaying denied"
    assert host.messages == []


async def test_a_message_goes_once_through_the_first_host_that_takes_it() -> None:
    async with smart_host() as first, smart_host() as second:
        first.refusals["RCPT"] = "550 5.7.1 Relaying denied"
        hosts = (literal(first.port), literal(second.port), SmartHost("localhost", SmartHostKind.HOST, second.port))
        found, steps = await steps_of(plan(connector(*hosts), sends=True))
        (message,) = second.messages
    assert found.count("message passed") == 1
    assert steps[-1].name in {"RCPT", "TCP"}, "the further host is tried, without a message"
    assert message[:2] == ("app@contoso.com", ["bob@fabrikam.com"])
    for line in (b"From: Bridgehead connector test <app@contoso.com>", b"Auto-Submitted: auto-generated", b"Date: "):
        assert b"\r\n" + line in b"\r\n" + message[2]
    assert first.messages == []


async def test_a_message_that_is_refused_in_the_end_is_a_failure() -> None:
    async with smart_host() as host:
        host.refusals["DATA"] = "554 5.7.0 spam"
        found, steps = await steps_of(plan(connector(literal(host.port)), sends=True))
    assert found == [*BEGUN, "MAIL passed", "RCPT passed", "message failed"]
    assert steps[-1].words == "554 5.7.0 spam"


async def test_a_dead_host_does_not_hide_behind_a_live_one() -> None:
    with socket.socket() as taken:
        taken.bind((ADDRESS, 0))  # bound and not listening: refused
        async with smart_host() as host:
            hosts = (literal(host.port), literal(taken.getsockname()[1]))
            found, steps = await steps_of(plan(connector(*hosts), None))
    assert found == [*BEGUN, "DNS passed", "TCP failed"]
    assert (steps[-1].words, steps[-1].host) == ("connection refused", f"[{ADDRESS}]:{taken_port(hosts)}")


def taken_port(hosts: tuple[SmartHost, ...]) -> int | None:
    """The port of the last host."""
    return hosts[-1].port


async def test_the_same_address_is_dialled_once() -> None:
    async with smart_host() as host:
        found, _ = await steps_of(plan(connector(literal(host.port), literal(host.port)), None))
    assert found == [*BEGUN, "DNS passed"]
    assert host.sessions == 1


@asynccontextmanager
async def server_that_says(*lines: bytes) -> AsyncIterator[int]:
    """The port of a server that says a line for each that it hears, then hangs up; with no line, hears only."""
    over = asyncio.Event()

    async def converse(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        for line in lines:
            writer.write(line)
            await reader.readline()
        if not lines:
            await reader.read()
        writer.close()
        await writer.wait_closed()
        over.set()

    server = await asyncio.start_server(converse, ADDRESS, 0)
    async with server:
        yield server.sockets[0].getsockname()[1]
        await over.wait()


async def test_a_host_that_says_nothing_is_given_up_in_time() -> None:
    async with server_that_says() as port:
        found, steps = await steps_of(plan(connector(literal(port))))
    assert found == ["DNS passed", "TCP passed", "greeting failed"]
    assert steps[-1].words == "timed out"
    assert "implicit_tls = true" in steps[-1].advice


async def test_a_host_that_hangs_up_in_the_middle_is_a_failure_of_that_step() -> None:
    async with server_that_says(b"220 mx.test\r\n", b"250 mx.test\r\n") as port:
        found, steps = await steps_of(plan(connector(literal(port))))
    assert found == [*BEGUN, "MAIL failed"]
    assert steps[-1].words == "the server closed the connection"


async def test_a_host_that_ends_the_session_with_421_is_a_failure_of_that_step() -> None:
    async with server_that_says(b"220 mx.test\r\n", b"250 mx.test\r\n", b"421 4.3.2 bye\r\n") as port:
        found, steps = await steps_of(plan(connector(literal(port))))
    assert found == [*BEGUN, "MAIL failed"]
    assert steps[-1].words == "421 4.3.2 bye"


@pytest.mark.parametrize(
    ("space", "recipient", "domain"),
    [
        ("*.fabrikam.com", None, "fabrikam.com"),
        ("partner.example", None, "partner.example"),
        ("*", BOB, "fabrikam.com"),
    ],
)
def test_by_dns_the_domain_is_that_of_the_recipient_else_of_an_address_space(
    space: str, recipient: Recipient | None, domain: str
) -> None:
    assert plan(connector(space=space), recipient).domain == domain


def test_the_bridgehead_is_the_one_on_this_server_where_there_is_one() -> None:
    organization = replace(
        plan(connector()).organization,
        virtual_servers=(VirtualServer("Default", "OSAKA", (), "o.x"), VirtualServer("Default", "LOCAL", (), "l.x")),
    )
    both = replace(connector(), bridgeheads=("OSAKA/Default", "LOCAL/Default"))
    assert bridgehead_of(both, organization, "LOCAL") == "LOCAL/Default"
    assert bridgehead_of(both, organization, "KYOTO") == "OSAKA/Default"


async def test_a_disabled_connector_can_be_tried_before_it_is_enabled() -> None:
    async with smart_host() as host:
        tried = replace(connector(literal(host.port)), enabled=False)
        found, _ = await steps_of(plan(tried, None))
    assert found == BEGUN
