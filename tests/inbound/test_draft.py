"""A message being received: whom policy lets in, what is written in front, and how it is judged at its end."""

from __future__ import annotations

import errno
from dataclasses import replace
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bridgehead.core import queue_id
from bridgehead.core.address import Mailbox
from bridgehead.core.client import Client
from bridgehead.core.header import header_value
from bridgehead.core.organization import (
    AddressSpace,
    Connector,
    Delivery,
    MessageLimits,
    Restrictions,
    SmartHost,
    SmartHostKind,
)
from bridgehead.core.policy import ALL_REFUSED
from bridgehead.core.reply import Reply
from bridgehead.inbound import refusals
from bridgehead.inbound.draft import HEADER_MAX, Draft
from bridgehead.inbound.draft_memory import DraftMemory
from bridgehead.smtp.event import ContentEnd, MailFrom
from bridgehead.smtp.replies import TOO_LARGE
from bridgehead.spool.contract import BODY_IN_ROW_MAX, Insert
from tests.inbound.drafting import (
    HEADER,
    NOW,
    NUMBER,
    USER,
    NotedSpool,
    draft,
    finished,
    origin,
    recipient,
    stored,
)
from tests.inbound.receiving import KEY, SlowSpool, organization
from tests.inbound.saying import changed

# Recipients


def test_recipients_are_counted_from_0_in_order_and_keep_what_they_asked_for() -> None:
    found = Draft(origin(), MailFrom("a@example.org"), DraftMemory())
    assert found.admit(recipient("B@contoso.com", 0, "rfc822;x@y")) is None
    assert found.admit(recipient("c@contoso.com")) is None
    assert [(one.ordinal, one.address, one.notify, one.original) for one in found.recipients] == [
        (0, "B@contoso.com", 0, "rfc822;x@y"),
        (1, "c@contoso.com", -1, ""),
    ]


def test_a_refused_recipient_takes_no_number() -> None:
    found = Draft(origin(), MailFrom("a@example.org"), DraftMemory())
    assert found.admit(recipient("b@contoso.com")) is None
    refusal = found.admit(recipient("x@elsewhere.example"))
    assert refusal is not None
    assert (refusal.code, refusal.enhanced) == (550, "5.7.1")
    assert found.admit(recipient("c@contoso.com")) is None
    assert [one.ordinal for one in found.recipients] == [0, 1]


def test_the_first_recipient_over_the_bound_is_for_later_and_0_is_no_bound() -> None:
    for maximum, expected in ((2, [None, None, refusals.TOO_MANY_RECIPIENTS]), (0, [None, None, None])):
        server = changed(messages=MessageLimits(recipients_max=maximum))
        found = Draft(origin(server=server), MailFrom("a@example.org"), DraftMemory())
        assert [found.admit(recipient("b@contoso.com")) for _ in range(3)] == expected


def test_policy_is_not_asked_for_local_accounts() -> None:
    found = Draft(origin(), MailFrom("root@mail.contoso.com"), DraftMemory())
    found.add(Mailbox("x@elsewhere.example", "x", "elsewhere.example"), 4)
    found.open(SlowSpool(), NUMBER, NOW)
    insert = finished(found, b"x: y\r\n")
    assert isinstance(insert, Insert)
    assert [(one.address, one.notify) for one in insert.envelope.recipients] == [("x@elsewhere.example", 4)]


# The envelope


def test_the_envelope_says_what_mail_client_and_content_said() -> None:
    mail = MailFrom("a@example.org", 0, "8BITMIME", False, "HDRS", "QQ1")
    insert = finished(draft(origin(USER, protocol="ESMTPSA"), mail=mail), HEADER, b"\r\n\xe9\r\n")
    assert isinstance(insert, Insert)
    envelope = insert.envelope
    assert insert.message_id == NUMBER
    assert (envelope.reverse_path, envelope.body_type, envelope.ret, envelope.envid) == (
        "a@example.org",
        "8BITMIME",
        "HDRS",
        "QQ1",
    )
    assert (envelope.client, envelope.helo, envelope.user, envelope.protocol) == (
        "198.51.100.7",
        "client.example",
        "user",
        "ESMTPSA",
    )
    assert (envelope.virtual_server, envelope.received_at, envelope.message_id) == (KEY, NOW, "<1@x>")
    assert (envelope.size, envelope.has_eight_bit, envelope.is_dsn) == (len(HEADER) + 5, True, False)


