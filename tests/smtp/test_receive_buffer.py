"""Lines out of octets: CRLF alone ends one, one too long is told once, and no cut changes anything."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bridgehead.smtp.receive_buffer import INCOMPLETE, TOO_LONG, Missing, ReceiveBuffer
from tests.smtp.dialogue import octet_by_octet

MAX = 8
Line = bytes | Missing

CASES: dict[str, tuple[bytes, list[Line]]] = {
    "nothing": (b"", []),
    "one line": (b"NOOP\r\n", [b"NOOP"]),
    "an empty line": (b"\r\n", [b""]),
    "two lines": (b"a\r\nb\r\n", [b"a", b"b"]),
    "half a line": (b"a\r\nNOO", [b"a"]),
    "a CR that may become CRLF": (b"NOOP\r", []),
    "LF ends no line": (b"a\nb\r\n", [b"a\nb"]),
    "CR ends no line": (b"a\rb\r\n", [b"a\rb"]),
    "as long as may be": (b"123456\r\n", [b"123456"]),
    "longer by one": (b"1234567\r\nNOOP\r\n", [TOO_LONG, b"NOOP"]),
    "no end within its bound: told before more arrives": (b"12345678", [TOO_LONG]),
    "much longer": (b"x" * 100 + b"\r\nNOOP\r\n", [TOO_LONG, b"NOOP"]),
    "two too long": (b"x" * 20 + b"\r\n" + b"y" * 20 + b"\r\nNOOP\r\n", [TOO_LONG, TOO_LONG, b"NOOP"]),
    "too long, with a CR and an LF inside": (b"x" * 20 + b"\r" + b"y" * 20 + b"\nz\r\nNOOP\r\n", [TOO_LONG, b"NOOP"]),
    "too long, no end yet": (b"x" * 20, [TOO_LONG]),
}


def lines(buffer: ReceiveBuffer) -> list[Line]:
    """All lines until more must arrive."""
    found: list[Line] = []
    while (line := buffer.next_line(MAX)) is not INCOMPLETE:
        found.append(line)
    return found


def arrive(pieces: list[bytes]) -> list[Line]:
    """What is read when each piece is looked at as it arrives."""
    buffer, found = ReceiveBuffer(), []
    for piece in pieces:
        buffer.receive(piece)
        found += lines(buffer)
        buffer.trim()
    return found


@pytest.mark.parametrize("name", CASES)
def test_lines(name: str) -> None:
    data, expected = CASES[name]
    assert arrive([data]) == expected


@pytest.mark.parametrize("name", CASES)
def test_lines_octet_by_octet_are_the_same(name: str) -> None:
    data, expected = CASES[name]
    assert arrive(octet_by_octet(data)) == expected


@given(
    st.lists(st.lists(st.sampled_from([b"\r", b"\n", b"\r\n", b"a", b"bcd"]), max_size=8).map(b"".join), max_size=8)
)
def test_any_cut_gives_the_same_lines(pieces: list[bytes]) -> None:
    assert arrive(pieces) == arrive([b"".join(pieces)])


@given(st.binary(max_size=60))
def test_a_line_never_exceeds_its_bound_nor_holds_its_end(data: bytes) -> None:
    for line in arrive([data, b"\r\n"]):
        if isinstance(line, bytes):
            assert len(line) + 2 <= MAX
            assert b"\r\n" not in line


def test_a_line_that_is_skipped_is_not_kept() -> None:
    buffer = ReceiveBuffer()
    for _ in range(100):
        buffer.receive(b"x" * 1000)
        lines(buffer)
        buffer.trim()
        assert len(buffer) <= 1000
    assert len(buffer) == 0


def test_length_counts_what_nobody_has_used() -> None:
    buffer = ReceiveBuffer()
    buffer.receive(b"a\r\nbc")
    assert len(buffer) == 5
    assert buffer.next_line(MAX) == b"a"
    assert len(buffer) == 2


def test_what_was_used_is_gone_with_the_next_read_or_a_trim() -> None:
    read, trimmed = ReceiveBuffer(), ReceiveBuffer()
    for buffer in (read, trimmed):
        buffer.receive(b"a\r\nbc")
        buffer.next_line(MAX)
    read.receive(b"d")
    trimmed.trim()
    assert (read.octets, read.position) == (b"bcd", 0)
    assert (trimmed.octets, trimmed.position) == (b"bc", 0)


def test_clear_forgets_octets_and_the_line_that_is_being_skipped() -> None:
    """Behind a TLS handshake the rest of an old line must not swallow the first command."""
    buffer = ReceiveBuffer()
    buffer.receive(b"x" * 20)
    assert buffer.next_line(MAX) is TOO_LONG
    buffer.clear()
    assert len(buffer) == 0
    buffer.receive(b"NOOP\r\n")
    assert buffer.next_line(MAX) == b"NOOP"
