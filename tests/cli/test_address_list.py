"""Addresses in header fields and arguments."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bridgehead.cli.address_list import AddressListError, addresses_of

LISTS = {
    "": [],
    "bob@b.example": ["bob@b.example"],
    "root": ["root"],
    "bob@b.example, carol@c.example": ["bob@b.example", "carol@c.example"],
    "Bob <bob@b.example>": ["bob@b.example"],
    '"Last, First" <bob@b.example>, carol@c.example (home, office)': ["bob@b.example", "carol@c.example"],
    "=?utf-8?q?B=2C?= <bob@b.example>": ["bob@b.example"],
    '"john doe"@b.example': ['"john doe"@b.example'],
    '"a\\"b"@b.example': ['"a\\"b"@b.example'],
    "bob@[192.0.2.1], carol@[IPv6:::1]": ["bob@[192.0.2.1]", "carol@[IPv6:::1]"],
    "undisclosed-recipients:;": [],
    "Friends: bob@b.example, Carol <carol@c.example>;, dave@d.example": [
        "bob@b.example",
        "carol@c.example",
        "dave@d.example",
    ],
    "bob@b.example; carol@c.example": ["bob@b.example", "carol@c.example"],
    "bob@b.example,, carol@c.example,": ["bob@b.example", "carol@c.example"],
    "(nested (comments \\) here)) bob@b.example": ["bob@b.example"],
    "(don't \"quote) bob@b.example": ["bob@b.example"],
    "<@relay.example,@other.example:bob@b.example>": ["bob@b.example"],
    "用户@例え.jp": ["用户@例え.jp"],
}
FAULTS = {
    "bob@b.example carol@c.example": "'bob@b.example carol@c.example' is no address",
    "Bob Smith": "'Bob Smith' is no address",
    "<bob@b.example> <carol@c.example>": "a comma is missing after <bob@b.example>",
    "<bob@b.example> Bob": "a comma is missing after <bob@b.example>",
    "Bob <>": "there is nothing between < and >",
    "Bob <bob@b.example": "> is missing",
    "bob@b.example>": "'bob@b.example>' is no address",
    '"Bob <bob@b.example>': '" is missing',
    "bob@[192.0.2.1": "] is missing",
    "bob@b.example (home": ") is missing",
    "<bob@b.example<carol@c.example>": "'bob@b.example<carol@c.example' is no address",
}


@pytest.mark.parametrize(("text", "addresses"), LISTS.items())
def test_list_names(text: str, addresses: list[str]) -> None:
    assert addresses_of(text) == addresses


@pytest.mark.parametrize(("text", "words"), FAULTS.items())
def test_text_is_no_list(text: str, words: str) -> None:
    with pytest.raises(AddressListError) as fault:
        addresses_of(text)
    assert str(fault.value) == words


@given(st.text(alphabet=st.one_of(st.sampled_from('()<>[],;:"\\@. a\x00\r\n'), st.characters()), max_size=40))
def test_any_text_is_a_list_or_refused(text: str) -> None:
    try:
        found = addresses_of(text)
    except AddressListError:
        return
    for address in found:
        assert address
        assert '"' in address or not any(one.isspace() for one in address)


ATOMS = st.from_regex(r"[a-z]{1,8}@[a-z]{1,8}\.example", fullmatch=True)


@given(st.lists(st.tuples(ATOMS, st.sampled_from(["{}", "<{}>", "Name <{}>", '"N, <x@y>" <{}>', "{} (c, <x@y>)"]))))
def test_every_address_that_was_written_is_found_and_no_other(written: list[tuple[str, str]]) -> None:
    text = ", ".join(form.format(address) for address, form in written)
    assert addresses_of(text) == [address for address, _ in written]


def test_deep_nesting_costs_no_stack() -> None:
    assert addresses_of("(" * 100_000 + ")" * 100_000 + "a@b.example") == ["a@b.example"]
