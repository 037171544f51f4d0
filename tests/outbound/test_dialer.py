"""Several hosts: which is tried when, what is remembered, and what it comes to when none is ready."""

from __future__ import annotations

import asyncio
import resource

import pytest

from bridgehead.core.organization import Authentication, Secret, Security, TlsLevel
from bridgehead.core.outcome import Deferred, Delivered, Failed, Scope
from bridgehead.outbound import dialer as dialer_module
from bridgehead.outbound.contract import Channel, Destination, Unavailable
from bridgehead.outbound.dialer import FAILED_MAX, FAILED_SECONDS, FailedHosts, SmtpDialer
from bridgehead.outbound.hosts import Candidate
from tests.net.dns_server import dns_server
from tests.outbound.channel_contract import Owner, transaction
from tests.outbound.scripted_server import Manners, Peer, polite, serve
from tests.outbound.wire import HASTY, dialer, smart_host, to_domain, to_smart_hosts

A, B, C = (Candidate(f"192.0.2.{number}", 25) for number in (1, 2, 3))


async def opened(wire: SmtpDialer, destination: Destination, owner: Owner) -> Channel:
    result = await wire.open(destination, owner.closed)
    assert not isinstance(result, Unavailable), result.attempts
    return result


async def ended(channel: Channel, owner: Owner) -> None:
    ends = owner.ends
    channel.close()
    await owner.wait(ends=ends + 1)


async def hangs(peer: Peer) -> None:
    await peer.wait_gone()


async def test_next_host_is_tried_when_one_refuses() -> None:
    owner = Owner()
    async with serve(polite(Manners(replies={"": "554 5.7.1 No"}))) as no, serve() as yes:
        destination = to_smart_hosts(smart_host(no.port), smart_host(yes.port))
        channel = await opened(dialer(), destination, owner)
        assert channel.host == yes.label
        await ended(channel, owner)


async def test_failed_host_goes_last_for_a_while() -> None:
    owner = Owner()
    wire = dialer()
    async with serve(polite(Manners(replies={"": "421 4.3.2 Busy"}))) as no, serve() as yes:
        destination = to_smart_hosts(smart_host(no.port), smart_host(yes.port))
        for _ in range(3):
            await ended(await opened(wire, destination, owner), owner)
        assert (no.connections, yes.connections) == (1, 3)


async def test_host_that_hangs_is_avoided_by_others_while_the_first_waits(monkeypatch: pytest.MonkeyPatch) -> None:
    """One connection finds out that a host is dead; the others need not wait for the same discovery."""
    monkeypatch.setattr(dialer_module, "SUSPECT_SECONDS", 0.0)
    owner = Owner()
    wire = dialer()
    reached = asyncio.Event()

    async def hangs_visibly(peer: Peer) -> None:
        reached.set()
        await peer.wait_gone()

    async with serve(hangs_visibly) as dead, serve() as alive, asyncio.TaskGroup() as group:
        destination = to_smart_hosts(smart_host(dead.port), smart_host(alive.port))
        waiting = group.create_task(wire.open(destination, owner.closed))
        async with asyncio.timeout(5):
            await reached.wait()
        await ended(await opened(wire, destination, owner), owner)
        assert not waiting.done()
        waiting.cancel()
        assert dead.connections == 1


