"""The reserve of free disk: a large message that would eat it up is put off, whatever it said at MAIL."""

from __future__ import annotations

from bridgehead.spool.contract import BODY_IN_ROW_MAX
from tests.inbound.receiving import Dialogue, Receiving, dialogue, receiving

LINE = b"a" * 62 + b"\r\n"


async def begin(client: Dialogue) -> None:
    await client.say(b"MAIL FROM:<a@example.org>")
    await client.say(b"RCPT TO:<b@contoso.com>")
    assert (await client.say(b"DATA"))[:3] == "354"


async def end_with(found: Receiving, client: Dialogue, octets: int) -> str:
    """Let the room go once the content has begun, send so much, and end it."""
    await client.send(LINE)
    found.has_room = False
    await client.send(LINE * (octets // len(LINE)))
    return await client.say(b".")


async def test_a_large_message_is_put_off_when_the_room_goes_while_it_arrives() -> None:
    async with receiving() as found, dialogue(found.port) as client:
        await begin(client)
        assert (await end_with(found, client, 4 * BODY_IN_ROW_MAX)).startswith("452 4.3.1 ")
        found.has_room = True
        await begin(client)
        assert (await client.say(b"x\r\n."))[:3] == "250"
        assert found.bodies == [b"x\r\n"]


async def test_a_small_message_that_was_begun_is_taken() -> None:
    async with receiving() as found, dialogue(found.port) as client:
        await begin(client)
        assert (await end_with(found, client, 1000))[:3] == "250"
