"""One question to one server; what is not its answer is never taken for it."""

from __future__ import annotations

from contextlib import suppress
from pathlib import Path

import dns.message
import dns.rcode
import dns.rrset
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from bridgehead.net import dns_exchange, resolver
from bridgehead.net.dns_exchange import UDP_PAYLOAD, ExchangeError, ask, question
from tests.net.dns_server import dns_server

ZONE = {("f.test", "MX"): ["10 mx.f.test."], ("mx.f.test", "A"): ["192.0.2.1"]}
ASKED = question("f.test", "MX", edns=True)
QUERY = dns.message.from_wire(ASKED.wire)


def answer() -> bytes:
    """A true answer to `QUERY`."""
    reply = dns.message.make_response(QUERY)
    reply.answer.append(dns.rrset.from_text("f.test.", 60, "IN", "MX", "10 mx.f.test."))
    return reply.to_wire()


TRUE = answer()


def test_true_answer_is_read() -> None:
    assert dns_exchange._read(TRUE, ASKED) is not None


OTHERS = {
    "another id": dns.message.make_response(dns.message.make_query("f.test", "MX", id=ASKED.id ^ 1)).to_wire(),
    "another name": dns.message.make_response(dns.message.make_query("g.test", "MX", id=ASKED.id)).to_wire(),
    "another type": dns.message.make_response(dns.message.make_query("f.test", "A", id=ASKED.id)).to_wire(),
    "another class": dns.message.make_response(dns.message.make_query("f.test", "MX", "CH", id=ASKED.id)).to_wire(),
    "two questions": ASKED.wire[:2] + b"\x81\x80\0\2\0\0\0\0\0\0" + 2 * ASKED.wire[12:24],
    "no question, and no refusal": ASKED.wire[:2] + b"\x81\x80" + bytes(8),
    "an answer to an update": ASKED.wire[:2] + b"\xa8\0" + bytes(8),
    "a question": ASKED.wire,
    "nothing": b"",
    "half of it": TRUE[:20],
}


@pytest.mark.parametrize("wire", OTHERS.values(), ids=OTHERS.keys())
def test_what_does_not_answer_the_question_is_not_read(wire: bytes) -> None:
    assert dns_exchange._read(wire, ASKED) is None


@given(st.binary(max_size=100))
@example(TRUE)
def test_arbitrary_octets_are_read_or_left(wire: bytes) -> None:
    dns_exchange._read(wire, ASKED)
    dns_exchange._read(TRUE[:2] + wire, ASKED)


@given(st.lists(st.tuples(st.integers(2, len(TRUE) - 1), st.integers(0, 255)), min_size=1, max_size=4))
def test_damaged_answers_are_read_or_left(changes: list[tuple[int, int]]) -> None:
    wire = bytearray(TRUE)
    for position, octet in changes:
        wire[position] = octet
    message = dns_exchange._read(bytes(wire), ASKED)
    if message is not None:
        with suppress(ExchangeError):
            resolver._read(message)


@pytest.mark.parametrize("rcode", ["FORMERR", "SERVFAIL", "NOTIMP", "REFUSED"])
def test_refusal_without_the_question_is_read(rcode: str) -> None:
    wire = ASKED.wire[:2] + b"\x81" + bytes((dns.rcode.from_text(rcode),)) + bytes(8)
    answer = dns_exchange._read(wire, ASKED)
    assert answer is not None
    assert answer.rcode() == dns.rcode.from_text(rcode)


def test_question_is_what_dnspython_would_ask() -> None:
    for edns in (True, False):
        asked = question("Mx.f.test", "AAAA", edns=edns)
        like = dns.message.make_query(
            "Mx.f.test", "AAAA", use_edns=0 if edns else -1, payload=UDP_PAYLOAD, id=asked.id
        )
        assert asked.wire == like.to_wire()


def test_case_of_a_name_does_not_matter() -> None:
    reply = dns.message.make_response(dns.message.make_query("F.Test", "MX", id=ASKED.id))
    assert dns_exchange._read(reply.to_wire(), ASKED) is not None


def test_ids_are_not_foreseen() -> None:
    assert len({question("f.test", "MX", edns=True).id for _ in range(100)}) > 90


async def test_refusal_names_the_server() -> None:
    async with dns_server(ZONE) as server:
        server.rcode = dns.rcode.REFUSED
        with pytest.raises(ExchangeError, match=rf"REFUSED from 127\.0\.0\.1:{server.port}"):
            await ask(("127.0.0.1", server.port), "f.test", "MX", 1.0)


async def test_each_question_comes_from_a_port_of_its_own() -> None:
    async with dns_server(ZONE) as server:
        for _ in range(4):
            await ask(("127.0.0.1", server.port), "f.test", "MX", 1.0)
        assert len(set(server.clients)) > 1


def descriptors() -> int:
    return len(list(Path("/proc/self/fd").iterdir()))


async def test_socket_is_closed_whatever_comes_of_the_question() -> None:
    async with dns_server(ZONE) as server:
        endpoint = ("127.0.0.1", server.port)
        before = descriptors()
        await ask(endpoint, "f.test", "MX", 1.0)
        server.is_silent = True
        for _ in range(3):
            with pytest.raises(ExchangeError, match="within"):
                await ask(endpoint, "f.test", "MX", 0.01)
        assert descriptors() == before
