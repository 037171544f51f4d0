"""Answers to EHLO and what they offer."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bridgehead.smtp.client_extensions import Extensions, read_extensions

CASES = {
    "nothing": ("mx.example", Extensions()),
    "the greeting says nothing": ("SIZE 10", Extensions()),
    "the usual": (
        "mx\nPIPELINING\nSIZE 10240000\nSTARTTLS\n8BITMIME\nDSN\nSMTPUTF8\nCHUNKING\nENHANCEDSTATUSCODES",
        Extensions(
            pipelining=True,
            eight_bit_mime=True,
            smtputf8=True,
            dsn=True,
            starttls=True,
            chunking=True,
            size=True,
            size_max=10_240_000,
        ),
    ),
    "lower case": ("mx\npipelining\nsize 7", Extensions(pipelining=True, size=True, size_max=7)),
    "SIZE without a number": ("mx\nSIZE", Extensions(size=True)),
    "SIZE 0 is no limit": ("mx\nSIZE 0", Extensions(size=True)),
    "SIZE that is no number": ("mx\nSIZE -5", Extensions(size=True)),
    "SIZE beyond all numbers": ("mx\nSIZE " + "9" * 21, Extensions(size=True)),
    "AUTH": ("mx\nAUTH PLAIN login", Extensions(authentication=frozenset({"PLAIN", "LOGIN"}))),
    "AUTH in the older form": ("mx\nAUTH=LOGIN", Extensions(authentication=frozenset({"LOGIN"}))),
    "AUTH in both forms": ("mx\nAUTH PLAIN\nAUTH=LOGIN", Extensions(authentication=frozenset({"PLAIN", "LOGIN"}))),
    "LIMITS": (
        "mx\nLIMITS RCPTMAX=20 MAILMAX=5 RCPTDOMAINMAX=1",
        Extensions(recipients_max=20, messages_max=5, domains_max=1),
    ),
    "LIMITS that say nothing": ("mx\nLIMITS RCPTMAX=0 MAILMAX=x RCPTMAX RCPTDOMAINMAX=-1", Extensions()),
    "empty lines": ("mx\n\n  \nDSN", Extensions(dsn=True)),
    "a longer keyword is another one": ("mx\nDSNX\nX-PIPELINING", Extensions()),
}


@pytest.mark.parametrize(("text", "extensions"), CASES.values(), ids=CASES.keys())
def test_extensions_are_read(text: str, extensions: Extensions) -> None:
    assert read_extensions(text) == extensions


@given(st.text())
def test_any_text_can_be_read(text: str) -> None:
    read_extensions("mx\n" + text)


def test_answer_too_long_to_be_remembered_is_read_all_the_same() -> None:
    many = "\n".join(f"X-UNKNOWN-{number}" for number in range(200))

    assert read_extensions(f"mx\nPIPELINING\n{many}\nSIZE 10") == Extensions(pipelining=True, size=True, size_max=10)


def test_first_line_greets_and_names_no_extension() -> None:
    assert read_extensions("PIPELINING\nDSN") == Extensions(dsn=True)
