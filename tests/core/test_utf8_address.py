"""International addresses in ASCII: what is written is what RFC 6533 3 says, and reads back as what it was."""

from __future__ import annotations

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bridgehead.core.utf8_address import ENCODED_MAX, decode, encode

FORMS = {
    "ASCII": ("bob@f.example", "bob@f.example"),
    "two octets": ("\u00e9@x", "\\x{E9}@x"),
    "three octets": ("\u7528\u6237@\u4f8b.x", "\\x{7528}\\x{6237}@\\x{4F8B}.x"),
    "four octets": ("\U0001f600@x", "\\x{1F600}@x"),
    "what stands for nothing else": ("a+b=c@x", "a\\x{2B}b\\x{3D}c@x"),
    "a backslash": ('"a\\\\b"@x', '"a\\x{5C}\\x{5C}b"@x'),
    "a space": ('"a b"@x', '"a\\x{20}b"@x'),
}


@pytest.mark.parametrize(("address", "written"), FORMS.values(), ids=FORMS)
def test_address_is_written_in_ascii_and_reads_back(address: str, written: str) -> None:
    assert encode(address) == written
    assert decode(written) == address


def test_form_with_some_characters_as_they_are_is_read_too() -> None:
    assert decode("\u7528\\x{2B}\u6237@x") == "\u7528+\u6237@x"


@pytest.mark.parametrize(
    "text", ["\\x{}", "\\x{4}", "\\x{2b}", "\\x{2B", "\\x{D800}", "\\x{110000}", "\\x{0000041}", "\\"]
)
def test_what_is_no_escape_stays_as_it_is(text: str) -> None:
    assert decode(f"a{text}@x") == f"a{text}@x"


TEXT = st.text(st.characters(exclude_categories=["Cs"]), max_size=60)


@given(TEXT)
def test_any_text_reads_back(text: str) -> None:
    written = encode(text)
    assert re.fullmatch(r"([!-*,-<>-\[\]-~]|\\x\{[0-9A-F]{2,6}\})*", written), "QCHAR and EmbeddedUnicodeChar alone"
    assert decode(written) == text


@given(st.text(max_size=2000))
def test_what_is_written_is_cut_behind_a_character(text: str) -> None:
    written = encode(text)
    assert len(written) <= ENCODED_MAX
    assert text.startswith(decode(written)) or any("\ud800" <= one <= "\udfff" for one in text)


@given(st.text(max_size=200))
def test_any_text_is_decoded(text: str) -> None:
    assert len(decode(text)) <= len(text)
