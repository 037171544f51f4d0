"""Which domains a pattern covers, and which of several patterns is the most specific."""

from __future__ import annotations

import pickle

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bridgehead.core.error import ConfigurationError
from bridgehead.core.pattern import (
    PatternIndex,
    SenderSet,
    covers,
    is_whole_top_level,
    is_wider,
    parse_pattern,
    parse_sender,
    specificity,
)

WRITTEN = {
    "all": ("*", "*"),
    "name": ("Fabrikam.COM.", "fabrikam.com"),
    "name and below": ("*.Fabrikam.com", "*.fabrikam.com"),
    "top-level domain": ("*.com", "*.com"),
    "U-label": ("*.bücher.example", "*.xn--bcher-kva.example"),
    "literal": ("[IPv6:2001:DB8::1]", "[IPv6:2001:db8::1]"),
}


@pytest.mark.parametrize(("text", "pattern"), WRITTEN.values(), ids=WRITTEN)
def test_pattern_has_one_normal_form(text: str, pattern: str) -> None:
    assert parse_pattern(text) == pattern
    assert parse_pattern(pattern) == pattern


REFUSED = {
    "no dot after the wildcard": ("*contoso.com", '"*.contoso.com"'),
    "wildcard in the middle": ("a.*.contoso.com", '"*.contoso.com"'),
    "wildcard last": ("contoso.*", '"*", "*.DOMAIN" or "DOMAIN"'),
    "two wildcards": ("*.*.contoso.com", '"*.contoso.com"'),
    "wildcard alone below": ("*.", '"*", "*.DOMAIN"'),
    "address": ("user@contoso.com", '"contoso.com"'),
    "at alone": ("@contoso.com", '"contoso.com"'),
    "wildcard of a literal": ("*.[192.0.2.1]", '"[IP ADDRESS]"'),
    "bare IP address": ("192.0.2.1", '"[IP ADDRESS]"'),
    "empty": ("", '"DOMAIN"'),
    "empty label": ("a..b", '"DOMAIN"'),
}


@pytest.mark.parametrize(("text", "expected"), REFUSED.values(), ids=REFUSED)
def test_pattern_that_is_none_is_refused_with_what_was_expected(text: str, expected: str) -> None:
    with pytest.raises(ConfigurationError) as refused:
        parse_pattern(text)

    assert text in str(refused.value)
    assert expected in str(refused.value)


SENDERS = {
    "null sender": ("<>", "<>"),
    "address": ("App@Contoso.com", "app@contoso.com"),
    "needless quotes": ('"App"@contoso.com', "app@contoso.com"),
    "domain": ("Contoso.com", "contoso.com"),
    "wildcard": ("*.Contoso.com", "*.contoso.com"),
}


@pytest.mark.parametrize(("text", "entry"), SENDERS.values(), ids=SENDERS)
def test_sender_entry_has_one_normal_form(text: str, entry: str) -> None:
    assert parse_sender(text) == entry


@pytest.mark.parametrize("text", ["a b@contoso.com", "@contoso.com", "<app@contoso.com>", "app@*.contoso.com", ""])
def test_sender_entry_that_is_none_is_refused(text: str) -> None:
    with pytest.raises(ConfigurationError):
        parse_sender(text)


DOMAINS = ("example.com", "a.example.com", "b.a.example.com", "com", "badexample.com", "x.org", "[192.0.2.1]")
COVERS = {
    "*": (True, True, True, True, True, True, True),
    "com": (False, False, False, True, False, False, False),
    "*.com": (True, True, True, True, True, False, False),
    "example.com": (True, False, False, False, False, False, False),
    "*.example.com": (True, True, True, False, False, False, False),
    "a.example.com": (False, True, False, False, False, False, False),
    "[192.0.2.1]": (False, False, False, False, False, False, True),
    "[192.0.2.2]": (False, False, False, False, False, False, False),
}