def test_the_size_of_the_body_counts_our_line_and_that_of_the_envelope_does_not() -> None:
    insert = finished(draft(), b"x: y\r\n")
    assert isinstance(insert, Insert)
    content = insert.body.content or b""
    assert insert.envelope.size == 6
    assert insert.body.size == len(content) > 6
    assert content.startswith(b"Received: from client.example ([198.51.100.7])\r\n\tby mail.contoso.com ")


UTF8_PROTOCOLS = {
    "ESMTP": "UTF8SMTP",
    "ESMTPS": "UTF8SMTPS",
    "ESMTPA": "UTF8SMTPA",
    "ESMTPSA": "UTF8SMTPSA",
}


@pytest.mark.parametrize("protocol", UTF8_PROTOCOLS)
def test_smtputf8_has_protocols_of_its_own(protocol: str) -> None:
    """RFC 6531 4.3."""
    mail = MailFrom("a@example.org", smtputf8=True)
    insert = finished(draft(origin(protocol=protocol), mail=mail), b"x: y\r\n")
    assert isinstance(insert, Insert)
    assert insert.envelope.protocol == UTF8_PROTOCOLS[protocol]
    assert f"with {UTF8_PROTOCOLS[protocol]} id".encode() in (insert.body.content or b"")


def test_local_submission_stays_local_with_smtputf8() -> None:
    mail = MailFrom("a@example.org", smtputf8=True)
    found = Draft(origin(Client(None, "", user="root"), protocol="LOCAL"), mail, DraftMemory())
    found.add(Mailbox("b@contoso.com", "b", "contoso.com"), -1)
    found.open(SlowSpool(), NUMBER, NOW)
    insert = finished(found, b"x: y\r\n")
    assert isinstance(insert, Insert)
    assert insert.envelope.protocol == "LOCAL"


# What is added

DATE = b"Date: Mon, 21 Sep 2026 14:13:20 +0000\r\n"
ID = f"Message-ID: <{queue_id.write(NUMBER)}@mail.contoso.com>\r\n".encode()

ADDED: dict[str, tuple[bytes, bytes]] = {
    "nothing is missing": (HEADER + b"\r\nx\r\n", b""),
    "both are missing": (b"From: a@b\r\n\r\nx\r\n", DATE + ID),
    "the date is missing": (b"Message-ID: <1@x>\r\n\r\nx\r\n", DATE),
    "the id is missing": (b"DATE: now\r\n\r\nx\r\n", ID),
    "they stand in the body only": (b"From: a@b\r\n\r\nDate: now\r\nMessage-ID: <1@x>\r\n", DATE + ID),
    "resent fields are others": (b"Resent-Date: now\r\nResent-Message-ID: <1@x>\r\n\r\nx\r\n", DATE + ID),
    "there is no body": (b"From: a@b\r\n", DATE + ID),
    "there is no header": (b"\r\nx\r\n", DATE + ID),
    "there is no header and no empty line": (b"just text\r\n\r\nDate: now\r\n", DATE + ID + b"\r\n"),
    "there is nothing": (b"", DATE + ID + b"\r\n"),
}


@pytest.mark.parametrize("name", ADDED)
def test_who_authenticated_gets_the_date_and_id_that_are_missing(name: str) -> None:
    """RFC 6409 8.1 and 8.2."""
    content, added = ADDED[name]
    assert stored(draft(origin(USER)), content) == added + content


@pytest.mark.parametrize("name", ADDED)
def test_who_did_not_authenticate_gets_nothing(name: str) -> None:
    content, _ = ADDED[name]
    assert stored(draft(), content) == content


@given(st.sampled_from(sorted(ADDED)), st.lists(st.integers(0, 60), max_size=5))
def test_what_is_added_does_not_depend_on_how_content_arrived(name: str, cuts: list[int]) -> None:
    content, added = ADDED[name]
    places = sorted({min(cut, len(content)) for cut in cuts} | {0, len(content)})
    pieces = [content[start:end] for start, end in pairwise(places)]
    assert stored(draft(origin(USER)), *pieces) == added + content


