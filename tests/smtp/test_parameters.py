"""Parameters of MAIL and RCPT: a case for each rule of their RFCs, and nothing that hides a control character."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bridgehead.core.envelope import Notify
from bridgehead.core.reply import Reply
from bridgehead.smtp import parameters, replies
from bridgehead.smtp.limits import LIMITS
from bridgehead.smtp.parameters import Checks, parse_notify, split
from tests.core.test_xtext import encoded

MAIL: dict[str, tuple[str, Reply | None]] = {
    "no parameter": ("", None),
    "size of 20 digits": ("SIZE=99999999999999999999", None),
    "size of 21 digits": ("SIZE=999999999999999999999", replies.BAD_PARAMETER),
    "size that is none": ("SIZE=1e3", replies.BAD_PARAMETER),
    "negative size": ("SIZE=-1", replies.BAD_PARAMETER),
    "size in other digits": ("SIZE=٣", replies.BAD_PARAMETER),
    "size without a value": ("SIZE=", replies.BAD_PARAMETER),
    "size without even an equals sign": ("SIZE", replies.BAD_PARAMETER),
    "size twice": ("SIZE=1 SIZE=1", replies.BAD_PARAMETER),
    "size twice, in two spellings": ("SIZE=1 size=2", replies.BAD_PARAMETER),
    "keyword in lower case": ("size=1", None),
    "7BIT": ("BODY=7bit", None),
    "8BITMIME": ("BODY=8BITMIME", None),
    "BINARYMIME is not offered": ("BODY=BINARYMIME", replies.BAD_PARAMETER),
    "SMTPUTF8": ("SMTPUTF8", None),
    "SMTPUTF8 with a value": ("SMTPUTF8=yes", replies.BAD_PARAMETER),
    "RET=FULL": ("RET=FULL", None),
    "RET=HDRS in lower case": ("RET=hdrs", None),
    "RET of another word": ("RET=SOME", replies.BAD_PARAMETER),
    "ENVID": ("ENVID=QQ314159", None),
    "ENVID of 100 characters": ("ENVID=" + "a" * 100, None),
    "ENVID of 101 characters": ("ENVID=" + "a" * 101, replies.BAD_PARAMETER),
    "ENVID without a value": ("ENVID", replies.BAD_PARAMETER),
    "ENVID that is no xtext": ("ENVID=a+2g", replies.BAD_PARAMETER),
    "ENVID with hex in lower case": ("ENVID=a+2b", replies.BAD_PARAMETER),
    "ENVID that hides a line end": ("ENVID=a+0D+0Ab", replies.BAD_PARAMETER),
    "ENVID that hides a NUL": ("ENVID=+00", replies.BAD_PARAMETER),
    "ENVID that hides an octet above 127": ("ENVID=+E9", replies.BAD_PARAMETER),
    "AUTH of an address": ("AUTH=e+3Dmc2@example.com", None),
    "AUTH of nobody": ("AUTH=<>", None),
    "AUTH without a value": ("AUTH", replies.BAD_PARAMETER),
    "AUTH that hides a line end": ("AUTH=a+0A", replies.BAD_PARAMETER),
    "AUTH of 501 characters": ("AUTH=" + "a" * 501, replies.BAD_PARAMETER),
    "unknown": ("FOO=bar", replies.UNKNOWN_PARAMETER),
    "one of RCPT's": ("NOTIFY=NEVER", replies.UNKNOWN_PARAMETER),
    "good, then unknown": ("SIZE=1 FOO", replies.UNKNOWN_PARAMETER),
    "two spaces": (" SIZE=1  RET=HDRS", None),
    "control character": ("ENVID=a\x01", replies.BAD_PARAMETER),
    "tab between": ("SIZE=1\tRET=HDRS", replies.BAD_PARAMETER),
}

RCPT: dict[str, tuple[str, Reply | None]] = {
    "never": ("NOTIFY=NEVER", None),
    "all three": ("NOTIFY=SUCCESS,FAILURE,DELAY", None),
    "never and another": ("NOTIFY=NEVER,DELAY", replies.BAD_PARAMETER),
    "original": ("ORCPT=rfc822;b@example.org", None),
    "original with xtext": ("ORCPT=rfc822;a+2Bb@example.org", None),
    "original of another type": ("ORCPT=x400;/c=jp/", None),
    "original in another script": ("ORCPT=utf-8;ü@example.org", None),
    "original in another script, but of a type for ASCII": ("ORCPT=rfc822;ü@example.org", replies.BAD_PARAMETER),
    "original of type utf-8 with xtext": ("ORCPT=utf-8;a+2Bb@example.org", replies.BAD_PARAMETER),
    "original without a type": ("ORCPT=;b@example.org", replies.BAD_PARAMETER),
    "original of a type with a space in it": ("ORCPT=rfc_822;b@example.org", replies.BAD_PARAMETER),
    "original without an address": ("ORCPT=rfc822;", replies.BAD_PARAMETER),
    "original of one word": ("ORCPT=b@example.org", replies.BAD_PARAMETER),
    "original that hides a line end": ("ORCPT=rfc822;b+0D+0ARCPT", replies.BAD_PARAMETER),
    "original of 500 characters": ("ORCPT=rfc822;" + "a" * 493, None),
    "original of 501 characters": ("ORCPT=rfc822;" + "a" * 494, replies.BAD_PARAMETER),
    "one of MAIL's": ("SIZE=1", replies.UNKNOWN_PARAMETER),
}

NOTIFY: dict[str, int | None] = {
    "NEVER": 0,
    "never": 0,
    "SUCCESS": int(Notify.SUCCESS),
    "delay,FAILURE": int(Notify.DELAY | Notify.FAILURE),
    "SUCCESS,FAILURE,DELAY": 7,
    "": None,
    "NEVER,SUCCESS": None,
    "NEVER,NEVER": None,
    "DELAY,DELAY": None,
    "DELAY,": None,
    "DELAY FAILURE": None,
    "ALWAYS": None,
}


def refusal(text: str, checks: Checks) -> Reply | None:
    """What these parameters are answered, `None`: taken."""
    values = split(text)
    return values if isinstance(values, Reply) else parameters.check(values, checks, LIMITS)


@pytest.mark.parametrize("name", MAIL)
def test_parameters_of_mail(name: str) -> None:
    text, expected = MAIL[name]
    assert refusal(text, parameters.MAIL) is expected


@pytest.mark.parametrize("name", RCPT)
def test_parameters_of_rcpt(name: str) -> None:
    text, expected = RCPT[name]
    assert refusal(text, parameters.RCPT) is expected


def test_words_become_values_by_keyword_in_upper_case() -> None:
    assert split("size=1000 SMTPUTF8 EnvId=a=b") == {"SIZE": "1000", "SMTPUTF8": "", "ENVID": "a=b"}


@pytest.mark.parametrize("text", ["ENVID=a\x01", "ENVID=a\x7f", "NEW=\u2028", "SIZE=1 SIZE=1", "SIZE="])
def test_what_no_keyword_could_allow_is_refused_before_any_is_asked(text: str) -> None:
    assert split(text) is replies.BAD_PARAMETER


@pytest.mark.parametrize("value", NOTIFY)
def test_notify(value: str) -> None:
    assert parse_notify(value) == NOTIFY[value]


@given(st.text(st.characters(max_codepoint=0xFF), min_size=1, max_size=20))
def test_an_envelope_id_is_taken_exactly_where_it_says_printable_ascii(text: str) -> None:
    assert parameters.is_envelope_id(encoded(text), LIMITS) == (text.isascii() and text.isprintable())


@given(
    st.one_of(st.text(), st.text("SIZEBODYRET=+0123456789AFnotify,;<> ")), st.sampled_from(["", "SIZE=", "ORCPT="])
)
def test_any_text_is_taken_or_refused_and_taken_values_hold_no_control(text: str, keyword: str) -> None:
    for checks in (parameters.MAIL, parameters.RCPT):
        values = split(keyword + text)
        if isinstance(values, Reply):
            assert values is replies.BAD_PARAMETER
        elif parameters.check(values, checks, LIMITS) is None:
            assert values.keys() <= checks.keys()
            assert all(value.isprintable() for value in values.values())