async def test_host_that_hangs_is_passed_over_for_one_that_is_ready(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(dialer_module, "PATIENCE_SECONDS", 0.05)
    owner = Owner()
    async with serve(hangs) as dead, serve() as alive:
        destination = to_smart_hosts(smart_host(dead.port), smart_host(alive.port))
        channel = await opened(dialer(), destination, owner)
        assert channel.host == alive.label
        await ended(channel, owner)


async def test_host_that_was_passed_over_has_all_the_time_where_no_other_is_ready(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(dialer_module, "PATIENCE_SECONDS", 0.05)
    owner = Owner()

    async def takes_its_time(peer: Peer) -> None:
        await asyncio.sleep(0.2)
        await polite()(peer)

    async with serve(takes_its_time) as slow, serve(polite(Manners(replies={"": "421 4.3.2 Busy"}))) as busy:
        channel = await opened(dialer(), to_smart_hosts(smart_host(slow.port), smart_host(busy.port)), owner)
        assert channel.host == slow.label
        assert (slow.connections, busy.connections) == (2, 1)
        await ended(channel, owner)


async def test_only_host_is_never_passed_over(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(dialer_module, "PATIENCE_SECONDS", 0.0)
    owner = Owner()
    async with serve() as server:
        await ended(await opened(dialer(), to_smart_hosts(smart_host(server.port)), owner), owner)
        assert server.connections == 1


async def test_unavailable_tells_each_host_s_story() -> None:
    owner = Owner()
    async with serve() as third:
        pass
    async with (
        serve(polite(Manners(replies={"": "554 5.7.1 No"}))) as first,
        serve(polite(Manners(replies={"EHLO": "451 4.7.1 Later"}))) as second,
    ):
        destination = to_smart_hosts(smart_host(first.port), smart_host(second.port), smart_host(third.port))
        result = await dialer().open(destination, owner.closed)
    assert isinstance(result, Unavailable)
    assert result.attempts == (
        f"{first.label}: greeting: 554 5.7.1 No",
        f"{second.label}: EHLO: 451 4.7.1 Later",
        f"{third.label}: connect: 4.4.1 connection refused",
    )
    assert isinstance(result.outcome, Deferred)
    assert result.outcome.scope is Scope.HOST
    assert not result.outcome.is_connect_failure, "the second host answered"


CONNECT_LEVEL = {
    "greeting": (polite(Manners(replies={"": "421 4.3.2 Busy"})), TlsLevel.NONE, True),
    "silence": (hangs, TlsLevel.NONE, True),
    "EHLO": (polite(Manners(replies={"EHLO": "550 5.7.1 No"})), TlsLevel.NONE, False),
    "no STARTTLS": (polite(), TlsLevel.REQUIRE, False),
}


@pytest.mark.parametrize("name", CONNECT_LEVEL)
async def test_failure_of_all_hosts_counts_as_down_at_connect_level_alone(name: str) -> None:
    script, level, is_down = CONNECT_LEVEL[name]
    owner = Owner()
    async with serve(script) as server:
        destination = to_smart_hosts(smart_host(server.port), security=Security(tls=level))
        result = await dialer(HASTY).open(destination, owner.closed)
    assert isinstance(result, Unavailable)
    assert isinstance(result.outcome, Deferred)
    assert result.outcome.is_connect_failure is is_down


async def test_a_machine_without_descriptors_holds_nothing_against_any_host() -> None:
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    owner, wire = Owner(), dialer()
    async with serve() as first, serve() as second:
        destination = to_smart_hosts(smart_host(first.port), smart_host(second.port))
        resource.setrlimit(resource.RLIMIT_NOFILE, (0, hard))
        try:
            result = await wire.open(destination, owner.closed)
        finally:
            resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
        assert isinstance(result, Unavailable)
        assert len(result.attempts) == 1
        assert isinstance(result.outcome, Deferred)
        assert not result.outcome.is_connect_failure
        await ended(await opened(wire, destination, owner), owner)
        assert (first.connections, second.connections) == (1, 0), "the first one goes first again"


async def test_refused_credential_ends_the_search() -> None:
    """The same credential everywhere: trying on would lock the account."""
    manners = Manners(extensions=("AUTH PLAIN",), replies={"AUTH": "535 5.7.8 Wrong"})
    security = Security(Authentication.BASIC, "tim", Secret("env X", "secret"), TlsLevel.NONE)
    async with serve(polite(manners)) as first, serve(polite(manners)) as second:
        destination = to_smart_hosts(smart_host(first.port), smart_host(second.port), security=security)
        result = await dialer().open(destination, Owner().closed)
        assert second.connections == 0
    assert isinstance(result, Unavailable)
    assert isinstance(result.outcome, Deferred)
    assert result.outcome.scope is Scope.CREDENTIAL
    assert result.outcome.reply.code == 535


async def test_temporary_refusal_of_login_tries_the_next_host() -> None:
    security = Security(Authentication.BASIC, "tim", Secret("env X", "secret"), TlsLevel.NONE)
    owner = Owner()
    busy = Manners(extensions=("AUTH PLAIN",), replies={"AUTH": "454 4.7.0 Later"})
    async with serve(polite(busy)) as first, serve(polite(Manners(extensions=("AUTH PLAIN",)))) as second:
        destination = to_smart_hosts(smart_host(first.port), smart_host(second.port), security=security)
        channel = await opened(dialer(), destination, owner)
        assert channel.host == second.label
        await ended(channel, owner)


async def test_mail_goes_by_mx_to_the_host_that_answers() -> None:
    owner = Owner()
    async with serve() as server, dns_server() as names:
        names.records = {
            ("f.test", "MX"): ["10 dead.f.test.", "20 mx.f.test."],
            ("dead.f.test", "A"): ["127.0.0.3"],
            ("mx.f.test", "A"): ["127.0.0.2"],
        }
        channel = await opened(dialer(), to_domain("f.test", names.address, server.port), owner)
        assert channel.host == f"mx.f.test[127.0.0.2]:{server.port}"
        channel.send(transaction(1), owner.done)
        await owner.wait(attempts=1)
        assert isinstance(owner.attempts[0].outcomes[0], Delivered)
        await ended(channel, owner)


async def test_domain_that_does_not_exist_is_failed_by_the_dialer() -> None:
    async with dns_server() as names:
        result = await dialer().open(to_domain("nowhere.test", names.address, 25), Owner().closed)
    assert isinstance(result, Unavailable)
    assert isinstance(result.outcome, Failed)


# The memory


class Clock:
    def __init__(self) -> None:
        self.now = 1000.0

    def __call__(self) -> float:
        return self.now


def test_failed_hosts_go_last_and_keep_their_order() -> None:
    failed = FailedHosts(Clock())
    failed.remember(A)
    failed.remember(B)
    assert failed.last([A, B, C]) == [C, A, B]
    failed.forget(B)
    assert failed.last([A, B, C]) == [B, C, A]


def test_failed_hosts_are_forgotten_with_age() -> None:
    clock = Clock()
    failed = FailedHosts(clock)
    failed.remember(A)
    clock.now += FAILED_SECONDS - 1
    assert failed.last([A, B]) == [B, A]
    clock.now += 2
    assert failed.last([A, B]) == [A, B]


def test_number_of_failed_hosts_is_bounded() -> None:
    failed = FailedHosts(Clock())
    for port in range(FAILED_MAX + 10):
        failed.remember(Candidate("192.0.2.1", port))
    assert len(failed) == FAILED_MAX
    assert failed.last([Candidate("192.0.2.1", 0), A]) == [Candidate("192.0.2.1", 0), A], "the oldest is forgotten"
