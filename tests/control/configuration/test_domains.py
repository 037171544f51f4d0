"""Domains of the file: what is taken, and what is suggested for what is not."""

from __future__ import annotations

import pytest

from bridgehead.control.configuration import domains
from bridgehead.control.configuration.issue import NotationError
from bridgehead.core.organization import AddressSpace


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("SMTP:*;1", AddressSpace("*", 1)),
        ("smtp:Fabrikam.com.", AddressSpace("fabrikam.com", 1)),
        ("*.fabrikam.com;100", AddressSpace("*.fabrikam.com", 100)),
        ("[192.0.2.1]", AddressSpace("[192.0.2.1]", 1)),
        ("bücher.example", AddressSpace("xn--bcher-kva.example", 1)),
    ],
)
def test_address_space_is_in_normal_form(text: str, expected: AddressSpace) -> None:
    assert domains.address_space(text) == expected


@pytest.mark.parametrize(
    ("text", "suggestion"),
    [
        ("*fabrikam.com", "*.fabrikam.com"),
        (".fabrikam.com;3", "*.fabrikam.com;3"),
        ("user@fabrikam.com", "fabrikam.com"),
        ("X400:fabrikam.com;3", "SMTP:fabrikam.com;3"),
        ("a.*.com", ""),
        ("", ""),
        ("*;0", ""),
        ("*;x", ""),
        ("*;", ""),
    ],
)
def test_other_address_space_is_refused_with_a_suggestion(text: str, suggestion: str) -> None:
    with pytest.raises(NotationError) as refusal:
        domains.address_space(text)
    assert refusal.value.suggestion == suggestion


def test_cost_may_not_stand_twice() -> None:
    with pytest.raises(NotationError) as refusal:
        domains.pattern_of_space("*.a.example;3")
    assert refusal.value.suggestion == "*.a.example"


@pytest.mark.parametrize("text", ["*", "", "a b", "*.*", "*.[192.0.2.1]"])
def test_pattern_names_a_domain(text: str) -> None:
    with pytest.raises(NotationError):
        domains.pattern(text)


@pytest.mark.parametrize("text", ["[192.0.2.1]", "192.0.2.1", "", "a..b", "a b"])
def test_host_name_is_a_name(text: str) -> None:
    with pytest.raises(NotationError):
        domains.host_name(text)


@pytest.mark.parametrize("text", ["root", "@a.example", "a@b@c.example", "a b@c.example", ""])
def test_mailbox_is_a_whole_address(text: str) -> None:
    with pytest.raises(NotationError):
        domains.mailbox(text)


def test_senders_may_be_the_null_path() -> None:
    assert [domains.sender(text) for text in ("<>", "A@B.example", "*.B.example")] == [
        "<>",
        "a@b.example",
        "*.b.example",
    ]
