"""Channels over real sockets, to servers that behave and servers that do not."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace
from pathlib import Path

import pytest
from aiosmtpd.smtp import SMTP, Session
from aiosmtpd.smtp import Envelope as AiosmtpdEnvelope

from bridgehead.core.outcome import Deferred, Delivered, Scope
from bridgehead.outbound.contract import Unavailable
from tests.outbound.attempts import attempt, deferred, from_file, greet, hears, opened
from tests.outbound.channel_contract import Behaviour, ChannelContract, Owner, transaction
from tests.outbound.scripted_server import ADDRESS, Manners, Peer, Script, ScriptedServer, polite, serve
from tests.outbound.wire import HASTY, Wire, dialer, smart_host, to_smart_hosts


async def hangs(peer: Peer) -> None:
    await greet(peer, "PIPELINING")
    await peer.wait_gone()


async def drops(peer: Peer) -> None:
    await greet(peer, "PIPELINING")
    await hears(peer, 4)


async def leaves(peer: Peer) -> None:
    await greet(peer, "PIPELINING")


SCRIPTS: dict[Behaviour, Script] = {
    Behaviour.TAKES: polite(),
    Behaviour.REFUSES_SECOND: polite(Manners(replies={"RCPT TO:<r1@": "550 5.1.1 No"})),
    Behaviour.DEFERS: polite(Manners(replies={".": "451 4.3.0 Later"})),
    Behaviour.HANGS: hangs,
    Behaviour.DROPS: drops,
    Behaviour.LEAVES: leaves,
    Behaviour.ABSENT: polite(),
}


class TestSmtpChannelContract(ChannelContract):
    """The contract, over SMTP."""

    @asynccontextmanager
    async def world(self, behaviour: Behaviour) -> AsyncIterator[Wire]:
        async with serve(SCRIPTS[behaviour]) as server:
            if behaviour is not Behaviour.ABSENT:
                yield Wire(dialer(), to_smart_hosts(smart_host(server.port)))
                return
        yield Wire(dialer(), to_smart_hosts(smart_host(server.port)))

    async def test_transaction_for_a_channel_that_has_ended_is_deferred(self) -> None:
        """Beyond the contract, whose queue was told; yet `done` is called, always."""
        owner = Owner()
        async with self.world(Behaviour.LEAVES) as world:
            channel = await self.opened(world, owner)
            await owner.wait(ends=1)
            channel.send(transaction(), owner.done)
            assert not owner.attempts
            await owner.wait(attempts=1)
        for outcome in owner.attempts[0].outcomes.values():
            assert isinstance(outcome, Deferred)
            assert outcome.scope is Scope.HOST
            assert not outcome.is_connect_failure
        assert owner.ends == 1


# Misbehaving servers


async def closes_when_mail_comes(peer: Peer) -> None:
    await greet(peer, "PIPELINING")
    await peer.hear()


async def test_connection_closed_before_any_answer_is_the_host_s_trouble() -> None:
    assert deferred(await attempt(closes_when_mail_comes)).scope is Scope.HOST


async def closes_after_data(peer: Peer) -> None:
    await greet(peer, "PIPELINING")
    await hears(peer, 3)
    await peer.say("250 Ok", "250 Ok", "354 Go")
    await peer.hear_content()


async def test_connection_closed_after_the_content_is_the_message_s_trouble() -> None:
    outcome = deferred(await attempt(closes_after_data))
    assert outcome.scope is Scope.MESSAGE
    assert outcome.reply.enhanced == "4.4.2"


async def drips(peer: Peer) -> None:
    """One octet at a time, for ever: no reply is ever whole."""
    await greet(peer, "PIPELINING")
    await hears(peer, 3)
    for octet in b"250 " + b"x" * 4000:
        await peer.send(bytes([octet]))
        await asyncio.sleep(0.02)


async def test_dribbled_reply_does_not_extend_the_wait() -> None:
    loop = asyncio.get_running_loop()
    began = loop.time()
    outcome = deferred(await attempt(drips, timeouts=HASTY))
    assert outcome.scope is Scope.HOST
    assert loop.time() - began < 3.0


async def endless_line(peer: Peer) -> None:
    await greet(peer, "PIPELINING")
    await hears(peer, 3)
    for _ in range(1024):  # 64 MB, if anybody listens
        await peer.send(b"2" * 65536)


async def test_endless_reply_line_ends_the_connection() -> None:
    outcome = deferred(await attempt(endless_line))
    assert "4096" in outcome.reply.text


async def accepts_too_early(peer: Peer) -> None:
    await greet(peer, "PIPELINING")
    await hears(peer, 3)
    await peer.say("250 Ok", "250 Ok", "354 Go", "250 Queued")
    await peer.wait_gone()


async def test_acceptance_before_the_content_is_not_believed() -> None:
    deferred(await attempt(accepts_too_early))


async def test_nothing_is_sent_to_a_server_that_accepts_before_the_content(tmp_path: Path) -> None:
    """It would have the message, and get it again."""
    got: list[bytes] = []

    async def script(peer: Peer) -> None:
        await greet(peer, "PIPELINING")
        await hears(peer, 3)
        await peer.say("250 Ok", "250 Ok", "354 Go", "250 Queued")
        got.append(await peer.reader.read())

    deferred(await attempt(script, from_file(tmp_path / "body", b"Subject: x\r\n\r\nx\r\n")))
    assert got in ([], [b""])


async def speaks_unasked(peer: Peer) -> None:
    await greet(peer, "PIPELINING")
    await hears(peer, 3)
    await peer.say("250 Ok", "250 Ok", "354 Go")
    await peer.hear_content()
    await peer.say("250 Queued", "250 And one more")
    await peer.wait_gone()


async def test_unasked_reply_ends_the_channel_and_not_the_delivery() -> None:
    attempted = await attempt(speaks_unasked)
    assert isinstance(attempted.outcomes[0], Delivered)
    assert not attempted.is_reusable


async def lies_about_pipelining(peer: Peer) -> None:
    """Offers it, then reads one command at a time and forgets the rest."""
    await greet(peer, "PIPELINING")
    await peer.hear()
    await peer.say("250 Ok")
    await peer.wait_gone()


async def test_server_that_forgets_pipelined_commands_is_given_up() -> None:
    outcome = deferred(await attempt(lies_about_pipelining, timeouts=HASTY))
    assert outcome.scope is Scope.MESSAGE
    assert "in time" in outcome.reply.text


async def says_421(peer: Peer) -> None:
    await greet(peer, "PIPELINING")
    await hears(peer, 3)
    await peer.say("250 Ok", "421 4.3.2 Shutting down")


async def test_421_is_the_host_s_trouble_and_ends_the_channel() -> None:
    attempted = await attempt(says_421)
    assert deferred(attempted).scope is Scope.HOST
    assert not attempted.is_reusable


async def test_idle_421_ends_the_channel() -> None:
    async def script(peer: Peer) -> None:
        await greet(peer, "PIPELINING")
        await peer.say("421 4.4.2 Idle")
        await peer.wait_gone()

    owner = Owner()
    async with serve(script) as server:
        await opened(server, owner)
        await owner.wait(ends=1)


# Ends


async def test_channel_says_goodbye_after_its_last_message() -> None:
    owner = Owner()
    async with serve() as server:
        channel = await opened(server, owner, messages=2)
        channel.send(transaction(1), owner.done)
        await owner.wait(attempts=1)
        channel.send(transaction(1), owner.done)
        await owner.wait(attempts=2, ends=1)
        assert [one.is_reusable for one in owner.attempts] == [True, False]
        assert server.heard[-1] == "QUIT"


async def test_mailmax_of_the_server_ends_the_channel() -> None:
    owner = Owner()
    async with serve(polite(Manners(extensions=("LIMITS MAILMAX=1",)))) as server:
        channel = await opened(server, owner)
        channel.send(transaction(1), owner.done)
        await owner.wait(attempts=1, ends=1)
        assert not owner.attempts[0].is_reusable


@pytest.mark.parametrize("domain", ["", "fabrikam.com"])
async def test_rcptdomainmax_of_the_server_ends_the_channel_but_for_one_domain(domain: str) -> None:
    """A channel to the hosts of one domain never needs another."""
    owner = Owner()
    async with serve(polite(Manners(extensions=("LIMITS RCPTDOMAINMAX=1",)))) as server:
        destination = replace(to_smart_hosts(smart_host(server.port)), domain=domain)
        channel = await dialer().open(destination, owner.closed)
        assert not isinstance(channel, Unavailable)
        channel.send(transaction(1), owner.done)
        await owner.wait(attempts=1)
        assert owner.attempts[0].is_reusable is bool(domain)
        channel.abort()
        await owner.wait(ends=1)


async def test_idle_channel_says_goodbye_in_time() -> None:
    owner = Owner()
    async with serve() as server:
        await opened(server, owner, HASTY)
        await owner.wait(ends=1)
        assert server.heard[-1] == "QUIT"


async def test_server_that_does_not_answer_quit_is_left() -> None:
    async def script(peer: Peer) -> None:
        await greet(peer, "PIPELINING")
        await peer.wait_gone()

    owner = Owner()
    async with serve(script) as server:
        channel = await opened(server, owner, HASTY)
        channel.close()
        await owner.wait(ends=1)


# A real server


class Mailbox:
    """What aiosmtpd hands over."""

    def __init__(self) -> None:
        self.contents: list[object] = []

    async def handle_DATA(self, server: SMTP, session: Session, envelope: AiosmtpdEnvelope) -> str:
        """Keep the message."""
        del server, session
        self.contents.append(envelope.original_content)
        return "250 2.0.0 Kept"


async def test_aiosmtpd_takes_message_after_message() -> None:
    mailbox = Mailbox()
    loop = asyncio.get_running_loop()
    listener = await loop.create_server(lambda: SMTP(mailbox, loop=loop), ADDRESS, 0)
    owner = Owner()
    contents = [b"Subject: %d\r\n\r\n.\r\n..\r\nend\r\n" % number for number in range(10)]
    try:
        port = listener.sockets[0].getsockname()[1]
        channel = await opened(ScriptedServer(port=port), owner)
        for number, content in enumerate(contents):
            channel.send(transaction(2, content), owner.done)
            await owner.wait(attempts=number + 1)
        channel.close()
        await owner.wait(ends=1)
    finally:
        listener.close()
    assert mailbox.contents == contents
    assert all(isinstance(one.outcomes[1], Delivered) for one in owner.attempts)
