"""The written form of an address space."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bridgehead.core.address_space import address_space, parse_address_space
from bridgehead.core.error import ConfigurationError
from bridgehead.core.organization import AddressSpace

WRITTEN = {
    "all": ("SMTP:*;1", AddressSpace("*", 1)),
    "type in lower case": ("smtp:*.Fabrikam.com;10", AddressSpace("*.fabrikam.com", 10)),
    "without type": ("fabrikam.com;100", AddressSpace("fabrikam.com", 100)),
    "without cost": ("SMTP:fabrikam.com", AddressSpace("fabrikam.com", 1)),
    "pattern alone": ("*", AddressSpace("*", 1)),
    "spaces around the parts": (" SMTP: fabrikam.com ; 5 ", AddressSpace("fabrikam.com", 5)),
    "literal": ("[IPv6:2001:DB8::1];2", AddressSpace("[IPv6:2001:db8::1]", 2)),
    "literal with type": ("SMTP:[192.0.2.1];2", AddressSpace("[192.0.2.1]", 2)),
}


@pytest.mark.parametrize(("text", "expected"), WRITTEN.values(), ids=WRITTEN)
def test_address_space_is_read_and_written_back(text: str, expected: AddressSpace) -> None:
    assert parse_address_space(text) == expected
    assert parse_address_space(str(expected)) == expected


REFUSED = {
    "other type": ("X400:c=US;a= ;p=Contoso;1", "only SMTP"),
    "empty type": (":contoso.com", "only SMTP"),
    "nothing": ("", "names no domain"),
    "type alone": ("SMTP:", "names no domain"),
    "cost alone": (";10", "names no domain"),
    "cost 0": ("contoso.com;0", "1 to 100"),
    "cost 101": ("contoso.com;101", "1 to 100"),
    "negative cost": ("contoso.com;-1", "1 to 100"),
    "fraction": ("contoso.com;1.5", "1 to 100"),
    "empty cost": ("contoso.com;", "1 to 100"),
    "two costs": ("contoso.com;1;2", "1 to 100"),
    "digits of another script": ("contoso.com;１", "1 to 100"),
    "endless cost": ("contoso.com;" + "9" * 5000, "1 to 100"),
    "address": ("SMTP:user@contoso.com;1", "is an address"),
    "wildcard elsewhere": ("SMTP:mail*.contoso.com;1", '"*.contoso.com"'),
}


@pytest.mark.parametrize(("text", "expected"), REFUSED.values(), ids=REFUSED)
def test_what_is_no_address_space_is_refused_with_what_was_expected(text: str, expected: str) -> None:
    with pytest.raises(ConfigurationError, match="expected") as refused:
        parse_address_space(text)

    assert expected in str(refused.value)


def test_parts_are_checked_as_the_written_form_is() -> None:
    assert address_space("*.Fabrikam.com", 10) == AddressSpace("*.fabrikam.com", 10)
    with pytest.raises(ConfigurationError):
        address_space("*.fabrikam.com", 0)


@given(st.text(alphabet="SMTPsmtp:;*.@[]019abé \x00-", max_size=30))
def test_any_text_is_an_address_space_or_a_configuration_error(text: str) -> None:
    try:
        space = parse_address_space(text)
    except ConfigurationError:
        return
    assert parse_address_space(str(space)) == space
    assert 1 <= space.cost <= 100