@pytest.mark.parametrize(("pattern", "expected"), COVERS.items(), ids=COVERS)
def test_pattern_covers_by_whole_labels(pattern: str, expected: tuple[bool, ...]) -> None:
    assert tuple(covers(pattern, domain) for domain in DOMAINS) == expected


def test_exact_is_more_specific_than_a_wildcard_and_a_longer_suffix_than_a_shorter_one() -> None:
    by_specificity = ["a.b.org", "*.a.b.org", "*.b.org", "*.org", "*"]

    assert sorted(set(by_specificity), key=specificity, reverse=True) == by_specificity


WIDER = {
    ("*", "x.org"): True,
    ("*", "*.org"): True,
    ("*.org", "*.x.org"): True,
    ("*.x.org", "x.org"): True,
    ("*.x.org", "a.x.org"): True,
    ("x.org", "x.org"): False,
    ("x.org", "*.x.org"): False,
    ("*.x.org", "*.x.org"): False,
    ("*.x.org", "bax.org"): False,
    ("*.x.org", "*.org"): False,
    ("*", "[192.0.2.1]"): True,
    ("*", "*"): False,
}


@pytest.mark.parametrize(("patterns", "expected"), WIDER.items())
def test_wider_pattern_covers_all_of_a_more_specific_one(patterns: tuple[str, str], expected: bool) -> None:
    assert is_wider(*patterns) is expected


def test_all_and_top_level_domains_are_too_much_to_relay_for() -> None:
    assert [p for p in ("*", "*.com", "com", "*.x.com", "x.com") if is_whole_top_level(p)] == ["*", "*.com"]


_labels = st.sampled_from(("a", "b", "ab", "com"))
_domains = st.lists(_labels, min_size=1, max_size=4).map(".".join)
_patterns = st.one_of(st.just("*"), _domains, _domains.map("*.{}".format))


@given(st.lists(_patterns, max_size=12), _domains | st.sampled_from(("", "[192.0.2.1]")))
def test_index_finds_what_covers_finds_most_specific_first(patterns: list[str], domain: str) -> None:
    index = PatternIndex((pattern, number) for number, pattern in enumerate(patterns))

    covering = sorted({pattern for pattern in patterns if covers(pattern, domain)}, key=specificity, reverse=True)
    levels = list(index.levels(domain))
    assert levels == [
        (pattern, tuple(number for number, found in enumerate(patterns) if found == pattern)) for pattern in covering
    ]
    assert index.find(domain) == (levels[0] if levels else None)
    assert index.best(domain) == (levels[0][1][0] if levels else None)
    assert bool(index) is bool(patterns)
    assert list(pickle.loads(pickle.dumps(index)).levels(domain)) == levels


def test_patterns_with_the_same_values_share_them() -> None:
    one, other = object(), object()
    index = PatternIndex((("a.org", one), ("*.b.org", one), ("c.org", one), ("c.org", other)))

    first, second, third = (index.find(domain) for domain in ("a.org", "x.b.org", "c.org"))
    assert first is not None
    assert second is not None
    assert third is not None
    assert first[1] is second[1]
    assert third[1] == (one, other)


@given(_patterns, _patterns, _domains)
def test_what_is_wider_covers_whatever_the_narrow_one_covers(wide: str, narrow: str, domain: str) -> None:
    if is_wider(wide, narrow) and covers(narrow, domain):
        assert covers(wide, domain)


SENDER_SET = SenderSet(("app@contoso.com", "sales.contoso.com", "*.fabrikam.com", "<>"))
LISTED = ("", "app@contoso.com", "APP@Contoso.COM", '"app"@contoso.com', "x@sales.contoso.com", "x@a.fabrikam.com")
NOT_LISTED = ("x@contoso.com", "x@a.sales.contoso.com", "x@badfabrikam.com", "app", "app@contoso.com@x.org", "<>")


def test_sender_set_includes_addresses_domains_and_the_null_sender() -> None:
    assert [sender for sender in (*LISTED, *NOT_LISTED) if SENDER_SET.includes(sender)] == [*LISTED]
    assert not SenderSet(("contoso.com",)).includes("")
