"""Command lines of a transaction, and that none of them can be two."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bridgehead.core.envelope import Envelope, Recipient
from bridgehead.smtp.client_commands import is_safe, mail, needs_smtputf8, rcpt
from bridgehead.smtp.client_extensions import Extensions

BOB = Recipient(0, "bob@fabrikam.com", "fabrikam.com")
ALL = Extensions(pipelining=True, eight_bit_mime=True, smtputf8=True, dsn=True, size=True)


def envelope(
    reverse_path: str = "alice@contoso.com",
    *,
    body_type: str = "7BIT",
    smtputf8: bool = False,
    has_eight_bit: bool = False,
    ret: str = "",
    envid: str = "",
) -> Envelope:
    return Envelope(
        reverse_path,
        (BOB,),
        100,
        0.0,
        "S/V",
        body_type=body_type,
        smtputf8=smtputf8,
        has_eight_bit=has_eight_bit,
        ret=ret,
        envid=envid,
    )


MAIL = {
    "plain, all offered": (envelope(), ALL, "MAIL FROM:<alice@contoso.com> SIZE=123"),
    "plain, nothing offered": (envelope(), Extensions(), "MAIL FROM:<alice@contoso.com>"),
    "null reverse path": (envelope(""), Extensions(), "MAIL FROM:<>"),
    "8-bit content": (envelope(has_eight_bit=True), ALL, "MAIL FROM:<alice@contoso.com> SIZE=123 BODY=8BITMIME"),
    "8-bit declared": (envelope(body_type="8BITMIME"), ALL, "MAIL FROM:<alice@contoso.com> SIZE=123 BODY=8BITMIME"),
    "8-bit declared, not offered": (envelope(body_type="8BITMIME"), Extensions(), "MAIL FROM:<alice@contoso.com>"),
    "DSN": (
        envelope(ret="HDRS", envid="Q+2B1"),
        ALL,
        "MAIL FROM:<alice@contoso.com> SIZE=123 RET=HDRS ENVID=Q+2B1",
    ),
    "DSN, not offered": (envelope(ret="HDRS", envid="Q1"), Extensions(), "MAIL FROM:<alice@contoso.com>"),
}


@pytest.mark.parametrize(("message", "extensions", "line"), MAIL.values(), ids=MAIL.keys())
def test_mail_carries_what_the_server_takes(message: Envelope, extensions: Extensions, line: str) -> None:
    assert mail(message, 123, extensions, is_utf8=False) == line


def test_mail_says_smtputf8_where_it_is_needed() -> None:
    assert mail(envelope("あ@例え.jp"), 1, ALL, is_utf8=True) == "MAIL FROM:<あ@例え.jp> SIZE=1 SMTPUTF8"


RCPT = {
    "plain": (BOB, ALL, "RCPT TO:<bob@fabrikam.com>"),
    "never": (Recipient(0, "b@f.com", "f.com", 0), ALL, "RCPT TO:<b@f.com> NOTIFY=NEVER"),
    "success": (Recipient(0, "b@f.com", "f.com", 1), ALL, "RCPT TO:<b@f.com> NOTIFY=SUCCESS"),
    "all": (Recipient(0, "b@f.com", "f.com", 7), ALL, "RCPT TO:<b@f.com> NOTIFY=SUCCESS,FAILURE,DELAY"),
    "original": (
        Recipient(0, "b@f.com", "f.com", 2, "rfc822;a+2Bb@c.com"),
        ALL,
        "RCPT TO:<b@f.com> NOTIFY=FAILURE ORCPT=rfc822;a+2Bb@c.com",
    ),
    "international original": (
        Recipient(0, "b@f.com", "f.com", -1, "utf-8;\u7528@c.com"),
        ALL,
        "RCPT TO:<b@f.com> ORCPT=utf-8;\u7528@c.com",
    ),
    "international original, SMTPUTF8 not offered": (
        Recipient(0, "b@f.com", "f.com", -1, "utf-8;\u7528\\x{2B}@c.com"),
        Extensions(dsn=True),
        "RCPT TO:<b@f.com> ORCPT=utf-8;\\x{7528}\\x{2B}@c.com",
    ),
    "not offered": (Recipient(0, "b@f.com", "f.com", 7, "rfc822;b@f.com"), Extensions(), "RCPT TO:<b@f.com>"),
}


@pytest.mark.parametrize(("recipient", "extensions", "line"), RCPT.values(), ids=RCPT.keys())
def test_rcpt_passes_on_what_was_given(recipient: Recipient, extensions: Extensions, line: str) -> None:
    assert rcpt(recipient, extensions) == line


UTF8 = {
    "plain": (envelope(), "b@f.com", False),
    "declared": (envelope(smtputf8=True), "b@f.com", True),
    "sender": (envelope("あ@f.com"), "b@f.com", True),
    "recipient": (envelope(), "あ@f.com", True),
}


@pytest.mark.parametrize(("message", "address", "needed"), UTF8.values(), ids=UTF8.keys())
def test_smtputf8_is_needed(message: Envelope, address: str, needed: bool) -> None:
    assert needs_smtputf8(message, (Recipient(0, address, "f.com"),)) is needed


@given(st.text(max_size=40))
def test_a_safe_line_is_one_line_on_the_wire(text: str) -> None:
    line = f"RCPT TO:<{text}>"
    if is_safe(line):
        assert not set(line.encode()) & {0, 10, 13}
    else:
        assert set(text) & {"\r", "\n", "\0"} or any("\ud800" <= character <= "\udfff" for character in text)
