"""Xtext against RFC 3461 4: a table, and that it says what was encoded."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bridgehead.core import xtext

XTEXT: dict[str, str | None] = {
    "": "",
    "plain": "plain",
    "a+2Bb": "a+b",
    "+3D": "=",
    "a=b": "a=b",
    "+41+42C": "ABC",
    "+0A": "\n",
    "+": None,
    "a+": None,
    "a+4": None,
    "a+4g": None,
    "a+2b": None,
    "++2B": None,
    "ü": None,
}


@pytest.mark.parametrize("text", XTEXT)
def test_xtext(text: str) -> None:
    assert xtext.decode(text) == XTEXT[text]


def encoded(text: str) -> str:
    """As RFC 3461 4 says: all but "+", "=" and what is not printable ASCII stands for itself."""
    return "".join(c if "!" <= c <= "~" and c not in "+=" else f"+{ord(c):02X}" for c in text)


@given(st.text(st.characters(max_codepoint=0xFF)))
def test_xtext_decodes_to_what_was_encoded(text: str) -> None:
    assert xtext.decode(encoded(text)) == text


@given(st.text())
def test_any_text_is_decoded_or_refused(text: str) -> None:
    decoded = xtext.decode(text)
    assert decoded is None or len(decoded) <= len(text)
