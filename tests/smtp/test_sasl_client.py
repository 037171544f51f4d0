"""Mechanisms and which one is chosen."""

from __future__ import annotations

import pytest

from bridgehead.smtp.sasl_client import CramMd5, Credential, Login, Plain, choose

TIM = Credential("tim", "tanstaaftanstaaf")


def test_plain_sends_both_at_once_and_again_if_asked() -> None:
    exchange = Plain(TIM)
    assert exchange.initial() == b"\0tim\0tanstaaftanstaaf"
    assert exchange.answer(b"") == b"\0tim\0tanstaaftanstaaf"


def test_login_answers_account_then_password_then_nothing() -> None:
    exchange = Login(TIM)
    assert exchange.initial() is None  # type: ignore[func-returns-value]  # that it is None is what is tested
    assert [exchange.answer(b"Username:"), exchange.answer(b"Password:")] == [b"tim", b"tanstaaftanstaaf"]
    assert exchange.answer(b"Again:") == b""


def test_cram_md5_answers_as_in_the_example_of_rfc_2195() -> None:
    answer = CramMd5(TIM).answer(b"<1896.697170952@postoffice.reston.mci.net>")
    assert answer == b"tim b913a602c7eda7a495b4e6e7334d3890"


CHOICES = {
    "all, private": ({"PLAIN", "LOGIN", "CRAM-MD5"}, True, "PLAIN"),
    "all, in the clear": ({"PLAIN", "LOGIN", "CRAM-MD5"}, False, "CRAM-MD5"),
    "login alone": ({"LOGIN", "NTLM"}, True, "LOGIN"),
    "unknown ones": ({"NTLM", "GSSAPI"}, True, None),
    "none": (set[str](), True, None),
}


@pytest.mark.parametrize(("offered", "is_private", "mechanism"), CHOICES.values(), ids=CHOICES.keys())
def test_mechanism_is_chosen(offered: set[str], is_private: bool, mechanism: str | None) -> None:
    exchange = choose(offered, TIM, is_private=is_private)
    assert (exchange.mechanism if exchange else None) == mechanism


def test_password_is_not_shown() -> None:
    assert "tanstaaf" not in repr(TIM)
