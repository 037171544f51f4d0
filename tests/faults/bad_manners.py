"""The table of what a next hop may do wrong, and what becomes of mail for it."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from dataclasses import dataclass
from enum import Enum
from typing import Final

from tests.outbound.scripted_server import Manners, Peer, Script, polite

REPLY_BYTES: Final = 64 * 1024 * 1024
PIECE: Final = b"x" * 65536
HALF_HANDSHAKE: Final = b"\x16\x03\x03\x00\x7a\x02\x00\x00\x76\x03\x03"


class Fate(Enum):
    """What becomes of a message for such a host."""

    WAITS = "waits until the host is mended"
    DELIVERED = "delivered all the same"
    RETURNED = "returned to the sender"


@dataclass(frozen=True, slots=True)
class Case:
    """One way to misbehave."""

    script: Script | None
    """`None`: nothing listens there."""
    fate: Fate = Fate.WAITS
    parameters: str = ""
    """Of MAIL, where the message must need something."""


async def hang(peer: Peer) -> None:
    """Say nothing more."""
    await peer.wait_gone()


async def drop(peer: Peer) -> None:
    """Close without a word."""
    peer.drop()


async def reset(peer: Peer) -> None:
    """End with a RST."""
    peer.writer.transport.abort()


async def drip(peer: Peer) -> None:
    """A reply that comes at one octet a second."""
    for octet in b"250 " + b"x" * 1000:
        await peer.send(bytes((octet,)))
        await asyncio.sleep(1.0)


async def endless_line(peer: Peer) -> None:
    """A reply line that does not end."""
    for _ in range(REPLY_BYTES // len(PIECE)):
        await peer.send(PIECE)
    await peer.wait_gone()


async def endless_reply(peer: Peer) -> None:
    """A reply whose last line does not come."""
    lines = b"250-x\r\n" * 8192
    for _ in range(REPLY_BYTES // len(lines)):
        await peer.send(lines)
    await peer.wait_gone()


def saying(*lines: str) -> Script:
    """Say these lines at once, then nothing."""

    async def script(peer: Peer) -> None:
        await peer.say(*lines)
        await peer.wait_gone()

    return script


def sending(text: str, octets: bytes) -> Script:
    """Say a line, then octets that are none."""

    async def script(peer: Peer) -> None:
        await peer.send(text.encode() + b"\r\n" + octets)
        await peer.wait_gone()

    return script


def until(verb: str, then: Script, *extensions: str) -> Script:
    """Behave up to a command; `""` is the greeting and `"."` the end of the content."""

    async def script(peer: Peer) -> None:
        if not verb:
            await then(peer)
            return
        await peer.say("220 bad.test")
        while True:
            command = await peer.hear()
            if command.startswith(verb):
                await then(peer)
                return
            if command.startswith("EHLO"):
                await peer.say("250-bad.test", *(f"250-{one}" for one in extensions), "250 8BITMIME")
            elif command == "DATA":
                await peer.say("354 go on")
                await peer.hear_content()
                if verb == ".":
                    await then(peer)
                    return
                await peer.say("250 2.0.0 taken")
            else:
                await peer.say("250 2.0.0 ok")

    return script


def answering(extensions: tuple[str, ...] = ("PIPELINING", "8BITMIME"), **replies: str) -> Script:
    """An ordinary server but for these replies, by verb; `END` is the end of the content, `GREETING` the first."""
    names = {"GREETING": "", "END": "."}
    return polite(Manners(extensions, {names.get(verb, verb): reply for verb, reply in replies.items()}))


async def loses_pipelined_commands(peer: Peer) -> None:
    """Claims PIPELINING and throws away what came together with a command."""
    await peer.say("220 bad.test")
    while octets := await peer.reader.read(65536):
        verb = octets[:4].upper()
        if verb == b"EHLO":
            await peer.say("250-bad.test", "250 PIPELINING")
        else:
            await peer.say("250 2.0.0 ok")


BEFORE_MAIL: Final[Mapping[str, Case]] = {
    "refuses": Case(None),
    "hangs-at-greeting": Case(until("", hang)),
    "hangs-at-ehlo": Case(until("EHLO", hang)),
    "drips": Case(until("EHLO", drip)),
    "closes-at-greeting": Case(until("", drop)),
    "resets-at-ehlo": Case(until("EHLO", reset)),
    "greets-with-554": Case(answering(GREETING="554 5.7.1 go away")),
    "greets-with-421": Case(answering(GREETING="421 4.3.2 busy")),
    "refuses-ehlo": Case(answering(EHLO="550 5.7.1 go away")),
    "is-no-smtp": Case(until("", saying("HTTP/1.1 400 Bad Request"))),
    "endless-line": Case(until("EHLO", endless_line)),
    "endless-reply": Case(until("EHLO", endless_reply)),
    "hangs-at-starttls": Case(until("STARTTLS", hang, "STARTTLS"), Fate.DELIVERED),
    "half-a-handshake": Case(until("STARTTLS", sending("220 go", HALF_HANDSHAKE), "STARTTLS"), Fate.DELIVERED),
    "injects-before-tls": Case(until("STARTTLS", saying("220 go", "250 injected"), "STARTTLS"), Fate.DELIVERED),
}

IN_MAIL: Final[Mapping[str, Case]] = {
    "hangs-at-mail": Case(until("MAIL", hang)),
    "hangs-at-rcpt": Case(until("RCPT", hang, "PIPELINING")),
    "hangs-at-data": Case(until("DATA", hang)),
    "hangs-at-end": Case(until(".", hang)),
    "hangs-at-quit": Case(until("QUIT", hang), Fate.DELIVERED),
    "closes-after-data": Case(until("DATA", drop, "PIPELINING")),
    "closes-after-content": Case(until(".", drop)),
    "resets-after-content": Case(until(".", reset)),
    "says-421-at-mail": Case(answering(MAIL="421 4.3.2 closing")),
    "defers-rcpt": Case(answering(RCPT="451 4.7.1 later")),
    "defers-data": Case(answering(DATA="451 4.3.0 later")),
    "defers-end": Case(answering(END="452 4.3.1 full")),
    "refuses-mail": Case(answering(MAIL="550 5.7.1 no"), Fate.RETURNED),
    "refuses-rcpt": Case(answering(RCPT="550 5.1.1 no"), Fate.RETURNED),
    "refuses-end": Case(answering(END="554 5.6.0 no"), Fate.RETURNED),
    "endless-line-at-end": Case(until(".", endless_line)),
}

LIES: Final[Mapping[str, Case]] = {
    "false-pipelining": Case(loses_pipelined_commands),
    "false-chunking": Case(answering(("CHUNKING",), BDAT="502 5.5.1 no"), Fate.DELIVERED),
    "false-smtputf8": Case(answering(("SMTPUTF8", "8BITMIME"), MAIL="553 5.6.7 no"), Fate.RETURNED, " SMTPUTF8"),
    "false-8bitmime": Case(answering(("8BITMIME",), MAIL="555 5.5.4 no"), Fate.RETURNED, " BODY=8BITMIME"),
    "no-354": Case(answering(DATA="250 2.0.0 ok")),
    "speaks-after-ehlo": Case(until("EHLO", saying("250 bad.test", *["250 2.0.0 ok"] * 10))),
    "answers-before-content": Case(until("DATA", saying("354 go on", "250 2.0.0 taken"))),
    "speaks-after-end": Case(until(".", saying("250 2.0.0 taken", *["250 2.0.0 ok"] * 10)), Fate.DELIVERED),
}

CASES: Final[Mapping[str, Case]] = {**BEFORE_MAIL, **IN_MAIL, **LIES}
