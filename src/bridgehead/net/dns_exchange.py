"""One question to one name server: by UDP from a random port, by TCP where the answer does not fit (RFC 1035, 7766).

Codec and query ids are dnspython's. What comes from elsewhere, or answers another question, is no answer: the wait
goes on. Every socket is connected, so the kernel keeps strangers out, and used for one question, so its port is
drawn anew each time (RFC 5452).
"""

from __future__ import annotations

import asyncio
from typing import Final, TypeAlias

import dns.exception
import dns.flags
import dns.message
import dns.rcode
import dns.rdatatype

from bridgehead.core.error import BridgeheadError

Endpoint: TypeAlias = tuple[str, int]
"""Address and port of a name server."""

UDP_PAYLOAD: Final = 1232
"""Octets of an answer by UDP that pass any path unfragmented (the 2020 "flag day" figure)."""


class ExchangeError(BridgeheadError):
    """This server gave no usable answer; the text says why. Private to `net`: callers make it a `DnsFault`."""


async def ask(server: Endpoint, name: str, kind: str, seconds: float) -> dns.message.Message:
    """The answer of `server`, NOERROR or NXDOMAIN; `ExchangeError` for anything else.

    `seconds` bounds each of at most three steps: UDP, UDP without EDNS, TCP.
    """
    answer = await _ask_once(server, _query(name, kind, edns=True), seconds)
    if answer.rcode() in {dns.rcode.FORMERR, dns.rcode.NOTIMP}:  # a server older than EDNS
        answer = await _ask_once(server, _query(name, kind, edns=False), seconds)
    if answer.rcode() not in {dns.rcode.NOERROR, dns.rcode.NXDOMAIN}:
        raise ExchangeError(f"{dns.rcode.to_text(answer.rcode())} from {server[0]}:{server[1]}")
    return answer


async def _ask_once(server: Endpoint, query: dns.message.Message, seconds: float) -> dns.message.Message:
    place = f"{server[0]}:{server[1]}"
    try:
        async with asyncio.timeout(seconds):
            answer = await _by_udp(server, query)
        if answer.flags & dns.flags.TC:
            async with asyncio.timeout(seconds):
                answer = await _by_tcp(server, query)
            if answer.flags & dns.flags.TC:
                raise ExchangeError(f"truncated answer by TCP from {place}")
    except TimeoutError as error:
        raise ExchangeError(f"no answer from {place} within {seconds:g} s") from error
    except (OSError, EOFError, dns.exception.DNSException) as error:
        raise ExchangeError(f"no answer from {place}: {error}") from error
    return answer


def _query(name: str, kind: str, *, edns: bool) -> dns.message.Message:
    return dns.message.make_query(
        name, dns.rdatatype.from_text(kind), use_edns=0 if edns else -1, payload=UDP_PAYLOAD
    )


class _Reader(asyncio.DatagramProtocol):
    """Waits for the answer to one query."""

    def __init__(self, query: dns.message.Message) -> None:
        self._query = query
        self.answer: asyncio.Future[dns.message.Message] = asyncio.get_running_loop().create_future()

    def datagram_received(self, data: bytes, addr: object) -> None:
        del addr
        answer = _read(data, self._query)
        if answer is not None and not self.answer.done():
            self.answer.set_result(answer)

    def error_received(self, exc: Exception) -> None:
        if not self.answer.done():
            self.answer.set_exception(exc)


async def _by_udp(server: Endpoint, query: dns.message.Message) -> dns.message.Message:
    loop = asyncio.get_running_loop()
    transport, reader = await loop.create_datagram_endpoint(lambda: _Reader(query), remote_addr=server)
    try:
        transport.sendto(query.to_wire())
        return await reader.answer
    finally:
        transport.close()


async def _by_tcp(server: Endpoint, query: dns.message.Message) -> dns.message.Message:
    reader, writer = await asyncio.open_connection(*server)
    try:
        wire = query.to_wire()
        writer.write(len(wire).to_bytes(2, "big") + wire)
        length = int.from_bytes(await reader.readexactly(2), "big")
        answer = _read(await reader.readexactly(length), query)
    finally:
        writer.close()
    if answer is None:
        raise ExchangeError(f"no sense in the answer by TCP from {server[0]}:{server[1]}")
    return answer


def _read(data: bytes, query: dns.message.Message) -> dns.message.Message | None:
    """The message if it answers `query`, else `None`: a forger does not end the wait for the true answer."""
    try:
        message = dns.message.from_wire(data, ignore_trailing=True, raise_on_truncation=False)
    except (dns.exception.DNSException, ValueError):
        return None
    return message if query.is_response(message) else None
