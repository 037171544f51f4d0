"""One host: greeting, EHLO, STARTTLS and AUTH, and what each level of TLS makes of a server that fails at them."""

from __future__ import annotations

import asyncio
import resource
from dataclasses import replace

import pytest

from bridgehead.core.organization import Authentication, Delivery, Secret, Security, TlsLevel
from bridgehead.net.tls import ClientContexts
from bridgehead.outbound.connect import HostFailure, Stage, Wiring, connect
from bridgehead.outbound.hosts import Candidate
from bridgehead.outbound.smtp_channel import SmtpChannel
from bridgehead.outbound.timeouts import Timeouts
from bridgehead.smtp.client_event import TraceKind
from tests.net.certificates import AUTHORITY, STRANGER
from tests.outbound.channel_contract import Owner
from tests.outbound.scripted_server import ADDRESS, Manners, Peer, Script, polite, serve
from tests.outbound.wire import HASTY, PATIENT, to_smart_hosts

GOOD = AUTHORITY.context("smart.test")
BAD = STRANGER.context("smart.test")


def security(level: TlsLevel, *, login: bool = False, implicit: bool = False, tls_domain: str = "") -> Security:
    authentication = Authentication.BASIC if login else Authentication.ANONYMOUS
    password = Secret("env X", "secret") if login else None
    return Security(authentication, "tim", password, level, implicit, tls_domain, AUTHORITY.pem)


class Result:
    """What one attempt came to, and what was seen of it."""

    def __init__(self) -> None:
        self.result: SmtpChannel | HostFailure | None = None
        self.heard: list[str] = []
        self.connections = 0
        self.trace: list[tuple[TraceKind, str]] = []

    @property
    def failure(self) -> HostFailure:
        assert isinstance(self.result, HostFailure)
        return self.result

    @property
    def tls(self) -> str:
        assert isinstance(self.result, SmtpChannel), self.result
        return self.result.connection.peer.tls


async def attempt(
    *scripts: Script,
    asked: Security | None = None,
    timeouts: Timeouts = PATIENT,
    implicit: bool = False,
    helo: bool = False,
) -> Result:
    seen = Result()
    wiring = Wiring(ClientContexts(), timeouts, lambda *line: seen.trace.append(line))
    owner = Owner()
    async with serve(*scripts, tls=GOOD if implicit else None) as server:
        candidate = Candidate(ADDRESS, server.port, trusted_name="smart.test")
        destination = replace(to_smart_hosts(security=asked or security(TlsLevel.NONE)), helo=helo)
        seen.result = await connect(candidate, destination, wiring, owner.closed)
        seen.heard, seen.connections = server.heard, server.connections
        if isinstance(seen.result, SmtpChannel):
            seen.result.close()
            await owner.wait(ends=1)
    return seen


async def hangs_at_greeting(peer: Peer) -> None:
    await peer.wait_gone()


async def closes_at_once(peer: Peer) -> None:
    peer.drop()


async def hangs_at_ehlo(peer: Peer) -> None:
    await peer.say("220 scripted.test")
    await peer.wait_gone()


async def talks_nonsense(peer: Peer) -> None:
    await peer.say("HTTP/1.1 400 Bad Request")


def fails_at_starttls(reply: str) -> Script:
    return polite(Manners(replies={"STARTTLS": reply}, tls=GOOD))


FAILURES: dict[str, tuple[Script, Stage, int, bool]] = {
    "greeting 554": (polite(Manners(replies={"": "554 5.7.1 No"})), Stage.GREETING, 554, True),
    "greeting 421": (polite(Manners(replies={"": "421 4.3.2 Busy"})), Stage.GREETING, 421, True),
    "no greeting": (hangs_at_greeting, Stage.GREETING, 0, True),
    "closed at once": (closes_at_once, Stage.GREETING, 0, True),
    "not SMTP": (talks_nonsense, Stage.GREETING, 0, True),
    "no answer to EHLO": (hangs_at_ehlo, Stage.HELLO, 0, False),
    "EHLO 550": (polite(Manners(replies={"EHLO": "550 5.7.1 No"})), Stage.HELLO, 550, False),
    "EHLO 451": (polite(Manners(replies={"EHLO": "451 4.7.1 Later"})), Stage.HELLO, 451, False),
}


