"""One transaction with one scripted server, for the tests of the channel."""

from __future__ import annotations

from pathlib import Path

import msgspec

from bridgehead.core.outcome import Deferred
from bridgehead.outbound.contract import Attempted, Channel, Transaction, Unavailable
from bridgehead.outbound.timeouts import Timeouts
from bridgehead.spool.contract import Body
from tests.outbound.channel_contract import Owner, transaction
from tests.outbound.scripted_server import Peer, Script, ScriptedServer, serve
from tests.outbound.wire import PATIENT, dialer, smart_host, to_smart_hosts


async def greet(peer: Peer, *extensions: str) -> None:
    """Up to EHLO."""
    await peer.say("220 scripted.test")
    await peer.hear()
    lines = ("scripted.test", *extensions)
    await peer.say(*(f"250-{line}" for line in lines[:-1]), f"250 {lines[-1]}")


async def hears(peer: Peer, commands: int) -> None:
    for _ in range(commands):
        await peer.hear()


async def opened(server: ScriptedServer, owner: Owner, timeouts: Timeouts = PATIENT, messages: int = 20) -> Channel:
    wire = dialer(timeouts)
    result = await wire.open(to_smart_hosts(smart_host(server.port), messages=messages), owner.closed)
    assert not isinstance(result, Unavailable), result.attempts
    return result


async def attempt(script: Script, what: Transaction | None = None, timeouts: Timeouts = PATIENT) -> Attempted:
    """Send one transaction to a server with this script; what came of it."""
    owner = Owner()
    async with serve(script) as server:
        channel = await opened(server, owner, timeouts)
        channel.send(what or transaction(1), owner.done)
        await owner.wait(attempts=1)
        channel.abort()
        await owner.wait(ends=1)
    return owner.attempts[0]


def deferred(attempted: Attempted) -> Deferred:
    outcome = attempted.outcomes[0]
    assert isinstance(outcome, Deferred)
    assert not outcome.is_connect_failure
    return outcome


def from_file(path: Path, content: bytes, size: int | None = None) -> Transaction:
    path.write_bytes(content)
    body = Body(len(content) if size is None else size, None, path)
    return msgspec.structs.replace(transaction(1), body=body)
