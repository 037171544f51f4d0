"""Command lines as values: where a path ends, what may stand behind it, and what is no command at all."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bridgehead.core.reply import Reply
from bridgehead.smtp import replies
from bridgehead.smtp.command import Chunk, parse_chunk, parse_hello, parse_mail, parse_rcpt
from bridgehead.smtp.event import MailFrom, RcptTo
from bridgehead.smtp.limits import LIMITS, Limits


def mail(argument: bytes, *, is_extended: bool = True) -> MailFrom | Reply:
    return parse_mail(argument, is_extended, LIMITS)


def rcpt(argument: bytes, *, smtputf8: bool = False) -> RcptTo | Reply:
    return parse_rcpt(argument, True, smtputf8, LIMITS)


def told(answer: object) -> str:
    """`"501 5.1.3"`, or the address that was read."""
    if isinstance(answer, Reply):
        return f"{answer.code} {answer.enhanced}"
    if isinstance(answer, MailFrom):
        return answer.reverse_path
    assert isinstance(answer, RcptTo)
    return answer.mailbox.address


# Paths

SENDERS: dict[str, tuple[bytes, str]] = {
    "plain": (b"FROM:<a@example.org>", "a@example.org"),
    "null": (b"FROM:<>", ""),
    "keyword in any case": (b"from:<A@Example.org>", "A@Example.org"),
    "space in front of the path": (b"FROM:  <a@example.org>", "a@example.org"),
    "spaces at the end": (b"FROM:<a@example.org>  ", "a@example.org"),
    "source route is stripped": (b"FROM:<@one.example,@two.example:a@example.org>", "a@example.org"),
    "no keyword": (b"<a@example.org>", "501 5.5.4"),
    "no colon": (b"FROM <a@example.org>", "501 5.5.4"),
    "space in front of the colon": (b"FROM :<a@example.org>", "501 5.5.4"),
    "RCPT's keyword": (b"TO:<a@example.org>", "501 5.5.4"),
    "nothing": (b"", "501 5.5.4"),
    "keyword alone": (b"FROM:", "501 5.1.7"),
    "no brackets": (b"FROM:a@example.org", "501 5.1.7"),
    "not closed": (b"FROM:<a@example.org", "501 5.1.7"),
    "postmaster needs a domain here": (b"FROM:<postmaster>", "501 5.1.7"),
    "parameter without a space": (b"FROM:<a@example.org>SIZE=1", "501 5.5.4"),
    "wrong parameter before wrong path": (b"FROM:<a> FOO=1", "555 5.5.4"),
    "not ASCII without SMTPUTF8": ("FROM:<ü@example.org>".encode(), "553 5.6.7"),
    "not ASCII with SMTPUTF8": ("FROM:<ü@example.org> SMTPUTF8".encode(), "ü@example.org"),
}

RECIPIENTS: dict[str, tuple[bytes, str]] = {
    "plain": (b"<b@example.org>", "b@example.org"),
    "postmaster": (b"<PostMaster>", "PostMaster"),
    "source route": (b"<@one.example,@two.example:b@example.org>", "b@example.org"),
    "quoted, with > inside": (b'<"a>b"@example.org>', '"a>b"@example.org'),
    "quoted, with an escaped quote": (b'<"a\\">b"@example.org>', '"a\\">b"@example.org'),
    "quoted, with an escaped backslash at its end": (b'<"a\\\\"@example.org>', '"a\\\\"@example.org'),
    "quoted, with parameters inside": (b'<"a> SIZE=1"@example.org>', '"a> SIZE=1"@example.org'),
    "literal": (b"<b@[192.0.2.1]>", "b@[192.0.2.1]"),
    "null": (b"<>", "501 5.1.3"),
    "no brackets": (b"b@example.org", "501 5.1.3"),
    "not closed": (b"<b@example.org", "501 5.1.3"),
    "quote not closed": (b'<"b@example.org>', "501 5.1.3"),
    "space inside": (b"<b @example.org>", "501 5.1.3"),
    "path within a path": (b"<<b@example.org>>", "501 5.5.4"),
    "two @": (b"<b@evil.example@example.org>", "550 5.7.1"),
    "something behind": (b"<b@example.org>x", "501 5.5.4"),
    "a tab behind": (b"<b@example.org>\tNOTIFY=NEVER", "501 5.5.4"),
    "not ASCII without SMTPUTF8": ("<ü@example.org>".encode(), "553 5.6.7"),
    "no UTF-8": (b"<\xff@example.org>", "501 5.1.3"),
}


@pytest.mark.parametrize("name", SENDERS)
def test_mail_reads_the_sender(name: str) -> None:
    argument, expected = SENDERS[name]
    assert told(mail(argument)) == expected


@pytest.mark.parametrize("name", RECIPIENTS)
def test_rcpt_reads_the_recipient(name: str) -> None:
    path, expected = RECIPIENTS[name]
    assert told(rcpt(b"TO:" + path)) == expected


def test_smtputf8_in_mail_opens_the_way_for_recipients_in_other_scripts() -> None:
    assert told(rcpt("TO:<用户@example.org>".encode(), smtputf8=True)) == "用户@example.org"


# Parameters


def test_mail_carries_what_its_parameters_say() -> None:
    argument = b"FROM:<a@example.org> SIZE=99 BODY=8bitmime SMTPUTF8 RET=hdrs ENVID=a+2Bb AUTH=<>"
    assert mail(argument) == MailFrom("a@example.org", 99, "8BITMIME", True, "HDRS", "a+2Bb")


def test_mail_without_parameters_says_no_more_than_its_path() -> None:
    assert mail(b"FROM:<a@example.org>") == MailFrom("a@example.org", 0, "7BIT", False, "", "")


def test_rcpt_tells_never_from_nothing() -> None:
    never, silent = rcpt(b"TO:<b@example.org> NOTIFY=NEVER"), rcpt(b"TO:<b@example.org> ORCPT=rfc822;B@example.org")
    assert isinstance(never, RcptTo)
    assert isinstance(silent, RcptTo)
    assert (never.notify, never.original) == (0, "")
    assert (silent.notify, silent.original) == (-1, "rfc822;B@example.org")


def test_a_client_that_said_helo_has_no_parameters() -> None:
    assert mail(b"FROM:<a@example.org> SIZE=1", is_extended=False) is replies.UNKNOWN_PARAMETER
    assert mail(b"FROM:<a@example.org> ", is_extended=False) == MailFrom("a@example.org")


def test_parameters_that_are_no_utf8_are_refused() -> None:
    assert mail(b"FROM:<a@example.org> ENVID=\xff") is replies.BAD_PARAMETER


# BDAT and EHLO

CHUNKS: dict[bytes, Chunk | None] = {
    b"1000": Chunk(1000, is_last=False),
    b"0": Chunk(0, is_last=False),
    b"1000 LAST": Chunk(1000, is_last=True),
    b"0 last": Chunk(0, is_last=True),
    b" 7  Last ": Chunk(7, is_last=True),
    b"9" * 20: Chunk(10**20 - 1, is_last=False),
    b"9" * 21: None,
    b"": None,
    b"LAST": None,
    b"-1": None,
    b"+1": None,
    b"1_000": None,
    b"0x10": None,
    b"1 2": None,
    b"1 LAST x": None,
    b"1LAST": None,
    b"1\tLAST": None,
    "٣".encode(): None,
}

NAMES: dict[bytes, str | None] = {
    b"mx.example.org": "mx.example.org",
    b"MX_1.Example.org": "MX_1.Example.org",
    b" mx.example.org ": "mx.example.org",
    b"[192.0.2.1]": "[192.0.2.1]",
    b"[IPv6:2001:db8::1]": "[IPv6:2001:db8::1]",
    b"evil(\x7f\xe9;>.example": "evil?????.example",
    b"a\tb": "a?b",
    b"a" * 255: "a" * 255,
    b"a" * 256: None,
    b"a b": None,
    b"": None,
    b"  ": None,
}


@pytest.mark.parametrize("argument", CHUNKS)
def test_bdat(argument: bytes) -> None:
    assert parse_chunk(argument) == CHUNKS[argument]


@pytest.mark.parametrize("argument", NAMES)
def test_the_name_in_ehlo_is_made_safe_to_write(argument: bytes) -> None:
    assert parse_hello(argument, LIMITS) == NAMES[argument]


def test_the_bound_of_the_name_is_that_of_the_limits() -> None:
    assert parse_hello(b"abc", Limits(domain_max=3)) == "abc"
    assert parse_hello(b"abcd", Limits(domain_max=3)) is None


# Properties

FRAGMENTS = st.sampled_from([b"<", b">", b'"', b"\\", b"@", b" ", b"a", b"example.org", b"NOTIFY=NEVER", b"\xc3\xbc"])
ARGUMENTS = st.one_of(st.binary(max_size=80), st.lists(FRAGMENTS, max_size=14).map(b"".join))


@given(ARGUMENTS)
def test_any_octets_are_a_value_or_a_permanent_refusal(argument: bytes) -> None:
    for smtputf8 in (False, True):
        answer = rcpt(b"TO:" + argument, smtputf8=smtputf8)
        assert isinstance(answer, RcptTo) or answer.is_permanent
    sender = mail(b"FROM:" + argument)
    assert isinstance(sender, MailFrom) or sender.is_permanent


@given(ARGUMENTS)
def test_an_address_is_taken_from_the_line_and_never_made_up(argument: bytes) -> None:
    answer = rcpt(b"TO:" + argument, smtputf8=True)
    if isinstance(answer, RcptTo):
        address = answer.mailbox.address.encode()
        assert argument.lstrip(b" ").startswith(b"<")
        assert address + b">" in argument


@given(ARGUMENTS)
def test_a_name_is_as_long_as_what_was_said_and_safe(argument: bytes) -> None:
    name = parse_hello(argument, LIMITS)
    if name is not None:
        assert len(name) == len(argument.strip(b" "))
        assert all(c.isalnum() or c in ".-_:[]?" for c in name)
        assert name.isascii()