@pytest.mark.parametrize(("script", "stage", "code", "is_connect_level"), FAILURES.values(), ids=FAILURES.keys())
async def test_host_fails(script: Script, stage: Stage, code: int, is_connect_level: bool) -> None:
    failure = (await attempt(script, timeouts=HASTY)).failure
    assert (failure.stage, failure.reply.code) == (stage, code)
    assert failure.stage.is_connect_level is is_connect_level
    assert not failure.is_credential


async def test_no_step_is_waited_for_longer_than_connection_timeout() -> None:
    destination = to_smart_hosts()
    hasty = replace(destination.virtual_server, delivery=Delivery(connection_timeout_seconds=0.3))
    async with serve(hangs_at_greeting) as server:
        candidate = Candidate(ADDRESS, server.port)
        wiring = Wiring(ClientContexts())
        result = await connect(candidate, replace(destination, virtual_server=hasty), wiring, lambda: None)
    assert isinstance(result, HostFailure)
    assert (result.stage, result.reply.text) == (Stage.GREETING, "timed out")


async def test_refused_connection_is_told_in_words() -> None:
    async with serve() as server:
        port = server.port
    wiring = Wiring(ClientContexts())
    result = await connect(Candidate(ADDRESS, port, "mx.test"), to_smart_hosts(), wiring, lambda: None)
    assert isinstance(result, HostFailure)
    assert str(result) == f"mx.test[{ADDRESS}]:{port}: connect: 4.4.1 connection refused"


