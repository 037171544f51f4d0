"""The load that smtp-source cannot express: the sink counts rightly however octets arrive, domains are as told."""

from __future__ import annotations

import asyncio
from typing import cast

import pytest
from hypothesis import given
from hypothesis import strategies as st

from benchmarks import sender, sink
from benchmarks.many_hosts import address, is_dead, is_slow, is_taken, zone
from benchmarks.sender import percentile


class Written:
    """A transport that keeps what is written to it."""

    def __init__(self) -> None:
        self.octets = b""

    def write(self, octets: bytes) -> None:
        self.octets += octets


def session() -> tuple[sink.Session, sink.Counts, Written]:
    """A session of the sink that has greeted."""
    counts = sink.Counts(sink.arguments(["--port", "1"]))
    transport = Written()
    started = sink.Session(counts)
    started.connection_made(cast("asyncio.Transport", transport))
    return started, counts, transport


def dialogue(bodies: list[bytes], recipients: int) -> bytes:
    """What a client sends that does not wait for replies."""
    envelope = b"MAIL FROM:<a@x>\r\n" + b"RCPT TO:<b@y>\r\n" * recipients + b"DATA\r\n"
    return b"EHLO x\r\n" + b"".join(envelope + body + b"\r\n.\r\n" for body in bodies) + b"QUIT\r\n"


CONTENT = st.text("ab.\r\n", max_size=20).map(lambda text: (b"x" + text.encode()).replace(b"\r\n.\r\n", b""))


@given(st.lists(CONTENT, max_size=3), st.integers(1, 3), st.data())
def test_the_sink_counts_the_same_however_the_octets_are_split(
    bodies: list[bytes], recipients: int, data: st.DataObject
) -> None:
    sent = dialogue(bodies, recipients)
    cuts = sorted(data.draw(st.sets(st.integers(1, len(sent) - 1))))
    started, counts, transport = session()
    for begin, end in zip([0, *cuts], [*cuts, len(sent)], strict=True):
        started.data_received(sent[begin:end])
    assert (counts.messages, counts.recipients) == (len(bodies), recipients * len(bodies))
    assert transport.octets.count(b"354 ") == len(bodies)
    assert transport.octets.endswith(b"221 2.0.0 bye\r\n")


def test_the_way_of_a_message_is_taken_from_its_stamp() -> None:
    started, counts, _ = session()
    stamped = sink.STAMP + b"1.5\r\n\r\nx"
    started.data_received(dialogue([stamped, b"unstamped"], 1))
    assert len(counts.delays) == 1
    assert counts.delays[0] > 0


@pytest.mark.parametrize("size", [0, 1, 72, 4096, 1_000_000])
def test_content_has_the_size_that_was_asked_for(size: int) -> None:
    body = sender.content(size).partition(b"\r\n\r\n")[2]
    assert len(body.removesuffix(b"\r\n.\r\n")) == size
    assert b"\r\n." not in body.removesuffix(b"\r\n.\r\n")


def test_percentiles_are_values_that_were_there() -> None:
    ordered = [float(number) for number in range(100)]
    assert [percentile(ordered, part) for part in (0.5, 0.99, 1.0)] == [50.0, 99.0, 99.0]
    assert percentile([], 0.5) == 0


def test_one_domain_in_ten_is_dead_in_three_ways() -> None:
    dead = [number for number in range(5_000) if is_dead(number)]
    kinds = [address(number, dead=True).split(".")[1] for number in dead]
    assert len(dead) == 500
    assert {kind: kinds.count(kind) for kind in "234"} == {"2": 167, "3": 166, "4": 167}
    assert all(address(number, dead=False).startswith("127.1.") for number in dead)
    assert [number for number in dead if is_taken(number, dead=True)] == [n for n in dead if is_slow(n)]


def test_living_domains_have_an_address_each_and_the_same_ones_with_and_without_the_dead() -> None:
    living = [number for number in range(5_000) if not is_dead(number)]
    addresses = [address(number, dead=True) for number in living]
    assert len(set(addresses)) == len(living)
    assert addresses == [address(number, dead=False) for number in living]


def test_a_zone_names_a_mail_server_for_each_domain() -> None:
    assert zone(2, dead=False).splitlines() == [
        "d0 IN MX 10 mx0",
        "mx0 IN A 127.1.0.1",
        "d1 IN MX 10 mx1",
        "mx1 IN A 127.1.0.2",
    ]
