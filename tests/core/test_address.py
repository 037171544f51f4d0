"""Which addresses are addresses, and in which form their domains are compared."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bridgehead.core.address import (
    DOMAIN_OCTETS_MAX,
    LOCAL_PART_OCTETS_MAX,
    NULL_MAILBOX,
    PATH_OCTETS_MAX,
    Mailbox,
    PathFault,
    is_suspicious_local_part,
    normalise_domain,
    parse_forward_path,
    parse_mailbox,
    parse_reverse_path,
    recipient_key,
)

WELL_FORMED = {
    "plain": (b"user@contoso.com", "user@contoso.com", "user", "contoso.com"),
    "case is kept in the address alone": (b"Smith.J@Contoso.COM", "Smith.J@Contoso.COM", "Smith.J", "contoso.com"),
    "every atext": (b"!#$%&'*+-/=?^_`{|}~@x.org", "!#$%&'*+-/=?^_`{|}~@x.org", "!#$%&'*+-/=?^_`{|}~", "x.org"),
    "trailing dot of the domain": (b"u@contoso.com.", "u@contoso.com.", "u", "contoso.com"),
    "single label": (b"root@localhost", "root@localhost", "root", "localhost"),
    "underscore in the domain": (b"u@a_b.example", "u@a_b.example", "u", "a_b.example"),
    "digits in the domain": (b"u@3com.example", "u@3com.example", "u", "3com.example"),
    "double dots of Japanese carriers": (b"a..b@docomo.example", "a..b@docomo.example", "a..b", "docomo.example"),
    "last dot of Japanese carriers": (b"a.@docomo.example", "a.@docomo.example", "a.", "docomo.example"),
    "quoted": (b'"john doe"@x.org', '"john doe"@x.org', '"john doe"', "x.org"),
    "quoted at": (b'"a@b"@x.org', '"a@b"@x.org', '"a@b"', "x.org"),
    "quoted quote": (b'"a\\"b"@x.org', '"a\\"b"@x.org', '"a\\"b"', "x.org"),
    "quoted backslash": (b'"a\\\\"@x.org', '"a\\\\"@x.org', '"a\\\\"', "x.org"),
    "quoted bracket": (b'"a>b"@x.org', '"a>b"@x.org', '"a>b"', "x.org"),
    "IPv4 literal": (b"u@[192.0.2.1]", "u@[192.0.2.1]", "u", "[192.0.2.1]"),
    "IPv6 literal": (b"u@[ipv6:2001:DB8:0::1]", "u@[ipv6:2001:DB8:0::1]", "u", "[IPv6:2001:db8::1]"),
    "mapped literal": (b"u@[IPv6:::ffff:192.0.2.1]", "u@[IPv6:::ffff:192.0.2.1]", "u", "[192.0.2.1]"),
    "source route": (b"@a.example,@b.example:u@x.org", "u@x.org", "u", "x.org"),
    "A-label": (b"u@XN--BCHER-KVA.example", "u@XN--BCHER-KVA.example", "u", "xn--bcher-kva.example"),
}


@pytest.mark.parametrize(("raw", "address", "local_part", "domain"), WELL_FORMED.values(), ids=WELL_FORMED)
def test_well_formed_path_is_taken_apart_and_its_text_kept(
    raw: bytes, address: str, local_part: str, domain: str
) -> None:
    expected = Mailbox(address, local_part, domain)

    assert parse_forward_path(raw) == expected
    assert parse_reverse_path(raw) == expected
    assert parse_mailbox(address) == expected


INTERNATIONAL = {
    "local part": ("用户@x.org", "用户", "x.org"),
    "domain": ("u@bücher.example", "u", "xn--bcher-kva.example"),
    "full-width letters": ("u@ｃｏｎｔｏｓｏ.com", "u", "contoso.com"),
    "ideographic full stop": ("u@contoso。com", "u", "contoso.com"),
    "quoted": ('"用 户"@x.org', '"用 户"', "x.org"),
    "joiner": ("نامه\u200cای@x.org", "نامه\u200cای", "x.org"),
}


@pytest.mark.parametrize(("text", "local_part", "domain"), INTERNATIONAL.values(), ids=INTERNATIONAL)
def test_international_path_needs_smtputf8(text: str, local_part: str, domain: str) -> None:
    raw = text.encode()

    assert parse_forward_path(raw, smtputf8=True) == Mailbox(text, local_part, domain)
    assert parse_forward_path(raw) is PathFault.NEEDS_SMTPUTF8
    assert parse_reverse_path(raw) is PathFault.NEEDS_SMTPUTF8


MALFORMED = {
    "no at": b"user",
    "no local part": b"@contoso.com",
    "no domain": b"user@",
    "only at": b"@",
    "only dots in the local part": b"..@x.org",
    "space in the local part": b"a b@x.org",
    "space before at": b"user @x.org",
    "space after at": b"user@ x.org",
    "space around": b" user@x.org ",
    "tab": b"a\tb@x.org",
    "NUL": b"a\x00@x.org",
    "NUL in the domain": b"a@x.org\x00.contoso.com",
    "line feed": b"a\n@x.org",
    "carriage return": b"a@x.org\r",
    "line end and command": b"a@x.org\r\nDATA",
    "DEL": b"a\x7f@x.org",
    "NUL in quotes": b'"a\x00"@x.org',
    "line feed in quotes": b'"a\n"@x.org',
    "escaped line feed": b'"a\\\n"@x.org',
    "empty quotes": b'""@x.org',
    "quotes not closed": b'"a@x.org',
    "quotes in the middle": b'a"b"@x.org',
    "text after quotes": b'"a"b@x.org',
    "backslash at the end": b'"a\\',
    "backslash outside quotes": b"a\\b@x.org",
    "comment": b"a(comment)@x.org",
    "brackets": b"<a@x.org>",
    "colon": b"a:b@x.org",
    "comma": b"a,b@x.org",
    "semicolon": b"a;b@x.org",
    "empty label": b"u@contoso..com",
    "leading dot": b"u@.contoso.com",
    "two trailing dots": b"u@contoso.com..",
    "only a dot": b"u@.",
    "leading hyphen": b"u@-contoso.com",
    "trailing hyphen": b"u@contoso-.com",
    "hyphen last": b"u@contoso-",
    "bare IPv4": b"u@192.0.2.1",
    "short IPv4": b"u@127.1",
    "decimal IPv4": b"u@2130706433",
    "hexadecimal IPv4": b"u@0x7f000001",
    "hexadecimal octets": b"u@0x7f.0x0.0x0.0x1",
    "label too long": b"u@" + b"a" * 64 + b".com",
    "literal not closed": b"u@[192.0.2.1",
    "literal with a space": b"u@[ 192.0.2.1]",
    "literal with leading zeros": b"u@[192.000.002.001]",
    "literal in octal": b"u@[0300.0.2.1]",
    "literal in hexadecimal": b"u@[0x7f.0.0.1]",
    "literal in decimal": b"u@[2130706433]",
    "short literal": b"u@[127.1]",
    "IPv6 without its tag": b"u@[2001:db8::1]",
    "IPv6 with a zone": b"u@[IPv6:fe80::1%eth0]",
    "other tag": b"u@[X400:c=us]",
    "name in brackets": b"u@[contoso.com]",
    "empty literal": b"u@[]",
    "literal and more": b"u@[192.0.2.1].contoso.com",
    "source route alone": b"@a.example:",
    "source route without colon": b"@a.example,u@x.org",
    "source route with an empty hop": b"@a.example,,@b.example:u@x.org",
    "source route twice": b"@a.example:@b.example:u@x.org",
    "source route of a literal": b"@[192.0.2.1]:u@x.org",
    "not UTF-8": b"a\xff@x.org",
    "overlong UTF-8": b"a\xc0\x80@x.org",
    "surrogate in UTF-8": b"a\xed\xa0\x80@x.org",
    "C1 control": "a\x85b@x.org".encode(),
    "line separator": "a\u2028b@x.org".encode(),
    "turned direction": "a\u202eb@x.org".encode(),
    "full-width at alone": "user＠x.org".encode(),
    "full-width at in the domain": "u@evil.example＠contoso.com".encode(),
    "slash from a compatibility form": "u@contoso\u2100.com".encode(),
}


@pytest.mark.parametrize("raw", MALFORMED.values(), ids=MALFORMED)
def test_malformed_path_is_refused(raw: bytes) -> None:
    assert parse_forward_path(raw, smtputf8=True) is PathFault.SYNTAX
    assert parse_reverse_path(raw, smtputf8=True) is PathFault.SYNTAX


SECOND_AT = (
    b"a@b@x.org",
    b"a@b.org@x.org",
    b"a@[192.0.2.1]@x.org",
    b'"a"@b.org@x.org',
    b"@a.example:u@b@x.org",
    b"u@@x.org",
)


@pytest.mark.parametrize("raw", SECOND_AT)
def test_second_at_outside_quotes_has_a_fault_of_its_own(raw: bytes) -> None:
    assert parse_forward_path(raw) is PathFault.SECOND_AT


def test_postmaster_needs_no_domain_as_a_forward_path_only() -> None:
    for raw in (b"postmaster", b"PostMaster"):
        mailbox = parse_forward_path(raw)
        assert isinstance(mailbox, Mailbox)
        assert mailbox.is_postmaster
        assert mailbox.domain == ""
        assert parse_reverse_path(raw) is PathFault.SYNTAX


def test_postmaster_is_known_in_any_writing() -> None:
    for raw in (b"postmaster@x.org", b"POSTMASTER@x.org", b'"Postmaster"@x.org'):
        mailbox = parse_forward_path(raw)
        assert isinstance(mailbox, Mailbox)
        assert mailbox.is_postmaster


def test_empty_path_is_the_null_reverse_path_and_no_forward_path() -> None:
    assert parse_reverse_path(b"") == NULL_MAILBOX
    assert parse_forward_path(b"") is PathFault.SYNTAX


def test_lengths_are_bounded() -> None:
    local_part = b"a" * LOCAL_PART_OCTETS_MAX
    assert isinstance(parse_forward_path(local_part + b"@x.org"), Mailbox)
    assert parse_forward_path(b"a" + local_part + b"@x.org") is PathFault.TOO_LONG
    label = b"a" * 62 + b"."
    longest = label * 4 + b"abc"
    assert len(longest) == DOMAIN_OCTETS_MAX
    assert isinstance(parse_forward_path(b"u@" + longest), Mailbox)
    assert parse_forward_path(b"u@" + longest + b"d") is PathFault.TOO_LONG
    assert parse_forward_path(b"@a" * (PATH_OCTETS_MAX // 2) + b":u@x.org") is PathFault.TOO_LONG


def test_international_local_part_is_measured_in_octets() -> None:
    assert parse_forward_path(("語" * (LOCAL_PART_OCTETS_MAX // 3 + 1) + "@x.org").encode(), smtputf8=True) is (
        PathFault.TOO_LONG
    )


DOMAINS = {
    "lower case": ("Contoso.COM", "contoso.com"),
    "trailing dot": ("contoso.com.", "contoso.com"),
    "U-label": ("Bücher.Example", "xn--bcher-kva.example"),
    "sharp s is kept": ("straße.example", "xn--strae-oqa.example"),
    "IPv4 literal": ("[192.0.2.1]", "[192.0.2.1]"),
    "IPv6 literal": ("[IPV6:2001:0DB8::0001]", "[IPv6:2001:db8::1]"),
    "empty": ("", None),
    "dot": (".", None),
    "space": ("a b", None),
    "wildcard": ("*.contoso.com", None),
    "forbidden by IDNA": ("☃\u202e.example", None),
    "too long before it is looked at": ("é" * 5000, None),
}


@pytest.mark.parametrize(("text", "expected"), DOMAINS.values(), ids=DOMAINS)
def test_domain_has_one_normal_form(text: str, expected: str | None) -> None:
    assert normalise_domain(text) == expected


@given(st.text(max_size=80))
def test_normal_form_of_a_normal_form_is_itself(text: str) -> None:
    normal = normalise_domain(text)

    if normal is not None:
        assert normalise_domain(normal) == normal
        assert normal.isascii()


KEYS = {
    "case": ("John.Doe@Contoso.com", "john.doe@contoso.com"),
    "needless quotes": ('"John.Doe"@contoso.com', "john.doe@contoso.com"),
    "needless backslash": ('"john\\.doe"@contoso.com', "john.doe@contoso.com"),
    "needed quotes": ('"John Doe"@contoso.com', '"john doe"@contoso.com'),
    "quoted at": ('"a@b"@contoso.com', '"a@b"@contoso.com'),
    "quoted dots": ('".."@contoso.com', '".."@contoso.com'),
    "quoted script": ('"用户"@contoso.com', "用户@contoso.com"),
}


@pytest.mark.parametrize(("address", "key"), KEYS.values(), ids=KEYS)
def test_recipient_key_is_the_same_for_all_writings_of_an_address(address: str, key: str) -> None:
    assert recipient_key(address, "contoso.com") == key


@pytest.mark.parametrize("address", ["postmaster", "Postmaster", "POSTMASTER"])
def test_recipient_key_of_a_postmaster_without_a_domain_is_whole(address: str) -> None:
    """RFC 5321 4.1.1.3; a missing `@` once cost the last letter."""
    assert recipient_key(address, "") == "postmaster@"
    assert recipient_key(f"{address}@contoso.com", "contoso.com") == "postmaster@contoso.com"


SUSPICIOUS = ("a%b", "a!b", "b.org!a", "a%b%c", "a＠b", "a﹫b", "a％b", "a！b", "=?utf-8?q?a=40b?=")
HARMLESS = ("a", "a.b", "a+b=c", '"a%b"', '"a@b"', '"a!b"', "用户", "prvs=0123=a", "SRS0=x=y=b.org=a")


def test_local_part_that_asks_to_relay_is_suspicious() -> None:
    assert [text for text in (*SUSPICIOUS, *HARMLESS) if is_suspicious_local_part(text)] == [*SUSPICIOUS]


@given(st.binary(max_size=200), st.booleans())
def test_any_octets_make_a_mailbox_that_reads_back_or_a_fault(raw: bytes, smtputf8: bool) -> None:
    _check_any(raw, smtputf8)


@given(st.text(alphabet='ab"\\@.,:[]()<> %!-\x00é。0', max_size=40), st.booleans())
def test_any_mixture_of_special_characters_makes_a_mailbox_that_reads_back_or_a_fault(
    text: str, smtputf8: bool
) -> None:
    _check_any(text.encode(), smtputf8)


def _check_any(raw: bytes, smtputf8: bool) -> None:
    for parse in (parse_forward_path, parse_reverse_path):
        mailbox = parse(raw, smtputf8=smtputf8)
        if isinstance(mailbox, PathFault) or not mailbox.domain:
            continue
        assert raw.endswith(mailbox.address.encode())
        assert parse(mailbox.address.encode(), smtputf8=smtputf8) == mailbox
        assert mailbox.address.startswith(f"{mailbox.local_part}@")
        assert not any(ord(character) < 32 or ord(character) == 127 for character in mailbox.address)
        assert smtputf8 or mailbox.address.isascii()