async def test_a_machine_without_descriptors_is_not_the_host_s_trouble() -> None:
    """Else a connector counts as down, and its mail goes another way, while its hosts are well."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    async with serve() as server:
        candidate = Candidate(ADDRESS, server.port, "mx.test")
        resource.setrlimit(resource.RLIMIT_NOFILE, (0, hard))
        try:
            result = await connect(candidate, to_smart_hosts(), Wiring(ClientContexts()), lambda: None)
        finally:
            resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
    assert isinstance(result, HostFailure)
    assert result.is_ours
    assert not result.stage.is_connect_level
    assert str(result) == f"mx.test[{ADDRESS}]:{candidate.port}: this machine: 4.4.1 too many open files"


async def test_helo_is_said_where_the_connector_wants_it() -> None:
    seen = await attempt(helo=True)
    assert seen.heard[0] == "HELO bridge.contoso.com"


async def test_source_address_is_used() -> None:
    peers: list[str] = []

    async def script(peer: Peer) -> None:
        peers.append(peer.writer.get_extra_info("peername")[0])
        await polite()(peer)

    async with serve(script) as server:
        destination = to_smart_hosts()
        delivery = replace(destination.virtual_server.delivery, source_addresses=("2001:db8::1", "127.0.0.9"))
        destination = replace(destination, virtual_server=replace(destination.virtual_server, delivery=delivery))
        owner = Owner()
        result = await connect(Candidate(ADDRESS, server.port), destination, Wiring(ClientContexts()), owner.closed)
        assert isinstance(result, SmtpChannel)
        result.close()
        await owner.wait(ends=1)
    assert peers == ["127.0.0.9"]


# TLS

IN_THE_CLEAR, SECURED = "", "TLS"
TLS: dict[str, tuple[Security, Script, str | Stage]] = {
    "none, offered": (security(TlsLevel.NONE), polite(Manners(tls=GOOD)), IN_THE_CLEAR),
    "opportunistic, offered": (security(TlsLevel.OPPORTUNISTIC), polite(Manners(tls=BAD)), SECURED),
    "opportunistic, not offered": (security(TlsLevel.OPPORTUNISTIC), polite(), IN_THE_CLEAR),
    "require, offered": (security(TlsLevel.REQUIRE), polite(Manners(tls=BAD)), SECURED),
    "require, not offered": (security(TlsLevel.REQUIRE), polite(), Stage.STARTTLS),
    "require, refused": (security(TlsLevel.REQUIRE), fails_at_starttls("454 4.7.0 Not now"), Stage.STARTTLS),
    "verify, right": (security(TlsLevel.VERIFY), polite(Manners(tls=GOOD)), SECURED),
    "verify, wrong authority": (security(TlsLevel.VERIFY), polite(Manners(tls=BAD)), Stage.HANDSHAKE),
    "verify, wrong name": (
        security(TlsLevel.VERIFY, tls_domain="other.test"),
        polite(Manners(tls=GOOD)),
        Stage.HANDSHAKE,
    ),
    "verify, a name that cannot be": (
        security(TlsLevel.VERIFY, tls_domain="a..test"),
        polite(Manners(tls=GOOD)),
        Stage.HANDSHAKE,
    ),
    "verify, not offered": (security(TlsLevel.VERIFY), polite(), Stage.STARTTLS),
}


@pytest.mark.parametrize(("asked", "script", "comes_to"), TLS.values(), ids=TLS.keys())
async def test_tls_level(asked: Security, script: Script, comes_to: str | Stage) -> None:
    seen = await attempt(script, asked=asked)
    if isinstance(comes_to, Stage):
        assert seen.failure.stage is comes_to
        assert not any(command.startswith("MAIL") for command in seen.heard)
    else:
        assert seen.tls.startswith(comes_to)
        assert bool(seen.tls) is bool(comes_to)
        assert seen.tls.endswith("verified") is (asked.tls is TlsLevel.VERIFY)
    assert seen.connections == 1


async def breaks_the_handshake(peer: Peer) -> None:
    await peer.say("220 scripted.test")
    await peer.hear()
    await peer.say("250-scripted.test", "250 STARTTLS")
    await peer.hear()
    await peer.say("220 Ready")
    await peer.send(b"this is no TLS record at all\r\n" * 10)
    await peer.wait_gone()


async def hangs_in_the_handshake(peer: Peer) -> None:
    await peer.say("220 scripted.test")
    await peer.hear()
    await peer.say("250-scripted.test", "250 STARTTLS")
    await peer.hear()
    await peer.say("220 Ready")
    await peer.wait_gone()


async def closes_in_the_handshake(peer: Peer) -> None:
    await peer.say("220 scripted.test")
    await peer.hear()
    await peer.say("250-scripted.test", "250 STARTTLS")
    await peer.hear()
    await peer.say("220 Ready")


BROKEN: dict[str, tuple[Script, Stage]] = {
    "refused": (fails_at_starttls("454 4.7.0 Not now"), Stage.STARTTLS),
    "no TLS": (breaks_the_handshake, Stage.HANDSHAKE),
    "silence": (hangs_in_the_handshake, Stage.HANDSHAKE),
    "closed": (closes_in_the_handshake, Stage.HANDSHAKE),
}


@pytest.mark.parametrize(("script", "stage"), BROKEN.values(), ids=BROKEN.keys())
async def test_failed_tls_means_clear_text_on_a_new_connection_under_opportunistic(
    script: Script, stage: Stage
) -> None:
    del stage
    seen = await attempt(script, polite(Manners(tls=GOOD)), asked=security(TlsLevel.OPPORTUNISTIC), timeouts=HASTY)
    assert seen.tls == IN_THE_CLEAR
    assert seen.connections == 2


@pytest.mark.parametrize(("script", "stage"), BROKEN.values(), ids=BROKEN.keys())
async def test_failed_tls_is_the_host_s_failure_under_require(script: Script, stage: Stage) -> None:
    seen = await attempt(script, polite(Manners(tls=GOOD)), asked=security(TlsLevel.REQUIRE), timeouts=HASTY)
    assert seen.failure.stage is stage
    assert seen.connections == 1


async def test_plain_text_after_the_220_is_not_taken_for_the_server_s_answers() -> None:
    """STARTTLS response injection: what an attacker appends to the 220 must not be read inside TLS."""

    async def injects(peer: Peer) -> None:
        await peer.say("220 scripted.test")
        await peer.hear()
        await peer.say("250-scripted.test", "250 STARTTLS")
        await peer.hear()
        await peer.say("220 Ready", "250-forged", "250 AUTH PLAIN")
        await peer.start_tls(GOOD)
        await peer.hear()
        await peer.say("250-scripted.test", "250 SIZE 7")
        await peer.hear()

    seen = await attempt(injects, asked=security(TlsLevel.REQUIRE))
    assert isinstance(seen.result, SmtpChannel)
    assert seen.result.connection.extensions.size_max == 7
    assert not seen.result.connection.extensions.authentication


async def test_tls_from_the_first_byte() -> None:
    seen = await attempt(polite(), asked=security(TlsLevel.VERIFY, implicit=True), implicit=True)
    assert seen.tls.endswith("verified")
    assert "STARTTLS" not in seen.heard


async def test_tls_from_the_first_byte_does_not_fall_back() -> None:
    asked = security(TlsLevel.OPPORTUNISTIC, implicit=True)
    seen = await attempt(polite(), asked=asked, timeouts=HASTY)
    assert seen.failure.stage is Stage.HANDSHAKE
    assert seen.connections == 1


# AUTH


async def test_login_inside_tls() -> None:
    manners = Manners(extensions=("AUTH PLAIN LOGIN",), tls=GOOD)
    seen = await attempt(polite(manners), asked=security(TlsLevel.VERIFY, login=True))
    assert isinstance(seen.result, SmtpChannel)
    assert seen.heard[3].startswith("AUTH PLAIN ")
    assert "AHRpbQBzZWNyZXQ=" not in str(seen.trace)
    assert (TraceKind.SENT, "AUTH PLAIN <hidden>") in seen.trace


async def test_login_in_the_clear_is_allowed_under_none_alone() -> None:
    manners = Manners(extensions=("AUTH PLAIN",))
    assert isinstance((await attempt(polite(manners), asked=security(TlsLevel.NONE, login=True))).result, SmtpChannel)
    seen = await attempt(polite(manners), asked=security(TlsLevel.OPPORTUNISTIC, login=True))
    assert seen.failure.stage is Stage.STARTTLS
    assert not any(command.startswith("AUTH") for command in seen.heard)


REFUSALS = {
    "535": ("535 5.7.8 Wrong", True),
    "530": ("530 5.7.0 Required", True),
    "538": ("538 5.7.11 Encrypt", True),
    "454": ("454 4.7.0 Later", False),
    "504": ("504 5.5.4 Unknown", False),
}


@pytest.mark.parametrize(("reply", "is_credential"), REFUSALS.values(), ids=REFUSALS.keys())
async def test_refused_login(reply: str, is_credential: bool) -> None:
    manners = Manners(extensions=("AUTH PLAIN",), replies={"AUTH": reply})
    failure = (await attempt(polite(manners), asked=security(TlsLevel.NONE, login=True))).failure
    assert failure.stage is Stage.AUTHENTICATION
    assert failure.is_credential is is_credential
    assert not failure.stage.is_connect_level


async def test_trace_tells_the_whole_story() -> None:
    seen = await attempt(polite(Manners(tls=GOOD)), asked=security(TlsLevel.VERIFY))
    kinds = [kind for kind, _ in seen.trace]
    assert kinds[0] is TraceKind.DIAL
    assert TraceKind.TLS in kinds
    assert [text for kind, text in seen.trace if kind is TraceKind.SENT] == [
        "EHLO bridge.contoso.com",
        "STARTTLS",
        "EHLO bridge.contoso.com",
        "QUIT",
    ]


async def test_cancelled_attempt_leaves_no_connection() -> None:
    gone = asyncio.Event()

    async def script(peer: Peer) -> None:
        await peer.wait_gone()
        gone.set()

    async with serve(script) as server, asyncio.timeout(5):
        candidate = Candidate(ADDRESS, server.port)
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(0.05):
                await connect(candidate, to_smart_hosts(), Wiring(ClientContexts()), lambda: None)
        await gone.wait()