CONTINUATIONS = {
    "a space": b" by mx.evil.example; now\r\nSubject: x\r\n\r\nx\r\n",
    "a tab": b"\tby mx.evil.example; now\r\nSubject: x\r\n\r\nx\r\n",
    "white space alone": b" \r\nSubject: x\r\n\r\nx\r\n",
    "a colon in the line": b" X-Spam: no\r\n\r\nx\r\n",
    "longer than is held back": b" a: b\r\n" * (HEADER_MAX // 6),
}


@pytest.mark.parametrize("name", CONTINUATIONS)
def test_content_that_would_continue_our_line_gets_an_empty_line_before_it(name: str) -> None:
    content = CONTINUATIONS[name]
    assert stored(draft(), content) == b"\r\n" + content
    assert stored(draft(), b"", content[:1], content[1:]) == b"\r\n" + content, "however it arrives"


@pytest.mark.parametrize("name", CONTINUATIONS)
def test_who_authenticated_gets_a_header_before_content_that_would_continue_ours(name: str) -> None:
    content = CONTINUATIONS[name]
    added = DATE + ID if len(content) <= HEADER_MAX else b""
    assert stored(draft(origin(USER)), content) == added + b"\r\n" + content


@given(st.binary(max_size=20).filter(lambda content: b"\r" not in content and b"\n" not in content))
def test_our_received_line_ends_where_we_end_it(content: bytes) -> None:
    """Whatever a client sends: a reader finds in our line the words that we wrote, and none besides."""
    insert = finished(draft(), content + b"\r\n")
    assert isinstance(insert, Insert)
    received = header_value(insert.body.content or b"", "Received")
    assert received.endswith("; Mon, 21 Sep 2026 14:13:20 +0000")


def test_a_from_is_added_only_where_one_is_given_for_it() -> None:
    found = draft(origin(USER))
    found.missing_from = b"From: user@mail.contoso.com\r\n"
    assert stored(found, b"Subject: x\r\n\r\n") == DATE + found.missing_from + ID + b"Subject: x\r\n\r\n"
    found = draft(origin(USER))
    found.missing_from = b"From: user@mail.contoso.com\r\n"
    assert stored(found, HEADER) == HEADER


LONG_LINE = b"X-Long: " + b"x" * 990 + b"\r\n"
RELEASED: dict[str, tuple[bytes, bool]] = {
    "half a header": (b"Subject: x\r\n", False),
    "a header and no empty line": (HEADER, False),
    "an empty line": (b"Subject: x\r\n\r\n", True),
    "an empty line at once": (b"\r\n", True),
    "more than may be held back": (LONG_LINE * (HEADER_MAX // len(LONG_LINE) + 1), True),
}


@pytest.mark.parametrize("name", RELEASED)
def test_a_header_is_held_back_until_it_is_whole_or_too_long(name: str) -> None:
    content, is_released = RELEASED[name]
    spool = NotedSpool()
    found = draft(origin(USER), spool=spool)
    before = spool.bodies[0].size
    found.write(content)
    assert (spool.bodies[0].size > before) is is_released


def test_nothing_is_added_to_a_header_that_is_too_long_to_be_looked_at() -> None:
    content = RELEASED["more than may be held back"][0]
    assert stored(draft(origin(USER)), content) == content


# How it is judged

HOPS = {2: None, 3: refusals.TOO_MANY_HOPS}


@pytest.mark.parametrize("hops", HOPS)
def test_as_many_hops_as_allowed_pass_and_ours_is_not_counted(hops: int) -> None:
    found = draft(origin(server=changed(delivery=Delivery(hop_count_max=2))))
    result = finished(found, b"Received: x\r\n" * hops + b"\r\nReceived: in the body\r\n")
    assert (result if isinstance(result, Reply) else None) == HOPS[hops]


LEFT = {-1: None, 100: None, 6: None, 5: refusals.SESSION_FULL, 0: refusals.SESSION_FULL}


@pytest.mark.parametrize("octets", LEFT)
def test_a_message_fits_into_what_is_left_of_the_session(octets: int) -> None:
    result = finished(draft(), b"x: y\r\n", octets_left=octets)
    assert (result if isinstance(result, Reply) else None) == LEFT[octets]


def test_a_fault_that_the_engine_found_is_the_answer_whatever_else_is_wrong() -> None:
    found = draft()
    found.run_out()
    assert found.finish(ContentEnd(6, has_eight_bit=False, fault=TOO_LARGE), 0) is TOO_LARGE


SMALL_MAIL = Connector(
    "small",
    (AddressSpace("elsewhere.example"),),
    (KEY,),
    "",
    (SmartHost("192.0.2.10", SmartHostKind.ADDRESS),),
    allow_relay=True,
    restrictions=Restrictions(size_less_than=100),
)
SIZES: dict[str, tuple[tuple[str, ...], int, Reply | None]] = {
    "small enough": (("x@elsewhere.example",), 99, None),
    "too large for its only recipient": (("x@elsewhere.example",), 100, ALL_REFUSED),
    "too large for one of two": (("x@elsewhere.example", "b@contoso.com"), 100, None),
}


@pytest.mark.parametrize("name", SIZES)
def test_recipients_are_asked_of_policy_once_more_with_the_real_size(name: str) -> None:
    """What alone became impossible is the queue's, with a DSN; a message that nobody may get is refused here."""
    addresses, size, expected = SIZES[name]
    configuration = replace(organization(), connectors=(SMALL_MAIL,))
    result = finished(draft(origin(configuration=configuration), *addresses), b"x" * (size - 2) + b"\r\n")
    assert (result if isinstance(result, Reply) else None) == expected


# A disk that does not want


def test_trouble_while_writing_is_told_at_the_end() -> None:
    spool = SlowSpool()
    spool.body_octets = 1000
    assert finished(draft(spool=spool), b"x" * 2000, b"y" * 2000) is refusals.NO_STORAGE


def test_trouble_with_a_header_that_was_held_back_is_told_at_the_end() -> None:
    spool = SlowSpool()
    spool.body_octets = 300
    assert finished(draft(origin(USER), spool=spool), b"X: " + b"x" * 400 + b"\r\n") is refusals.NO_STORAGE


def test_a_body_that_cannot_be_begun_is_told_at_once() -> None:
    spool = SlowSpool()
    spool.body_error = OSError(errno.ENOSPC, "disk full")
    with pytest.raises(OSError, match="disk full"):
        draft(spool=spool)


def test_a_message_that_ran_out_of_room_takes_nothing_more() -> None:
    spool = NotedSpool()
    found = draft(spool=spool)
    found.write(b"x" * BODY_IN_ROW_MAX)
    sizes = [found.is_large]
    found.run_out()
    found.write(b"y" * (BODY_IN_ROW_MAX + 1))
    assert [*sizes, found.is_large] == [True, False]
    assert (spool.bodies[0].is_discarded, spool.bodies[0].size) == (True, 0)
    assert finished(found) is refusals.NO_STORAGE


def test_a_message_that_was_dropped_is_never_stored() -> None:
    spool = NotedSpool()
    found = draft(spool=spool)
    found.write(b"x: y\r\n")
    found.discard()
    found.discard()
    assert spool.bodies[0].is_discarded
    assert finished(found, b"more\r\n") is refusals.OUR_FAULT


def test_a_refused_message_leaves_no_body() -> None:
    spool = NotedSpool()
    assert finished(draft(spool=spool), b"x: y\r\n", octets_left=0) is refusals.SESSION_FULL
    assert spool.bodies[0].is_discarded


def test_an_accepted_body_is_not_discarded_afterwards() -> None:
    """A session that ends behind its commit drops its draft; the body belongs to the spool by then."""
    spool = NotedSpool()
    found = draft(spool=spool)
    assert isinstance(finished(found, b"x: y\r\n"), Insert)
    found.discard()
    assert not spool.bodies[0].is_discarded


def test_what_a_stranger_may_not_relay_by_its_real_size_is_marked_to_fail() -> None:
    """The connector that lets relay takes small mail alone; the next one must not take the rest for a stranger."""
    isp = replace(SMALL_MAIL, name="ISP", address_spaces=(AddressSpace("*"),), allow_relay=False)
    isp = replace(isp, restrictions=Restrictions())
    configuration = replace(organization(), connectors=(SMALL_MAIL, isp))
    addresses = ("x@elsewhere.example", "b@contoso.com")
    for size, marks in ((99, [False, False]), (100, [True, False])):
        result = finished(draft(origin(configuration=configuration), *addresses), b"x" * (size - 2) + b"\r\n")
        assert isinstance(result, Insert)
        assert [one.is_refused for one in result.envelope.recipients] == marks
