"""Names and passwords compare equal however they were typed, and controls are in none of them."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bridgehead.core.prepared import prepared_name, prepared_password

PASSWORDS = {
    "ASCII stays as it is": ("correct Horse 9!", "correct Horse 9!"),
    "upper and lower case are kept": ("Ää", "Ää"),
    "combining marks are composed": ("pa\u0308sswo\u0308rd", "pässwörd"),
    "every space is U+0020": ("a\u00a0b\u3000c\u2003d ä", "a b c d ä"),
    "compatibility forms stay: ligature, full width": ("\ufb01\uff41", "\ufb01\uff41"),
    "an emoji": ("🔑ü", "🔑ü"),
    "empty": ("", None),
    "a tab": ("a\tb", None),
    "a line end": ("ä\nb", None),
    "DEL": ("a\x7f", None),
    "a control of Latin-1": ("ä\x85", None),
    "a surrogate": ("\ud800", None),
    "private use": ("\ue000", None),
}
NAMES = {
    "ASCII stays as it is": ("DOMAIN\\App@contoso.com", "DOMAIN\\App@contoso.com"),
    "full width is narrow": ("\uff21\uff50\uff50", "App"),
    "narrow kana are wide": ("\uff76\uff9e", "\u30ac"),
    "combining marks are composed": ("u\u0308", "ü"),
    "other compatibility forms stay": ("\ufb01", "\ufb01"),
    "empty": ("", None),
    "a control": ("a\x00", None),
    "a control among others": ("ä\x9b", None),
    "a space that is not ASCII": ("a\u00a0b", None),
}


@pytest.mark.parametrize(("given", "expected"), PASSWORDS.values(), ids=PASSWORDS.keys())
def test_password_is_prepared(given: str, expected: str | None) -> None:
    assert prepared_password(given) == expected


@pytest.mark.parametrize(("given", "expected"), NAMES.values(), ids=NAMES.keys())
def test_name_is_prepared(given: str, expected: str | None) -> None:
    assert prepared_name(given) == expected


@given(st.text())
def test_what_is_prepared_stays_as_it_is(text: str) -> None:
    for prepare in (prepared_password, prepared_name):
        prepared = prepare(text)
        assert prepared is None or prepare(prepared) == prepared
