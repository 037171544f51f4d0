"""Who writes in the demo: the people of the organization, people elsewhere, and somebody who looks for a relay.

Letters are dealt from a deck that is shuffled anew each time it is through: whoever looks on for some seconds sees
every path, and no second looks like the one before.
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from dataclasses import dataclass
from enum import Enum, auto
from random import Random
from typing import Final

from bridgehead.core.error import ProtocolError
from bridgehead.core.reply import Reply
from bridgehead.process.demo import organization
from bridgehead.process.demo.organization import HOME, Ports
from bridgehead.smtp.reply_reader import ReplyReader

RATE: Final = 10.0
"""Letters a second."""
CLIENTS: Final = 4
"""Connections at once at most; each letter has its own."""
SUBMIT_SECONDS: Final = 10.0
READ_BYTES: Final = 4096

_PEOPLE: Final = ("alex", "bo", "chris", "dana", "eli", "fumi", "gail", "hiro", "ines", "jun", "kim", "lee")
_ELSEWHERE: Final = ("adatum.example", "litware.example", "tailspin.example", "proseware.example")


class Path(Enum):
    """What a letter is there to show."""

    INTERNET = auto()
    PARTNER = auto()
    HELO = auto()
    BACKED_UP = auto()
    MAIN_LINE_ONLY = auto()
    GONE = auto()
    ARRIVING = auto()
    RELAYING = auto()


# Dealt in little more than a second: the outage of the main line is short, and mail must be on its way there.
DECK: Final = (
    *(Path.INTERNET,) * 4,
    Path.PARTNER,
    Path.HELO,
    *(Path.BACKED_UP,) * 2,
    Path.MAIN_LINE_ONLY,
    Path.GONE,
    Path.ARRIVING,
    Path.RELAYING,
)


@dataclass(frozen=True, slots=True)
class Letter:
    """One message, and by which door it comes."""

    sender: str
    recipient: str
    is_from_outside: bool = False


def letters(random: Random) -> Iterator[Letter]:
    """Letters without end."""
    while True:
        for path in random.sample(DECK, len(DECK)):
            yield letter(path, random)


def letter(path: Path, random: Random) -> Letter:
    """One letter for a path, with a sender and a recipient by chance."""
    employee = f"{random.choice(organization.STAFF[:-1])}@{HOME}"
    name = random.choice(_PEOPLE)
    stranger = f"{name}@{random.choice(_ELSEWHERE)}"
    match path:
        case Path.INTERNET:
            return Letter(employee, stranger)
        case Path.PARTNER:
            return Letter(employee, f"{name}@{random.choice(('', 'sales.'))}fabrikam.example")
        case Path.HELO:
            return Letter(employee, f"{name}@wingtip.example")
        case Path.BACKED_UP:
            return Letter(employee, f"{name}@northwind.example")
        case Path.MAIN_LINE_ONLY:
            return Letter(employee, f"{name}@plant.northwind.example")
        case Path.GONE:
            return Letter(employee, f"gone-{stranger}")
        case Path.ARRIVING:
            return Letter(stranger, employee, is_from_outside=True)
        case Path.RELAYING:
            return Letter(stranger, f"victim@{random.choice(_ELSEWHERE)}", is_from_outside=True)


async def send_letters(ports: Ports, random: Random) -> None:
    """Submit letters at about `RATE`; runs until it is cancelled."""
    written = letters(random)
    async with asyncio.TaskGroup() as tasks:
        for _ in range(CLIENTS):
            tasks.create_task(_client(written, ports, random))


async def _client(written: Iterator[Letter], ports: Ports, random: Random) -> None:
    while True:
        await asyncio.sleep(random.expovariate(RATE / CLIENTS))
        one = next(written)
        place = (organization.OUTSIDE, ports.outside) if one.is_from_outside else (organization.INSIDE, ports.inside)
        try:
            await submit(one, *place)
        except (OSError, TimeoutError, ProtocolError):
            # A worker is being started again, or the machine is busy: a client in life would try later too.
            continue


async def submit(one: Letter, address: str, port: int) -> Reply:
    """Hand a letter to an SMTP server: the first refusal, else the reply to its content.

    `OSError`, `TimeoutError` or `ProtocolError` where there was no conversation.
    """
    async with asyncio.timeout(SUBMIT_SECONDS):
        reader, writer = await asyncio.open_connection(address, port)
        try:
            return await _converse(one, reader, writer)
        finally:
            writer.close()


async def _converse(one: Letter, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> Reply:
    replies = ReplyReader()
    reply = await _read(reader, replies)
    domain = one.sender.rpartition("@")[2]
    for line in (
        f"EHLO client.{domain}",
        f"MAIL FROM:<{one.sender}>",
        f"RCPT TO:<{one.recipient}>",
        "DATA",
        f"{content(one)}.",
    ):
        if not reply.is_positive:
            break
        writer.write(f"{line}\r\n".encode())
        reply = await _read(reader, replies)
    writer.write(b"QUIT\r\n")
    return reply


async def _read(reader: asyncio.StreamReader, replies: ReplyReader) -> Reply:
    while (reply := replies.next_reply()) is None:
        octets = await reader.read(READ_BYTES)
        if not octets:
            raise ConnectionResetError("the server closed the connection")
        replies.receive(octets)
    return reply


def content(one: Letter) -> str:
    """Header and body; no line of it begins with a dot."""
    return (
        f"From: <{one.sender}>\r\nTo: <{one.recipient}>\r\nSubject: A letter of the demo\r\n"
        "MIME-Version: 1.0\r\nContent-Type: text/plain; charset=us-ascii\r\n\r\n"
        "This letter was written by `bridgehead demo`, to show the way it takes.\r\n"
    )
