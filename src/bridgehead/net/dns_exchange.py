"""One question to one name server: by UDP from a random port, by TCP where the answer does not fit (RFC 1035, 7766).

Answers are read by dnspython; a question is a few octets, and written here. What comes from elsewhere, or answers
another question, is no answer: the wait goes on. Every socket is connected, so the kernel keeps strangers out, and
used for one question, so its port is drawn anew each time, as the id is (RFC 5452). A bare socket costs a third of a
transport, so there is no reason to keep some of them.
"""

from __future__ import annotations

import asyncio
import secrets
import socket
import struct
from dataclasses import dataclass
from typing import Final, TypeAlias

import dns.exception
import dns.flags
import dns.message
import dns.name
import dns.opcode
import dns.rcode
import dns.rdataclass
import dns.rdatatype

from bridgehead.core.error import BridgeheadError

Endpoint: TypeAlias = tuple[str, int]
"""Address and port of a name server."""

UDP_PAYLOAD: Final = 1232
"""Octets of an answer by UDP that pass any path unfragmented (the 2020 "flag day" figure)."""
_DATAGRAM_MAX: Final = 65_535
_HEADER: Final = struct.Struct("!HHHHHH")
_TAIL: Final = struct.Struct("!HH")
_OPT: Final = b"\0" + struct.pack("!HHIH", dns.rdatatype.OPT, UDP_PAYLOAD, 0, 0)
"""What says that we know EDNS, and how much we take (RFC 6891 6.1)."""
_WITHOUT_QUESTION: Final = frozenset({dns.rcode.FORMERR, dns.rcode.SERVFAIL, dns.rcode.NOTIMP, dns.rcode.REFUSED})
"""Refusals that some servers send without the question they refuse."""


class ExchangeError(BridgeheadError):
    """This server gave no usable answer; the text says why. Private to `net`: callers make it a `DnsFault`."""


async def ask(server: Endpoint, name: str, kind: str, seconds: float) -> dns.message.Message:
    """The answer of `server`, NOERROR or NXDOMAIN; `ExchangeError` for anything else.

    `seconds` bounds each of at most three steps: UDP, UDP without EDNS, TCP.
    """
    answer = await _ask_once(server, question(name, kind, edns=True), seconds)
    if answer.rcode() in {dns.rcode.FORMERR, dns.rcode.NOTIMP}:  # a server older than EDNS
        answer = await _ask_once(server, question(name, kind, edns=False), seconds)
    if answer.rcode() not in {dns.rcode.NOERROR, dns.rcode.NXDOMAIN}:
        raise ExchangeError(f"{dns.rcode.to_text(answer.rcode())} from {server[0]}:{server[1]}")
    return answer


@dataclass(frozen=True, slots=True)
class Question:
    """One question as it goes out."""

    id: int
    name: dns.name.Name
    kind: dns.rdatatype.RdataType
    wire: bytes

    def is_answered_by(self, message: dns.message.Message) -> bool:
        """Whether this is an answer to it, whatever it says."""
        if message.id != self.id or not message.flags & dns.flags.QR or message.opcode() != dns.opcode.QUERY:
            return False
        if not message.question:
            return message.rcode() in _WITHOUT_QUESTION
        asked = message.question[0]
        is_same = (asked.name, asked.rdtype, asked.rdclass) == (self.name, self.kind, dns.rdataclass.IN)
        return is_same and len(message.question) == 1


def question(name: str, kind: str, *, edns: bool) -> Question:
    """A question with an id that nobody can foresee. `name` is one that can be (`dns.name.from_text` takes it)."""
    absolute, number, chosen = dns.name.from_text(name), dns.rdatatype.from_text(kind), secrets.randbits(16)
    encoded = absolute.to_wire()
    assert encoded is not None, "a name that is written to no file is returned"
    header = _HEADER.pack(chosen, dns.flags.RD, 1, 0, 0, 1 if edns else 0)
    wire = header + encoded + _TAIL.pack(number, dns.rdataclass.IN) + (_OPT if edns else b"")
    return Question(chosen, absolute, number, wire)


async def _ask_once(server: Endpoint, asked: Question, seconds: float) -> dns.message.Message:
    place = f"{server[0]}:{server[1]}"
    try:
        async with asyncio.timeout(seconds):
            answer = await _by_udp(server, asked)
        if answer.flags & dns.flags.TC:
            async with asyncio.timeout(seconds):
                answer = await _by_tcp(server, asked)
            if answer.flags & dns.flags.TC:
                raise ExchangeError(f"truncated answer by TCP from {place}")
    except TimeoutError as error:
        raise ExchangeError(f"no answer from {place} within {seconds:g} s") from error
    except (OSError, EOFError, dns.exception.DNSException) as error:
        raise ExchangeError(f"no answer from {place}: {error}") from error
    return answer


async def _by_udp(server: Endpoint, asked: Question) -> dns.message.Message:
    loop = asyncio.get_running_loop()
    family = socket.AF_INET6 if ":" in server[0] else socket.AF_INET
    with socket.socket(family, socket.SOCK_DGRAM | socket.SOCK_NONBLOCK) as connection:
        connection.connect(server)
        connection.send(asked.wire)
        while True:
            answer = _read(await loop.sock_recv(connection, _DATAGRAM_MAX), asked)
            if answer is not None:
                return answer


async def _by_tcp(server: Endpoint, asked: Question) -> dns.message.Message:
    reader, writer = await asyncio.open_connection(*server)
    try:
        writer.write(len(asked.wire).to_bytes(2, "big") + asked.wire)
        length = int.from_bytes(await reader.readexactly(2), "big")
        answer = _read(await reader.readexactly(length), asked)
    finally:
        writer.close()
    if answer is None:
        raise ExchangeError(f"no sense in the answer by TCP from {server[0]}:{server[1]}")
    return answer


def _read(data: bytes, asked: Question) -> dns.message.Message | None:
    """The message if it answers the question, else `None`: a forger does not end the wait for the true answer."""
    if data[:2] != asked.wire[:2]:
        return None  # the id: most of what a forger sends ends here
    try:
        message = dns.message.from_wire(data, ignore_trailing=True, raise_on_truncation=False)
    except (dns.exception.DNSException, ValueError):
        return None
    return message if asked.is_answered_by(message) else None
