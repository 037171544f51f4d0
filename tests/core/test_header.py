"""The header slice and the trace lines: what is read of a message, and what is written in front of it."""

from __future__ import annotations

import email
import email.policy
import email.utils
import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bridgehead.core.header import (
    NAME_MAX,
    VALUE_MAX,
    Hop,
    begins_with_a_continuation,
    count_received,
    date_line,
    date_text,
    end_of_header,
    has_eight_bit,
    has_header,
    header_value,
    message_id_line,
    received_line,
)

DATE = "Tue, 24 Nov 2026 08:21:32 +0000"
QUEUE_ID = "3CTQ8WM5ZK002"


@pytest.mark.parametrize(
    ("head", "header"),
    [
        pytest.param(b"A: 1\r\nB: 2\r\n\r\nbody\r\n\r\n", b"A: 1\r\nB: 2\r\n", id="header and body"),
        pytest.param(b"\r\nbody\r\n\r\n", b"", id="no header at all"),
        pytest.param(b"A: 1\r\n", b"A: 1\r\n", id="no body"),
        pytest.param(b"", b"", id="nothing"),
    ],
)
def test_header_ends_at_the_first_empty_line(head: bytes, header: bytes) -> None:
    assert head[: end_of_header(head)] == header


@pytest.mark.parametrize(
    ("head", "count"),
    [
        pytest.param(b"Received: a\r\nRECEIVED: b\r\nreceived:c\r\n\r\n", 3, id="in either case"),
        pytest.param(b"Subject: x\r\n Received: folded\r\n\r\n", 0, id="a folded line is no field"),
        pytest.param(b"X-Received: a\r\nReceived-SPF: pass\r\n\r\n", 0, id="other names"),
        pytest.param(b"Received: a\r\n\r\nReceived: b\r\n", 1, id="the body does not count"),
        pytest.param(b"\r\nReceived: b\r\n", 0, id="no header"),
    ],
)
def test_count_received_counts_the_hops_in_the_header(head: bytes, count: int) -> None:
    assert count_received(head) == count


@pytest.mark.parametrize(
    ("head", "value"),
    [
        pytest.param(b"Message-ID: <1@a>\r\n\r\n", "<1@a>", id="plain"),
        pytest.param(b"A: 1\r\nmessage-id:<1@a>\r\nMessage-ID: <2@a>\r\n\r\n", "<1@a>", id="first of two"),
        pytest.param(b"Message-ID:\r\n <1@a>\r\nA: 1\r\n\r\n", "<1@a>", id="folded before the value"),
        pytest.param(b"Message-ID: a\r\n\tb\r\n c\r\nA: 1\r\n", "a b c", id="folded twice"),
        pytest.param(b"Message-ID: a\x00\x1b[2J\r\n\r\n", "a??[2J", id="controls do not reach a terminal"),
        pytest.param("Message-ID: \u00fc\u2028\r\n\r\n".encode(), "\u00fc?", id="only printable characters"),
        pytest.param(b"Message-ID: a\nb\r\n\r\n", "a?b", id="a bare line feed is no line end"),
        pytest.param(b"A: 1\r\n\r\nMessage-ID: <1@a>\r\n", "", id="not in the body"),
        pytest.param(b"Message-ID: a", "a", id="cut off"),
        pytest.param(b"Message-ID: " + b"x" * 100_000 + b"\r\n", "x" * VALUE_MAX, id="cut to length"),
    ],
)
def test_header_value_is_the_first_unfolded_and_printable(head: bytes, value: str) -> None:
    assert header_value(head, "Message-ID") == value


def test_has_header_tells_an_empty_field_from_none() -> None:
    assert has_header(b"Date:\r\n\r\n", "Date")
    assert not has_header(b"Resent-Date: x\r\n\r\nDate: x\r\n", "Date")


def test_received_line_of_a_session_with_tls() -> None:
    hop = Hop(
        "mail.contoso.com", "ESMTPS", "client.example", "192.0.2.7", "ptr.example", "TLSv1.3 TLS_AES_256_GCM_SHA384"
    )
    assert received_line(hop, QUEUE_ID, DATE) == (
        b"Received: from client.example (ptr.example [192.0.2.7])\r\n"
        b"\t(TLSv1.3 TLS_AES_256_GCM_SHA384)\r\n"
        b"\tby mail.contoso.com (Bridgehead) with ESMTPS id 3CTQ8WM5ZK002;\r\n"
        b"\tTue, 24 Nov 2026 08:21:32 +0000\r\n"
    )


def test_received_line_of_a_client_without_name_on_ipv6() -> None:
    hop = Hop("mail.contoso.com", "ESMTP", "[IPv6:2001:db8::7]", "2001:db8::7", user="alice")
    assert received_line(hop, QUEUE_ID, DATE) == (
        b"Received: from [IPv6:2001:db8::7] ([IPv6:2001:db8::7])\r\n"
        b"\tby mail.contoso.com (Bridgehead) with ESMTP id 3CTQ8WM5ZK002;\r\n"
        b"\tTue, 24 Nov 2026 08:21:32 +0000\r\n"
    )


