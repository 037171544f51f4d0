"""One question to one server; what is not its answer is never taken for it."""

from __future__ import annotations

from contextlib import suppress

import dns.message
import dns.rcode
import dns.rrset
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from bridgehead.net import dns_exchange, resolver
from bridgehead.net.dns_exchange import ExchangeError, ask
from tests.net.dns_server import dns_server

ZONE = {("f.test", "MX"): ["10 mx.f.test."], ("mx.f.test", "A"): ["192.0.2.1"]}
QUERY = dns.message.make_query("f.test", "MX", id=4711)


def answer() -> bytes:
    """A true answer to `QUERY`."""
    reply = dns.message.make_response(QUERY)
    reply.answer.append(dns.rrset.from_text("f.test.", 60, "IN", "MX", "10 mx.f.test."))
    return reply.to_wire()


TRUE = answer()


def test_true_answer_is_read() -> None:
    assert dns_exchange._read(TRUE, QUERY) is not None


OTHERS = {
    "another id": dns.message.make_response(dns.message.make_query("f.test", "MX", id=4712)).to_wire(),
    "another name": dns.message.make_response(dns.message.make_query("g.test", "MX", id=4711)).to_wire(),
    "another type": dns.message.make_response(dns.message.make_query("f.test", "A", id=4711)).to_wire(),
    "a question": QUERY.to_wire(),
    "nothing": b"",
    "half of it": TRUE[:20],
}


@pytest.mark.parametrize("wire", OTHERS.values(), ids=OTHERS.keys())
def test_what_does_not_answer_the_question_is_not_read(wire: bytes) -> None:
    assert dns_exchange._read(wire, QUERY) is None


@given(st.binary(max_size=100))
@example(TRUE)
def test_arbitrary_octets_are_read_or_left(wire: bytes) -> None:
    dns_exchange._read(wire, QUERY)
    dns_exchange._read(TRUE[:2] + wire, QUERY)


@given(st.lists(st.tuples(st.integers(2, len(TRUE) - 1), st.integers(0, 255)), min_size=1, max_size=4))
def test_damaged_answers_are_read_or_left(changes: list[tuple[int, int]]) -> None:
    wire = bytearray(TRUE)
    for position, octet in changes:
        wire[position] = octet
    message = dns_exchange._read(bytes(wire), QUERY)
    if message is not None:
        with suppress(ExchangeError):
            resolver._read(message)


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