def test_received_line_of_a_local_submission_names_the_user() -> None:
    assert received_line(Hop("mail.contoso.com", "LOCAL", user="www-data"), QUEUE_ID, DATE) == (
        b"Received: by mail.contoso.com (Bridgehead) with LOCAL id 3CTQ8WM5ZK002\r\n"
        b"\t(submitted by www-data);\r\n"
        b"\tTue, 24 Nov 2026 08:21:32 +0000\r\n"
    )


def test_received_line_does_not_tell_the_world_who_authenticated() -> None:
    hop = Hop("mail.contoso.com", "ESMTPSA", "laptop", "192.0.2.7", user="alice")
    assert b"alice" not in received_line(hop, QUEUE_ID, DATE)


def test_received_line_folds_where_names_are_long() -> None:
    hop = Hop("m" * 70 + ".example", "ESMTP", "h" * 60, "192.0.2.7", "p" * 50)
    assert all(len(line) <= 90 for line in received_line(hop, QUEUE_ID, DATE).split(b"\r\n"))


HOSTILE = st.text(max_size=400) | st.sampled_from(["a\r\nX: 1", "a)b", "\x00", "a\r\n\r\nbody", "(" * 300, "\u0130"])


@given(HOSTILE, HOSTILE, HOSTILE, HOSTILE)
def test_received_line_is_one_field_whatever_the_client_says(helo: str, name: str, tls: str, user: str) -> None:
    for client in ("192.0.2.7", ""):
        line = received_line(Hop("mail.contoso.com", "ESMTP", helo, client, name, tls, user), QUEUE_ID, DATE)
        assert line.isascii()
        assert line.endswith(b"\r\n")
        lines = line[:-2].split(b"\r\n")
        assert all(part.startswith(b"\t") for part in lines[1:])
        assert all(0x20 <= octet < 0x7F for part in lines for octet in part.lstrip(b"\t"))
        assert max(len(part) for part in lines) <= 2 * NAME_MAX + 50
        assert line.count(b"(") == line.count(b")")
        message = email.message_from_bytes(line + b"\r\n", policy=email.policy.compat32)
        assert message.keys() == ["Received"]
        assert not message.defects


@given(st.binary(max_size=300), st.sampled_from(["Message-ID", "Received", "a"]))
def test_header_reading_takes_any_octets(head: bytes, name: str) -> None:
    value = header_value(head, name)
    assert value.isprintable()
    assert has_header(head, name) or not value
    assert 0 <= count_received(head) <= len(head)
    assert end_of_header(head) <= len(head)


@given(st.integers(0, 4_000_000_000))
def test_date_text_is_read_back_by_the_standard_library(second: int) -> None:
    assert email.utils.parsedate_to_datetime(date_text(second)).timestamp() == second


def test_each_second_is_written_anew() -> None:
    assert date_text(1_795_508_492.0) == DATE
    assert date_text(1_795_508_492.99) == DATE
    assert date_text(1_795_508_493.0) == "Tue, 24 Nov 2026 08:21:33 +0000"
    assert date_text(1_795_508_492.5) == DATE


def test_submissions_without_them_get_date_and_message_id() -> None:
    assert date_line(DATE) == b"Date: Tue, 24 Nov 2026 08:21:32 +0000\r\n"
    assert message_id_line(QUEUE_ID, "mail.contoso.com") == b"Message-ID: <3CTQ8WM5ZK002@mail.contoso.com>\r\n"


def test_has_eight_bit_looks_at_every_octet() -> None:
    assert not has_eight_bit(bytes(range(128)))
    assert has_eight_bit(b"caf\xc3\xa9")


def test_hostile_headers_cost_linear_time() -> None:
    """A quarter of a mebibyte of the worst lines takes milliseconds; a quadratic search would take minutes."""
    for line in (b"a:\r\n", b" \r\n", b"received\r\n", b"Message-ID\r\n", b"Message-ID:\r\n \r\n"):
        head = b"Message-ID: x\r\n" + line * (262_144 // len(line))
        begin = time.process_time()
        count_received(head)
        header_value(head, "Message-ID")
        has_header(head, "Date")
        assert time.process_time() - begin < 0.5


@pytest.mark.parametrize(
    ("content", "answer"),
    [(b" x", True), (b"\tx", True), (b"", False), (b"\r\n x", False), (b"X: y\r\n z", False), (b"\x0bx", False)],
)
def test_what_begins_with_white_space_continues_what_stands_before_it(content: bytes, answer: bool) -> None:
    assert begins_with_a_continuation(content) is answer
